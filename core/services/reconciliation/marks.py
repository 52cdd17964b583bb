"""Writing down what a line turned out to be, in the caller's transaction. Whoever calls has locked the line."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.payments.tables import AttemptRow, PaymentRow
from core.reconciliation import queries, rules
from core.reconciliation.tables import StatementLineRow
from core.services.reconciliation.context import Context

FLAG = "statement"
SETTLED = ("matched", "theirs_only", "ignored")
# Longer than booking takes with every wait of the database: an older claim is that of a process that died.
CLAIM_LIVES = timedelta(seconds=120)


def is_claimed(ctx: Context, line: StatementLineRow) -> bool:
    """Whether somebody is booking this line at this moment."""
    return line.claimed_at is not None and line.claimed_at > ctx.clock.real_now() - CLAIM_LIVES


def lock_payment(session: Session, payment_id: str) -> PaymentRow:
    """The payment, locked and read afresh; its attempt before it, as everybody locks them."""
    attempt_id = session.scalar(select(PaymentRow.attempt_id).where(PaymentRow.id == payment_id))
    if attempt_id is not None:
        session.execute(select(AttemptRow.id).where(AttemptRow.id == attempt_id).with_for_update(key_share=True))
    return session.get_one(PaymentRow, payment_id, with_for_update={"key_share": True}, populate_existing=True)


def take(ctx: Context, session: Session, line: StatementLineRow, payment_id: str, *, adopt: bool) -> bool:
    """The line is this payment; `adopt` gives the payment the operator's number that it lacks. False: another line has
    the payment by now."""
    payment = lock_payment(session, payment_id)
    if queries.shown_elsewhere(session, payment_id, line, "payment"):
        differs(session, line, rules.Differs(rules.TWICE, payment_id, payment.attempt_id))
        return False
    if adopt and payment.attempt_id is not None:
        session.execute(
            update(AttemptRow)
            .where(AttemptRow.id == payment.attempt_id, AttemptRow.provider_txn_id.is_(None))
            .values(provider_txn_id=line.provider_txn_id)
            .execution_options(synchronize_session=False)
        )
    if adopt and payment.provider_txn_id is None:
        payment.provider_txn_id = line.provider_txn_id
    matched(ctx, line, payment)
    session.flush()
    return True


def matched(ctx: Context, line: StatementLineRow, payment: PaymentRow) -> None:
    """What a statement brought in stays theirs only, whichever run of ours comes to write it down."""
    line.outcome = "theirs_only" if payment.found_by == "statement" else "matched"
    line.payment_id, line.note = payment.id, ""
    payment.reconciled_at = payment.reconciled_at or ctx.clock.now()


def differs(session: Session, line: StatementLineRow, verdict: rules.Differs) -> None:
    line.outcome, line.note = "differs", verdict.why
    line.payment_id = verdict.payment_id
    if verdict.attempt_id is not None:
        session.execute(
            update(AttemptRow)
            .where(AttemptRow.id == verdict.attempt_id, AttemptRow.flag.is_(None))
            .values(flag=FLAG)
            .execution_options(synchronize_session=False)
        )
