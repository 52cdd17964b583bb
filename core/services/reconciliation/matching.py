"""Settling lines: what they are of ours, and bringing in what only the operator knew of.

Most lines are payments we have under the same number: they are matched in chunks. Every other line has a transaction
of its own; where the payments service has to book, it does so in its own, between two of ours, and a crash in between
only means that the next run finds the payment by its number.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.payments.answers import BillPayment, Paid
from core.payments.tables import AttemptRow, PaymentRow, RefundRow
from core.reconciliation import queries, rules
from core.reconciliation.tables import StatementLineRow
from core.services.payments.bills import read_reference
from core.services.reconciliation.context import Context
from core.settlement import post
from core.settlement.events import OperatorPaidOut, OperatorReversed

log = structlog.get_logger(__name__)

# SQLite has one writer: nobody waits longer than a few dozen milliseconds for a chunk.
CHUNK = 100
FLAG = "statement"
_SETTLED = ("matched", "theirs_only", "ignored")


def match(ctx: Context, wallet: str, limit: int) -> int:
    """See `Reconciliation.match`."""
    settled = _match_known(ctx, wallet)
    for kinds in (("payment",), ("reversal", "refund"), ("payout",)):
        with ctx.db.read() as session:
            ids = queries.open_line_ids(session, wallet, kinds, limit)
        settled += sum(settle_one(ctx, line_id) for line_id in ids)
    return settled + _settle_quiet(ctx, wallet)


def match_all(ctx: Context, limit: int) -> int:
    """See `Reconciliation.match_all`."""
    with ctx.db.read() as session:
        wallets = session.scalars(select(StatementLineRow.wallet).where(queries.is_open()).distinct()).all()
    return sum(match(ctx, wallet, limit) for wallet in sorted(wallets))


def _match_known(ctx: Context, wallet: str) -> int:
    """Lines whose number is that of a payment of the same money, a chunk a transaction."""
    settled, last = 0, 0
    while True:
        with ctx.db.begin() as session:
            lines = session.scalars(
                select(StatementLineRow)
                .where(
                    StatementLineRow.wallet == wallet,
                    StatementLineRow.outcome == "new",
                    StatementLineRow.kind == "payment",
                    StatementLineRow.provider_txn_id.is_not(None),
                    StatementLineRow.id > last,
                )
                .order_by(StatementLineRow.id)
                .limit(CHUNK)
                .with_for_update(skip_locked=True, key_share=True)
            ).all()
            if not lines:
                return settled
            last = lines[-1].id
            settled += _match_chunk(ctx, session, wallet, lines)


def _match_chunk(ctx: Context, session: Session, wallet: str, lines: Sequence[StatementLineRow]) -> int:
    found = {
        row.provider_txn_id: row
        for row in session.scalars(
            select(PaymentRow).where(
                PaymentRow.wallet == wallet, PaymentRow.provider_txn_id.in_([line.provider_txn_id for line in lines])
            )
        )
    }
    shown = set(
        session.scalars(
            select(StatementLineRow.payment_id).where(
                StatementLineRow.payment_id.in_([row.id for row in found.values()]), StatementLineRow.kind == "payment"
            )
        )
    )
    settled = 0
    for line in lines:
        payment = found.get(line.provider_txn_id)
        if payment is None or payment.id in shown:
            continue
        if (payment.amount_minor, payment.currency) == (line.amount_minor, line.currency):
            shown.add(payment.id)
            _matched(ctx, line, payment)
            settled += 1
    return settled


def _matched(ctx: Context, line: StatementLineRow, payment: PaymentRow) -> None:
    """What a statement brought in stays theirs only, whichever run of ours comes to write it down."""
    line.outcome = "theirs_only" if payment.found_by == "statement" else "matched"
    line.payment_id, line.note = payment.id, ""
    payment.reconciled_at = payment.reconciled_at or ctx.clock.now()


def _settle_quiet(ctx: Context, wallet: str) -> int:
    """Fees are summed by day, and what is neither money in nor out is none of ours."""
    settled = 0
    for kind, outcome in (("fee", "matched"), ("other", "ignored")):
        with ctx.db.begin() as session:
            settled += len(
                session.scalars(
                    update(StatementLineRow)
                    .where(
                        StatementLineRow.wallet == wallet,
                        StatementLineRow.kind == kind,
                        StatementLineRow.outcome == "new",
                    )
                    .values(outcome=outcome)
                    .returning(StatementLineRow.id)
                    .execution_options(synchronize_session=False)
                ).all()
            )
    return settled


def settle_one(ctx: Context, line_id: int) -> bool:
    """Settle one line if that can be done without a person. Whether it is settled now and was not before."""
    try:
        verdict = _judge(ctx, line_id)
    except IntegrityError:
        # The same money by another door, between our look and our write: now it can be seen.
        verdict = _judge(ctx, line_id)
    except StateConflict as refused:
        # Nothing of that transaction stays; only the reason does.
        return refuse(ctx, line_id, rules.REFUSED, str(refused))
    if isinstance(verdict, bool):
        return verdict
    return bring_in(ctx, line_id, verdict)


def _judge(ctx: Context, line_id: int) -> bool | rules.Settle | rules.Book:
    """One transaction: look, decide, write it down. What the payments service has to book is handed back."""
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in _SETTLED or line.decided_at is not None:
            return False
        match line.kind:
            case "payment":
                verdict = rules.judge_payment(queries.facts(line), _known(ctx, session, line))
                if isinstance(verdict, rules.Settle | rules.Book):
                    return verdict
                return _apply(ctx, session, line, verdict)
            case "reversal":
                return _reversal(ctx, session, line)
            case "refund":
                return _refund(session, line)
            case _:
                return _payout(ctx, session, line)


def _known(ctx: Context, session: Session, line: StatementLineRow) -> rules.Known:
    by_txn = queries.payment_by_txn(session, line.wallet, _booked_under(line))
    if by_txn is not None:
        return rules.Known(by_txn=queries.our_payment(session, by_txn, line))
    ids = rules.own_ids_of(queries.facts(line))
    attempt = queries.attempt_by_ids(session, line.wallet, ids, line.provider_txn_id)
    if attempt is not None:
        own = session.scalar(select(PaymentRow).where(PaymentRow.attempt_id == attempt.id))
        return rules.Known(
            own_attempt=queries.our_attempt(attempt),
            own_payment=queries.our_payment(session, own, line) if own else None,
            other_txn_shown=own is not None and queries.line_shows(session, line.wallet, own.provider_txn_id),
        )
    account, suffix = read_reference(line.reference or "")
    contract = session.scalar(select(ContractRow.id).where(ContractRow.account_number == account)) if account else None
    return rules.Known(
        near_payments=queries.near_payments(session, line, ctx.ahead()),
        near_attempts=queries.near_attempts(session, line, ctx.ahead()),
        account_contract=contract,
        told_by_us=bool(suffix),
    )


def _apply(ctx: Context, session: Session, line: StatementLineRow, verdict: rules.Match | rules.Differs) -> bool:
    if isinstance(verdict, rules.Differs):
        _differs(session, line, verdict)
        return False
    take(ctx, session, line, verdict.payment_id, adopt=verdict.adopt)
    return True


def take(ctx: Context, session: Session, line: StatementLineRow, payment_id: str, *, adopt: bool) -> None:
    """The line is this payment; `adopt` gives the payment the operator's number that it lacks."""
    payment = session.get_one(PaymentRow, payment_id)
    if adopt and payment.attempt_id is not None:
        # The attempt before the payment: the order in which everybody locks them.
        session.execute(
            update(AttemptRow)
            .where(AttemptRow.id == payment.attempt_id, AttemptRow.provider_txn_id.is_(None))
            .values(provider_txn_id=line.provider_txn_id)
            .execution_options(synchronize_session=False)
        )
    payment = session.get_one(PaymentRow, payment_id, with_for_update={"key_share": True}, populate_existing=True)
    if adopt and payment.provider_txn_id is None:
        payment.provider_txn_id = line.provider_txn_id
    _matched(ctx, line, payment)
    session.flush()


