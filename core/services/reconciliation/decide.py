"""Lines as a person sees them, and what a person decides about those that differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.i18n import N_
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.payments.tables import AttemptRow, PaymentRow
from core.reconciliation import queries, rules
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.model import DECISIONS, Candidate, Decision, LineView
from core.reconciliation.tables import StatementLineRow
from core.services.reconciliation.booking import bring_in, refuse
from core.services.reconciliation.context import Context
from core.services.reconciliation.marks import FLAG, is_claimed, lock_payment, take
from core.services.reconciliation.outgoing import post_payout, post_reversal

log = structlog.get_logger(__name__)

NOTE_LENGTH = 200
PAYMENT_NEAR = N_("A payment of the same amount at about the same time.")
ATTEMPT_NEAR = N_("A request to the same payer for the same amount at about the same time.")
ATTEMPT_NAMED = N_("A request that the ids of the line name.")
OWN_PAYMENT = N_("The payment that the line was compared with.")


def lines(
    ctx: Context,
    wallet: str,
    day: date | None,
    currency: str | None,
    outcome: str | None,
    open_only: bool,
    limit: int,
    after: int,
) -> Sequence[LineView]:
    """See `Reconciliation.lines`."""
    wanted = select(StatementLineRow, PaymentRow.attempt_id).outerjoin(
        PaymentRow, PaymentRow.id == StatementLineRow.payment_id
    )
    wanted = wanted.where(StatementLineRow.wallet == wallet, StatementLineRow.id > after)
    if day is not None:
        wanted = wanted.where(StatementLineRow.day == day)
    if currency is not None:
        wanted = wanted.where(StatementLineRow.currency == currency)
    if outcome is not None:
        wanted = wanted.where(StatementLineRow.outcome == outcome)
    if open_only:
        wanted = wanted.where(queries.is_open())
    with ctx.db.read() as session:
        rows = session.execute(wanted.order_by(StatementLineRow.id).limit(limit)).all()
    return [view(row, attempt_id) for row, attempt_id in rows]


def line(ctx: Context, line_id: int) -> LineView | None:
    """See `Reconciliation.line`."""
    with ctx.db.read() as session:
        row = session.get(StatementLineRow, line_id)
        if row is None:
            return None
        payment = session.get(PaymentRow, row.payment_id) if row.payment_id else None
        return view(row, payment.attempt_id if payment else None, _candidates(ctx, session, row, payment))


def view(row: StatementLineRow, attempt_id: str | None, candidates: Sequence[Candidate] = ()) -> LineView:
    return LineView(
        id=row.id,
        wallet=row.wallet,
        day=row.day,
        at=row.at,
        kind=row.kind,  # type: ignore[arg-type]
        amount=Money(row.amount_minor, row.currency),
        fee=Money(row.fee_minor, row.currency) if row.fee_minor else None,
        provider_txn_id=row.provider_txn_id,
        original_txn_id=row.original_txn_id,
        own_ids=tuple(row.own_ids),
        payer=row.payer,
        reference=row.reference,
        outcome=row.outcome,  # type: ignore[arg-type]
        note=row.note,
        payment_id=row.payment_id,
        refund_id=row.refund_id,
        attempt_id=attempt_id,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        raw={str(name): str(text) for name, text in row.raw.items()},
        candidates=tuple(candidates),
    )


def _candidates(ctx: Context, session: Session, row: StatementLineRow, payment: PaymentRow | None) -> list[Candidate]:
    if row.outcome not in ("new", "differs"):
        return []
    found: list[Candidate] = []
    if payment is not None:
        found.append(
            Candidate(
                payment.id, None, Money(payment.amount_minor, payment.currency), payment.paid_at or payment.received_at,
                payment.payer_phone, OWN_PAYMENT,
            )
        )  # fmt: skip
    if row.kind != "payment":
        return found
    facts = queries.facts(row)
    named = queries.attempts_by_ids(session, row.wallet, rules.own_ids_of(facts), row.provider_txn_id)
    for a in map(queries.our_attempt, named if len(named) > 1 else ()):
        found.append(Candidate(None, a.id, a.amount, a.at + ctx.ahead(), a.payer, ATTEMPT_NAMED))
    for p in rules.near_payments(facts, queries.near_payments(session, row, ctx.ahead())):
        if payment is None or p.id != payment.id:
            found.append(Candidate(p.id, None, p.amount, p.at, p.payer, PAYMENT_NEAR))
    for a in rules.near_attempts(facts, queries.near_attempts(session, row, ctx.ahead())):
        if a.id not in {one.id for one in named} or len(named) < 2:
            found.append(Candidate(None, a.id, a.amount, a.at, a.payer, ATTEMPT_NEAR))
    return found


def settle_line(ctx: Context, line_id: int, decision: Decision, note: str, by: str, target: str | None) -> None:
    """See `Reconciliation.settle_line`."""
    if decision not in DECISIONS:
        raise ReconciliationRefused(N_("There is no such decision."))
    if not note.strip():
        raise ReconciliationRefused(N_("Say in a note why."))
    with ctx.db.read() as session:
        row = session.get(StatementLineRow, line_id)
    kind = _check_open(ctx, row).kind
    brings_in = decision == "settle" or (decision == "book" and kind not in ("payout", "fee"))
    try:
        if brings_in:
            _bring_in(ctx, line_id, decision, target)
        else:
            _in_books(ctx, line_id, decision, note, by, target)
    except IntegrityError as error:
        raise ReconciliationRefused(N_("This number belongs to another payment by now. Look again.")) from error
    if brings_in:
        with ctx.db.begin() as session:
            line = queries.lock_line(session, line_id)
            assert line is not None
            _decided(ctx, session, line, note, by)
    log.info("statement.decided", line=line_id, decision=decision, by=by)


def _check_open(ctx: Context, row: StatementLineRow | None) -> StatementLineRow:
    if row is None:
        raise ReconciliationRefused(N_("There is no such line."))
    if row.outcome not in ("new", "differs") or row.decided_at is not None:
        raise ReconciliationRefused(N_("This line is settled already."))
    if is_claimed(ctx, row):
        raise ReconciliationRefused(N_("This line is being booked at this moment. Look again in two minutes."))
    return row


def _bring_in(ctx: Context, line_id: int, decision: Decision, target: str | None) -> None:
    with ctx.db.read() as session:
        row = session.get_one(StatementLineRow, line_id)
        attempt = session.get(AttemptRow, target) if target else None
    if row.kind != "payment":
        raise ReconciliationRefused(N_("Only a line that brought money can be booked."))
    verdict: rules.Settle | rules.Book = rules.Book()
    if decision == "settle":
        if attempt is None or attempt.wallet != row.wallet:
            raise ReconciliationRefused(N_("Say which request of this wallet it is."))
        verdict = rules.Settle(attempt.id)
    if not bring_in(ctx, line_id, verdict):
        with ctx.db.read() as session:
            row = _check_open(ctx, session.get(StatementLineRow, line_id))
        raise ReconciliationRefused(row.note or rules.NOTHING_BOOKED)


def _decided(ctx: Context, session: Session, line: StatementLineRow, note: str, by: str) -> None:
    line.decided_by, line.decided_at, line.note = by[:40], ctx.clock.now(), note.strip()[:NOTE_LENGTH]
    _lower_flag(session, line)


def _in_books(ctx: Context, line_id: int, decision: Decision, note: str, by: str, target: str | None) -> None:
    try:
        with ctx.db.begin() as session:
            line = _check_open(ctx, queries.lock_line(session, line_id))
            _as_decided(ctx, session, line, decision, by, target)
            _decided(ctx, session, line, note, by)
    except ReconciliationRefused:
        raise
    except StateConflict as refused:
        refuse(ctx, line_id, rules.REFUSED, str(refused))
        raise ReconciliationRefused(rules.REFUSED) from refused


def _as_decided(
    ctx: Context, session: Session, line: StatementLineRow, decision: Decision, by: str, target: str | None
) -> None:
    if decision == "accept":
        # What is nothing of ours, or told before, is left out of the sums; what differs stays in them, for it is
        # different.
        line.outcome = "differs" if line.payment_id and line.note != rules.TWICE else "ignored"
        return
    if decision == "book":
        _book_out(ctx, session, line, by)
        return
    payment = session.get(PaymentRow, target) if target else None
    if payment is None or payment.wallet != line.wallet:
        raise ReconciliationRefused(N_("Say which payment of this wallet it is."))
    if decision == "match":
        _match(ctx, session, line, payment)
    else:
        _reverse(ctx, session, line, payment, by)


def _match(ctx: Context, session: Session, line: StatementLineRow, payment: PaymentRow) -> None:
    if line.kind != "payment":
        raise ReconciliationRefused(N_("Only a line that brought money is a payment."))
    if (payment.amount_minor, payment.currency) != (line.amount_minor, line.currency):
        raise ReconciliationRefused(N_("The amounts differ: the line can be accepted as it is, not matched."))
    known = queries.payment_by_txn(session, line.wallet, line.provider_txn_id)
    free = line.provider_txn_id is not None and known is None
    if not take(ctx, session, line, payment.id, adopt=free and payment.provider_txn_id is None):
        raise ReconciliationRefused(rules.TWICE)


def _book_out(ctx: Context, session: Session, line: StatementLineRow, by: str) -> None:
    """A payout or fee that looks like another line, and a person knows that it is not."""
    if line.kind == "payout":
        post_payout(ctx, session, line, f"line:{line.id}", actor=by)
    line.outcome, line.note = "matched", ""


def _reverse(ctx: Context, session: Session, line: StatementLineRow, payment: PaymentRow, by: str) -> None:
    if line.kind not in ("reversal", "refund"):
        raise ReconciliationRefused(N_("Only a line that took money back can take a payment back."))
    if (payment.amount_minor, payment.currency) != (line.amount_minor, line.currency):
        raise ReconciliationRefused(N_("Only a whole payment can be taken back."))
    lock_payment(session, payment.id)
    if queries.shown_elsewhere(session, payment.id, line, "reversal"):
        raise ReconciliationRefused(rules.REVERSED_ALREADY)
    post_reversal(ctx, session, line, payment, actor=by)
    line.kind, line.outcome, line.payment_id = "reversal", "matched", payment.id


def _lower_flag(session: Session, line: StatementLineRow) -> None:
    """The attempt was flagged for this line's sake."""
    if line.payment_id is None:
        return
    attempt = select(PaymentRow.attempt_id).where(PaymentRow.id == line.payment_id).scalar_subquery()
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.id == attempt, AttemptRow.flag == FLAG)
        .values(flag=None)
        .execution_options(synchronize_session=False)
    )
