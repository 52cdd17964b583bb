"""The outbox: written once, leased to one, fenced, handed out again, dead in the end. On both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core import outbox
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.outbox import KINDS, LEASE_CAP_S, Dead, Done, Later, Leased, OutboxRow, Outcome, Retry


class Box:
    """One outbox; each call is one transaction."""

    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db = db
        self.clock = clock

    def stage(self, key: str, *, kind: str = "notice.send", **other: Any) -> bool:
        with self.db.begin() as session:
            return outbox.stage(session, kind=kind, key=key, body={"key": key}, clock=self.clock, **other)

    def lease(self, limit: int = 10, *, queue: str = "notices", scale: float = 1.0) -> list[Leased]:
        with self.db.begin() as session:
            return outbox.lease(session, queue=queue, clock=self.clock, limit=limit, scale=scale)

    def held(self, *rows: Leased) -> list[int]:
        with self.db.read() as session:
            return [row.id for row in outbox.held(session, {row.id: row.token for row in rows}, clock=self.clock)]

    def finish(self, row: Leased, outcome: Outcome) -> bool:
        with self.db.begin() as session:
            return outbox.finish(session, row, outcome, clock=self.clock)

    def release(self, *rows: Leased) -> None:
        with self.db.begin() as session:
            outbox.release(session, rows)

    def row(self, row_id: int) -> OutboxRow:
        with self.db.read() as session:
            return session.get_one(OutboxRow, row_id)

    def keys(self, rows: list[Leased]) -> list[str]:
        return [row.body["key"] for row in rows]

    def due(self, queue: str = "notices") -> bool:
        with self.db.read() as session:
            return outbox.anything_due(session, queue=queue, clock=self.clock)

    def in_hand(self, queue: str = "notices") -> int:
        with self.db.read() as session:
            return outbox.in_hand(session, queue=queue, clock=self.clock)


@pytest.fixture
def box(clean_db: Database, clock: FixedClock) -> Box:
    return Box(clean_db, clock)


def test_a_key_is_staged_once(box: Box) -> None:
    assert box.stage("a")
    assert not box.stage("a")
    assert box.keys(box.lease()) == ["a"]


def test_what_is_rolled_back_was_never_staged(box: Box) -> None:
    def cause() -> None:
        with box.db.begin() as session:
            outbox.stage(session, kind="notice.send", key="a", body={}, clock=box.clock)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cause()
    assert box.lease() == []


def test_a_leased_row_is_nobody_elses_until_the_lease_ends(box: Box) -> None:
    box.stage("a")
    (first,) = box.lease()
    assert box.lease() == []
    assert box.held(first) == [first.id]
    assert box.in_hand() == 1
    assert not box.due()
    box.clock.advance(seconds=60)
    assert box.held(first) == []
    assert box.in_hand() == 0
    assert box.due()
    (second,) = box.lease()
    assert second.token != first.token
    assert second.attempts == 2
    assert box.held(first) == []
    assert box.held(second) == [second.id]


def test_an_orphan_changes_nothing(box: Box) -> None:
    box.stage("a")
    (orphan,) = box.lease()
    box.clock.advance(seconds=61)
    (owner,) = box.lease()
    for outcome in (Done(), Retry(1, "x"), Later(box.clock.now(), "x"), Dead("x")):
        assert not box.finish(orphan, outcome)
    box.release(orphan)
    assert box.held(owner) == [owner.id]
    assert box.finish(owner, Done("sent"))
    row = box.row(owner.id)
    assert (row.state, row.last_error, row.done_at, row.lease_token) == ("done", "sent", box.clock.real_now(), None)
    assert not box.finish(owner, Dead("too late"))


def test_a_late_finisher_whose_row_nobody_took_still_counts(box: Box) -> None:
    box.stage("a")
    (row,) = box.lease()
    box.clock.advance(hours=1)
    assert box.finish(row, Done())
    assert box.lease() == []


def test_leases_double_up_to_a_cap(box: Box) -> None:
    box.stage("a")
    lengths: list[float] = []
    for _ in range(7):
        (row,) = box.lease()
        lengths.append((row.lease_until - box.clock.real_now()).total_seconds())
        box.clock.advance(seconds=lengths[-1])
    assert lengths == [60, 120, 240, 480, LEASE_CAP_S, LEASE_CAP_S, LEASE_CAP_S]


def test_leases_shrink_in_tests(box: Box) -> None:
    box.stage("a")
    (row,) = box.lease(scale=0.1)
    assert row.lease_until - box.clock.real_now() == timedelta(seconds=6)


def test_a_row_that_comes_back_too_often_is_dead_with_its_last_words(box: Box) -> None:
    most = KINDS["notice.send"].attempts_max
    box.stage("a")
    for _ in range(most):
        (row,) = box.lease()
        assert box.finish(row, Retry(5, "gateway is down"))
        assert box.lease() == []
        box.clock.advance(seconds=5)
    assert box.lease() == []
    dead = box.row(row.id)
    assert (dead.state, dead.attempts, dead.last_error) == ("dead", most, "gateway is down")


def test_a_row_whose_workers_always_die_is_dead_too(box: Box) -> None:
    box.stage("a", kind="attempt.query")
    for _ in range(KINDS["attempt.query"].attempts_max):
        (row,) = box.lease(queue="push")
        box.clock.advance(seconds=LEASE_CAP_S)
    assert box.lease(queue="push") == []
    assert "handed out too often" in box.row(row.id).last_error


def test_waiting_is_no_failure(box: Box) -> None:
    box.stage("a")
    for _ in range(50):
        (row,) = box.lease()
        box.finish(row, Retry(5, "a session is open", counts=False))
        box.clock.advance(seconds=5)
    (row,) = box.lease()
    box.finish(row, Later(box.clock.now() + timedelta(hours=8), "quiet hours"))
    assert box.row(row.id).attempts == 0


def test_what_nobody_took_is_given_back_at_once(box: Box) -> None:
    box.stage("a")
    (row,) = box.lease()
    box.release(row)
    assert box.held(row) == []
    (again,) = box.lease()
    assert again.attempts == 1


def test_dead_and_done_are_never_handed_out(box: Box) -> None:
    box.stage("a")
    box.stage("b")
    one, two = box.lease()
    box.finish(one, Dead("no such number"))
    box.finish(two, Done())
    box.clock.advance(days=1)
    assert box.lease() == []
    assert box.row(one.id).last_error == "no such number"


def test_priority_comes_first_then_age(box: Box) -> None:
    box.stage("old")
    box.clock.advance(seconds=1)
    box.stage("new")
    box.stage("urgent", priority=1)
    assert box.keys(box.lease(1)) == ["urgent"]
    assert box.keys(box.lease(2)) == ["old", "new"]


def test_a_delay_is_real_time_and_quiet_hours_are_business_time(box: Box) -> None:
    box.stage("delayed", delay_s=3)
    box.stage("quiet", business_at=box.clock.now() + timedelta(hours=8))
    assert box.lease() == []
    box.clock._now += timedelta(hours=8)
    assert box.keys(box.lease()) == ["quiet"]
    box.clock._real += timedelta(seconds=3)
    assert box.keys(box.lease()) == ["delayed"]


def test_later_waits_for_business_time(box: Box) -> None:
    box.stage("a")
    (row,) = box.lease()
    box.finish(row, Later(box.clock.now() + timedelta(hours=1), "quiet"))
    box.clock._real += timedelta(hours=2)
    assert box.lease() == []
    box.clock._now += timedelta(hours=1)
    assert box.keys(box.lease()) == ["a"]


def test_a_queue_gives_its_own_rows_only(box: Box) -> None:
    box.stage("n")
    box.stage("p", kind="attempt.push")
    assert box.keys(box.lease(queue="push")) == ["p"]
    assert box.keys(box.lease(queue="bulk")) == []
    assert box.keys(box.lease()) == ["n"]


def test_what_waits_is_counted_by_kind(box: Box) -> None:
    box.stage("a")
    box.stage("b")
    box.stage("c", kind="attempt.push")
    with box.db.read() as session:
        waiting = outbox.pending_by_kind(session)
    assert {kind: count for kind, (count, _) in waiting.items()} == {"notice.send": 2, "attempt.push": 1}
    assert waiting["notice.send"][1] == box.clock.real_now()


def test_two_dispatchers_never_lease_one_row_twice(box: Box) -> None:
    count = 200
    with box.db.begin() as session:
        for n in range(count):
            outbox.stage(session, kind="notice.send", key=f"k{n}", body={}, clock=box.clock)
    together = threading.Barrier(4)

    def dispatch(_: int) -> list[int]:
        mine: list[int] = []
        together.wait()
        while box.due():
            try:
                mine += [row.id for row in box.lease(7)]
            except NotRecorded:
                continue
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [row_id for mine in pool.map(dispatch, range(4)) for row_id in mine]
    assert len(taken) == count
    assert len(set(taken)) == count


def test_the_index_of_pending_rows_is_used(db: Database, clock: FixedClock) -> None:
    """As a bound parameter the state would hide the partial index from the planner."""
    due = select(OutboxRow.id).where(*outbox._due("push", clock)).compile(db.engine)
    with db.begin() as session:
        values = tuple(due.params[name] for name in due.positiontup or ())
        moments = tuple(v.isoformat(" ") if isinstance(v, datetime) else v for v in values)
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {due}", moments)
        assert any("ix_outbox_pending" in str(row) for row in plan)


def test_every_kind_has_a_queue_and_a_lease_longer_than_a_wallets_call() -> None:
    assert {policy.queue for policy in KINDS.values()} <= set(outbox.QUEUES)
    assert KINDS["attempt.push"].lease_s > 120
    assert KINDS["attempt.push"].batch == 1
