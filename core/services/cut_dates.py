"""The day a customer is told on a screen: from when supply may go off for what is owed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from core.billing import queries
from core.billing.dunning import earliest_cut
from core.billing.model import Calendar
from core.billing.policy import DunningPolicy
from core.db import Database
from core.kernel.clock import Clock
from core.promises.rules import promise_days
from core.settlement.dunning import calendars, off_policy

# Policies change a few times a year; each process looks again after this time, and on every new day.
_KEPT_S = 300


@dataclass(frozen=True, slots=True)
class _Rules:
    day: date
    until: float
    policy: DunningPolicy
    calendar_of: Callable[[str], Calendar]


class CutDates:
    """The dunning policy and the permitted days, kept for a while: a screen cannot afford the whole evaluation."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._rules: _Rules | None = None

    def cut_on(
        self,
        cycle_started_on: date,
        *,
        owed_minor: int,
        currency: str,
        zone: str,
        named_on: date | None = None,
        promised_on: date | None = None,
        held_until: date | None = None,
    ) -> date | None:
        """The first day on which supply can go off, today at the earliest, if every step is in time; None when this
        much is never cut for. Not before the day that a warning named (`named_on`), after that of an open promise,
        nor before the day until which the bill is held.
        Reads the database once in five minutes."""
        rules = self._current()
        floor = rules.policy.floor_minor.get(currency)
        if floor is None or owed_minor < floor:
            return None
        after_promise = promised_on + timedelta(days=1) if promised_on else None
        later = max((day for day in (named_on, after_promise, held_until) if day), default=None)
        return earliest_cut(cycle_started_on, rules.calendar_of(zone), rules.policy, not_before=later)

    def promise_days(self, zone: str) -> tuple[date, ...]:
        """The days that a promise to pay may name now, nearest first. Reads the database once in five minutes."""
        return promise_days(self._current().policy, self._clock.now(), zone)

    def _current(self) -> _Rules:
        now = self._clock.now()
        rules = self._rules
        if rules is None or rules.day != now.date() or rules.until < time.monotonic():
            with self._db.read() as session:
                policy = queries.policy_on(session, now.date())
            calendar_of = calendars(off_policy(policy), now)
            rules = self._rules = _Rules(now.date(), time.monotonic() + _KEPT_S, policy, calendar_of)
        return rules
