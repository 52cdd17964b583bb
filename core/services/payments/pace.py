"""How fast and how many at once: no operator is called more often than it bears, and none takes all our threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

# Of the threads of one process, so many may wait for one operator: a slow one must leave room for the others.
LANE_MAX, LANE_STARTS = 24, 18


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
    """Calls under way in this process, by operator; of them, requests for money may take `starts` places."""

    def __init__(self, most: int = LANE_MAX, starts: int = LANE_STARTS) -> None:
        self._most = most
        self._starts = starts
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def enter(self, wallet: str, call: Literal["start", "query"]) -> Iterator[bool]:
        """Whether there was room. Never waits."""
        requests, all_calls = f"{wallet}:start", wallet
        keys = (all_calls, requests) if call == "start" else (all_calls,)
        with self._lock:
            room = self._under_way[all_calls] < self._most
            if call == "start":
                room = room and self._under_way[requests] < self._starts
            for key in keys:
                self._under_way[key] += room
        try:
            yield room
        finally:
            with self._lock:
                for key in keys:
                    self._under_way[key] -= room
