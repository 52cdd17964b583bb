"""Two clocks. Business time may be moved in the sandbox; leases and network timeouts use real time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

WEST = "Africa/Kinshasa"
EAST = "Africa/Lubumbashi"


class Clock(Protocol):
    def now(self) -> datetime:
        """Business time, aware, UTC: invoice days, windows, expiries of commands, quiet hours."""
        ...

    def real_now(self) -> datetime:
        """Real time, aware, UTC: leases, TTLs, network timeouts, query schedules."""
        ...


class SystemClock:
    """Business time is real time. What production runs on."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def real_now(self) -> datetime:
        return datetime.now(UTC)


class ShiftedClock:
    """Business time is real time plus an offset that somebody else keeps (the sandbox: a row in the database)."""

    def __init__(self, read_offset: Callable[[], timedelta]) -> None:
        self._read_offset = read_offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self._read_offset()

    def real_now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A clock for tests: both times stand still until moved."""

    def __init__(self, at: datetime) -> None:
        self._now = at
        self._real = at

    def now(self) -> datetime:
        return self._now

    def real_now(self) -> datetime:
        return self._real

    def advance(self, **delta: float) -> None:
        """Move both times on by a timedelta's keywords."""
        step = timedelta(**delta)
        self._now += step
        self._real += step


def local_date(at: datetime, zone: str) -> date:
    """The day that people at a place call it. The country has two zones; the zone belongs to the site."""
    return at.astimezone(ZoneInfo(zone)).date()


def day_begins(day: date, zone: str) -> datetime:
    """The moment at which a day begins at a place, UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def local_time(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone))
