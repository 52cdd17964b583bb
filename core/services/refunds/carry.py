"""Carrying a refund through: claim, call, record. Then ask until somebody knows."""

from __future__ import annotations

from typing import cast

import structlog
from sqlalchemy.orm import Session

from core import outbox
from core.db.engine import assert_outside_transaction
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.outbox import Dead, Done, Outcome, Retry
from core.payments.answers import (
    Accepted,
    Failed,
    NotAccepted,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    Unknown,
    WalletRefund,
)
from core.payments.refund_model import RefundRefused
from core.payments.refund_rules import OPEN, RefundVerdict, State, contradicted, judge_refund
from core.payments.rules import ATTENTION_AFTER_S, POSTS_MAX
from core.payments.tables import RefundRow
from core.services.payments import circuits
from core.services.refunds import bookings
from core.services.refunds.context import Context, lock_refund

log = structlog.get_logger(__name__)

# Longer than any lease of its errand: whatever became of that errand, somebody must look at the refund again.
STUCK_S = 1800.0
# Pauses while an operator is in trouble, or all places at it are taken.
LEFT_ALONE_S, LANE_WAIT_S = 60.0, 2.0


def push(ctx: Context, refund_id: str) -> Outcome:
    """See `Refunds.push`."""
    with ctx.db.read() as session:
        found = session.get(RefundRow, refund_id)
        name, waits = (found.wallet, found.state == "approved") if found else ("", False)
        left_alone = circuits.of(session, name).is_open(ctx.clock.real_now())
    if waits and left_alone:
        return Retry(LEFT_ALONE_S * min(1.0, ctx.query_scale * 10), "the operator is left alone", counts=False)
    with ctx.lanes.enter(name, "start") as room:
        hold = _hold(ctx, name, room=room) if waits else None
        if hold is not None:
            return hold
        claimed = _claim(ctx, refund_id)
        if not isinstance(claimed, WalletRefund):
            return claimed
        wallet = ctx.refunding(name)
        assert wallet is not None, "claimed without a wallet"
        assert_outside_transaction()
        answer = wallet.refund(claimed)
    verdict = _record(ctx, refund_id, answer, by="answer")
    if isinstance(answer, NotAccepted) and verdict.state == "approved":
        after_s = answer.retry_after_s * min(1.0, ctx.query_scale * 10)
        return Retry(after_s, f"not accepted: {answer.code}", counts=answer.posted)
    return Done(verdict.state)


def _hold(ctx: Context, name: str, *, room: bool) -> Retry | None:
    """Why the operator is not called just now: a place in the house, or its own limit."""
    wallet = ctx.wallet(name)
    if not room:
        return Retry(LANE_WAIT_S, "too many wait for this operator", counts=False)
    hold_s = ctx.turnstile.wait_s(name, wallet.can.calls_per_minute) if wallet is not None else 0.0
    return Retry(hold_s, "the operator is called often enough", counts=False) if hold_s > 0 else None


def _claim(ctx: Context, refund_id: str) -> WalletRefund | Outcome:
    """Write down that the wallet is about to be asked. Whoever finds `submitting` later knows only that it may have
    been: that is a question, never a second request."""
    now = ctx.clock.real_now()
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        if refund is None:
            return Dead("there is no such refund")
        if refund.state == "submitting":
            refund.state, refund.code, refund.next_query_at = "unknown", "cut_off", now
            return Done("cut off while asking: queried")
        if refund.state != "approved":
            return Done(f"already {refund.state}")
        why = None
        if ctx.refunding(refund.wallet) is None:
            why = "wallet_cannot"
        elif refund.posts >= POSTS_MAX:
            why = "asked_twice"
        elif ctx.age_s(refund.submitted_at or refund.decided_at) > ATTENTION_AFTER_S:
            why = "could_not_leave"
        if why is not None:
            # Nothing is with the operator: each request so far was turned away for sure.
            verdict = RefundVerdict("failed", why, book="failed")
            apply(ctx, session, refund, verdict, Failed("other", why), by="push")
            return Done(why)
        refund.posts += 1
        refund.state, refund.submitted_at = "submitting", now
        # Should nobody come back from the call, this makes it a question.
        refund.next_query_at = ctx.after(STUCK_S)
        session.flush()
        return ctx.for_wallet(session, refund)


