"""What an answer of a wallet means for an attempt: one pure function, and the schedule of questions.

Source: facts on mobile money, sections 9.2 to 9.6. Only upward: a success is never overwritten; failed and expired are
soft and may still turn into a success; an unknown outcome is asked about, never asked for again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from core.payments.answers import (
    Accepted,
    Capabilities,
    Failed,
    FailureReason,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    StartAnswer,
    Unknown,
)

State = Literal[
    "created", "submitting", "pending", "unknown", "expired", "failed", "succeeded", "cancelled", "needs_attention"
]
OPEN: frozenset[str] = frozenset({"created", "submitting", "pending", "unknown"})
# Closed for the customer, still under watch for a late success.
SOFT: frozenset[str] = frozenset({"expired", "failed", "needs_attention"})

POSTS_MAX = 2
# After a soft end: money has been seen to arrive minutes and hours later.
WATCH_S = (900, 3600, 86_400)
HOURLY_S = 3600
# Without a final word for so long, a person takes over.
ATTENTION_AFTER_S = 86_400
# When the customer is told that we are still waiting and must not pay again.
TELL_AFTER_S = 180
JITTER = 0.2

# After these there is nothing to wait for. After all others money has been seen to arrive late.
_CERTAIN: frozenset[str] = frozenset({"configuration", "amount_refused", "payer_unknown", "no_funds", "limit_reached"})

Telling = Literal["failed", "pending_long"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the attempt. `next_query_in_s` None: no more questions. `pay` True: money arrived, book it."""

    state: State
    reason: FailureReason | None = None
    code: str = ""
    next_query_in_s: float | None = None
    tell: Telling | None = None
    pay: bool = False
    conflict: bool = False


def judge(
    state: State,
    answer: StartAnswer | QueryAnswer,
    *,
    age_s: float,
    queries: int,
    posts: int,
    can: Capabilities,
) -> Verdict:
    """`age_s`: real seconds since the last POST, unscaled. `queries`: how often it was asked already.

    `docs/payments.md` shows this as a table; a test holds every cell of it.
    """
    if isinstance(answer, Paid):
        return Verdict("succeeded", pay=True)
    if state == "succeeded":
        # The success stays. A clear "no" after it is a contradiction that a person looks at.
        return Verdict("succeeded", conflict=isinstance(answer, Failed) and answer.final)
    if state == "cancelled":
        return Verdict("cancelled")
    match answer:
        case Failed(reason, code, final):
            watch = None if final and reason in _CERTAIN else watch_again(queries, can)
            tell: Telling | None = "failed" if state != "failed" else None
            return Verdict("failed", reason, code, watch, tell)
        case NotAccepted(code, _, posted):
            if state != "submitting":
                # A callback or a second hand has moved it on meanwhile: what it knows is asked about, never undone.
                return _unmoved(state, age_s, queries, can)
            if posts < POSTS_MAX or not posted:
                return Verdict("created", code=code)
            return Verdict("failed", "busy", code, watch_again(queries, can), tell="failed")
        case Accepted():
            if state not in OPEN:
                return Verdict(state, next_query_in_s=next_question(queries, can))
            return Verdict("pending", next_query_in_s=next_question(queries, can))
        case Pending():
            if state in OPEN:
                return _still_open("pending", "", age_s, queries, can)
            return _unmoved(state, age_s, queries, can)
        case NotFound():
            if state == "pending":
                # It took the request on and does not know it now: that is doubt, while the prompt may be on the phone.
                return _still_open("pending", "not_found", age_s, queries, can)
            if state in OPEN and age_s >= can.not_found_after_s:
                return Verdict("failed", "not_found", "not_found", watch_again(queries, can), "failed")
            if state in OPEN:
                return Verdict("unknown", code="not_found", next_query_in_s=next_question(queries, can))
            return _unmoved(state, age_s, queries, can)
        case Unknown(why):
            if state in OPEN:
                return _still_open("unknown", why, age_s, queries, can)
            return _unmoved(state, age_s, queries, can)


def _unmoved(state: State, age_s: float, queries: int, can: Capabilities) -> Verdict:
    """The answer says nothing new: the state stays, and somebody asks again as long as that makes sense."""
    if state == "expired" and age_s >= ATTENTION_AFTER_S:
        return Verdict("needs_attention")
    if state == "created":
        return Verdict(state)
    if state in OPEN or state == "expired":
        return Verdict(state, next_query_in_s=next_question(queries, can))
    return Verdict(state, next_query_in_s=watch_again(queries, can))


def _still_open(state: State, why: str, age_s: float, queries: int, can: Capabilities) -> Verdict:
    if age_s >= ATTENTION_AFTER_S:
        return Verdict("needs_attention", code=why, next_query_in_s=None)
    tell: Telling | None = "pending_long" if age_s >= TELL_AFTER_S else None
    if state == "pending" and age_s >= can.prompt_lifetime_s:
        # The prompt is gone from the phone: the customer may try anew, and a late success is still taken.
        return Verdict("expired", "prompt_expired", why, next_question(queries, can), tell)
    return Verdict(state, code=why, next_query_in_s=next_question(queries, can), tell=tell)


def next_question(queries: int, can: Capabilities) -> float:
    """Seconds until the next question: the operator's own slots, then hourly. Slots count from the POST."""
    slots = can.query_slots_s
    if queries >= len(slots):
        return HOURLY_S
    before = slots[queries - 1] if queries else 0
    return max(1, slots[queries] - before)


def watch_again(queries: int, can: Capabilities) -> float | None:
    """Seconds until a soft end is looked at once more, or None when it was watched long enough."""
    watched = max(0, queries - len(can.query_slots_s))
    return WATCH_S[watched] if watched < len(WATCH_S) else None


def scaled(seconds: float, scale: float) -> float:
    """A question's delay with ±20 % jitter, so that a thousand of them do not come at once."""
    return seconds * scale * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 (spreads load, guards nothing)
