"""Things the outside world does later by itself: callbacks, expiring prompts, late money, delivery reports.

Each is a row, so that a restart of the box forgets none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from mwolo.sandbox.store import Now, Store, errands

log = logging.getLogger(__name__)

# A handler gets the errand's body and how often it was tried; None is "done", a number "again in so many seconds".
Handler = Callable[[Mapping[str, Any], int], float | None]

# Long enough not to burn the processor, short enough for a machine that slept.
LOOK_AGAIN_S = 5.0
# Rows looked at in one go: every change of the database makes the loop look, so a long queue must stay cheap to see.
GLANCE = 64


class Errands:
    """Runs due rows on a few threads. A row runs once at a time, and stays until its handler says it is done."""

    def __init__(self, store: Store, now: Now, *, threads: int = 16) -> None:
        self._store = store
        self._now = now
        self._handlers: dict[str, Handler] = {}
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="errand")
        self._loop = threading.Thread(target=self._run, name="errands", daemon=True)

    def on(self, kind: str, handler: Handler) -> None:
        self._handlers[kind] = handler

    def add(self, db: Connection, kind: str, body: Mapping[str, Any], *, delay_s: float = 0.0) -> None:
        """Stage an errand in the caller's transaction; the store rings the bell when it commits."""
        db.execute(insert(errands).values(kind=kind, body=dict(body), due=self._now() + delay_s, tries=0))

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the loop and wait for what is under way. The store's bell must have been closed before."""
        if self._loop.is_alive():
            self._loop.join(timeout=10)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        bell = self._store.bell
        while not bell.closed:
            seen = bell.count
            try:
                pause_s = self._hand_out()
            except SQLAlchemyError:
                # A disk that is full or a lock held too long passes; the loop must outlive it.
                log.exception("sandbox errands cannot be read")
                pause_s = 1.0
            bell.wait(seen, pause_s)

    def _hand_out(self) -> float:
        """Give every due errand to a thread. Returns the seconds until the next one."""
        with self._store.read() as db:
            now = self._now()
            due = select(errands).where(errands.c.due <= now).order_by(errands.c.due).limit(GLANCE)
            for row in db.execute(due).mappings().all():
                with self._lock:
                    if row["id"] in self._running:
                        continue
                    self._running.add(row["id"])
                self._pool.submit(self._one, row["id"], row["kind"], row["body"], row["tries"])
            later = db.scalar(select(func.min(errands.c.due)).where(errands.c.due > now))
        return LOOK_AGAIN_S if later is None else min(LOOK_AGAIN_S, later - self._now())

    def _one(self, errand_id: int, kind: str, body: Mapping[str, Any], tries: int) -> None:
        try:
            if self._still(errand_id, tries):
                self._finish(errand_id, tries, self._attempt(kind, body, tries))
        finally:
            with self._lock:
                self._running.discard(errand_id)
            self._store.bell.ring()

    def _still(self, errand_id: int, tries: int) -> bool:
        """Whether the row is as it was read: between reading and running, another thread may have finished it."""
        with self._store.read() as db:
            return db.scalar(select(errands.c.tries).where(errands.c.id == errand_id)) == tries

    def _attempt(self, kind: str, body: Mapping[str, Any], tries: int) -> float | None:
        try:
            return self._handlers[kind](body, tries)
        except Exception:
            log.exception("sandbox errand %s failed", kind)
            return None

    def _finish(self, errand_id: int, tries: int, again_s: float | None) -> None:
        with self._store.begin() as db:
            if again_s is None:
                db.execute(delete(errands).where(errands.c.id == errand_id))
            else:
                later = {"due": self._now() + again_s, "tries": tries + 1}
                db.execute(update(errands).where(errands.c.id == errand_id).values(later))