def _differs(session: Session, line: StatementLineRow, verdict: rules.Differs) -> None:
    line.outcome, line.note = "differs", verdict.why
    line.payment_id = verdict.payment_id
    if verdict.attempt_id is not None:
        session.execute(
            update(AttemptRow)
            .where(AttemptRow.id == verdict.attempt_id, AttemptRow.flag.is_(None))
            .values(flag=FLAG)
            .execution_options(synchronize_session=False)
        )


def _reversal(ctx: Context, session: Session, line: StatementLineRow) -> bool:
    # Some operators give money back by reversing: then the line shows a refund of ours, not a deed of theirs.
    if queries.refund_for(session, line, rules.own_ids_of(queries.facts(line))) is not None:
        return _refund(session, line)
    original = (
        queries.payment_by_txn(session, line.wallet, line.original_txn_id)
        or _of_own_ids(session, line)
        or queries.payment_by_txn(session, line.wallet, line.provider_txn_id)
    )
    ours = queries.our_payment(session, original, line) if original else None
    before = original is not None and queries.shown_elsewhere(session, original.id, line, "reversal")
    verdict = rules.judge_reversal(queries.facts(line), ours, shown_before=before)
    if isinstance(verdict, rules.Differs):
        _differs(session, line, verdict)
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


def _of_own_ids(session: Session, line: StatementLineRow) -> PaymentRow | None:
    ids = rules.own_ids_of(queries.facts(line))
    attempt = queries.attempt_by_ids(session, line.wallet, ids, None)
    if attempt is None:
        return None
    return session.scalar(select(PaymentRow).where(PaymentRow.attempt_id == attempt.id))


