"""What an operator's answer means for a refund: one pure function, beside `core.payments.rules` for attempts.

Money goes out here, so doubt weighs more: a refund that may have been paid is asked about until somebody knows, and its
money stays set aside meanwhile. Only a clear "no" puts it back; a "yes" after that is believed all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.payments.answers import (
    Accepted,
    Capabilities,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    Unknown,
)
from core.payments.rules import ATTENTION_AFTER_S, POSTS_MAX, next_question, watch_again

State = Literal[
    "requested", "rejected", "approved", "submitting", "pending", "unknown", "paid", "failed", "needs_attention"
]
# The payment cannot be refunded once more meanwhile.
OPEN: frozenset[str] = frozenset({"requested", "approved", "submitting", "pending", "unknown", "needs_attention"})
# The operator may know of it.
ASKED: frozenset[str] = frozenset({"submitting", "pending", "unknown"})
# What the operator said contradicts itself, or the books: nothing is booked on it, and only a person ends it.
CONTRADICTIONS: frozenset[str] = frozenset({"amount", "paid_then_failed", "reversed"})
# "Never heard of it" counts only after this, whatever the operator promises: nobody waits for a refund by the minute.
NOT_FOUND_AFTER_S = 900

Booking = Literal["paid", "failed"]


@dataclass(frozen=True, slots=True)
class RefundVerdict:
    """What becomes of the refund. `book`: what the ledger is told now. `next_query_in_s` None: no more questions."""

    state: State
    code: str = ""
    next_query_in_s: float | None = None
    book: Booking | None = None
    conflict: bool = False


def contradicted(state: str, code: str | None) -> bool:
    """Whether a refund waits for a person because of a contradiction. Its state stays what the books say."""
    return state in ("paid", "failed", "needs_attention") and code in CONTRADICTIONS


def judge_refund(
    state: State,
    answer: RefundAnswer | RefundQueryAnswer,
    *,
    age_s: float,
    queries: int,
    posts: int,
    can: Capabilities,
) -> RefundVerdict:
    """`age_s`: seconds since the last POST as the unscaled schedule counts them. `posts`: how often it was POSTed.

    `docs/payments.md` shows this as a table.
    """
    if state in ("requested", "rejected"):
        # Nobody asked for it to be paid.
        return RefundVerdict(state)
    if isinstance(answer, Paid):
        return RefundVerdict("paid", book=None if state == "paid" else "paid")
    if state == "paid":
        return RefundVerdict("paid", conflict=isinstance(answer, Failed) and answer.final)
    match answer:
        case Failed(_, code, True):
            return _failed(state, code, queries, can)
        case Failed(_, code, _):
            return _doubt(state, code, age_s, queries, can)
        case NotAccepted(code, _, posted):
            if state != "submitting":
                return _doubt(state, "", age_s, queries, can)
            if posts < POSTS_MAX or not posted:
                return RefundVerdict("approved", code)
            return _failed(state, code, queries, can)
        case Accepted() | Pending():
            return _still("pending" if state in ASKED else state, "", age_s, queries, can)
        case NotFound():
            if state in ("submitting", "unknown") and age_s >= max(can.not_found_after_s, NOT_FOUND_AFTER_S):
                return _failed(state, "not_found", queries, can)
            return _doubt(state, "not_found", age_s, queries, can)
        case Unknown(why):
            return _doubt(state, why, age_s, queries, can)


def _failed(state: State, code: str, queries: int, can: Capabilities) -> RefundVerdict:
    """Not paid, says the operator. It is looked at a few times more: what was refused has been seen to be paid late."""
    again = watch_again(queries, can)
    return RefundVerdict("failed", code, again, book=None if state == "failed" else "failed")


def _doubt(state: State, why: str, age_s: float, queries: int, can: Capabilities) -> RefundVerdict:
    if state == "failed":
        return RefundVerdict("failed", next_query_in_s=watch_again(queries, can))
    # What the operator took on stays so: a question without an answer is no step back.
    return _still("unknown" if state == "submitting" else state, why, age_s, queries, can)


def _still(state: State, why: str, age_s: float, queries: int, can: Capabilities) -> RefundVerdict:
    if state == "failed":
        return RefundVerdict("failed", next_query_in_s=watch_again(queries, can))
    if state in ASKED and age_s >= ATTENTION_AFTER_S:
        return RefundVerdict("needs_attention", why)
    if state not in ASKED:
        # Approved and waiting to leave, or on a person's list: only a clear word moves it.
        return RefundVerdict(state, why)
    return RefundVerdict(state, why, next_question(queries, can))
