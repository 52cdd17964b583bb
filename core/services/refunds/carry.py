"""Carrying a refund through: claim, call, record. Then ask until somebody knows."""

from __future__ import annotations

from typing import cast

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import outbox
from core.customers.tables import ContractRow, PhoneRow, SiteRow
from core.db.engine import assert_outside_transaction
from core.kernel.clock import WEST
from core.kernel.digits import grouped
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.notices.staging import stage_notice
from core.outbox import Dead, Done, Outcome, Retry
from core.payments.answers import (
    Accepted,
    Failed,
    NotAccepted,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    WalletRefund,
)
from core.payments.refund_model import RefundRefused
from core.payments.refund_rules import OPEN, RefundVerdict, State, judge_refund
from core.payments.rules import ATTENTION_AFTER_S, POSTS_MAX
from core.payments.tables import AttemptRow, PaymentRow, RefundRow
from core.phone_numbers import parse_e164
from core.services.payments import circuits
from core.services.refunds.context import Context, lock_refund
from core.settlement import post
from core.settlement.events import RefundFailed, RefundPaid, RefundPaidLate

log = structlog.get_logger(__name__)

# Longer than any lease of its errand: whatever became of that errand, somebody must look at the refund again.
STUCK_S = 1800.0
# Should the errand of a question be lost, the question is due again after this.
REQUERY_S = 300.0
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
    with ctx.lanes.enter(name) as room:
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
            _apply(ctx, session, refund, verdict, Failed("other", why), by="push")
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
        if wallet is None:
            return Dead("the wallet is not configured")
        asked = ctx.for_wallet(session, refund)
        left_alone = circuits.of(session, name).is_open(ctx.clock.real_now())
    # A person who asks does so to find out whether the operator is back.
    if left_alone and by != "console":
        return Retry(LEFT_ALONE_S * min(1.0, ctx.query_scale * 10), "the operator is left alone", counts=False)
    with ctx.lanes.enter(name) as room:
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
        if refund.state != "needs_attention":
            raise RefundRefused("not_waiting")
        if refund.requested_by == by:
            raise RefundRefused("same_person")
        refund.decision_note = f"{refund.decision_note} / {by}: {note.strip()}".removeprefix(" / ")[:200]
        verdict = RefundVerdict("paid" if paid else "failed", "by_hand", book="paid" if paid else "failed")
        _apply(ctx, session, refund, verdict, Paid() if paid else Failed("other", "by_hand"), by=by)


def not_needed(ctx: Context, session: Session, refund: RefundRow) -> None:
    """A request that was rejected or taken back: what it had set aside of the payment is free again."""
    refund.state, refund.is_open, refund.ended_at = "rejected", False, ctx.clock.real_now()
    session.flush()
    _set_aside(session, refund, -refund.amount_minor)


def _record(ctx: Context, refund_id: str, answer: RefundAnswer | RefundQueryAnswer, *, by: str) -> RefundVerdict:
    """Write down what the operator says of a refund."""
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        assert refund is not None
        if by == "query":
            refund.queries += 1
        verdict = judge_refund(
            cast(State, refund.state),
            answer,
            age_s=ctx.age_s(refund.submitted_at),
            queries=refund.queries,
            posts=refund.posts,
            can=ctx.wallets[refund.wallet].can,
        )
        if isinstance(answer, NotAccepted) and not answer.posted and refund.state == "submitting":
            refund.posts -= 1
        if isinstance(answer, Paid) and answer.amount is not None and verdict.book == "paid":
            verdict = _as_asked(refund, answer.amount, verdict)
        _apply(ctx, session, refund, verdict, answer, by=by)
        circuits.note(
            session,
            refund.wallet,
            "start" if by == "answer" else "query",
            answer,
            clock=ctx.clock,
            scale=ctx.query_scale,
        )
        return verdict


def _as_asked(refund: RefundRow, amount: Money, verdict: RefundVerdict) -> RefundVerdict:
    """Another amount than asked for went out: a person finds out how much, nothing is booked on a guess."""
    if amount == Money(refund.amount_minor, refund.currency):
        return verdict
    state: State = "needs_attention" if refund.is_open else cast(State, refund.state)
    return RefundVerdict(state, "amount")