def _refund(session: Session, line: StatementLineRow) -> bool:
    row = queries.refund_for(session, line, rules.own_ids_of(queries.facts(line)))
    verdict = rules.judge_refund(queries.facts(line), queries.our_refund(row) if row else None)
    if isinstance(verdict, rules.Differs):
        _differs(session, line, verdict)
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


def _payout(ctx: Context, session: Session, line: StatementLineRow) -> bool:
    fee = line.fee_minor or 0
    if fee >= line.amount_minor:
        _differs(session, line, rules.Differs(rules.FEE_ABOVE))
        return False
    event = OperatorPaidOut(
        key=f"payout:{line.wallet}:{line.id}",
        memo=f"statement line {line.id}",
        wallet=line.wallet,
        amount=Money(line.amount_minor, line.currency),
        fees=Money(fee, line.currency) if fee else None,
    )
    post(session, event, clock=ctx.clock)
    line.outcome, line.note = "matched", ""
    line.fee_booked_on = line.day if fee else None
    return True


# -- what only the operator knew of


def bring_in(ctx: Context, line_id: int, verdict: rules.Settle | rules.Book) -> bool:
    """Let the payments service book it, in its own transactions, then write down what came of it."""
    with ctx.db.read() as session:
        line = session.get_one(StatementLineRow, line_id)
    if isinstance(verdict, rules.Settle) and line.wallet not in ctx.wallets:
        return refuse(ctx, line_id, rules.NOT_CONFIGURED)
    try:
        payment_id = _booked(ctx, line, verdict)
    except StateConflict as refused:
        return refuse(ctx, line_id, rules.REFUSED, str(refused))
    if payment_id is None:
        attempt_id = verdict.attempt_id if isinstance(verdict, rules.Settle) else None
        return refuse(ctx, line_id, rules.NOTHING_BOOKED, attempt_id=attempt_id)
    return _brought_in(ctx, line_id, payment_id)


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
        provider_txn_id=_booked_under(line),
        amount=amount,
        reference=line.reference or "",
        payer=line.payer,
        paid_at=line.at,
    )
    return ctx.payments.book_bill(line.wallet, bill, found_by="statement")


def _booked_under(line: StatementLineRow) -> str:
    """The operator's number; without one the line itself is what makes its money unique."""
    return line.provider_txn_id or f"statement:{line.id}"


def _brought_in(ctx: Context, line_id: int, payment_id: str) -> bool:
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in _SETTLED:
            return False
        payment = session.get_one(PaymentRow, payment_id, with_for_update={"key_share": True}, populate_existing=True)
        if queries.shown_elsewhere(session, payment_id, line, "payment"):
            _differs(session, line, rules.Differs(rules.TWICE, payment_id, payment.attempt_id))
            return False
        if (payment.amount_minor, payment.currency) != (line.amount_minor, line.currency):
            same = payment.currency == line.currency
            why = rules.AMOUNT if same else rules.CURRENCY
            _differs(session, line, rules.Differs(why, payment_id, payment.attempt_id))
            return False
        _matched(ctx, line, payment)
        log.info("statement.brought_in", line=line.id, wallet=line.wallet, payment=payment_id)
        return True


def refuse(ctx: Context, line_id: int, why: str, reason: str = "", *, attempt_id: str | None = None) -> bool:
    """Leave the line to a person, with the reason. Always False: it is not settled."""
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is not None and line.outcome not in _SETTLED:
            _differs(session, line, rules.Differs(why, line.payment_id, attempt_id))
            if reason:
                line.raw = {**line.raw, "refused": reason[:200]}
                log.warning("statement.refused", line=line_id, wallet=line.wallet, reason=reason)
    return False
