"""Lines that took money out: reversals, refunds, payouts, fees. Each in the caller's transaction, its line locked."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.kernel.money import Money
from core.payments.tables import PaymentRow, RefundRow
from core.reconciliation import queries, rules
from core.reconciliation.tables import StatementLineRow
from core.services.reconciliation.context import Context
from core.services.reconciliation.marks import differs
from core.settlement import post
from core.settlement.credit_use import use_credit
from core.settlement.events import OperatorPaidOut, OperatorReversed


def reversal(ctx: Context, session: Session, line: StatementLineRow) -> bool:
    # Some operators give money back by reversing: then the line shows a refund of ours, not a deed of theirs.
    if queries.refund_for(session, line, rules.own_ids_of(queries.facts(line))) is not None:
        return refund(session, line)
    original = (
        queries.payment_by_txn(session, line.wallet, line.original_txn_id)
        or _of_own_ids(session, line)
        or queries.payment_by_txn(session, line.wallet, line.provider_txn_id)
    )
    ours = queries.our_payment(session, original, line) if original else None
    before = original is not None and queries.shown_elsewhere(session, original.id, line, "reversal")
    verdict = rules.judge_reversal(queries.facts(line), ours, shown_before=before)
    if isinstance(verdict, rules.Differs):
        differs(session, line, verdict)
        return False
    line.outcome, line.payment_id, line.note = "matched", verdict.payment_id, ""
    if isinstance(verdict, rules.Reverse):
        assert original is not None
        post_reversal(ctx, session, line, original, actor="system")
    return True


def post_reversal(ctx: Context, session: Session, line: StatementLineRow, payment: PaymentRow, *, actor: str) -> None:
    """Take a payment back in the books, once. Raises StateConflict where settlement refuses."""
    txn = payment.provider_txn_id or payment.id
    event = OperatorReversed(
        key=f"reversal:{line.wallet}:{txn}",
        actor=actor,
        memo=f"statement line {line.id}",
        payment_id=payment.id,
        contract_id=payment.contract_id,
    )
    post(session, event, clock=ctx.clock)
    if payment.contract_id is not None:
        # Its invoices are open again: what the account has in credit from elsewhere pays them first.
        use_credit(
            session, payment.contract_id, key=f"{event.key}:credit", actor=actor, memo=event.memo, clock=ctx.clock
        )


def _of_own_ids(session: Session, line: StatementLineRow) -> PaymentRow | None:
    ids = rules.own_ids_of(queries.facts(line))
    asked = queries.attempts_by_ids(session, line.wallet, ids, None)
    if len(asked) != 1:
        return None
    return session.scalar(select(PaymentRow).where(PaymentRow.attempt_id == asked[0].id))


def refund(session: Session, line: StatementLineRow) -> bool:
    row = queries.refund_for(session, line, rules.own_ids_of(queries.facts(line)))
    verdict = rules.judge_refund(queries.facts(line), queries.our_refund(row) if row else None)
    if isinstance(verdict, rules.Differs):
        differs(session, line, verdict)
        return False
    assert row is not None
    line.outcome, line.payment_id, line.refund_id, line.note = "matched", row.payment_id, row.id, ""
    if row.provider_txn_id is None and line.provider_txn_id is not None:
        session.execute(
            update(RefundRow)
            .where(RefundRow.id == row.id, RefundRow.provider_txn_id.is_(None))
            .values(provider_txn_id=line.provider_txn_id)
            .execution_options(synchronize_session=False)
        )
    return True


def payout(ctx: Context, session: Session, line: StatementLineRow) -> bool:
    if (line.fee_minor or 0) >= line.amount_minor:
        differs(session, line, rules.Differs(rules.FEE_ABOVE))
        return False
    if queries.number_taken(session, line) or _came_before(session, line):
        differs(session, line, rules.Differs(rules.TWICE))
        return False
    post_payout(ctx, session, line, line.provider_txn_id or f"line:{line.id}", actor="system")
    return True


def post_payout(ctx: Context, session: Session, line: StatementLineRow, number: str, *, actor: str) -> None:
    """Bank and fees leave the clearing account, once under this number. Raises StateConflict for the same number with
    other content."""
    fee = line.fee_minor or 0
    event = OperatorPaidOut(
        key=f"payout:{line.wallet}:{number}",
        actor=actor,
        memo=f"statement line {line.id}",
        wallet=line.wallet,
        amount=Money(line.amount_minor, line.currency),
        fees=Money(fee, line.currency) if fee else None,
    )
    post(session, event, clock=ctx.clock)
    line.outcome, line.note = "matched", ""
    line.fee_booked_on = line.day if fee else None


def fee(session: Session, line: StatementLineRow) -> bool:
    """Fees are summed by day and booked when it is closed; a line that came before, under another key, is none."""
    if _came_before(session, line):
        differs(session, line, rules.Differs(rules.TWICE))
        return False
    line.outcome, line.note = "matched", ""
    return True


def _came_before(session: Session, line: StatementLineRow) -> bool:
    facts = queries.facts(line)
    return any(rules.same_line(facts, twin.line) for twin in queries.twins(session, line))
