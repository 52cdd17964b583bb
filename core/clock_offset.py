"""Where business time stands: a row that only the sandbox writes."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from sqlalchemy import select

from core.db import Database
from core.kernel.clock import Clock, ShiftedClock, SystemClock
from core.outbox import BusinessClockRow

# How stale a process may be about a moved clock. The sandbox waits for idle after moving it, and idle takes longer.
_REMEMBER_S = 0.2
_ONLY = 1
_READ = select(BusinessClockRow.offset_us).where(BusinessClockRow.id == _ONLY)


class _Offset:
    """Reads the row at most every 0.2 s per process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._until = 0.0
        self._value = timedelta()

    def __call__(self) -> timedelta:
        if time.monotonic() < self._until:
            return self._value
        with self._lock:
            if time.monotonic() >= self._until:
                with self._db.connect_read() as connection:
                    offset = connection.scalar(_READ)
                self._value = timedelta(microseconds=offset or 0)
                self._until = time.monotonic() + _REMEMBER_S
            return self._value


def clock_for(db: Database, *, movable: bool) -> Clock:
    """Production's clock, or the one the sandbox may move."""
    return ShiftedClock(_Offset(db)) if movable else SystemClock()


def read_offset(db: Database) -> timedelta:
    with db.connect_read() as connection:
        return timedelta(microseconds=connection.scalar(_READ) or 0)


def write_offset(db: Database, offset: timedelta) -> None:
    """Move business time. Every process follows within 0.2 s."""
    with db.begin() as session:
        row = session.get(BusinessClockRow, _ONLY)
        if row is None:
            session.add(BusinessClockRow(id=_ONLY, offset_us=0))
            session.flush()
            row = session.get_one(BusinessClockRow, _ONLY)
        row.offset_us = offset // timedelta(microseconds=1)
