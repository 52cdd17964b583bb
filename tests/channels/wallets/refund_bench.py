"""What the refund tests of the wallets share: one refund, and a wallet that gives money back."""

from __future__ import annotations

from typing import Any, cast

from wallet_bench import ATTEMPT_ID, Answer, Bench

from core.kernel.money import Money
from core.payments.ports import Refunds, WalletRefund

REFUND_ID = "0b9f0f4e-6b1d-4c0e-9f0a-2f9d6c1d2e3f"


def refund(**changed: Any) -> WalletRefund:
    """500 francs of a payment of 12 500."""
    usual: dict[str, Any] = {
        "refund_id": REFUND_ID,
        "own_ref": "ERFND456789ABCDEFGHJ",
        "attempt_id": ATTEMPT_ID,
        "provider_txn_id": "8AB12CD34E",
        "brand": "mpesa",
        "payer_phone": "+243810000001",
        "amount": Money.units(500, "CDF"),
        "original": Money.units(12500, "CDF"),
    }
    return WalletRefund(**(usual | changed))


def asked(bench: Bench, call: str, **changed: Any) -> object:
    wallet = cast("Refunds", bench.wallet)
    return wallet.refund(refund(**changed)) if call == "refund" else wallet.query_refund(refund(**changed))


def refunding(name: str, answer: Answer, **config: Any) -> Bench:
    bench = Bench(name, answer, **config)
    assert isinstance(bench.wallet, Refunds)
    return bench
