"""RQ as the executor. A job carries row ids and tokens and nothing else, as JSON: no retry, no result, no memory.

Everything RQ may do to a job (lose it, run it twice, keep it for a quarter of an hour) is measured and harmless: the
outbox row's lease runs out and it is handed out again.
"""

from __future__ import annotations

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from core.db.engine import assert_outside_transaction
from core.outbox import Leased

log = structlog.get_logger(__name__)

# The function that a worker process runs; a text, so that the dispatcher needs not import the workers' world.
ENTRY = "workers.runtime.carry_out"
JOB_TIMEOUT_S = 900


def queue_name(queue: str) -> str:
    return f"mwolo:{queue}"


class RqExecutor:
    """Hands leased rows to RQ."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queues: dict[str, Queue] = {}

    def submit(self, queue: str, rows: list[Leased]) -> bool:
        """One job for these rows. False when Redis did not take it: the leases are then given back."""
        assert_outside_transaction()
        target = self._queues.get(queue)
        if target is None:
            target = Queue(queue_name(queue), connection=self._redis, serializer=JSONSerializer)
            self._queues[queue] = target
        try:
            target.enqueue(
                ENTRY,
                [[row.id, row.token] for row in rows],
                job_timeout=JOB_TIMEOUT_S,
                result_ttl=0,
                failure_ttl=3600,
            )
        except RedisError as error:
            log.warning("queue.away", queue=queue, error=type(error).__name__)
            return False
        return True
