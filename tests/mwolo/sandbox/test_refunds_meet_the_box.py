"""Refunds and reports between the product's adapters and the box's operators, over a real socket."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.wallets.operators.pawapay import PawapayConfig, PawapayWallet
from channels.wallets.operators.vodacom import VodacomConfig, VodacomWallet
from core.kernel.clock import SystemClock
from core.kernel.ids import own_reference
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import (
    Accepted,
    Failed,
    Hint,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    RefundHint,
    Unknown,
    Wallet,
    WalletAttempt,
    WalletRefund,
)
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Letter, Product, until


@pytest.fixture
def on_the_wire(open_box: Callable[..., Box]) -> Iterator[Callable[..., tuple[Box, str]]]:
    """Opens a box on a port of its own: (box, address)."""
    servers: list[Any] = []

    def open_one(**settings: Any) -> tuple[Box, str]:
        box = open_box(**settings)
        servers.append(threaded_server(box.app))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return box, f"http://127.0.0.1:{servers[-1].port}"

    yield open_one
    for server in servers:
        server.shutdown()
        server.server_close()


def vodacom_wallet(box: Box, address: str, **changed: Any) -> VodacomWallet:
    key = box.app.test_client().get("/sandbox/api/wallets/vodacom/public-key").text
    settings: dict[str, Any] = {"api_key": box.config.vodacom_api_key, "mode": box.config.vodacom_mode}
    config = VodacomConfig(
        **{"public_key": key, "base_url": f"{address}/vodacom", "session_warmup_s": 0, **settings, **changed}
    )
    return VodacomWallet(config, http=PartnerHttp("vodacom"), clock=SystemClock())


def pawapay_wallet(box: Box, address: str, **changed: Any) -> PawapayWallet:
    settings: dict[str, Any] = {"api_token": box.config.pawapay_token, "base_url": f"{address}/pawapay"}
    config = PawapayConfig(**{**settings, **changed})
    return PawapayWallet(config, http=PartnerHttp("pawapay"), clock=SystemClock(), sleep=lambda _seconds: None)


def attempt(phone: str, brand: str, units: int = 5000) -> WalletAttempt:
    return WalletAttempt(
        attempt_id=str(uuid.uuid4()),
        own_ref=own_reference(),
        brand=brand,
        payer_phone=phone,
        amount=Money.units(units, "CDF"),
        account_number="1234567890",
        description="Facture 000123",
    )


def paid_by(box: Box, wallet: Wallet, phone: str, brand: str) -> tuple[WalletAttempt, Paid]:
    """5 000 francs that have arrived."""
    one = attempt(phone, brand)
    call = box.callers.submit(wallet.start, one)
    box.answers(phone)
    call.result(20)
    paid = until(lambda: (found := wallet.query(one)) and isinstance(found, Paid) and found)
    return one, paid


def back(one: WalletAttempt, paid: Paid, units: int, **changed: Any) -> WalletRefund:
    values: dict[str, Any] = {
        "refund_id": str(uuid.uuid4()),
        "own_ref": own_reference(),
        "attempt_id": one.attempt_id,
        "provider_txn_id": paid.provider_txn_id,
        "brand": one.brand,
        "payer_phone": one.payer_phone,
        "amount": Money.units(units, "CDF"),
        "original": one.amount,
    }
    return WalletRefund(**{**values, **changed})


def heard(wallet: Wallet, letter: Letter) -> object:
    headers = {name.lower(): value for name, value in letter.headers.items()}
    raw = RawCallback("callback", letter.body, headers, "POST", letter.path, letter.authority, None, datetime.now(UTC))
    return wallet.read_callback(raw)


def refunded(box: Box, wallet: str) -> list[tuple[str, str]]:
    return [(one["amount"], one["state"]) for one in box.get(f"wallets/{wallet}/ledger")["refunds"]]


def test_pawapay_gives_parts_back_once_each(on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    box, address = on_the_wire()
    wallet = pawapay_wallet(box, address)
    one, paid = paid_by(box, wallet, AIRTEL, "airtel")
    first = back(one, paid, 2000)
    assert isinstance(wallet.query_refund(first), NotFound)
    assert isinstance(wallet.refund(first), Accepted)
    assert isinstance(wallet.refund(first), Accepted), "the same id again changes nothing"
    done = until(lambda: (found := wallet.query_refund(first)) and isinstance(found, Paid) and found)
    assert done.amount == Money.units(2000, "CDF")
    assert box.balance(AIRTEL) == "17000"
    hints = until(lambda: [h for le in product.at("/hooks/pawapay") if isinstance(h := heard(wallet, le), RefundHint)])
    assert hints[0] == RefundHint(first.refund_id)
    assert wallet.refund(back(one, paid, 3001)) == Failed("amount_refused", "AMOUNT_TOO_LARGE")
    assert isinstance(wallet.refund(back(one, paid, 3000)), Accepted)
    until(lambda: refunded(box, "pawapay")[-1] == ("3000", "paid"))
    assert wallet.refund(back(one, paid, 1)) == Failed("other", "DEPOSIT_ALREADY_REFUNDED")
    unknown = wallet.refund(back(one, paid, 1, attempt_id=str(uuid.uuid4())))
    assert unknown == Failed("other", "DEPOSIT_NOT_FOUND")


def test_pawapay_refunds_that_go_wrong(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = pawapay_wallet(box, address)
    one, paid = paid_by(box, wallet, AIRTEL, "airtel")
    for fault, expected in (
        ("overloaded", NotAccepted("PROVIDER_TEMPORARILY_UNAVAILABLE", 60)),
        ("throttled", NotAccepted("429", 10)),
        ("error_before_accept", Unknown("500")),
    ):
        box.fault("pawapay", fault, operation="refund")
        assert wallet.refund(back(one, paid, 100)) == expected
    assert refunded(box, "pawapay") == []
    for fault in ("lost_answer", "error_after_accept"):
        lost = back(one, paid, 100)
        box.fault("pawapay", fault, operation="refund")
        assert isinstance(wallet.refund(lost), Unknown)
        until(lambda lost=lost: isinstance(wallet.query_refund(lost), Paid))
    box.fault("pawapay", "never_final", operation="refund")
    stuck = back(one, paid, 100)
    wallet.refund(stuck)
    assert isinstance(wallet.query_refund(stuck), Pending)
    box.fault("pawapay", "refused", operation="refund")
    refused = back(one, paid, 100)
    assert isinstance(wallet.refund(refused), Accepted)
    assert wallet.query_refund(refused) == Failed("payer_unknown", "RECIPIENT_NOT_FOUND")


def test_pawapay_reports(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = pawapay_wallet(box, address)
    one, paid = paid_by(box, wallet, AIRTEL, "airtel")
    given = back(one, paid, 2000)
    wallet.refund(given)
    until(lambda: refunded(box, "pawapay") == [("2000", "paid")])
    two, _ = paid_by(box, wallet, AIRTEL, "airtel")
    number = box.entry("pawapay", two.attempt_id)["id"]
    box.post("wallets/pawapay/reverse", {"id": number})
    now = datetime.fromtimestamp(box.clock(), UTC)
    lines = wallet.statement(now - timedelta(days=1), now + timedelta(days=1))
    assert [(line.kind, line.amount) for line in lines] == [
        ("payment", one.amount),
        ("refund", Money.units(2000, "CDF")),
        ("payment", two.amount),
        ("reversal", two.amount),
    ]
    first, returned, second, taken = lines
    assert (first.own_ids, first.provider_txn_id, first.payer) == ((one.attempt_id,), paid.provider_txn_id, AIRTEL[1:])
    assert first.fee == Money.units(75, "CDF")
    assert (returned.own_ids, returned.original_txn_id) == ((given.refund_id,), paid.provider_txn_id)
    assert taken.original_txn_id == second.provider_txn_id
    assert wallet.statement(now - timedelta(days=3), now - timedelta(days=2)) == []


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vodacom_reverses_parts(mode: str, on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    box, address = on_the_wire(vodacom_mode=mode)
    wallet = vodacom_wallet(box, address)
    one, paid = paid_by(box, wallet, MPESA, "mpesa")
    first = back(one, paid, 2000)
    assert wallet.query_refund(first) == Unknown("reversal_not_told"), "of a part its no proves nothing"
    answer = wallet.refund(first)
    assert isinstance(answer, Paid if mode == "sync" else Accepted)
    assert wallet.refund(first) == Unknown("INS-10")
    done = until(lambda: (found := wallet.query_refund(first)) and isinstance(found, Paid) and found)
    if mode == "sync":
        assert done == answer
    else:
        hints = until(
            lambda: [h for le in product.at("/hooks/vodacom") if isinstance(h := heard(wallet, le), RefundHint)]
        )
        assert hints == [RefundHint(first.refund_id)]
    assert box.balance(MPESA) == "17000"
    assert wallet.refund(back(one, paid, 3001)) == Failed("amount_refused", "INS-15")
    assert wallet.refund(back(one, paid, 1, provider_txn_id="NOBODYS")) == Failed("not_found", "INS-18")
    assert refunded(box, "vodacom")[0] == ("2000", "paid")


def test_vodacom_reversals_that_go_wrong(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = vodacom_wallet(box, address)
    one, paid = paid_by(box, wallet, MPESA, "mpesa")
    for fault, kind in (
        ("overloaded", NotAccepted),
        ("throttled", NotAccepted),
        ("expired_session", NotAccepted),
        ("error_before_accept", Unknown),
        ("refused", Failed),
    ):
        box.fault("vodacom", fault, operation="refund")
        assert isinstance(wallet.refund(back(one, paid, 100)), kind), fault
    assert [state for _, state in refunded(box, "vodacom")] == ["failed"]
    lost = back(one, paid, 5000)
    box.fault("vodacom", "lost_answer", operation="refund")
    assert isinstance(wallet.refund(lost), Unknown)
    assert isinstance(wallet.query_refund(lost), Paid)
    # Where they do not know a reversal by its own id, the payment tells: all of it is back.
    box.fault("vodacom", "not_indexed", operation="query_refund")
    assert wallet.query_refund(lost) == Paid()
    assert box.balance(MPESA) == "20000"


def test_what_an_operator_takes_back_by_itself(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = vodacom_wallet(box, address)
    box.fault("vodacom", "reversed", seconds=0.05)
    one, paid = paid_by(box, wallet, MPESA, "mpesa")
    until(lambda: box.get("wallets/vodacom/ledger")["reversals"])
    assert wallet.query(one) == Unknown("reversed")
    assert wallet.query_refund(back(one, paid, 5000)) == Paid()
    assert box.balance(MPESA) == "20000"


def test_callbacks_nobody_should_believe(on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    box, address = on_the_wire()
    wallet = pawapay_wallet(box, address)
    box.fault("pawapay", "forged_callback")
    one = attempt(AIRTEL, "airtel")
    wallet.start(one)
    [letter] = until(lambda: product.at("/hooks/pawapay"))
    hint = heard(wallet, letter)
    assert isinstance(hint, Hint)
    assert (hint.attempt_id, hint.authentic, isinstance(hint.claim, Paid)) == (one.attempt_id, False, True)
    assert isinstance(wallet.query(one), Pending)
    box.answers(AIRTEL, None)
    box.fault("pawapay", "clock_skew", seconds=3600)
    other, _ = paid_by(box, wallet, AIRTEL, "airtel")
    told = until(
        lambda: [h for le in product.at("/hooks/pawapay") if (h := heard(wallet, le)).attempt_id == other.attempt_id]
    )
    assert not told[0].authentic


@pytest.mark.parametrize("make", [vodacom_wallet, pawapay_wallet])
def test_what_a_check_finds(make: Callable[..., Any], on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    assert [f.what for f in make(box, address).check() if f.ok is False] == []
    wrong = {"api_key": "wrong"} if make is vodacom_wallet else {"api_token": "wrong"}
    assert any(finding.ok is False for finding in make(box, address, **wrong).check())