def query(ctx: Context, refund_id: str, *, by: str) -> Outcome:
    """See `Refunds.query`."""
    with ctx.db.read() as session:
        refund = session.get(RefundRow, refund_id)
        if refund is None:
            return Dead("there is no such refund")
        if refund.posts == 0 or refund.state == "rejected" or (refund.state == "paid" and by == "query"):
            return Done(f"nothing to ask: {refund.state}")
        name = refund.wallet
        wallet = ctx.refunding(name)
        asked = ctx.for_wallet(session, refund)
        left_alone = circuits.of(session, name).is_open(ctx.clock.real_now())
    if wallet is None:
        # Taken out of the configuration meanwhile. It may come back; after a day without a word a person takes over.
        return Done(_record(ctx, refund_id, Unknown("wallet_gone"), by=by).state)
    # A person who asks does so to find out whether the operator is back.
    if left_alone and by != "console":
        return Retry(LEFT_ALONE_S * min(1.0, ctx.query_scale * 10), "the operator is left alone", counts=False)
    with ctx.lanes.enter(name, "query") as room:
        hold = _hold(ctx, name, room=room)
        if hold is not None:
            return hold
        assert_outside_transaction()
        answer = wallet.query_refund(asked)
    return Done(_record(ctx, refund_id, answer, by=by).state)


def ask_soon(ctx: Context, refund_id: str, by: str) -> bool:
    """See `Refunds.ask_soon`."""
    with ctx.db.begin() as session:
        refund = session.get(RefundRow, refund_id)
        if refund is None or refund.posts == 0 or refund.state == "rejected" or ctx.wallet(refund.wallet) is None:
            return False
        outbox.stage(
            session,
            kind="refund.query",
            key=f"refund.query:{refund_id}:console:{new_uuid()}",
            body={"refund_id": refund_id, "by": "console"},
            clock=ctx.clock,
            priority=1,
        )
    log.info("refund.asked_for", refund=refund_id, by=by)
    return True


def conclude(ctx: Context, refund_id: str, *, paid: bool, note: str, by: str) -> None:
    """See `Refunds.conclude`."""
    if not note.strip():
        raise RefundRefused("no_reason")
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        if refund is None:
            raise RefundRefused("unknown")
        if refund.state != "needs_attention" and not contradicted(refund.state, refund.code):
            raise RefundRefused("not_waiting")
        if refund.requested_by == by:
            raise RefundRefused("same_person")
        refund.decision_note = f"{refund.decision_note} / {by}: {note.strip()}".removeprefix(" / ")[:200]
        if refund.state == "needs_attention":
            verdict = RefundVerdict("paid" if paid else "failed", "by_hand", book="paid" if paid else "failed")
            apply(ctx, session, refund, verdict, Paid() if paid else Failed("other", "by_hand"), by=by)
        else:
            _end_contradiction(ctx, session, refund, paid=paid, by=by)


def _end_contradiction(ctx: Context, session: Session, refund: RefundRow, *, paid: bool, by: str) -> None:
    """The books have the one answer already. Where the other one is true, they are put right."""
    before = refund.state
    refund.code, refund.next_query_at = "by_hand", None
    if before == "paid" and not paid:
        refund.state = "failed"
        session.flush()
        bookings.book_returned(ctx, session, refund, by=by)
    elif before == "failed" and paid and not bookings.taken_back(session, refund):
        # Of a payment that the operator took back itself, the money is gone from the books with that.
        refund.state = "paid"
        session.flush()
        bookings.book_paid_late(ctx, session, refund)
    log.info("refund.moved", refund=refund.id, wallet=refund.wallet, before=before, after=refund.state, by=by)


