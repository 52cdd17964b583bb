"""Bringing in what only the operator knew of. The payments service books it in transactions of its own, between two of
ours: the first claims the line, so that nobody settles it otherwise meanwhile, the second writes down what came of it.
After a crash in between the claim grows old, the next run takes it again, and booking finds the payment by its number.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core.kernel.errors import NotRecorded, StateConflict
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.payments.answers import BillPayment, Paid
from core.payments.tables import PaymentRow
from core.reconciliation import queries, rules
from core.reconciliation.tables import StatementLineRow
from core.services.reconciliation.context import Context
from core.services.reconciliation.marks import SETTLED, differs, is_claimed, lock_payment, matched

log = structlog.get_logger(__name__)


def bring_in(ctx: Context, line_id: int, verdict: rules.Settle | rules.Book) -> bool:
    """Book the line's money and settle the line. False: nothing was booked, or not as the line says; its note says why.
    So is a line that was settled, or is being booked by somebody else."""
    line = _claim(ctx, line_id)
    if line is None:
        return False
    if isinstance(verdict, rules.Settle) and line.wallet not in ctx.wallets:
        return refuse(ctx, line_id, rules.NOT_CONFIGURED, claim=line.claim)
    try:
        payment_id = _booked(ctx, line, verdict)
    except StateConflict as refused:
        return refuse(ctx, line_id, rules.REFUSED, str(refused), claim=line.claim)
    except (IntegrityError, NotRecorded):
        _let_go(ctx, line_id, line.claim)
        raise
    if payment_id is None:
        attempt_id = verdict.attempt_id if isinstance(verdict, rules.Settle) else None
        return refuse(ctx, line_id, rules.NOTHING_BOOKED, attempt_id=attempt_id, claim=line.claim)
    return _brought_in(ctx, line_id, payment_id)


def _claim(ctx: Context, line_id: int) -> StatementLineRow | None:
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in SETTLED or line.decided_at is not None or is_claimed(ctx, line):
            return None
        line.claim, line.claimed_at = new_uuid(), ctx.clock.real_now()
        return line


def _let_go(ctx: Context, line_id: int, claim: str | None) -> None:
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is not None and line.claim == claim:
            line.claim = line.claimed_at = None


def _booked(ctx: Context, line: StatementLineRow, verdict: rules.Settle | rules.Book) -> str | None:
    amount = Money(line.amount_minor, line.currency)
    if isinstance(verdict, rules.Settle):
        ctx.payments.record_statement(verdict.attempt_id, Paid(line.provider_txn_id, amount, line.at))
        with ctx.db.read() as session:
            found = queries.payment_by_txn(session, line.wallet, line.provider_txn_id)
            if found is None and line.provider_txn_id is None:
                found = session.scalar(select(PaymentRow).where(PaymentRow.attempt_id == verdict.attempt_id))
            return found.id if found else None
    bill = BillPayment(
        provider_txn_id=booked_under(line),
        amount=amount,
        reference=line.reference or "",
        payer=line.payer,
        paid_at=line.at,
    )
    return ctx.payments.book_bill(line.wallet, bill, found_by="statement")


def booked_under(line: StatementLineRow) -> str:
    """The operator's number; without one the line itself is what makes its money unique."""
    return line.provider_txn_id or f"{rules.OWN_NUMBER}{line.id}"


def _brought_in(ctx: Context, line_id: int, payment_id: str) -> bool:
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in SETTLED or line.decided_at is not None:
            # Only where our claim had grown old: what we booked stands in the list of payments that no line shows.
            if line is None or line.payment_id != payment_id:
                log.error("statement.settled_meanwhile", line=line_id, payment=payment_id)
            return False
        line.claim = line.claimed_at = None
        payment = lock_payment(session, payment_id)
        if queries.shown_elsewhere(session, payment_id, line, "payment"):
            differs(session, line, rules.Differs(rules.TWICE, payment_id, payment.attempt_id))
            return False
        if (payment.amount_minor, payment.currency) != (line.amount_minor, line.currency):
            same = payment.currency == line.currency
            why = rules.AMOUNT if same else rules.CURRENCY
            differs(session, line, rules.Differs(why, payment_id, payment.attempt_id))
            return False
        matched(ctx, line, payment)
        log.info("statement.brought_in", line=line.id, wallet=line.wallet, payment=payment_id)
        return True


def refuse(
    ctx: Context, line_id: int, why: str, reason: str = "", *, attempt_id: str | None = None, claim: str | None = None
) -> bool:
    """Leave the line to a person, with the reason. Always False: it is not settled. `claim`: the caller's own."""
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in SETTLED or line.decided_at is not None:
            return False
        if line.claim != claim and is_claimed(ctx, line):
            return False
        line.claim = line.claimed_at = None
        line.looked_at = ctx.clock.real_now()
        differs(session, line, rules.Differs(why, line.payment_id, attempt_id))
        if reason:
            line.raw = {**line.raw, queries.REFUSED_CELL: reason[:200]}
            log.warning("statement.refused", line=line_id, wallet=line.wallet, reason=reason)
    return False
