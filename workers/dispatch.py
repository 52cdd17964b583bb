"""The dispatcher: leases outbox rows and hands their ids to the executor; opens scheduled runs; makes questions due.

Two may run: leases and unique rows keep them apart. It holds nothing that a crash could lose.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from core import outbox
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.errors import NotRecorded
from core.outbox import KINDS, QUEUES, Leased
from core.services.payments import Payments
from workers.executor import Executor
from workers.schedule import Schedule

log = structlog.get_logger(__name__)

# What may be in a queue's hands at once: more would only wait there while their leases run.
IN_HAND_MAX = {"push": 120, "settle": 60, "notices": 60, "bulk": 30}
# With nothing to do, so often is the outbox looked at: this is how long an effect may wait for no reason.
PAUSE_S = 0.25


@dataclass
class Dispatcher:
    """`chores`: small things done every few seconds of real time (draining the journal of turns)."""

    db: Database
    clock: Clock
    executor: Executor
    payments: Payments
    schedule: Schedule
    chores: Sequence[Callable[[], object]] = ()
    lease_scale: float = 1.0
    chore_every_s: float = 2.0
    _next_chore: datetime | None = field(default=None, init=False)

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop. An error of the database or the queue costs a pause, never the process."""
        while not stop.is_set():
            try:
                moved = self.once()
            except NotRecorded:
                log.warning("dispatcher.database_busy")
                moved = 0
            except Exception:
                log.exception("dispatcher.tick_failed")
                stop.wait(1.0)
                moved = 0
            if moved == 0:
                stop.wait(PAUSE_S)

    def once(self) -> int:
        """One round. Returns how many rows an executor took: with the queue away that is none, and `run` pauses."""
        self.payments.stage_due_queries()
        self.schedule.open_due()
        self._do_chores()
        return sum(self._hand_out(queue) for queue in QUEUES)

    def _do_chores(self) -> None:
        now = self.clock.real_now()
        if self._next_chore is not None and now < self._next_chore:
            return
        self._next_chore = now + timedelta(seconds=self.chore_every_s)
        for chore in self.chores:
            chore()

    def _hand_out(self, queue: str) -> int:
        with self.db.read() as session:
            room = IN_HAND_MAX[queue] - outbox.in_hand(session, queue=queue, clock=self.clock)
            if room <= 0 or not outbox.anything_due(session, queue=queue, clock=self.clock):
                return 0
        with self.db.begin() as session:
            rows = outbox.lease(session, queue=queue, clock=self.clock, limit=room, scale=self.lease_scale)
        taken = 0
        for batch in batches(rows):
            if self.executor.submit(queue, batch):
                taken += len(batch)
                continue
            with self.db.begin() as session:
                outbox.release(session, batch)
        return taken


class SignOfLife:
    """A chore: says in the database, every ten seconds, that this dispatcher lives. The console shows it."""

    EVERY_S, LASTS_S = 10.0, 45.0

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._holder = f"{socket.gethostname()[:60]}:{os.getpid()}"
        self._next: datetime | None = None

    def __call__(self) -> None:
        now = self._clock.real_now()
        if self._next is not None and now < self._next:
            return
        self._next = now + timedelta(seconds=self.EVERY_S)
        name = f"dispatcher:{self._holder[-28:]}"
        with self._db.begin() as session:
            outbox.sign_of_life(session, name=name, holder=self._holder, clock=self._clock, for_s=self.LASTS_S)


def batches(rows: Sequence[Leased]) -> list[list[Leased]]:
    """Rows of one kind together, as many as one job of that kind may carry."""
    by_kind: dict[str, list[Leased]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    return [
        kind_rows[i : i + KINDS[kind].batch]
        for kind, kind_rows in by_kind.items()
        for i in range(0, len(kind_rows), KINDS[kind].batch)
    ]
