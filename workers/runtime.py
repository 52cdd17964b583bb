"""A worker process: one queue, one `Runner`, built after the start and never before a fork.

Queue `push` runs in a thread pool: a wallet call may last 120 s and must not hold up the next. The other queues run
row by row. RQ's own recovery is never waited for: a killed worker's rows are handed out again when their leases end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import structlog
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from core.kernel.errors import PartnerError
from workers.executor import Runner
from workers.rq_executor import queue_name

log = structlog.get_logger(__name__)

PUSH_THREADS = 64


@runtime_checkable
class Warm(Protocol):
    """A wallet that can get ready ahead of need."""

    def prepare(self) -> None: ...


class _Worker(SimpleWorker):
    """In process: rows are short, or in threads of our own. A death penalty by signal would hit the wrong thread."""

    death_penalty_class = TimerDeathPenalty


class _Process:
    """What the RQ entry point finds in its process. RQ calls a function by name; this is where that function looks."""

    runner: Runner | None = None
    pool: ThreadPoolExecutor | None = None
    room: threading.BoundedSemaphore | None = None


def carry_out(rows: list[list[object]]) -> None:
    """The RQ job: carry out these rows ([id, token] each). In the push process it returns when they are under way."""
    runner = _Process.runner
    assert runner is not None, "not a worker process"
    tokens = {int(str(row_id)): str(token) for row_id, token in rows}
    if _Process.pool is None or _Process.room is None:
        runner.run(tokens)
        return
    room = _Process.room
    # Wait here when all threads are busy: what waits in Redis can be taken by another process.
    room.acquire()

    def carry() -> None:
        try:
            runner.run(tokens)
        finally:
            room.release()

    _Process.pool.submit(carry)


def keep_warm(wallets: Iterable[object], stop: threading.Event, *, every_s: float = 60.0) -> threading.Thread:
    """Have the wallets' sessions live before somebody needs one: a new one may take half a minute to work."""
    able = [wallet for wallet in wallets if isinstance(wallet, Warm)]

    def warm() -> None:
        while True:
            for wallet in able:
                try:
                    wallet.prepare()
                except PartnerError as error:
                    log.warning("wallet.not_warm", partner=error.partner, code=error.code)
            if stop.wait(every_s):
                return

    thread = threading.Thread(target=warm, name="keep-warm", daemon=True)
    thread.start()
    return thread


def work(queue: str, runner: Runner, redis: Redis, *, worker_ttl_s: int = 45) -> None:
    """Work on one queue until SIGTERM, then finish what is under way. Raises when Redis is away: restart it."""
    _Process.runner = runner
    if queue == "push":
        _Process.pool = ThreadPoolExecutor(PUSH_THREADS, thread_name_prefix="push")
        _Process.room = threading.BoundedSemaphore(PUSH_THREADS)
    rq_queue = Queue(queue_name(queue), connection=redis, serializer=JSONSerializer)
    worker = _Worker(
        [rq_queue],
        connection=redis,
        serializer=JSONSerializer,
        default_worker_ttl=worker_ttl_s,
        maintenance_interval=30,
        job_monitoring_interval=5,
        log_job_description=False,
    )
    try:
        worker.work(logging_level="WARNING", with_scheduler=False)
    finally:
        if _Process.pool is not None:
            # Calls under way end by their own timeouts; what has not begun keeps its lease and goes to somebody else.
            _Process.pool.shutdown(wait=True, cancel_futures=True)