def not_needed(ctx: Context, session: Session, refund: RefundRow) -> None:
    """A request that was rejected or taken back: what it had set aside of the payment is free again."""
    refund.state, refund.is_open, refund.ended_at = "rejected", False, ctx.clock.real_now()
    session.flush()
    bookings.set_aside(session, refund, -refund.amount_minor)


def _record(ctx: Context, refund_id: str, answer: RefundAnswer | RefundQueryAnswer, *, by: str) -> RefundVerdict:
    """Write down what the operator says of a refund."""
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        assert refund is not None
        if by == "query":
            refund.queries += 1
        posts = refund.posts
        if isinstance(answer, NotAccepted) and not answer.posted and refund.state == "submitting":
            refund.posts -= 1
        verdict = _verdict(ctx, session, refund, answer, posts=posts)
        apply(ctx, session, refund, verdict, answer, by=by)
        circuits.note(
            session,
            refund.wallet,
            "start" if by == "answer" else "query",
            answer,
            clock=ctx.clock,
            scale=ctx.query_scale,
        )
        return verdict


def _verdict(
    ctx: Context, session: Session, refund: RefundRow, answer: RefundAnswer | RefundQueryAnswer, *, posts: int
) -> RefundVerdict:
    """What the rules say, and besides what speaks against the books: that is a person's to end."""
    state = cast(State, refund.state)
    if contradicted(state, refund.code):
        return RefundVerdict(state)
    verdict = judge_refund(
        state,
        answer,
        age_s=ctx.age_s(refund.submitted_at),
        queries=refund.queries,
        posts=posts,
        can=ctx.can(refund.wallet),
    )
    if verdict.conflict:
        return RefundVerdict(state, "paid_then_failed", conflict=True)
    if not isinstance(answer, Paid) or verdict.state != "paid":
        return verdict
    if answer.amount is not None and answer.amount != Money(refund.amount_minor, refund.currency):
        # A person finds out how much left, nothing is booked on a guess.
        return RefundVerdict("needs_attention" if refund.is_open else state, "amount", conflict=True)
    if state == "failed" and bookings.taken_back(session, refund):
        # The reversal in the statement may be this refund: booked as paid, its money would leave the books twice.
        return RefundVerdict(state, "reversed", conflict=True)
    return verdict


def apply(
    ctx: Context,
    session: Session,
    refund: RefundRow,
    verdict: RefundVerdict,
    answer: RefundAnswer | RefundQueryAnswer,
    *,
    by: str,
) -> None:
    """Move the refund, locked by the caller, and the books with it."""
    before, now = refund.state, ctx.clock.real_now()
    refund.state, refund.is_open = verdict.state, verdict.state in OPEN
    if verdict.code:
        refund.code = verdict.code[:80]
    if isinstance(answer, Accepted | Pending) and answer.provider_ref and refund.provider_ref is None:
        refund.provider_ref = answer.provider_ref[:80]
    if isinstance(answer, Paid) and answer.provider_txn_id and refund.provider_txn_id is None:
        refund.provider_txn_id = answer.provider_txn_id[:80]
    refund.next_query_at = ctx.after(verdict.next_query_in_s) if verdict.next_query_in_s is not None else None
    if verdict.state == "approved":
        refund.next_query_at = ctx.after(STUCK_S)
    if not refund.is_open and refund.ended_at is None:
        refund.ended_at = now
    if verdict.conflict:
        log.warning("refund.conflict", refund=refund.id, wallet=refund.wallet, code=verdict.code)
    if verdict.book == "paid" and before == "failed":
        refund.code = "paid_after_failure"
    session.flush()
    if verdict.book == "paid" and before == "failed":
        bookings.book_paid_late(ctx, session, refund)
    elif verdict.book == "paid":
        bookings.book_paid(ctx, session, refund)
    elif verdict.book == "failed":
        bookings.book_failed(ctx, session, refund)
    log.info("refund.moved", refund=refund.id, wallet=refund.wallet, before=before, after=verdict.state, by=by)
