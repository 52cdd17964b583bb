"""Moving the product's business clock: due run by due run, each time until all is idle.

Only the sandbox does this. It opens the product's database for nothing else than this row and these counts.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core.clock_offset import clock_for, read_offset, write_offset
from core.db import Database
from core.kernel.clock import Clock
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow, ScheduleRunRow
from core.supply.tables import RelayCommandRow
from workers.schedule import PLANS

# An errand that waits longer than this in real time waits for the world (a PIN, a retry), not for us.
SOON = timedelta(seconds=4)
# A part of the world that does not answer (a meter switched off, a lost report) holds a step up no longer than this.
PATIENCE_S = {"errands": 60.0, "commands": 8.0, "reports": 5.0}
# All must be quiet for so long: processes learn of a moved clock within 0.2 s, and then look within 0.25 s.
QUIET_S = 0.6


class BusinessClock:
    """Implements the sandbox's ClockControl."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.clock: Clock = clock_for(db, movable=True)
        self._one_at_a_time = threading.Lock()

    def _now(self) -> datetime:
        return datetime.now(UTC) + read_offset(self._db)

    def state(self) -> dict[str, Any]:
        waiting = self._waiting()
        offset = read_offset(self._db)
        return {
            "business": (datetime.now(UTC) + offset).isoformat(timespec="seconds"),
            "offset_s": round(offset.total_seconds(), 3),
            "idle": not any(waiting.values()),
            "waiting": waiting,
        }

    def ahead_s(self) -> float:
        return read_offset(self._db).total_seconds()

    def move_to(self, iso: str) -> dict[str, Any]:
        target = datetime.fromisoformat(iso)
        if target.tzinfo is None:
            raise ValueError("the moment needs a zone, as in 2026-03-10T09:00:00+01:00")
        return self._walk(target)

    def advance(self, seconds: float) -> dict[str, Any]:
        return self._walk(self._now() + timedelta(seconds=seconds))

    def _walk(self, target: datetime) -> dict[str, Any]:
        if target < self._now():
            raise ValueError("business time only moves forward")
        with self._one_at_a_time:
            first_run = self._last_run_id()
            self._settle()
            while True:
                step = self._next_moment(target)
                self._set(step)
                self._settle()
                if step >= target:
                    break
            return {**self.state(), "runs": self._runs_since(first_run)}

    def _set(self, moment: datetime) -> None:
        now = self._now()
        if moment > now:
            write_offset(self._db, read_offset(self._db) + (moment - now))

    def _next_moment(self, target: datetime) -> datetime:
        """The next moment at which anything becomes due, at most `target`."""
        now = self._now()
        moments = [plan.next_due(now) for plan in PLANS if plan.stop]
        with self._db.read() as session:
            for column, condition in (
                (OutboxRow.business_at, OutboxRow.state == text("'pending'")),
                (RelayCommandRow.not_before, RelayCommandRow.state == text("'queued'")),
            ):
                soonest = session.scalar(select(func.min(column)).where(condition, column > now))
                if soonest is not None:
                    moments.append(soonest)
        return min([target, *moments])

    def _settle(self) -> None:
        """Wait until nothing more happens by itself, each kind of work with its own patience."""
        began = time.monotonic()
        quiet_since: float | None = None
        while True:
            waiting = self._waiting()
            spent = time.monotonic() - began
            busy = [kind for kind, count in waiting.items() if count and spent < PATIENCE_S[kind]]
            if busy:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= QUIET_S:
                return
            time.sleep(0.05)

    def _waiting(self) -> dict[str, int]:
        now, real = self._now(), datetime.now(UTC)
        with self._db.read() as session:
            return {
                "errands": _count(
                    session,
                    select(func.count()).where(
                        OutboxRow.state == text("'pending'"),
                        OutboxRow.available_at <= real + SOON,
                        (OutboxRow.business_at.is_(None)) | (OutboxRow.business_at <= now),
                    ),
                ),
                "commands": _count(
                    session,
                    select(func.count()).where(
                        RelayCommandRow.state.in_(("queued", "publishing", "sent", "acknowledged")),
                        RelayCommandRow.not_before <= now,
                    ),
                ),
                "reports": _count(
                    session,
                    select(func.count()).where(
                        # Of an e-mail that arrived nobody reports.
                        NoticeRow.channel == "sms",
                        NoticeRow.state.in_(("sending", "sent")),
                        NoticeRow.sent_at >= now - timedelta(seconds=30),
                    ),
                ),
            }

    def _last_run_id(self) -> int:
        with self._db.read() as session:
            return int(session.scalar(select(func.max(ScheduleRunRow.id))) or 0)

    def _runs_since(self, last_id: int) -> list[dict[str, Any]]:
        with self._db.read() as session:
            rows = session.scalars(
                select(ScheduleRunRow).where(ScheduleRunRow.id > last_id).order_by(ScheduleRunRow.id).limit(500)
            )
            return [{"name": r.name, "due_at": r.due_at.isoformat(), "outcome": r.outcome} for r in rows]


def _count(session: Session, statement: Any) -> int:
    return int(session.scalar(statement) or 0)
