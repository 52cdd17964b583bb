"""Rows are carried out one by one, each with its own end, by whoever holds their lease."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from core import outbox
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, OutboxRow, Outcome, Retry
from workers.executor import Handler, InLine, Runner


class Desk:
    """An outbox and a runner before it."""

    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db = db
        self.clock = clock
        self.done: list[str] = []

    def stage(self, *keys: str) -> None:
        with self.db.begin() as session:
            for key in keys:
                outbox.stage(session, kind="notice.send", key=key, body={"key": key}, clock=self.clock)

    def lease(self) -> list[Leased]:
        with self.db.begin() as session:
            return outbox.lease(session, queue="notices", clock=self.clock, limit=10)

    def carry(self, row: Leased) -> Outcome:
        self.done.append(row.body["key"])
        return Done()

    def runner(self, handlers: Mapping[str, Handler] | None = None) -> Runner:
        return Runner(self.db, self.clock, handlers or {"notice.send": self.carry})

    def run(self, rows: list[Leased], handlers: Mapping[str, Handler] | None = None) -> None:
        assert InLine(self.runner(handlers)).submit("notices", rows)

    def row(self, row_id: int) -> OutboxRow:
        with self.db.read() as session:
            return session.get_one(OutboxRow, row_id)


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Desk:
    return Desk(db, clock)


def test_a_job_delivered_twice_is_done_once(desk: Desk) -> None:
    desk.stage("a", "b")
    rows = desk.lease()
    desk.run(rows)
    desk.run(rows)
    assert desk.done == ["a", "b"]


def test_a_row_whose_lease_went_to_somebody_else_is_skipped(desk: Desk) -> None:
    desk.stage("a")
    late = desk.lease()
    desk.clock.advance(seconds=61)
    owner = desk.lease()
    desk.run(late)
    assert desk.done == []
    desk.run(owner)
    assert desk.done == ["a"]


def test_a_row_is_not_begun_when_its_lease_is_nearly_over(desk: Desk) -> None:
    desk.stage("a")
    rows = desk.lease()
    desk.clock.advance(seconds=58.5)
    desk.run(rows)
    assert desk.done == []
    assert desk.row(rows[0].id).state == "pending"


def test_a_slow_row_does_not_drag_the_next_past_its_lease(desk: Desk) -> None:
    def slow(row: Leased) -> Outcome:
        desk.clock.advance(seconds=59)
        return desk.carry(row)

    desk.stage("a", "b")
    desk.run(desk.lease(), {"notice.send": slow})
    assert desk.done == ["a"]
    desk.clock.advance(seconds=5)
    desk.run(desk.lease())
    assert desk.done == ["a", "b"]


def test_one_rows_bug_is_its_own(desk: Desk) -> None:
    def fails_on_a(row: Leased) -> Outcome:
        if row.body["key"] == "a":
            raise KeyError("surprise")
        return desk.carry(row)

    desk.stage("a", "b")
    rows = desk.lease()
    desk.run(rows, {"notice.send": fails_on_a})
    assert desk.done == ["b"]
    broken = desk.row(rows[0].id)
    assert (broken.state, broken.last_error) == ("pending", "KeyError: 'surprise'")
    assert (broken.available_at - desk.clock.real_now()).total_seconds() == 5


def test_a_bug_that_stays_ends_as_dead(desk: Desk) -> None:
    def fails(_: Leased) -> Outcome:
        raise RuntimeError("always")

    desk.stage("a")
    row_id = 0
    for _ in range(20):
        for row in desk.lease():
            row_id = row.id
            desk.run([row], {"notice.send": fails})
        desk.clock.advance(seconds=60)
    assert (desk.row(row_id).state, desk.row(row_id).attempts) == ("dead", 8)


def test_a_busy_database_is_no_failure_of_the_row(desk: Desk) -> None:
    def busy(_: Leased) -> Outcome:
        raise NotRecorded("busy")

    desk.stage("a")
    rows = desk.lease()
    desk.run(rows, {"notice.send": busy})
    assert desk.row(rows[0].id).attempts == 0


def test_what_nobody_carries_out_is_dead(desk: Desk) -> None:
    desk.stage("a")
    rows = desk.lease()
    desk.run(rows, {"other": lambda _: Done()})
    assert desk.row(rows[0].id).last_error == "nobody carries out notice.send"


@pytest.mark.parametrize(
    ("outcome", "state"), [(Done("x"), "done"), (Dead("x"), "dead"), (Retry(9, "x"), "pending")], ids=lambda o: str(o)
)
def test_each_outcome_is_written_down(desk: Desk, outcome: Outcome, state: str) -> None:
    desk.stage("a")
    rows = desk.lease()
    desk.run(rows, {"notice.send": lambda _: outcome})
    assert (desk.row(rows[0].id).state, desk.row(rows[0].id).last_error) == (state, "x")


def test_an_effect_that_was_done_but_not_written_down_is_handed_out_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does must bear being done twice; that is the handlers' promise."""
    desk.stage("a")
    rows = desk.lease()

    def away(*_: object, **__: object) -> bool:
        raise NotRecorded("busy")

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "finish", away)
        desk.run(rows)
    assert desk.row(rows[0].id).state == "pending"
    desk.clock.advance(seconds=60)
    desk.run(desk.lease())
    assert desk.done == ["a", "a"]
