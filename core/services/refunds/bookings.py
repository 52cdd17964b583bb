"""What a refund does to the books, in the caller's transaction, which holds the refund's row.

The state tells where the money is: set aside while it is open, gone when `paid`, back where it came from when `failed`.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, PhoneRow, SiteRow
from core.kernel.clock import WEST
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.ledger.tables import JournalRow
from core.notices.staging import stage_notice
from core.payments.tables import AttemptRow, PaymentRow, RefundRow
from core.phone_numbers import parse_e164
from core.services.refunds.context import Context
from core.settlement import post
from core.settlement.events import RefundFailed, RefundPaid, RefundPaidLate, RefundReturned

log = structlog.get_logger(__name__)


def book_paid(ctx: Context, session: Session, refund: RefundRow) -> None:
    """It was paid out of what was set aside."""
    event = RefundPaid(
        key=f"refund:{refund.id}:paid",
        wallet=refund.wallet,
        amount=Money(refund.amount_minor, refund.currency),
        contract_id=refund.contract_id if refund.source == "credit" else None,
    )
    post(session, event, clock=ctx.clock)
    _tell(ctx, session, refund)


def book_paid_late(ctx: Context, session: Session, refund: RefundRow) -> None:
    """It had failed, and was paid all the same: its money is taken from where it is by now, placed or used.

    Raises StateConflict when the operator has taken the payment back meanwhile: the money left with that.
    """
    event = RefundPaidLate(
        key=_free_key(session, f"refund:{refund.id}:late"),
        payment_id=refund.payment_id,
        wallet=refund.wallet,
        amount=Money(refund.amount_minor, refund.currency),
        contract_id=_where_now(session, refund),
    )
    post(session, event, clock=ctx.clock)
    set_aside(session, refund, refund.amount_minor)
    log.warning("refund.paid_late", refund=refund.id, wallet=refund.wallet)
    _tell(ctx, session, refund)


def book_failed(ctx: Context, session: Session, refund: RefundRow) -> None:
    """It was surely not paid: what was set aside goes back."""
    event = RefundFailed(
        key=f"refund:{refund.id}:failed",
        payment_id=refund.payment_id,
        wallet=refund.wallet,
        amount=Money(refund.amount_minor, refund.currency),
        contract_id=refund.contract_id if refund.source == "credit" else None,
    )
    post(session, event, clock=ctx.clock)
    set_aside(session, refund, -refund.amount_minor)


def book_returned(ctx: Context, session: Session, refund: RefundRow, *, by: str) -> None:
    """It was booked as paid, and a person learnt that it was not, or that the money came back to us."""
    event = RefundReturned(
        key=_free_key(session, f"refund:{refund.id}:returned"),
        actor=by,
        payment_id=refund.payment_id,
        wallet=refund.wallet,
        amount=Money(refund.amount_minor, refund.currency),
        contract_id=_where_now(session, refund),
    )
    post(session, event, clock=ctx.clock)
    set_aside(session, refund, -refund.amount_minor)


def taken_back(session: Session, refund: RefundRow) -> bool:
    """Whether the operator itself has taken the payment back."""
    payment = session.get_one(PaymentRow, refund.payment_id, populate_existing=True)
    return payment.reversed_at is not None


def set_aside(session: Session, refund: RefundRow, delta: int) -> None:
    """Change what of the payment counts as given back. Up only after a late truth: that is not refused."""
    session.execute(
        update(PaymentRow)
        .where(PaymentRow.id == refund.payment_id)
        .values(refunded_minor=PaymentRow.refunded_minor + delta)
        .execution_options(synchronize_session=False)
    )


def _where_now(session: Session, refund: RefundRow) -> int | None:
    """The contract on whose credit the refund's money lies when it is not under way; None: in suspense."""
    if refund.source == "credit":
        return refund.contract_id
    payment = session.get_one(PaymentRow, refund.payment_id, populate_existing=True)
    if payment.in_suspense or payment.contract_id is None:
        return None
    contract = session.get_one(ContractRow, payment.contract_id)
    return contract.id if contract.currency == refund.currency else None


def _free_key(session: Session, key: str) -> str:
    """The state has seen to it that this happens now and once; but it may have happened before, and been undone."""
    free, number = key, 1
    while session.scalar(select(JournalRow.id).where(JournalRow.key == free)) is not None:
        number += 1
        free = f"{key}:{number}"
    return free


def _tell(ctx: Context, session: Session, refund: RefundRow) -> None:
    """The payer reads that his money is back, where we know his number: a masked one gets nothing."""
    phone = parse_e164(refund.payer_phone)
    if phone is None:
        return
    payment = session.get_one(PaymentRow, refund.payment_id)
    attempt = session.get(AttemptRow, payment.attempt_id) if payment.attempt_id else None
    contract = session.get(ContractRow, refund.contract_id) if refund.contract_id else None
    known = session.get(PhoneRow, phone)
    stage_notice(
        session,
        clock=ctx.clock,
        kind="payment.refunded",
        key=f"payment.refunded:{refund.id}",
        recipient=phone,
        language=attempt.language if attempt else (known.language if known else None) or "fr",
        blanks={
            "amount": Money(refund.amount_minor, refund.currency).text,
            "receipt": payment.receipt_number,
            "account": grouped(contract.account_number) if contract else "",
        },
        zone=session.get_one(SiteRow, contract.site_id).time_zone if contract else WEST,
        contract_id=refund.contract_id,
        payment_id=payment.id,
    )
