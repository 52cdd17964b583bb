"""Scheduled runs: once per due time, whoever looks and however often; what was missed is caught up by one run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock
from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, OutboxRow, ScheduleRunRow
from workers.schedule import PLANS, Plan, Schedule, handlers, hours

DAILY = Plan("dunning.sweep", WEST, hours(4), {})
HOURLY = Plan("supply.cut", EAST, hours(9, 10, 11), {"zone": EAST})


def runs(db: Database, name: str = DAILY.key) -> list[datetime]:
    with db.read() as session:
        return list(
            session.scalars(
                select(ScheduleRunRow.due_at).where(ScheduleRunRow.name == name).order_by(ScheduleRunRow.id)
            )
        )


def errands(db: Database) -> list[OutboxRow]:
    with db.read() as session:
        return list(session.scalars(select(OutboxRow).where(OutboxRow.kind == "schedule.run").order_by(OutboxRow.id)))


@pytest.fixture
def started(db: Database, clock: FixedClock) -> Schedule:
    """A schedule that has looked once: nothing was missed before it was there."""
    schedule = Schedule(db, clock, (DAILY,))
    assert schedule.open_due() == 0
    return schedule


def test_a_new_installation_has_missed_nothing(db: Database, started: Schedule) -> None:
    assert errands(db) == []
    with db.read() as session:
        assert session.scalars(select(ScheduleRunRow.outcome)).one() == "first start: nothing was missed"


def test_a_run_opens_when_it_is_due_and_once(db: Database, clock: FixedClock, started: Schedule) -> None:
    clock.advance(hours=18, minutes=59)  # 03:59 in Kinshasa
    assert started.open_due() == 0
    clock.advance(minutes=1)
    assert started.open_due() == 1
    assert started.open_due() == 0
    # After a restart it remembers nothing itself: the row does.
    assert Schedule(db, clock, (DAILY,)).open_due() == 0
    (errand,) = errands(db)
    assert errand.body["name"] == "dunning.sweep"
    assert runs(db)[-1] == datetime(2026, 3, 11, 3, 0, tzinfo=UTC)


def test_after_days_of_silence_one_run_catches_up(db: Database, clock: FixedClock, started: Schedule) -> None:
    clock.advance(days=5)
    assert started.open_due() == 1
    assert len(errands(db)) == 1
    assert runs(db)[-1] == datetime(2026, 3, 15, 3, 0, tzinfo=UTC)


def test_a_clock_that_jumps_back_opens_nothing_again(db: Database, clock: FixedClock, started: Schedule) -> None:
    clock.advance(days=2)
    assert started.open_due() == 1
    clock.advance(days=-1)
    assert started.open_due() == 0
    assert Schedule(db, clock, (DAILY,)).open_due() == 0
    clock.advance(days=2)
    assert started.open_due() == 1


def test_two_schedulers_open_each_run_once(any_db: Database, clock: FixedClock) -> None:
    Schedule(any_db, clock, PLANS).open_due()
    assert errands(any_db) == []
    together = threading.Barrier(3)
    for _ in range(6):
        clock.advance(hours=7)

        def look(_: int) -> int:
            schedule = Schedule(any_db, clock, PLANS)
            together.wait()
            while True:
                try:
                    return schedule.open_due()
                except NotRecorded:
                    continue

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(look, range(3)))
    keys = [row.key for row in errands(any_db)]
    assert len(keys) == len(set(keys))
    with any_db.read() as session:
        rows = session.execute(select(ScheduleRunRow.name, ScheduleRunRow.due_at)).all()
    assert len(rows) == len(set(rows))
    assert {name for name, _ in rows} == {plan.key for plan in PLANS}


def test_one_plan_for_two_zones_is_two_runs(db: Database, clock: FixedClock) -> None:
    plans = tuple(Plan("supply.cut", zone, hours(9), {"zone": zone}) for zone in (WEST, EAST))
    schedule = Schedule(db, clock, plans)
    schedule.open_due()
    clock.advance(hours=23)  # 08:00 in Kinshasa, 09:00 in Lubumbashi
    assert schedule.open_due() == 1
    assert errands(db)[-1].body["zone"] == EAST
    clock.advance(hours=1)
    assert schedule.open_due() == 1
    assert errands(db)[-1].body["zone"] == WEST


def test_due_times_are_local(clock: FixedClock) -> None:
    now = clock.now()  # 10:00 in Lubumbashi
    assert HOURLY.last_due(now) == now
    assert HOURLY.next_due(now) == now + timedelta(hours=1)
    assert HOURLY.last_due(now - timedelta(hours=2)) == now - timedelta(hours=23)
    assert Plan("x", WEST, (time(4),), {}).next_due(now) == datetime(2026, 3, 11, 3, 0, tzinfo=UTC)


def test_the_next_due_time_is_the_nearest_of_all(db: Database, clock: FixedClock) -> None:
    assert Schedule(db, clock, (DAILY, HOURLY)).next_due() == clock.now() + timedelta(hours=1)


def test_a_run_writes_down_how_it_ended(db: Database, clock: FixedClock, started: Schedule) -> None:
    clock.advance(days=1)
    started.open_due()
    (errand,) = errands(db)
    row = Leased(errand.id, errand.kind, "bulk", "t", errand.body, 1, clock.real_now())
    carried = handlers(db, clock, {"dunning.sweep": lambda _: Done("looked at 5")})["schedule.run"]
    assert carried(row) == Done("looked at 5")
    with db.read() as session:
        run = session.get_one(ScheduleRunRow, errand.body["run_id"])
        assert (run.ended_at, run.outcome) == (clock.now(), "looked at 5")
    failed = handlers(db, clock, {"dunning.sweep": lambda _: Dead("no zone")})["schedule.run"]
    assert failed(row) == Dead("no zone")
