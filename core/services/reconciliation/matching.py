"""Settling lines: what they are of ours, and bringing in what only the operator knew of.

Most lines are payments we have under the same number: they are matched in chunks. Every other line has a transaction
of its own. What the payments service has to book comes last, for it is booked only when a report has little of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow
from core.kernel.errors import NotRecorded, StateConflict
from core.payments.tables import PaymentRow
from core.reconciliation import queries, rules
from core.reconciliation.tables import StatementLineRow
from core.services.payments.bills import read_reference
from core.services.reconciliation import holds, outgoing
from core.services.reconciliation.booking import booked_under, bring_in, refuse
from core.services.reconciliation.context import Context
from core.services.reconciliation.marks import CLAIM_LIVES, SETTLED, differs, is_claimed, matched, take

log = structlog.get_logger(__name__)

# SQLite has one writer: nobody waits longer than a few dozen milliseconds for a chunk.
CHUNK = 100
# Of a run's lines one in so many was looked at before and differed: a payment may have come since.
AGAIN_IN = 4
# One line that somebody else holds stops nobody; so many in a row are the database itself.
BUSY_IN_A_ROW = 5
_NEW_MONEY = rules.Book()

Result = bool | rules.Book


def match(ctx: Context, wallet: str, limit: int) -> int:
    """See `Reconciliation.match`."""
    settled = _match_known(ctx, wallet)
    for kinds in (("payment",), ("reversal", "refund"), ("payout",)):
        with ctx.db.read() as session:
            ids = [
                *queries.new_line_ids(session, wallet, kinds, limit),
                *queries.different_line_ids(session, wallet, kinds, limit // AGAIN_IN + 1),
            ]
        results = _each(ctx, ids, lambda line_id: _settle(ctx, line_id, booking=False))
        new_money = [line_id for line_id, result in results.items() if result == _NEW_MONEY]
        settled += sum(result is True for result in results.values())
        if new_money:
            booked = _each(ctx, holds.to_book(ctx, new_money), lambda line_id: _settle(ctx, line_id, booking=True))
            settled += sum(result is True for result in booked.values())
    return settled + _settle_fees(ctx, wallet, limit) + _ignore_others(ctx, wallet)


def match_all(ctx: Context, limit: int) -> int:
    """See `Reconciliation.match_all`."""
    with ctx.db.read() as session:
        wallets = session.scalars(select(StatementLineRow.wallet).where(queries.is_open()).distinct()).all()
    return sum(match(ctx, wallet, limit) for wallet in sorted(wallets))


def _each(ctx: Context, line_ids: Sequence[int], settle: Callable[[int], Result]) -> dict[int, Result]:
    """Line by line: one that cannot be settled stops none of the others. Raises NotRecorded when the database is too
    busy for all of them; the next run takes up what is left."""
    results: dict[int, Result] = {}
    busy = 0
    for line_id in line_ids:
        try:
            results[line_id] = settle(line_id)
            busy = 0
        except NotRecorded:
            busy += 1
            log.warning("statement.busy", line=line_id)
            if busy >= BUSY_IN_A_ROW:
                raise
    return results


# -- lines whose number we have


def _match_known(ctx: Context, wallet: str) -> int:
    """Lines whose number is that of a payment of the same money, a chunk a transaction."""
    settled, last = 0, 0
    while True:
        try:
            with ctx.db.begin() as session:
                lines = session.scalars(
                    select(StatementLineRow)
                    .where(
                        StatementLineRow.wallet == wallet,
                        StatementLineRow.outcome == "new",
                        StatementLineRow.kind == "payment",
                        StatementLineRow.provider_txn_id.is_not(None),
                        StatementLineRow.id > last,
                        or_(
                            StatementLineRow.claimed_at.is_(None),
                            StatementLineRow.claimed_at <= ctx.clock.real_now() - CLAIM_LIVES,
                        ),
                    )
                    .order_by(StatementLineRow.id)
                    .limit(CHUNK)
                    .with_for_update(skip_locked=True, key_share=True)
                ).all()
                if not lines:
                    return settled
                last = lines[-1].id
                count = _match_chunk(ctx, session, wallet, lines)
            settled += count
        except IntegrityError:
            # Somebody else took one of the payments all the same: each of these lines is looked at alone later.
            log.warning("statement.chunk_refused", wallet=wallet, last=last)


def _match_chunk(ctx: Context, session: Session, wallet: str, lines: Sequence[StatementLineRow]) -> int:
    """The payments are locked before anybody asks which of them have a line. One that is locked is left for later, so
    that a chunk never waits."""
    found = {
        row.provider_txn_id: row
        for row in session.scalars(
            select(PaymentRow)
            .where(
                PaymentRow.wallet == wallet, PaymentRow.provider_txn_id.in_([line.provider_txn_id for line in lines])
            )
            .order_by(PaymentRow.id)
            .with_for_update(skip_locked=True, key_share=True)
            .execution_options(populate_existing=True)
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
            matched(ctx, line, payment)
            settled += 1
    return settled


# -- every other line


def settle_one(ctx: Context, line_id: int) -> bool:
    """Settle one line if that can be done without a person. Whether it is settled now and was not before."""
    return _settle(ctx, line_id, booking=True) is True


def _settle(ctx: Context, line_id: int, *, booking: bool) -> Result:
    """`booking` False hands new money back instead of booking it."""
    try:
        return _judged(ctx, line_id, booking=booking)
    except IntegrityError:
        # The same money by another door, between our look and our write: now it can be seen.
        pass
    except StateConflict as refused:
        # Nothing of that transaction stays; only the reason does.
        return refuse(ctx, line_id, rules.REFUSED, str(refused))
    try:
        return _judged(ctx, line_id, booking=booking)
    except (IntegrityError, StateConflict) as refused:
        return refuse(ctx, line_id, rules.REFUSED, str(refused))


def _judged(ctx: Context, line_id: int, *, booking: bool) -> Result:
    verdict = _judge(ctx, line_id)
    if isinstance(verdict, bool) or (isinstance(verdict, rules.Book) and not booking):
        return verdict
    return bring_in(ctx, line_id, verdict)


def _judge(ctx: Context, line_id: int) -> bool | rules.Settle | rules.Book:
    """One transaction: look, decide, write it down. What the payments service has to book is handed back."""
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in SETTLED or line.decided_at is not None or is_claimed(ctx, line):
            return False
        if line.outcome == "differs":
            line.looked_at = ctx.clock.real_now()
        match line.kind:
            case "payment":
                verdict = rules.judge_payment(queries.facts(line), _known(ctx, session, line))
                if isinstance(verdict, rules.Settle):
                    return verdict
                if isinstance(verdict, rules.Book):
                    return False if holds.stays_held(session, line) else verdict
                return _apply(ctx, session, line, verdict)
            case "reversal":
                return outgoing.reversal(ctx, session, line)
            case "refund":
                return outgoing.refund(session, line)
            case _:
                return outgoing.payout(ctx, session, line)


def _known(ctx: Context, session: Session, line: StatementLineRow) -> rules.Known:
    by_txn = queries.payment_by_txn(session, line.wallet, booked_under(line))
    if by_txn is not None:
        return rules.Known(by_txn=queries.our_payment(session, by_txn, line))
    account, suffix = read_reference(line.reference or "")
    contract = session.scalar(select(ContractRow.id).where(ContractRow.account_number == account)) if account else None
    ids = rules.own_ids_of(queries.facts(line))
    asked = queries.attempts_by_ids(session, line.wallet, ids, line.provider_txn_id)
    if not asked and contract is not None and suffix:
        asked = queries.attempts_told(session, line, contract, suffix, ctx.ahead())
    if len(asked) > 1:
        return rules.Known(several=True)
    attempt = asked[0] if asked else None
    own = session.scalar(select(PaymentRow).where(PaymentRow.attempt_id == attempt.id)) if attempt else None
    return rules.Known(
        own_attempt=queries.our_attempt(attempt) if attempt else None,
        own_payment=queries.our_payment(session, own, line) if own else None,
        other_txn_shown=own is not None and queries.line_shows(session, line.wallet, own.provider_txn_id),
        near_payments=queries.near_payments(session, line, ctx.ahead()),
        near_attempts=() if attempt else queries.near_attempts(session, line, ctx.ahead()),
        account_contract=contract,
        twins=queries.twins(session, line),
    )


def _apply(ctx: Context, session: Session, line: StatementLineRow, verdict: rules.Match | rules.Differs) -> bool:
    if isinstance(verdict, rules.Differs):
        differs(session, line, verdict)
        return False
    return take(ctx, session, line, verdict.payment_id, adopt=verdict.adopt)


# -- fees, and what is none of ours


def _settle_fees(ctx: Context, wallet: str, limit: int) -> int:
    settled, last, left = 0, 0, limit
    while left > 0:
        with ctx.db.begin() as session:
            lines = session.scalars(
                select(StatementLineRow)
                .where(
                    StatementLineRow.wallet == wallet,
                    StatementLineRow.kind == "fee",
                    StatementLineRow.outcome == "new",
                    StatementLineRow.id > last,
                )
                .order_by(StatementLineRow.id)
                .limit(min(CHUNK, left))
                .with_for_update(skip_locked=True, key_share=True)
            ).all()
            if not lines:
                break
            last, left = lines[-1].id, left - len(lines)
            settled += sum(outgoing.fee(session, line) for line in lines)
    return settled


def _ignore_others(ctx: Context, wallet: str) -> int:
    """What is neither money in nor out is none of ours."""
    with ctx.db.begin() as session:
        ignored = session.scalars(
            update(StatementLineRow)
            .where(
                StatementLineRow.wallet == wallet, StatementLineRow.kind == "other", StatementLineRow.outcome == "new"
            )
            .values(outcome="ignored")
            .returning(StatementLineRow.id)
            .execution_options(synchronize_session=False)
        ).all()
    return len(ignored)
