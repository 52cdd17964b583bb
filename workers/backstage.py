"""Who works, and what waits in Redis: what the page of queues shows beside the outbox. Reads only."""

from __future__ import annotations

import itertools

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from core.desk.queue_model import Backstage, WorkerSeen
from core.outbox import QUEUES
from workers.rq_executor import queue_name

log = structlog.get_logger(__name__)

# A list that nobody reads to its end need not have one.
WORKERS_MAX, JOBS_MAX = 100, 50


class RqWatch:
    """`core.desk.queue_model.Watch` by RQ. Give it a client with short timeouts: a person waits."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def look(self) -> Backstage:
        """One look. With Redis away it says so; nothing of the outbox is lost by that."""
        try:
            queues = {
                name: Queue(queue_name(name), connection=self._redis, serializer=JSONSerializer) for name in QUEUES
            }
            workers = Worker.all(connection=self._redis, serializer=JSONSerializer)[:WORKERS_MAX]
            return Backstage(
                reachable=True,
                workers=tuple(sorted((_seen(worker) for worker in workers), key=lambda w: (w.queue, w.name))),
                jobs={name: queue.count for name, queue in queues.items()},
                hands=self._hands(list(queues.values())),
            )
        except RedisError as error:
            log.warning("backstage.away", error=type(error).__name__)
            return Backstage(reachable=False, error=type(error).__name__)

    def _hands(self, queues: list[Queue]) -> dict[int, str]:
        """outbox row → worker, of the jobs that are under way. A push's job ends when its threads have it."""
        ids = itertools.chain.from_iterable(
            queue.started_job_registry.get_job_ids(0, JOBS_MAX, cleanup=False) for queue in queues
        )
        hands: dict[int, str] = {}
        for job in Job.fetch_many(list(ids), connection=self._redis, serializer=JSONSerializer):
            if job is None or not job.args:
                continue
            for row_id, _token in job.args[0]:
                hands[int(row_id)] = job.worker_name or ""
        return hands


def _seen(worker: BaseWorker) -> WorkerSeen:
    names = worker.queue_names()
    return WorkerSeen(
        name=worker.name[:12],
        queue=names[0].removeprefix("mwolo:") if names else "",
        host=f"{worker.hostname or '?'}:{worker.pid or '?'}",
        since=worker.birth_date,
        heard_at=worker.last_heartbeat,
        busy=worker.get_current_job_id() is not None,
    )
