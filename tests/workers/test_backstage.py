"""A look at workers and jobs in Redis, and the dispatcher's sign of life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.outbox import Leased, LeaseRow
from workers.backstage import RqWatch
from workers.dispatch import SignOfLife
from workers.rq_executor import RqExecutor, queue_name


def test_workers_jobs_and_hands(redis: Redis) -> None:
    row = Leased(7, "document.invoice", "bulk", "token", {}, 1, datetime.now(UTC))
    assert RqExecutor(redis).submit("bulk", [row])
    bulk = Queue(queue_name("bulk"), connection=redis, serializer=JSONSerializer)
    worker = SimpleWorker([bulk], connection=redis, serializer=JSONSerializer)
    worker.register_birth()
    seen = RqWatch(redis).look()
    assert seen.reachable
    assert dict(seen.jobs) == {"push": 0, "settle": 0, "notices": 0, "bulk": 1}
    assert [(w.queue, w.busy) for w in seen.workers] == [("bulk", False)]
    assert dict(seen.hands) == {}
    job = bulk.dequeue_any([bulk], None, connection=redis, serializer=JSONSerializer)
    assert job is not None
    worker.prepare_execution(job[0])
    assert set(RqWatch(redis).look().hands) == {7}


def test_a_queue_that_is_away_is_an_answer() -> None:
    seen = RqWatch(Redis(unix_socket_path="/nowhere/redis.sock")).look()
    assert not seen.reachable
    assert seen.error == "ConnectionError"


def test_a_dispatcher_says_that_it_lives_and_is_forgotten_a_day_after(db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        session.add(LeaseRow(name="dispatcher:old:1", holder="old:1", until=clock.real_now() - timedelta(days=2)))
        session.add(LeaseRow(name="bridge", holder="old:2", until=clock.real_now() - timedelta(days=2)))
    alive = SignOfLife(db, clock)
    alive()
    alive()
    with db.read() as session:
        names = sorted(name.partition(":")[0] for name in session.scalars(select(LeaseRow.name)))
        assert names == ["bridge", "dispatcher"]
        first = session.scalars(select(LeaseRow.until).where(LeaseRow.name != "bridge")).one()
    clock.advance(seconds=11)
    alive()
    with db.read() as session:
        assert session.scalars(select(LeaseRow.until).where(LeaseRow.name != "bridge")).one() > first
