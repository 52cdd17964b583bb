"""What each answer makes of each state: the whole table, and what no sequence of answers may ever do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kernel.money import Money
from core.payments import rules
from core.payments.ports import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    StartAnswer,
    Unknown,
)
from core.payments.rules import OPEN, State, judge
from tests.core.payments.scripted import CAN

DAY = rules.ATTENTION_AFTER_S
STATES: tuple[State, ...] = (
    "created", "submitting", "pending", "unknown", "expired", "failed", "succeeded", "cancelled", "needs_attention",
)  # fmt: skip

# answer, seconds since the POST, number of POSTs; then what becomes of the states above, "." for unchanged.
Case = tuple[StartAnswer | QueryAnswer, float, int, str]
TABLE: dict[str, Case] = {
    "accepted": (Accepted(), 1, 1, "pending pending . pending . . . . ."),
    "paid": (Paid("T"), 1, 1, "succeeded succeeded succeeded succeeded succeeded succeeded . succeeded succeeded"),
    "failed": (Failed("no_funds", "51"), 1, 1, "failed failed failed failed failed . . . failed"),
    "failed for now": (Failed("other", "9", final=False), 1, 1, "failed failed failed failed failed . . . failed"),
    "not accepted": (NotAccepted("busy"), 1, 1, ". created . . . . . . ."),
    "not accepted again": (NotAccepted("busy"), 1, 2, ". failed . . . . . . ."),
    "nothing left": (NotAccepted("down", posted=False), 1, 2, ". created . . . . . . ."),
    "pending": (Pending(), 1, 1, "pending pending . pending . . . . ."),
    "pending, prompt gone": (Pending(), 180, 1, "expired expired expired expired . . . . ."),
    "pending for a day": (
        Pending(), DAY, 1,
        "needs_attention needs_attention needs_attention needs_attention needs_attention . . . .",
    ),
    "not found yet": (NotFound(), 119, 1, "unknown unknown . . . . . . ."),
    "not found": (NotFound(), 120, 1, "failed failed . failed . . . . ."),
    "nobody knows": (Unknown("timeout"), 600, 1, "unknown unknown unknown . . . . . ."),
    "nobody knows for a day": (
        Unknown("timeout"), DAY, 1,
        "needs_attention needs_attention needs_attention needs_attention needs_attention . . . .",
    ),
}  # fmt: skip
CELLS = [
    pytest.param(state, *case[:3], after if after != "." else state, id=f"{name}-{state}")
    for name, case in TABLE.items()
    for state, after in zip(STATES, case[3].split(), strict=True)
]


@pytest.mark.parametrize(("state", "answer", "age_s", "posts", "after"), CELLS)
def test_every_answer_in_every_state(
    state: State, answer: StartAnswer | QueryAnswer, age_s: float, posts: int, after: State
) -> None:
    verdict = judge(state, answer, age_s=age_s, queries=2, posts=posts, can=CAN)
    assert verdict.state == after
    assert verdict.pay == isinstance(answer, Paid)
    assert verdict.conflict == (state == "succeeded" and isinstance(answer, Failed) and answer.final)
    if verdict.state in OPEN - {"created"}:
        assert verdict.next_query_in_s, "an open attempt that nobody asks about is lost"
    if verdict.state in ("succeeded", "cancelled", "created"):
        assert verdict.next_query_in_s is None


ANSWERS = st.one_of(
    st.just(Accepted()),
    st.builds(Paid, st.sampled_from([None, "T1", "T2"]), st.sampled_from([None, Money.units(5, "CDF")])),
    st.builds(Failed, st.just("other"), st.just("9"), st.booleans()),
    st.builds(NotAccepted, st.just("busy"), st.just(5), st.booleans()),
    st.just(Pending()),
    st.just(NotFound()),
    st.just(Unknown("timeout")),
)


@settings(max_examples=300, deadline=None)
@given(
    answers=st.lists(st.tuples(ANSWERS, st.floats(0, 100_000), st.integers(1, 2)), max_size=15),
    start=st.sampled_from(STATES),
)
def test_no_sequence_of_answers_goes_back(
    answers: list[tuple[StartAnswer | QueryAnswer, float, int]], start: State
) -> None:
    """Succeeded is never left; a closed attempt never opens; only what took nothing on goes back to created."""
    state = start
    for number, (answer, age_s, posts) in enumerate(answers):
        verdict = judge(state, answer, age_s=age_s, queries=number, posts=posts, can=CAN)
        if state == "succeeded":
            assert verdict.state == "succeeded"
        if state not in OPEN:
            assert verdict.state not in OPEN
        if verdict.state == "created" and state != "created":
            assert state == "submitting"
            assert isinstance(answer, NotAccepted)
            assert posts < rules.POSTS_MAX or not answer.posted
        if state == "cancelled":
            assert verdict.state in ("cancelled", "succeeded")
        assert verdict.state != "submitting" or state == "submitting"
        if verdict.state == "failed" and state != "failed":
            assert verdict.tell == "failed"
            assert isinstance(answer, Failed | NotAccepted | NotFound), "doubt is not failure"
        state = verdict.state


def test_questions_come_at_the_operators_own_times() -> None:
    def wait(queries: int, age_s: float = 1) -> float | None:
        return judge("pending", Pending(), age_s=age_s, queries=queries, posts=1, can=CAN).next_query_in_s

    assert [wait(n) for n in range(8)] == [15, 30, 75, 180, 600, 2700, 3600, 3600]


def test_a_soft_end_is_watched_for_a_day() -> None:
    def wait(queries: int) -> float | None:
        answer = Failed("other", "9", final=False)
        return judge("failed", answer, age_s=1, queries=queries, posts=1, can=CAN).next_query_in_s

    assert [wait(n) for n in (0, 6, 7, 8, 9)] == [900, 900, 3600, 86_400, None]
    assert judge("pending", Failed("no_funds", "51"), age_s=1, queries=1, posts=1, can=CAN).next_query_in_s is None


def test_the_customer_is_told_after_three_minutes_not_before() -> None:
    def told(age_s: float) -> str | None:
        return judge("unknown", Unknown("timeout"), age_s=age_s, queries=1, posts=1, can=CAN).tell

    assert told(179) is None
    assert told(180) == "pending_long"


@given(st.floats(0.01, 100_000), st.floats(0.001, 10))
def test_jitter_stays_within_a_fifth(seconds: float, scale: float) -> None:
    assert 0.799 * seconds * scale <= rules.scaled(seconds, scale) <= 1.201 * seconds * scale
