"""When a counter is open: hours per weekday, days that differ, "open now" and "next opening". Pure.

Hours are those of the counter's own time zone; the country has two. Minutes count from midnight, 0 to 1440. No span
crosses midnight: a counter that is open all night has one span to 24:00 and one from 00:00.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

DAY_MINUTES = 1440
# More pauses than this is a slip of the keyboard.
SPANS_MAX = 3
# Whoever does not open within a year is closed, and says so in another way.
_HORIZON_DAYS = 366
_LONGEST_TYPED = 60

# 8h, 8h30, 08:30, 8 h 30, 8.30 and plain 8; a dash of any kind, or `à`, between two of them.
_TIME = r"(\d{1,2})\s*(?:[hH:.]\s*(\d{2})?)?"
_SPAN = re.compile(rf"{_TIME}\s*(?:-|–|—|à|a)\s*{_TIME}")
_BETWEEN = re.compile(r"\s*(?:,|;|/|\bet\b|\band\b)\s*")
_STORED = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")


class BadHours(ValueError):
    """No hours, or hours that cannot be: an end before its beginning, two spans over each other, too many."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Open from one minute of the day, included, to another, not included."""

    opens: int
    closes: int


Spans = tuple[Span, ...]
# Monday first; an empty day is a day on which nobody is there.
Week = tuple[Spans, Spans, Spans, Spans, Spans, Spans, Spans]


@dataclass(frozen=True, slots=True)
class Hours:
    """`week`: the usual. `days`: those that differ, holidays among them; empty spans: closed. `zone`: whose clock."""

    week: Week
    zone: str
    days: Mapping[date, Spans] = field(default_factory=dict)

    def on(self, day: date) -> Spans:
        return self.days.get(day, self.week[day.weekday()])

    def open_until(self, at: datetime) -> datetime | None:
        """When the counter that is open at this moment closes; None while it is closed. One that never closes is
        said to do so in a year."""
        there = at.astimezone(ZoneInfo(self.zone))
        minute = there.hour * 60 + there.minute
        for span in self.on(there.date()):
            if span.opens <= minute < span.closes:
                return self._end(there.date(), span)
        return None

    def next_opening(self, at: datetime) -> datetime | None:
        """The next moment after `at` at which it opens; None where that is more than a year away, or never."""
        today = at.astimezone(ZoneInfo(self.zone)).date()
        for ahead in range(_HORIZON_DAYS + 1):
            day = today + timedelta(days=ahead)
            for span in self.on(day):
                opens = self._moment(day, span.opens)
                # A span that goes on from midnight where yesterday's ended opens nothing.
                if opens > at and not self._goes_on(day, span):
                    return opens
        return None

    def _goes_on(self, day: date, span: Span) -> bool:
        before = self.on(day - timedelta(days=1))
        return span.opens == 0 and bool(before) and before[-1].closes == DAY_MINUTES

    def _end(self, day: date, span: Span) -> datetime:
        for ahead in range(1, _HORIZON_DAYS):
            following = self.on(day + timedelta(days=ahead))
            if span.closes < DAY_MINUTES or not following or following[0].opens > 0:
                return self._moment(day + timedelta(days=ahead - 1), span.closes)
            span = following[0]
        return self._moment(day + timedelta(days=_HORIZON_DAYS), 0)

    def _moment(self, day: date, minute: int) -> datetime:
        later, minute = divmod(minute, DAY_MINUTES)
        there = datetime.combine(day + timedelta(days=later), time(minute // 60, minute % 60), ZoneInfo(self.zone))
        return there.astimezone(UTC)


def checked(spans: Sequence[Span]) -> Spans:
    """The spans of one day, in order. Raises BadHours."""
    ordered = tuple(sorted(spans))
    if len(ordered) > SPANS_MAX:
        raise BadHours(f"at most {SPANS_MAX} spans a day")
    if any(not 0 <= span.opens < span.closes <= DAY_MINUTES for span in ordered):
        raise BadHours("a span begins before it ends, within one day")
    if any(later.opens <= earlier.closes for earlier, later in pairwise(ordered)):
        raise BadHours("two spans lie over each other, or touch")
    return ordered


def read_spans(typed: str) -> Spans:
    """What a person types for one day: `8h-12h, 13h30-16h`; nothing at all is a closed day. Raises BadHours."""
    typed = typed.strip()
    if not typed or typed == "-":
        return ()
    if len(typed) > _LONGEST_TYPED:
        raise BadHours("too long")
    spans = []
    for part in _BETWEEN.split(typed):
        found = _SPAN.fullmatch(part.strip())
        if found is None:
            raise BadHours(part)
        first_h, first_m, last_h, last_m = (int(digits or 0) for digits in found.groups())
        if first_m > 59 or last_m > 59:
            raise BadHours(part)
        spans.append(Span(first_h * 60 + first_m, last_h * 60 + last_m))
    return checked(spans)


def clock(minute: int) -> str:
    """`08:30`; the end of a day is `24:00`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def spans_as_json(spans: Spans) -> list[str]:
    return [f"{clock(span.opens)}-{clock(span.closes)}" for span in spans]


def spans_from_json(stored: Sequence[str]) -> Spans:
    """Raises BadHours for what `spans_as_json` never wrote."""
    spans = []
    for text in stored:
        found = _STORED.fullmatch(text)
        if found is None:
            raise BadHours(text)
        first_h, first_m, last_h, last_m = map(int, found.groups())
        spans.append(Span(first_h * 60 + first_m, last_h * 60 + last_m))
    return checked(spans)


def week_as_json(week: Week) -> list[list[str]]:
    return [spans_as_json(day) for day in week]


def week_of(days: Sequence[Spans]) -> Week:
    """Raises BadHours unless there are seven days, and a span on at least one."""
    if len(days) != 7 or not any(days):
        raise BadHours("a week has seven days, and a counter opens on one of them")
    return (days[0], days[1], days[2], days[3], days[4], days[5], days[6])


def week_from_json(stored: Sequence[Sequence[str]]) -> Week:
    return week_of([spans_from_json(day) for day in stored])


def runs(week: Week) -> list[tuple[int, int, Spans]]:
    """(first weekday, last weekday, hours) of neighbouring days with the same hours; closed days are left out."""
    found = []
    for spans, days in groupby(range(7), key=lambda day: week[day]):
        listed = list(days)
        if spans:
            found.append((listed[0], listed[-1], spans))
    return found