def _apply(
    ctx: Context,
    session: Session,
    refund: RefundRow,
    verdict: RefundVerdict,
    answer: RefundAnswer | RefundQueryAnswer,
    *,
    by: str,
) -> None:
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
        refund.code = "paid_then_failed"
        log.warning("refund.conflict", refund=refund.id, wallet=refund.wallet)
    session.flush()
    if verdict.book == "paid":
        _book_paid(ctx, session, refund, late=before == "failed")
    elif verdict.book == "failed":
        _book_failed(ctx, session, refund)
    log.info("refund.moved", refund=refund.id, wallet=refund.wallet, before=before, after=verdict.state, by=by)


def _book_paid(ctx: Context, session: Session, refund: RefundRow, *, late: bool) -> None:
    amount, key = Money(refund.amount_minor, refund.currency), f"refund:{refund.id}"
    if late:
        # Its money had gone back. By now it may have been placed, or used: it is taken from where it is.
        payment = session.get_one(PaymentRow, refund.payment_id, populate_existing=True)
        contract_id = refund.contract_id if refund.source == "credit" else None
        if refund.source == "suspense" and not payment.in_suspense:
            contract = session.get(ContractRow, payment.contract_id) if payment.contract_id else None
            contract_id = contract.id if contract is not None and contract.currency == refund.currency else None
        refund.code = "paid_after_failure"
        post(
            session,
            RefundPaidLate(
                key=f"{key}:late",
                payment_id=refund.payment_id,
                wallet=refund.wallet,
                amount=amount,
                contract_id=contract_id,
            ),
            clock=ctx.clock,
        )
        _set_aside(session, refund, refund.amount_minor)
        log.warning("refund.paid_late", refund=refund.id, wallet=refund.wallet)
    else:
        contract_id = refund.contract_id if refund.source == "credit" else None
        post(
            session,
            RefundPaid(key=f"{key}:paid", wallet=refund.wallet, amount=amount, contract_id=contract_id),
            clock=ctx.clock,
        )
    _tell(ctx, session, refund)


def _book_failed(ctx: Context, session: Session, refund: RefundRow) -> None:
    post(
        session,
        RefundFailed(
            key=f"refund:{refund.id}:failed",
            payment_id=refund.payment_id,
            wallet=refund.wallet,
            amount=Money(refund.amount_minor, refund.currency),
            contract_id=refund.contract_id if refund.source == "credit" else None,
        ),
        clock=ctx.clock,
    )
    _set_aside(session, refund, -refund.amount_minor)


def _set_aside(session: Session, refund: RefundRow, delta: int) -> None:
    """Change what of the payment counts as given back. Up only after a late truth: that is not refused."""
    session.execute(
        update(PaymentRow)
        .where(PaymentRow.id == refund.payment_id)
        .values(refunded_minor=PaymentRow.refunded_minor + delta)
        .execution_options(synchronize_session=False)
    )


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


def stage_due_queries(ctx: Context, limit: int) -> int:
    """See `Refunds.stage_due_queries`. A question is one errand: unique on the refund and its running number."""
    now = ctx.clock.real_now()
    with ctx.db.read() as session:
        # A look without a lock first: an idle dispatcher never writes.
        if session.scalar(select(RefundRow.id).where(RefundRow.next_query_at <= now).limit(1)) is None:
            return 0
    with ctx.db.begin() as session:
        due = session.scalars(
            select(RefundRow)
            .where(RefundRow.next_query_at <= now)
            .order_by(RefundRow.next_query_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        ).all()
        for refund in due:
            refund.next_query_at = ctx.after(STUCK_S if refund.state == "approved" else REQUERY_S)
            kind, key = "refund.query", f"refund.query:{refund.id}:{refund.queries + 1}"
            if refund.state == "approved":
                # Its errand died before it left: a new hand carries it.
                kind, key = "refund.push", f"refund.push:{refund.id}"
            outbox.stage_again(session, kind=kind, key=key, body={"refund_id": refund.id}, clock=ctx.clock)
        return len(due)
