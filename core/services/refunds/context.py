"""What the parts of the refunds service share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.kernel.clock import Clock
from core.kernel.money import Money
from core.payments.ports import Capabilities, Wallet, WalletRefund
from core.payments.ports import Refunds as RefundingWallet
from core.payments.rules import scaled
from core.payments.tables import AttemptRow, PaymentRow, RefundRow
from core.services.payments.pace import Lanes, Turnstile

_GONE = Capabilities({}, query_by_own_id=False, callback_proof="none", query_slots_s=(3600,), prompt_lifetime_s=0)


@dataclass(frozen=True, slots=True)
class Context:
    db: Database
    clock: Clock
    wallets: Mapping[str, Wallet]
    query_scale: float
    callback_bases: Mapping[str, str]
    turnstile: Turnstile
    lanes: Lanes

    def wallet(self, name: str) -> Wallet | None:
        """The wallet of this name, if it is configured and can give money back."""
        wallet = self.wallets.get(name)
        return wallet if wallet is not None and wallet.can.refunds != "none" else None

    def refunding(self, name: str) -> RefundingWallet | None:
        wallet = self.wallet(name)
        return wallet if isinstance(wallet, RefundingWallet) else None

    def can(self, name: str) -> Capabilities:
        """What the wallet declares; of one that is not configured any more, a schedule of questions only."""
        wallet = self.wallets.get(name)
        return wallet.can if wallet is not None else _GONE

    def age_s(self, since: datetime | None) -> float:
        """Seconds since then, as the unscaled schedule counts them."""
        if since is None:
            return 0.0
        return (self.clock.real_now() - since).total_seconds() / self.query_scale

    def after(self, seconds: float) -> datetime:
        return self.clock.real_now() + timedelta(seconds=scaled(seconds, self.query_scale))

    def for_wallet(self, session: Session, refund: RefundRow) -> WalletRefund:
        """The refund in the words of the port. Read inside a transaction, used outside."""
        payment = session.get_one(PaymentRow, refund.payment_id)
        attempt = session.get(AttemptRow, payment.attempt_id) if payment.attempt_id else None
        base = self.callback_bases.get(refund.wallet)
        return WalletRefund(
            refund_id=refund.id,
            own_ref=refund.own_ref,
            attempt_id=payment.attempt_id,
            provider_txn_id=payment.provider_txn_id,
            brand=attempt.brand if attempt else "",
            payer_phone=refund.payer_phone,
            amount=Money(refund.amount_minor, refund.currency),
            original=Money(payment.amount_minor, payment.currency),
            provider_ref=refund.provider_ref,
            callback_url=f"{base}/result/{refund.id}" if base else None,
        )


def lock_refund(session: Session, refund_id: str) -> RefundRow | None:
    """The refund, locked for this transaction and read afresh. Always locked before its contract and its payment."""
    return session.scalar(
        select(RefundRow)
        .where(RefundRow.id == refund_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
