"""Opening hours: what people type, when a counter is open, when it opens next; in both time zones of the country."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.customers.opening import (
    DAY_MINUTES,
    BadHours,
    Hours,
    Span,
    Spans,
    checked,
    read_spans,
    runs,
    spans_as_json,
    spans_from_json,
    week_as_json,
    week_from_json,
    week_of,
)
from core.customers.opening_words import spoken_week
from core.kernel.clock import EAST, WEST

USUAL = week_of([*[read_spans("8h-12h, 13h-16h30")] * 5, read_spans("8h-12h"), ()])
# Tuesday 10 March 2026.
TUESDAY = date(2026, 3, 10)


def at(hour: int, minute: int = 0, *, day: int = 10) -> datetime:
    """A moment in UTC: one hour behind Kinshasa, two behind Lubumbashi."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("8h-12h", [(480, 720)]),
        ("8-12", [(480, 720)]),
        ("08:00-12:00, 13:30-16:00", [(480, 720), (810, 960)]),
        ("8h30 – 12h", [(510, 720)]),
        ("8 h 30 à 12 h", [(510, 720)]),
        ("13h-16h et 8h-12h", [(480, 720), (780, 960)]),
        ("0h-24h", [(0, 1440)]),
        ("", []),
        (" - ", []),
    ],
)
def test_hours_are_read_as_people_write_them(typed: str, read: list[tuple[int, int]]) -> None:
    assert [(span.opens, span.closes) for span in read_spans(typed)] == read


@pytest.mark.parametrize(
    "typed",
    ["8h", "12h-8h", "8h-8h", "8h-25h", "8h75-12h", "8h-12h, 11h-13h", "8h-12h, 12h-16h", "morning", "8h-12h;", "٨-١٢x",
     "1-2,3-4,5-6,7-8", "8h-12h" + " " * 80 + "x"],
)  # fmt: skip
def test_hours_that_cannot_be_are_refused(typed: str) -> None:
    with pytest.raises(BadHours):
        read_spans(typed)


def test_a_week_opens_on_some_day() -> None:
    with pytest.raises(BadHours):
        week_of([()] * 7)
    with pytest.raises(BadHours):
        week_of([read_spans("8-12")] * 6)


def test_open_now_is_a_matter_of_the_agencys_own_clock() -> None:
    west, east = Hours(USUAL, WEST), Hours(USUAL, EAST)
    # 06:30 in UTC is half past seven in Kinshasa and half past eight in Lubumbashi.
    assert west.open_until(at(6, 30)) is None
    assert east.open_until(at(6, 30)) == at(10)
    assert west.next_opening(at(6, 30)) == at(7)
    assert east.next_opening(at(6, 30)) == at(11)


def test_the_first_minute_counts_and_the_last_does_not() -> None:
    west = Hours(USUAL, WEST)
    assert west.open_until(at(7)) == at(11)
    assert west.open_until(at(10, 59)) == at(11)
    assert west.open_until(at(11)) is None
    assert west.next_opening(at(7)) == at(12)


def test_after_saturday_noon_it_opens_on_monday() -> None:
    west = Hours(USUAL, WEST)
    assert west.next_opening(at(11, day=14)) == at(7, day=16)


def test_a_day_that_differs_wins_over_the_week() -> None:
    closed, short = TUESDAY, TUESDAY + timedelta(days=1)
    west = Hours(USUAL, WEST, {closed: (), short: read_spans("10h-11h")})
    assert west.open_until(at(8)) is None
    assert west.next_opening(at(8)) == at(9, day=11)
    assert west.next_opening(at(9, 30, day=11)) == at(7, day=12)
    sunday = Hours(USUAL, WEST, {date(2026, 3, 15): read_spans("9h-10h")})
    assert sunday.open_until(at(8, 30, day=15)) == at(9, day=15)


def test_who_opens_on_no_day_within_a_year_never_opens() -> None:
    shut = {TUESDAY + timedelta(days=ahead): () for ahead in range(400)}
    assert Hours(USUAL, WEST, shut).next_opening(at(8)) is None


def test_a_counter_may_be_open_past_midnight_and_always() -> None:
    night = week_of([read_spans("0h-2h, 20h-24h")] * 7)
    assert Hours(night, WEST).open_until(at(22)) == at(1, day=11)
    assert Hours(night, WEST).next_opening(at(22)) == at(19, day=11)
    always = Hours(week_of([read_spans("0-24")] * 7), WEST)
    assert (always.open_until(at(8)) or at(8)) - at(8) > timedelta(days=300)
    assert always.next_opening(at(8)) is None


def test_a_week_in_words() -> None:
    assert spoken_week(USUAL, "en") == "Mon-Fri 8:00-12:00, 13:00-16:30; Sat 8:00-12:00"
    assert runs(USUAL) == [(0, 4, USUAL[0]), (5, 5, USUAL[5])]


def spans() -> st.SearchStrategy[Spans]:
    """Up to three spans of one day, a minute apart at least."""
    return st.lists(st.integers(0, DAY_MINUTES), max_size=6, unique=True).map(
        lambda ends: checked([Span(*pair) for pair in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False)])
    )


@given(st.lists(spans(), min_size=7, max_size=7), st.integers(0, 14 * DAY_MINUTES), st.sampled_from([WEST, EAST]))
def test_open_and_next_opening_agree_with_a_walk_of_minutes(days: list[Spans], start: int, zone: str) -> None:
    """Against the naive reading: minute by minute, is there a span?"""
    if not any(days):
        return
    hours = Hours(week_of(days), zone)
    assert week_from_json(week_as_json(hours.week)) == hours.week
    now = at(0) + timedelta(minutes=start)
    offset = timedelta(hours=1 if zone == WEST else 2)

    def is_open(moment: datetime) -> bool:
        there = moment + offset
        minute = there.hour * 60 + there.minute
        return any(span.opens <= minute < span.closes for span in hours.week[there.weekday()])

    until = hours.open_until(now)
    assert (until is not None) == is_open(now)
    if until is not None and until - now < timedelta(days=300):
        assert not is_open(until)
        assert is_open(until - timedelta(minutes=1))
    opens = hours.next_opening(now)
    if opens is not None:
        assert opens > now
        assert is_open(opens)
        assert not is_open(opens - timedelta(minutes=1))


@given(spans())
def test_what_is_stored_is_read_back(day: Spans) -> None:
    assert spans_from_json(spans_as_json(day)) == day
