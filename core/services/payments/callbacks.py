"""Callbacks: stored raw, answered at once, judged later. A callback is a hint; the operator decides."""

from __future__ import annotations

import hashlib
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from core import outbox
from core.db.engine import assert_outside_transaction
from core.outbox import Dead, Done, Outcome, Retry
from core.payments import queries
from core.payments.ports import (
    Failed,
    Hint,
    Malformed,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    Unknown,
)
from core.payments.tables import CallbackRow
from core.services.payments import carry
from core.services.payments.context import Context

log = structlog.get_logger(__name__)

# A callback may come before the answer whose ids it carries: it is matched again every minute for an hour.
REMATCH_S, REMATCH_FOR_S = 60.0, 3600.0
# One that was matched is asked about for so long, should the operator not answer.
INSIST_FOR_S = 86_400.0


def store(ctx: Context, wallet: str, raw: RawCallback, source: str) -> None:
    """See `Payments.store`. Raises NotRecorded when the database did not take it in time."""
    with ctx.db.begin() as session:
        row = CallbackRow(
            wallet=wallet,
            kind=raw.kind,
            attempt_hint=raw.attempt,
            method=raw.method,
            authority=raw.authority[:120],
            path=raw.path[:300],
            headers=dict(raw.headers),
            body=raw.body,
            digest=hashlib.sha256(raw.kind.encode() + b"\0" + raw.body).hexdigest(),
            source=source[:60],
            received_at=raw.received_at,
            state="new",
        )
        session.add(row)
        session.flush()
        outbox.stage(
            session, kind="callback.settle", key=f"callback:{row.id}", body={"callback_id": row.id}, clock=ctx.clock
        )


def settle(ctx: Context, callback_id: int) -> Outcome:
    """See `Payments.settle`."""
    with ctx.db.read() as session:
        row = session.get(CallbackRow, callback_id)
        if row is None:
            return Dead("there is no such callback")
        if row.state not in ("new", "unmatched"):
            return Done(row.state)
        wallet_name = row.wallet
        raw = RawCallback(
            kind=row.kind,
            body=row.body,
            headers=row.headers,
            method=row.method,
            path=row.path,
            authority=row.authority,
            attempt=row.attempt_hint,
            received_at=row.received_at,
        )
    wallet = ctx.wallets.get(wallet_name)
    if wallet is None:
        return Dead("the wallet is not configured")
    assert_outside_transaction()
    hint = wallet.read_callback(raw)
    if isinstance(hint, Malformed):
        log.warning("callback.malformed", wallet=wallet_name, callback=callback_id, why=hint.why)
        return _close(ctx, callback_id, "malformed", hint.why)
    with ctx.db.begin() as session:
        attempt_id, state = _match(session, callback_id, wallet_name, hint, raw)
    if attempt_id is None:
        return _unmatched(ctx, callback_id, raw)
    if state == "duplicate":
        return Done("duplicate")
    return _ask(ctx, callback_id, attempt_id, hint, raw.received_at)


def _match(session: Session, callback_id: int, wallet: str, hint: Hint, raw: RawCallback) -> tuple[str | None, str]:
    row = session.get_one(CallbackRow, callback_id)
    attempt = queries.find_by_hint(session, wallet, hint, raw.attempt)
    if attempt is None:
        return None, row.state
    row.attempt_id = attempt.id
    if queries.same_callback_done(session, row):
        row.state, row.note, row.processed_at = "duplicate", "the same bytes were dealt with", raw.received_at
    return attempt.id, row.state


def _unmatched(ctx: Context, callback_id: int, raw: RawCallback) -> Outcome:
    age = (ctx.clock.real_now() - raw.received_at).total_seconds() / ctx.query_scale
    if age >= REMATCH_FOR_S:
        return _close(ctx, callback_id, "unmatched", "no attempt has these ids")
    with ctx.db.begin() as session:
        session.get_one(CallbackRow, callback_id).state = "unmatched"
    return Retry(REMATCH_S * ctx.query_scale, "no attempt has these ids yet", counts=False)


def _ask(ctx: Context, callback_id: int, attempt_id: str, hint: Hint, received_at: datetime) -> Outcome:
    """A verified signature may skip the question; everything else is asked of the operator."""
    if hint.authentic and isinstance(hint.claim, Paid | Failed):
        outcome = carry.record(ctx, attempt_id, hint.claim, by="callback")
        return _close(ctx, callback_id, "done", outcome.note if isinstance(outcome, Done) else "")
    outcome, answer = carry.ask(ctx, attempt_id, by="callback")
    if _was_no_word(answer, hint):
        # It may be the last hint of money that came: it stays open until the operator has said something.
        age = (ctx.clock.real_now() - received_at).total_seconds() / ctx.query_scale
        if age < INSIST_FOR_S:
            return Retry(REMATCH_S * ctx.query_scale, "the operator gave no word yet", counts=False)
        return _close(ctx, callback_id, "unmatched", "the operator gave no word")
    return _close(ctx, callback_id, "done", outcome.note if isinstance(outcome, Done) else "")


def _was_no_word(answer: QueryAnswer | None, hint: Hint) -> bool:
    """Whether the operator left open what the callback claims."""
    if isinstance(answer, Unknown):
        return True
    return isinstance(answer, Pending | NotFound) and isinstance(hint.claim, Paid | Failed)


def _close(ctx: Context, callback_id: int, state: str, note: str) -> Outcome:
    with ctx.db.begin() as session:
        row = session.get_one(CallbackRow, callback_id)
        row.state, row.note, row.processed_at = state, note[:200], ctx.clock.real_now()
    return Done(note or state)
