"""When an agency is open, in as few characters as possible: now, and in the week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from channels.ussd.menu.screen import Line, Name, line, plain
from core.customers.model import AgencyView
from core.customers.opening import Hours, Span, Spans, runs
from core.customers.opening_words import WEEKDAYS, clock_words
from core.i18n import N_, short_day
from core.kernel.clock import local_date, local_time

# `Mon-Fri 8:30-12:30, 13:30-16:30; Sat 8:30-12:30` leaves room for a name and an address; a longer week does not.
_SPANS_READ = 3


def opening_lines(agency: AgencyView, now: datetime) -> tuple[Line, ...]:
    """Whether it is open now, and the week's hours where they are short enough to be read."""
    hours = agency.opening
    if hours is None:
        return (line("{hours}", hours=Name(agency.hours)),)
    week = runs(hours.week)
    if sum(len(spans) for _, _, spans in week) > _SPANS_READ:
        return (_open_now(hours, now),)
    return (_open_now(hours, now), _joined("{one}; {other}", [_run(*run) for run in week]))


def _open_now(hours: Hours, now: datetime) -> Line:
    until, opens = hours.open_until(now), hours.next_opening(now)
    if until is not None:
        if until - now > timedelta(days=1):
            return line(N_("Open day and night."))
        return line(N_("Open now, until {time}."), time=_time(local_time(until, hours.zone)))
    if opens is None:
        return line(N_("Closed at present."))
    there = local_time(opens, hours.zone)
    days = (there.date() - local_date(now, hours.zone)).days
    if days == 0:
        return line(N_("Closed now. Opens at {time}."), time=_time(there))
    day = line(WEEKDAYS[there.weekday()]) if days < len(WEEKDAYS) else plain(short_day(there.date()))
    return line(N_("Closed now. Opens {day} {time}."), day=day, time=_time(there))


def _time(there: datetime) -> Line:
    text, blanks = clock_words(there.hour * 60 + there.minute)
    return line(text, **blanks)


def _run(first: int, last: int, spans: Spans) -> Line:
    hours = _joined("{one}, {other}", [_span(span) for span in spans])
    if first == last:
        return line("{day} {hours}", day=line(WEEKDAYS[first]), hours=hours)
    return line("{day}-{last} {hours}", day=line(WEEKDAYS[first]), last=line(WEEKDAYS[last]), hours=hours)


def _span(span: Span) -> Line:
    (opens, opens_blanks), (closes, closes_blanks) = clock_words(span.opens), clock_words(span.closes)
    return line("{opens}-{closes}", opens=line(opens, **opens_blanks), closes=line(closes, **closes_blanks))


def _joined(pattern: str, parts: Sequence[Line]) -> Line:
    """The parts one after the other, `pattern` between each and the rest."""
    first, *rest = parts
    return line(pattern, one=first, other=_joined(pattern, rest)) if rest else first
