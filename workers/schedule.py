"""Scheduled runs: computed from the clock, kept as rows: a missed one is caught up, a double one does nothing.

RQ's cron has neither. Due times are business time; whoever inserts the row (unique on name and due time) also writes
the errand, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import outbox
from core.db import Database
from core.desk.queue_model import Planned
from core.kernel.clock import EAST, WEST, Clock
from core.outbox import Done, Leased, Outcome, ScheduleRunRow


@dataclass(frozen=True, slots=True)
class Plan:
    """A run at these local hours of a zone, every day. `name` says what is done, `body` goes with it.

    `stop` False: when the sandbox moves its clock over many of these, the last one does for all.
    """

    name: str
    zone: str
    at: Sequence[time]
    body: Mapping[str, str]
    stop: bool = True

    @property
    def key(self) -> str:
        return f"{self.name}@{self.zone}" if "zone" in self.body else self.name

    def last_due(self, now: datetime) -> datetime:
        """The newest due time that is not after `now`."""
        return max(d for d in self._around(now) if d <= now)

    def next_due(self, now: datetime) -> datetime:
        return min(d for d in self._around(now) if d > now)

    def _around(self, now: datetime) -> list[datetime]:
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        days = (today - timedelta(days=1), today, today + timedelta(days=1))
        return [datetime.combine(day, at, zone).astimezone(UTC) for day in days for at in self.at]


def hours(*of: int) -> tuple[time, ...]:
    return tuple(time(hour) for hour in of)


PLANS = (
    Plan("ledger.check", WEST, hours(2), {}),
    # The north-east wakes an hour earlier than the capital: one sweep before both.
    Plan("dunning.sweep", WEST, hours(4), {}),
    *(Plan("supply.cut", zone, hours(9, 10, 11, 12, 13), {"zone": zone}) for zone in (WEST, EAST)),
    # Operators close their day some hours after ours.
    Plan("reconcile.fetch", WEST, hours(6), {}, stop=False),
    # Cash that an agent offered and nobody counted within a day; and what turns had done a month ago is forgotten.
    Plan("agents.hand_overs", WEST, hours(3), {}, stop=False),
    # Lines of a report whose payment or person came later than the report.
    Plan("reconcile.match", WEST, hours(*range(24)), {}, stop=False),
    # What prepaid radio meters have used up: charged, told, and off where it must be and may be.
    Plan("prepaid.use", WEST, hours(*range(24)), {}, stop=False),
    Plan("supply.reconcile", WEST, hours(*range(24)), {}, stop=False),
)


class Schedule:
    """Opens what is due. Only the newest missed due time of a plan is opened: its work looks at the data as they are
    now, so one run catches up for all that were missed."""

    def __init__(self, db: Database, clock: Clock, plans: Sequence[Plan] = PLANS) -> None:
        self._db = db
        self._clock = clock
        self._plans = plans
        self._opened: dict[str, datetime] = {}

    def open_due(self) -> int:
        """Open every plan's newest due run that is not open yet. Cheap when there is nothing to do."""
        now = self._clock.now()
        due = [(plan, plan.last_due(now)) for plan in self._plans]
        fresh = [(plan, at) for plan, at in due if self._opened.get(plan.key) != at]
        opened = 0
        for plan, at in fresh:
            opened += self._open(plan, at)
            self._opened[plan.key] = at
        return opened

    def next_due(self) -> datetime:
        """The next moment at which something becomes due. The sandbox moves its clock from one to the next."""
        now = self._clock.now()
        return min(plan.next_due(now) for plan in self._plans)

    def planned(self) -> list[Planned]:
        """Every plan with its due times around now, for the page that shows them."""
        now = self._clock.now()
        return [Planned(plan.key, plan.last_due(now), plan.next_due(now)) for plan in self._plans]

    def _open(self, plan: Plan, at: datetime) -> int:
        try:
            with self._db.begin() as session:
                known = session.scalar(
                    select(ScheduleRunRow.id).where(ScheduleRunRow.name == plan.key, ScheduleRunRow.due_at >= at)
                )
                if known is not None:
                    return 0
                first = session.scalar(select(func.count()).where(ScheduleRunRow.name == plan.key)) == 0
                now = self._clock.now()
                run = ScheduleRunRow(name=plan.key, due_at=at, opened_at=now)
                session.add(run)
                session.flush()
                if first:
                    # A new installation has missed nothing; ended in the instant it began says so (`run_state`).
                    run.ended_at, run.outcome = now, "first start: nothing was missed"
                    return 0
                outbox.stage(
                    session,
                    kind="schedule.run",
                    key=f"run:{plan.key}:{at.isoformat()}",
                    body={"run_id": run.id, "name": plan.name, **plan.body},
                    clock=self._clock,
                )
                return 1
        except IntegrityError:
            return 0


def handlers(
    db: Database, clock: Clock, runs: Mapping[str, Callable[[Leased], Outcome]]
) -> dict[str, Callable[[Leased], Outcome]]:
    """`runs`: name → what it does. The run's row gets its end and outcome."""

    def run(row: Leased) -> Outcome:
        outcome = runs[str(row.body["name"])](row)
        if isinstance(outcome, Done):
            with db.begin() as session:
                _end(session, int(row.body["run_id"]), clock, outcome.note)
        return outcome

    return {"schedule.run": run}


def _end(session: Session, run_id: int, clock: Clock, note: str) -> None:
    row = session.get_one(ScheduleRunRow, run_id)
    row.ended_at, row.outcome = clock.now(), note[:200]
