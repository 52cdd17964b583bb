"""RQ as the executor, on a real Redis-protocol server: it carries ids, and it may forget everything."""

from __future__ import annotations

import json
import signal
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import select

from core import outbox
from core.db import Database
from core.kernel.clock import FixedClock
from core.outbox import Done, Leased, OutboxRow, Outcome
from workers import runtime
from workers.dispatch import Dispatcher
from workers.executor import Runner
from workers.rq_executor import RqExecutor, queue_name

pytestmark = pytest.mark.redis_server


class Office:
    """An outbox, RQ between, and a worker that can be made to work until its queue is empty."""

    def __init__(self, db: Database, clock: FixedClock, redis: Redis) -> None:
        self.db = db
        self.clock = clock
        self.redis = redis
        self.executor = RqExecutor(redis)
        self.carried: list[str] = []
        self.threads: set[int] = set()
        self.runner = Runner(db, clock, dict.fromkeys(("notice.send", "attempt.push"), self.carry))

    def carry(self, row: Leased) -> Outcome:
        self.carried.append(row.body["secret"])
        self.threads.add(threading.get_ident())
        return Done()

    def stage(self, *secrets: str, kind: str = "notice.send") -> None:
        with self.db.begin() as session:
            for secret in secrets:
                outbox.stage(session, kind=kind, key=secret, body={"secret": secret}, clock=self.clock)

    def hand_out(self, queue: str = "notices") -> list[Leased]:
        with self.db.begin() as session:
            rows = outbox.lease(session, queue=queue, clock=self.clock, limit=50)
        assert self.executor.submit(queue, rows)
        return rows

    def queue(self, name: str = "notices") -> Queue:
        return Queue(queue_name(name), connection=self.redis, serializer=JSONSerializer)

    def work(self, name: str = "notices") -> None:
        """A worker process's loop, until nothing waits."""
        worker = runtime._Worker([self.queue(name)], connection=self.redis, serializer=JSONSerializer)
        worker.work(burst=True, logging_level="ERROR")

    def states(self) -> set[str]:
        with self.db.read() as session:
            return set(session.scalars(select(OutboxRow.state)))


@pytest.fixture
def office(db: Database, clock: FixedClock, redis: Redis) -> Iterator[Office]:
    ready = Office(db, clock, redis)
    runtime._Process.runner = ready.runner
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield ready
    runtime._Process.runner = runtime._Process.pool = runtime._Process.room = None
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_job_carries_ids_and_tokens_and_nothing_else(office: Office) -> None:
    office.stage("a wallet's word", "another")
    rows = office.hand_out()
    (job_id,) = office.queue().job_ids
    job = Job.fetch(job_id, connection=office.redis, serializer=JSONSerializer)
    assert job.func_name == "workers.runtime.carry_out"
    assert list(job.args) == [[[row.id, row.token] for row in rows]]
    assert job.retries_left is None
    raw = office.redis.hgetall(f"rq:job:{job_id}")
    words = json.dumps([zlib.decompress(v).decode() if k == b"data" else str(v) for k, v in raw.items()])
    assert "wallet" not in words
    assert "pickle" not in words


def test_a_worker_carries_out_what_it_is_handed(office: Office) -> None:
    office.stage("a", "b", "c")
    office.hand_out()
    office.work()
    assert office.carried == ["a", "b", "c"]
    assert office.states() == {"done"}
    assert list(office.redis.scan_iter("rq:job:*")) == [], "results are kept nowhere"


def test_redis_emptied_costs_a_lease_and_nothing_else(office: Office) -> None:
    office.stage("a", "b")
    office.hand_out()
    office.redis.flushall()
    office.work()
    assert office.carried == []
    with office.db.read() as session:
        assert not outbox.anything_due(session, queue="notices", clock=office.clock)
    office.clock.advance(seconds=60)
    assert len(office.hand_out()) == 2
    office.work()
    assert office.carried == ["a", "b"]


def test_a_job_that_comes_twice_and_late_is_done_once(office: Office) -> None:
    office.stage("a")
    rows = office.hand_out()
    office.executor.submit("notices", rows)
    office.clock.advance(seconds=61)
    office.hand_out()
    assert office.queue().count == 3
    office.work()
    assert office.carried == ["a"]


def test_each_row_of_a_broken_job_is_handed_out_again(office: Office) -> None:
    """The job fails as a whole (the process was no worker): RQ keeps it as failed, the outbox hands out again."""
    office.stage("a", "b")
    office.hand_out()
    runtime._Process.runner = None
    office.work()
    assert office.queue().failed_job_registry.count == 1
    runtime._Process.runner = office.runner
    office.clock.advance(seconds=60)
    office.hand_out()
    office.work()
    assert office.carried == ["a", "b"]


def test_wallet_calls_run_beside_each_other(office: Office) -> None:
    office.stage("a", "b", kind="attempt.push")
    meet = threading.Barrier(2, timeout=30)

    def call(row: Leased) -> Outcome:
        meet.wait()
        return office.carry(row)

    runtime._Process.runner = Runner(office.db, office.clock, {"attempt.push": call})
    runtime._Process.pool = ThreadPoolExecutor(2)
    runtime._Process.room = threading.BoundedSemaphore(2)
    with office.db.begin() as session:
        rows = outbox.lease(session, queue="push", clock=office.clock, limit=2)
    for row in rows:
        assert office.executor.submit("push", [row])
    office.work("push")
    runtime._Process.pool.shutdown(wait=True)
    assert sorted(office.carried) == ["a", "b"]
    assert len(office.threads) == 2
    assert office.states() == {"done"}


def test_a_server_that_is_away_is_said_not_raised(db: Database, clock: FixedClock, tmp_path: Path) -> None:
    away = Redis(unix_socket_path=str(tmp_path / "nobody.sock"), retry=Retry(NoBackoff(), 0))
    office = Office(db, clock, away)
    office.stage("a")
    with db.begin() as session:
        rows = outbox.lease(session, queue="notices", clock=clock, limit=5)
    assert not office.executor.submit("notices", rows)


def test_nothing_is_enqueued_inside_a_transaction(office: Office) -> None:
    with office.db.begin(), pytest.raises(AssertionError):
        office.executor.submit("notices", [])


def test_the_dispatcher_and_rq_together(office: Office) -> None:
    from tests.core.payments.scripted import Till
    from workers.schedule import Schedule

    till = Till(office.db, office.clock)
    till.begin()
    office.clock.advance(seconds=3)
    runtime._Process.runner = Runner(
        office.db, office.clock, {"attempt.push": lambda row: till.payments.push(row.body["attempt_id"])}
    )
    dispatcher = Dispatcher(
        office.db, office.clock, office.executor, till.payments, Schedule(office.db, office.clock, ())
    )
    assert dispatcher.once() == 2  # the push, and the notice of the invoice
    office.work("push")
    assert len(till.wallet.starts) == 1
