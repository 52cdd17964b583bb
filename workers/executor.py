"""Carrying out leased rows, one by one: the same code under RQ, in line in tests, and in a thread pool.

A job may be lost, repeated and reordered by its queue; the lease and its fencing token make that harmless here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from sqlalchemy.exc import DBAPIError

from core import outbox
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.errors import NotRecorded
from core.outbox import KINDS, Dead, Leased, Outcome, Retry

log = structlog.get_logger(__name__)

Handler = Callable[[Leased], Outcome]

# After a bug in a handler: again, with patience, until the row is dead.
BUG_PAUSE_S = 5.0


class Executor(Protocol):
    """Takes leased rows of one queue. Returns False when it could not (then the leases are given back)."""

    def submit(self, queue: str, rows: list[Leased]) -> bool: ...


class Runner:
    """Carries rows out, each with its own outcome, and writes the outcome down under the row's token."""

    def __init__(
        self, db: Database, clock: Clock, handlers: Mapping[str, Handler], *, lease_scale: float = 1.0
    ) -> None:
        self._db = db
        self._clock = clock
        self._handlers = handlers
        self._lease_scale = lease_scale

    def run(self, tokens: dict[int, str]) -> None:
        """Carry out those rows of a job (row id → token) that are still ours."""
        with self._db.read() as session:
            rows = outbox.held(session, tokens, clock=self._clock)
        for row in rows:
            self.run_one(row)

    def run_one(self, row: Leased) -> None:
        left_s = (row.lease_until - self._clock.real_now()).total_seconds()
        if left_s < KINDS[row.kind].call_s * min(1.0, self._lease_scale):
            # It waited too long in the queue. Given back untried, it counts as no hand-out.
            with self._db.begin() as session:
                outbox.release(session, [row])
            return
        outcome = self._outcome(row)
        try:
            with self._db.begin() as session:
                ours = outbox.finish(session, row, outcome, clock=self._clock)
        except NotRecorded:
            # The lease runs out and the row is handed out again; what it did is idempotent.
            log.warning("outbox.not_recorded", row=row.id, kind=row.kind)
            return
        if not ours:
            log.warning("outbox.lease_lost", row=row.id, kind=row.kind)
        elif isinstance(outcome, Dead):
            log.error("outbox.dead", row=row.id, kind=row.kind, why=outcome.why)

    def _outcome(self, row: Leased) -> Outcome:
        handler = self._handlers.get(row.kind)
        if handler is None:
            return Dead(f"nobody carries out {row.kind}")
        try:
            return handler(row)
        except NotRecorded:
            return Retry(1.0, "the database was busy", counts=False)
        except Exception as error:
            log.exception("outbox.bug", row=row.id, kind=row.kind)
            # A driver's message may carry the values of a row: names and numbers have no place here.
            words = type(error).__name__ if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
            return Retry(BUG_PAUSE_S * row.attempts, words[:500])


class InLine:
    """Carries rows out at once, in the caller's thread: for tests and the simulation."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def submit(self, queue: str, rows: list[Leased]) -> bool:
        self._runner.run({row.id: row.token for row in rows})
        return True
