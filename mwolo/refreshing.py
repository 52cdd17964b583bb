"""Copies in memory that turns of customers read: renewed beside the requests, never inside one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger(__name__)

EVERY_S = 2.0


class Refresher:
    """`nudge` costs a look at the clock; every few seconds it starts one short thread that renews all copies.

    No thread of its own that runs for ever: a process without visitors asks the database nothing.
    """

    def __init__(self, renew: Sequence[Callable[[], None]], *, every_s: float = EVERY_S) -> None:
        self._renew = renew
        self._every_s = every_s
        self._next = 0.0
        self._one = threading.Lock()

    def nudge(self) -> None:
        if time.monotonic() < self._next or not self._one.acquire(blocking=False):
            return
        self._next = time.monotonic() + self._every_s
        threading.Thread(target=self._run, name="refresh", daemon=True).start()

    def now(self) -> None:
        """Renew at once, in the caller's thread: at start, before the first visitor."""
        with self._one:
            self._all()
            self._next = time.monotonic() + self._every_s

    def _run(self) -> None:
        try:
            self._all()
        finally:
            self._one.release()

    def _all(self) -> None:
        for renew in self._renew:
            try:
                renew()
            except Exception:
                # What is in memory stays as it was: a little old is better than no answer for a customer.
                log.exception("refresh.failed")
