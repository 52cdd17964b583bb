"""Carrying an attempt through: claim, call, record. Then ask until somebody knows."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import outbox
from core.agents import queries as agents
from core.customers.tables import ContractRow, SiteRow
from core.db.engine import assert_outside_transaction
from core.kernel.clock import WEST
from core.kernel.digits import grouped
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.notices.staging import stage_notice
from core.outbox import Dead, Done, Outcome, Retry
from core.payments import queries
from core.payments.model import BRAND_NAMES
from core.payments.ports import (
    Accepted,
    NotAccepted,
    NotFound,
    Paid,
    QueryAnswer,
    StartAnswer,
    Unknown,
    WalletAttempt,
)
from core.payments.rules import ATTENTION_AFTER_S, OPEN, POSTS_MAX, WATCH_S, Verdict, judge, scaled
from core.payments.tables import AttemptRow, WalletPostRow
from core.services.payments import circuits
from core.services.payments.book import book
from core.services.payments.context import Context

log = structlog.get_logger(__name__)

# The prompt cannot appear while the payer's own session is open: wait for it, but not for ever.
SESSION_WAIT_S, SESSION_WAIT_MAX_S = 5.0, 60.0
OPERATOR_WAIT_S, OPERATOR_WAIT_MAX_S = 5.0, 120.0
LANE_WAIT_S = 2.0
# A wallet that was taken out of the configuration may be put back.
NOT_CONFIGURED_WAIT = timedelta(hours=1)
# An attempt that could not leave for so long is not what the customer expects any more.
STALE_S = 900.0
# Longer than any lease of its errand: whatever became of that errand, somebody must end the attempt.
STUCK_S = 1800.0
# Should the errand be lost all the same, the question is due again after this.
REQUERY_S = 300.0


def push(ctx: Context, attempt_id: str) -> Outcome:
    """See `Payments.push`."""
    with ctx.db.read() as session:
        found = session.get(AttemptRow, attempt_id)
        waiting = found is not None and found.state == "created"
        payer, created_at = (found.payer_phone, found.created_at) if found else ("", ctx.clock.real_now())
        name = found.wallet if found else ""
        circuit = circuits.of(session, name)
    now = ctx.clock.real_now()
    waited = (now - created_at).total_seconds()
    if waiting and waited < SESSION_WAIT_MAX_S and ctx.open_sessions.has_open(payer):
        return Retry(SESSION_WAIT_S, "the payer's phone has a session open", counts=False)
    if waiting and circuit.is_open(now):
        return _wait_for_operator(ctx, attempt_id, waited)
    with ctx.lanes.enter(name, "start") as room:
        if not room:
            return Retry(LANE_WAIT_S, "too many wait for this operator", counts=False)
        hold_s = ctx.hold_s(name, "start") if name in ctx.wallets else 0.0
        if hold_s > 0:
            return Retry(hold_s, "the operator is called often enough", counts=False)
        claimed = _claim(ctx, attempt_id)
        if not isinstance(claimed, WalletAttempt):
            return claimed
        assert_outside_transaction()
        answer = ctx.wallets[name].start(claimed)
        return _record_start(ctx, attempt_id, answer)


def _wait_for_operator(ctx: Context, attempt_id: str, waited: float) -> Outcome:
    """The operator fell ill after the customer had confirmed. She waits for a prompt: two minutes, not longer."""
    if waited < OPERATOR_WAIT_MAX_S:
        return Retry(OPERATOR_WAIT_S, "the operator is left alone", counts=False)
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        if attempt is None or attempt.state != "created":
            return Done("taken meanwhile")
        return _give_up(ctx, session, attempt, "busy", "the operator is left alone")


def _claim(ctx: Context, attempt_id: str) -> WalletAttempt | Outcome:
    """Write down that the wallet is about to be asked. Whoever finds `submitting` later knows only that it may have
    been: that is a question, never a second request."""
    now = ctx.clock.real_now()
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        if attempt is None:
            return Dead("there is no such attempt")
        if attempt.state == "submitting":
            queries.note(session, attempt, to_state="unknown", by="push", at=now, detail="cut off while asking")
            attempt.state, attempt.code, attempt.next_query_at = "unknown", "cut_off", now
            return Done("cut off while asking: queried")
        if attempt.state != "created":
            return Done(f"already {attempt.state}")
        wallet = ctx.wallets.get(attempt.wallet)
        if wallet is None:
            return _give_up(ctx, session, attempt, "configuration", "the wallet is not configured")
        if (now - attempt.created_at).total_seconds() > STALE_S:
            return _give_up(ctx, session, attempt, "other", "could not leave in time")
        number = len(queries.posts_of(session, attempt_id)) + 1
        if number > POSTS_MAX:
            return _give_up(ctx, session, attempt, "busy", "asked twice already")
        session.add(WalletPostRow(attempt_id=attempt_id, number=number, started_at=now))
        queries.note(session, attempt, to_state="submitting", by="push", at=now, detail=f"request {number}")
        attempt.state = "submitting"
        # The last request counts: "never heard of it" means nothing a moment after a second one left.
        attempt.submitted_at = now
        return ctx.for_wallet(session, attempt)


def _give_up(ctx: Context, session: Session, attempt: AttemptRow, reason: str, detail: str) -> Outcome:
    now = ctx.clock.real_now()
    queries.note(session, attempt, to_state="failed", by="push", at=now, detail=detail)
    attempt.state, attempt.is_open, attempt.reason, attempt.ended_at = "failed", False, reason, now
    # What was ever asked for is watched a while, however sure the "no" was.
    posted = bool(queries.posts_of(session, attempt.id))
    attempt.next_query_at = now + timedelta(seconds=scaled(WATCH_S[0], ctx.query_scale)) if posted else None
    _tell(ctx, session, attempt, "payment.failed")
    return Done(detail)


def _record_start(ctx: Context, attempt_id: str, answer: StartAnswer) -> Outcome:
    now = ctx.clock.real_now()
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        assert attempt is not None
        posts = queries.posts_of(session, attempt_id)
        posts[-1].ended_at, posts[-1].outcome = now, type(answer).__name__.lower()
        posts[-1].code = _code(answer)
        if isinstance(answer, NotAccepted) and not answer.posted:
            session.delete(posts[-1])
        if isinstance(answer, Accepted) and answer.provider_ref and attempt.provider_ref is None:
            attempt.provider_ref = answer.provider_ref
        verdict = _apply(ctx, session, attempt, answer, by="answer", posts=len(posts))
        circuits.note(session, attempt.wallet, "start", answer, clock=ctx.clock, scale=ctx.query_scale)
    if isinstance(answer, NotAccepted) and verdict.state == "created":
        # What never left the house is no try: it ends by its age, not by the number of hand-outs.
        after_s = answer.retry_after_s * min(1.0, ctx.query_scale * 10)
        return Retry(after_s, f"not accepted: {answer.code}", counts=answer.posted)
    return Done(verdict.state)


def _code(answer: StartAnswer | QueryAnswer) -> str | None:
    code = getattr(answer, "code", None) or getattr(answer, "why", None)
    return str(code)[:80] if code else None


def query(ctx: Context, attempt_id: str, *, by: str) -> Outcome:
    """See `Payments.query`."""
    return ask(ctx, attempt_id, by=by)[0]


def ask(ctx: Context, attempt_id: str, *, by: str) -> tuple[Outcome, QueryAnswer | None]:
    """Ask the wallet, write its answer down, and hand both back. No answer where there was nothing to ask."""
    with ctx.db.read() as session:
        attempt = session.get(AttemptRow, attempt_id)
        if attempt is None:
            return Dead("there is no such attempt"), None
        unasked = attempt.state in ("created", "cancelled") and not queries.posts_of(session, attempt_id)
        if unasked or (attempt.state == "succeeded" and by == "query"):
            return Done(f"nothing to ask: {attempt.state}"), None
        wallet = ctx.wallets.get(attempt.wallet)
        if wallet is None:
            return _ask_later(ctx, attempt_id, ctx.clock.real_now() + NOT_CONFIGURED_WAIT), None
        asked, name = ctx.for_wallet(session, attempt), attempt.wallet
        circuit = circuits.of(session, name)
    # A person who asks does so to find out whether the operator is back.
    if by != "console" and circuit.is_open(ctx.clock.real_now()):
        return _ask_later(ctx, attempt_id, circuit.open_until), Unknown("left_alone")
    with ctx.lanes.enter(name, "query") as room:
        hold_s = ctx.hold_s(name, "query") if room else LANE_WAIT_S
        if hold_s > 0:
            _ask_later(ctx, attempt_id, None)
            return Retry(hold_s, "the operator is called often enough", counts=False), Unknown("left_alone")
        assert_outside_transaction()
        answer = wallet.query(asked)
    return record(ctx, attempt_id, answer, by=by, asked=True), answer


def _ask_later(ctx: Context, attempt_id: str, until: datetime | None) -> Outcome:
    """Nobody was asked, so nothing of the schedule is used up; but after a day a person takes over all the same."""
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        if attempt is None:
            return Dead("there is no such attempt")
        if attempt.state in ("submitting", "pending", "unknown", "expired") and ctx.age_s(attempt) > ATTENTION_AFTER_S:
            now = ctx.clock.real_now()
            queries.note(session, attempt, to_state="needs_attention", by="age", at=now, detail="nobody could be asked")
            attempt.state, attempt.is_open, attempt.next_query_at = "needs_attention", False, None
            attempt.ended_at = attempt.ended_at or now
        elif attempt.state == "failed" and ctx.age_s(attempt) > sum(WATCH_S):
            attempt.next_query_at = None
        elif until is not None and attempt.next_query_at is not None:
            attempt.next_query_at = until + timedelta(seconds=scaled(OPERATOR_WAIT_S, ctx.query_scale))
    return Done("the operator is left alone")


def ask_soon(ctx: Context, attempt_id: str, by: str) -> bool:
    """See `Payments.ask_soon`."""
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        if attempt is None or attempt.state in ("created", "cancelled") or attempt.wallet not in ctx.wallets:
            return False
        now = ctx.clock.real_now()
        queries.note(session, attempt, to_state=attempt.state, by="console", at=now, detail=f"asked for by {by}")
        outbox.stage(
            session,
            kind="attempt.query",
            key=f"query:{attempt.id}:console:{new_uuid()}",
            body={"attempt_id": attempt.id, "by": "console"},
            clock=ctx.clock,
            priority=1,
        )
        return True


def record(ctx: Context, attempt_id: str, answer: QueryAnswer, *, by: str, asked: bool = False) -> Outcome:
    """Write down what the operator (or a verified callback) says of an attempt. `asked`: it was called for this."""
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        if attempt is None:
            return Dead("there is no such attempt")
        if by == "query":
            # Counted when it was asked, not when it was planned: a stuck queue must not use the schedule up.
            attempt.queries += 1
        verdict = _apply(ctx, session, attempt, answer, by=by, posts=POSTS_MAX)
        if asked:
            circuits.note(session, attempt.wallet, "query", answer, clock=ctx.clock, scale=ctx.query_scale)
    return Done(verdict.state)


def _apply(
    ctx: Context, session: Session, attempt: AttemptRow, answer: StartAnswer | QueryAnswer, *, by: str, posts: int
) -> Verdict:
    can = ctx.wallets[attempt.wallet].can
    before = attempt.state
    verdict = judge(
        before,  # type: ignore[arg-type]
        answer,
        age_s=ctx.age_s(attempt),
        queries=attempt.queries,
        posts=posts,
        can=can,
    )
    now = ctx.clock.real_now()
    if verdict.state != before or isinstance(answer, Paid | NotFound | Unknown):
        queries.note(session, attempt, to_state=verdict.state, by=by, at=now, detail=_code(answer) or "")
    attempt.state = verdict.state
    attempt.is_open = verdict.state in OPEN
    if verdict.reason or verdict.code:
        attempt.reason, attempt.code = verdict.reason or attempt.reason, (verdict.code or attempt.code or "")[:80]
    attempt.next_query_at = (
        now + timedelta(seconds=scaled(verdict.next_query_in_s, ctx.query_scale))
        if verdict.next_query_in_s is not None
        else None
    )
    if not attempt.is_open and attempt.ended_at is None:
        attempt.ended_at = now
    if verdict.conflict:
        attempt.flag = "success_then_failure"
        log.warning("attempt.conflict", attempt=attempt.id, wallet=attempt.wallet)
    if verdict.pay and isinstance(answer, Paid):
        session.flush()
        book(session, attempt, answer, found_by=by, clock=ctx.clock)
    if verdict.tell == "failed":
        _tell(ctx, session, attempt, "payment.failed")
    elif verdict.tell == "pending_long":
        _tell(ctx, session, attempt, "payment.pending_long")
    log.info("attempt.moved", attempt=attempt.id, wallet=attempt.wallet, before=before, after=verdict.state, by=by)
    return verdict


def _tell(ctx: Context, session: Session, attempt: AttemptRow, kind: str) -> None:
    zone, account = WEST, attempt.own_ref
    contract = session.get(ContractRow, attempt.contract_id) if attempt.contract_id else None
    if contract is not None:
        zone, account = session.get_one(SiteRow, contract.site_id).time_zone, grouped(contract.account_number)
    elif (buyer := agents.buyer(session, attempt.target_account_id)) is not None:
        account = buyer.code
    stage_notice(
        session,
        clock=ctx.clock,
        kind=kind,
        key=f"{kind}:{attempt.id}",
        recipient=attempt.asked_by_phone,
        language=attempt.language,
        blanks={
            "amount": Money(attempt.charged_minor, attempt.charged_currency).text,
            "account": account,
            "brand": BRAND_NAMES.get(attempt.brand, attempt.brand),
            "reason": attempt.reason or "other",
        },
        zone=zone,
        contract_id=attempt.contract_id,
    )


def stage_due_queries(ctx: Context, limit: int) -> int:
    """See `Payments.stage_due_queries`. A question is one errand: unique on the attempt and its running number."""
    now = ctx.clock.real_now()
    with ctx.db.read() as session:
        # A look without a lock first: an idle dispatcher never writes.
        if session.scalar(select(AttemptRow.id).where(AttemptRow.next_query_at <= now).limit(1)) is None:
            return 0
    with ctx.db.begin() as session:
        due = queries.due_for_query(session, now=now, limit=limit)
        for attempt in due:
            attempt.next_query_at = now + timedelta(seconds=scaled(REQUERY_S, ctx.query_scale))
            outbox.stage_again(
                session,
                kind="attempt.query",
                key=f"query:{attempt.id}:{attempt.queries + 1}",
                body={"attempt_id": attempt.id},
                clock=ctx.clock,
            )
        return len(due)


def rescue_stuck(ctx: Context, limit: int) -> int:
    """See `Payments.rescue_stuck`."""
    now = ctx.clock.real_now()
    before = now - timedelta(seconds=STUCK_S)
    stuck = (
        select(AttemptRow.id)
        .where(
            AttemptRow.is_open.is_(True),
            AttemptRow.state.in_(("created", "submitting")),
            AttemptRow.created_at <= before,
        )
        .limit(limit)
    )
    with ctx.db.read() as session:
        ids = session.scalars(stuck).all()
    for attempt_id in ids:
        with ctx.db.begin() as session:
            attempt = queries.lock_attempt(session, attempt_id)
            if attempt is None or attempt.state not in ("created", "submitting"):
                continue
            log.warning("attempt.rescued", attempt=attempt.id, wallet=attempt.wallet, state=attempt.state)
            if attempt.state == "created":
                _give_up(ctx, session, attempt, "other", "nobody carried it")
                continue
            queries.note(session, attempt, to_state="unknown", by="rescue", at=now, detail="nobody came back")
            attempt.state, attempt.code, attempt.next_query_at = "unknown", "cut_off", now
    return len(ids)
