"""How fast and how many at once: no operator is called more often than it bears, and none takes all our threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

# Of the threads of one process, so many may wait for one operator: a slow one must leave room for the others.
LANE_MAX = 24


class Turnstile(Protocol):
    """Counts the calls of all processes together."""

    def wait_s(self, wallet: str, per_minute: int) -> float:
        """Take one place. 0: go on now; else nothing was taken, come back after so many seconds."""
        ...


class NoTurnstile:
    """Everybody may pass: tests, and processes that call nobody."""

    def wait_s(self, wallet: str, per_minute: int) -> float:
        return 0.0


class Lanes:
    """Calls under way in this process, by operator."""

    def __init__(self, most: int = LANE_MAX) -> None:
        self._most = most
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def enter(self, wallet: str) -> Iterator[bool]:
        """Whether there was room. Never waits."""
        with self._lock:
            room = self._under_way[wallet] < self._most
            self._under_way[wallet] += room
        try:
            yield room
        finally:
            with self._lock:
                self._under_way[wallet] -= room
