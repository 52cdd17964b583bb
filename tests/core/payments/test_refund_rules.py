"""What an answer makes of a refund: every state against every answer."""

from __future__ import annotations

from typing import get_args

import pytest

from core.payments.answers import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    Unknown,
)
from core.payments.refund_rules import ASKED, OPEN, RefundVerdict, State, judge_refund
from tests.core.payments.scripted import CAN

STATES = get_args(State)
ANSWERS: dict[str, RefundAnswer | RefundQueryAnswer] = {
    "paid": Paid("TX"),
    "failed": Failed("other", "X"),
    "maybe failed": Failed("other", "X", final=False),
    "not accepted": NotAccepted("busy"),
    "accepted": Accepted(),
    "pending": Pending(),
    "not found": NotFound(),
    "unknown": Unknown("timeout"),
}
# answer → state → (state after, what is booked). What is not here stays as it is and books nothing.
TABLE: dict[str, dict[str, tuple[str, str | None]]] = {
    "paid": {s: ("paid", "paid") for s in STATES if s not in ("paid", "requested", "rejected")},
    "failed": dict.fromkeys(("approved", "submitting", "pending", "unknown", "needs_attention"), ("failed", "failed")),
    "maybe failed": {"submitting": ("unknown", None)},
    "not accepted": {"submitting": ("approved", None)},
    "accepted": dict.fromkeys(ASKED, ("pending", None)),
    "pending": dict.fromkeys(ASKED, ("pending", None)),
    "not found": {"submitting": ("unknown", None)},
    "unknown": {"submitting": ("unknown", None)},
}


def judged(state: str, answer: RefundAnswer | RefundQueryAnswer, age_s: float = 30, posts: int = 1) -> RefundVerdict:
    return judge_refund(state, answer, age_s=age_s, queries=1, posts=posts, can=CAN)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_cell(state: str, answer: str) -> None:
    verdict = judged(state, ANSWERS[answer])
    assert (verdict.state, verdict.book) == TABLE[answer].get(state, (state, None))
    # What the operator may know of is asked about again, until somebody knows.
    if verdict.state in ASKED:
        assert verdict.next_query_in_s is not None


def test_a_second_request_only_after_a_clear_no_and_never_a_third() -> None:
    assert judged("submitting", NotAccepted("busy"), posts=1).state == "approved"
    twice = judged("submitting", NotAccepted("busy"), posts=2)
    assert (twice.state, twice.book) == ("failed", "failed")
    assert judged("submitting", NotAccepted("no_connection", posted=False), posts=2).state == "approved"


@pytest.mark.parametrize("state", ["submitting", "unknown"])
def test_never_heard_of_it_counts_late(state: str) -> None:
    assert judged(state, NotFound(), age_s=600).book is None
    assert judged(state, NotFound(), age_s=901).book == "failed"


def test_what_was_taken_on_and_is_not_found_is_doubt() -> None:
    assert judged("pending", NotFound(), age_s=5000).state == "pending"


@pytest.mark.parametrize("state", sorted(ASKED))
@pytest.mark.parametrize("answer", ["accepted", "pending", "unknown", "maybe failed"])
def test_after_a_day_without_word_a_person_takes_over(state: str, answer: str) -> None:
    verdict = judged(state, ANSWERS[answer], age_s=86_401)
    assert (verdict.state, verdict.next_query_in_s, verdict.book) == ("needs_attention", None, None)
    assert "needs_attention" in OPEN


def test_paid_then_failed_is_a_contradiction_that_changes_nothing() -> None:
    assert judged("paid", Failed("other", "X")) == RefundVerdict("paid", conflict=True)
    assert not judged("paid", Failed("other", "X", final=False)).conflict


def test_a_failed_one_is_watched_for_a_while() -> None:
    verdict = judge_refund("failed", Unknown("x"), age_s=90_000, queries=len(CAN.query_slots_s), posts=1, can=CAN)
    assert verdict.next_query_in_s is not None
    verdict = judge_refund("failed", Unknown("x"), age_s=900_000, queries=40, posts=1, can=CAN)
    assert verdict.next_query_in_s is None
