"""Callbacks: stored raw, answered at once, judged later. A callback is a hint; the operator decides."""

from __future__ import annotations

import hashlib
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import outbox
from core.db.engine import assert_outside_transaction
from core.kernel.errors import StateConflict
from core.outbox import Dead, Done, Outcome, Retry
from core.payments import queries
from core.payments.ports import (
    BillPayment,
    Failed,
    Hint,
    Malformed,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    RefundHint,
    Unknown,
)
from core.payments.tables import AttemptRow, CallbackRow, RefundRow
from core.services.payments import bills, carry
from core.services.payments.book import fill_number
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
    match hint:
        case Malformed(why):
            log.warning("callback.malformed", wallet=wallet_name, callback=callback_id, why=why)
            return _close(ctx, callback_id, "malformed", why)
        case BillPayment():
            return _book_bill(ctx, callback_id, wallet_name, hint)
        case RefundHint(refund_id):
            return _ask_for_refund(ctx, callback_id, refund_id)
    with ctx.db.begin() as session:
        attempt_id, state = _match(session, callback_id, wallet_name, hint, raw)
    if attempt_id is None:
        return _unmatched(ctx, callback_id, raw)
    if state == "duplicate":
        return Done("duplicate")
    return _ask(ctx, callback_id, attempt_id, hint, raw.received_at)


def _match(session: Session, callback_id: int, wallet: str, hint: Hint, raw: RawCallback) -> tuple[str | None, str]:
    row = session.get_one(CallbackRow, callback_id)
    found = queries.find_by_hint(session, wallet, hint, raw.attempt)
    attempt = queries.lock_attempt(session, found.id) if found is not None else None
    if attempt is None:
        return None, row.state
    row.attempt_id = attempt.id
    _take_reference(session, attempt, hint)
    if attempt.state == "created" and queries.posts_of(session, attempt.id):
        # "Not accepted", said the answer, and still something came of it: whatever it is, no second request now.
        now = raw.received_at
        queries.note(session, attempt, to_state="unknown", by="callback", at=now, detail="heard of before the repeat")
        attempt.state, attempt.code, attempt.next_query_at = "unknown", "heard_of", now
    if queries.same_callback_done(session, row):
        row.state, row.note, row.processed_at = "duplicate", "the same bytes were dealt with", raw.received_at
    return attempt.id, row.state


def _take_reference(session: Session, attempt: AttemptRow, hint: Hint) -> None:
    """The answer to our request was lost, and with it the operator's id, without which some cannot be asked. The
    callback, found by our own id, brings it. An id that another attempt has is nobody's."""
    if hint.provider_ref is None or attempt.provider_ref is not None:
        return
    taken = select(AttemptRow.id).where(
        AttemptRow.wallet == attempt.wallet, AttemptRow.provider_ref == hint.provider_ref
    )
    if session.scalar(taken.limit(1)) is None:
        attempt.provider_ref = hint.provider_ref


def _book_bill(ctx: Context, callback_id: int, wallet: str, bill: BillPayment) -> Outcome:
    """Nobody can be asked about it: the secret address and the operator's networks are its proof, the statement of the
    day its check."""
    try:
        payment_id = bills.book_bill(ctx, wallet, bill, found_by="bill")
    except StateConflict as conflict:
        return _close(ctx, callback_id, "unmatched", str(conflict))
    return _close(ctx, callback_id, "done", f"payment {payment_id}" if payment_id else "on an attempt")


def _ask_for_refund(ctx: Context, callback_id: int, refund_id: str) -> Outcome:
    with ctx.db.begin() as session:
        row = session.get_one(CallbackRow, callback_id)
        now = ctx.clock.real_now()
        row.processed_at = now
        refund = session.get(RefundRow, refund_id)
        if refund is None or refund.wallet != row.wallet:
            row.state, row.note = "unmatched", "no refund has this id"
            return Done(row.note)
        row.state, row.note = "done", f"refund {refund_id}"
        outbox.stage(
            session,
            kind="refund.query",
            key=f"refund.query:{refund_id}:callback:{callback_id}",
            body={"refund_id": refund_id, "by": "callback"},
            clock=ctx.clock,
        )
    return Done("the operator is asked about the refund")


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
    if isinstance(outcome, Retry):
        return outcome
    if _speaks_of_another(ctx, attempt_id, hint, answer):
        return _close(ctx, callback_id, "unmatched", "it speaks of another request of this attempt")
    _complete(ctx, attempt_id, hint, answer)
    if _was_no_word(answer, hint):
        # It may be the last hint of money that came: it stays open until the operator has said something.
        age = (ctx.clock.real_now() - received_at).total_seconds() / ctx.query_scale
        if age < INSIST_FOR_S:
            # Every minute at first, then ever more rarely: some sixty questions a day, not fourteen hundred.
            pause_s = max(REMATCH_S, age / 10)
            return Retry(pause_s * ctx.query_scale, "the operator gave no word yet", counts=False)
        return _close(ctx, callback_id, "unmatched", "the operator gave no word")
    return _close(ctx, callback_id, "done", outcome.note if isinstance(outcome, Done) else "")


def _speaks_of_another(ctx: Context, attempt_id: str, hint: Hint, answer: QueryAnswer | None) -> bool:
    """Whether it claims money for a request that is not the one the operator was asked about: nobody can be asked about
    that one by its own id any more, so a person does."""
    if not isinstance(hint.claim, Paid) or hint.provider_ref is None or isinstance(answer, Paid):
        return False
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        assert attempt is not None
        if attempt.provider_ref in (None, hint.provider_ref):
            return False
        attempt.flag = attempt.flag or "two_transactions"
        return True


def _complete(ctx: Context, attempt_id: str, hint: Hint, answer: QueryAnswer | None) -> None:
    """Some operators confirm a success without its number, which only the callback has: it fills what is empty, and
    nothing else. An unsigned word never books, and where it contradicts what is booked, a person looks."""
    claim = hint.claim
    if not isinstance(answer, Paid) or not isinstance(claim, Paid):
        return
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        assert attempt is not None
        if hint.provider_ref and attempt.provider_ref and hint.provider_ref != attempt.provider_ref:
            # The operator answered about one request of ours, and this speaks of another.
            attempt.flag = attempt.flag or "two_transactions"
            return
        told = claim.amount
        if told is not None and (told.minor, told.currency) != (attempt.charged_minor, attempt.charged_currency):
            attempt.flag = attempt.flag or ("amount" if told.currency == attempt.charged_currency else "currency")
        fill_number(session, attempt, claim.provider_txn_id)


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
