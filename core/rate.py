"""Slowing down whoever guesses: a token bucket per caller, in this process.

Each process counts for itself, so n processes let n times as much through. That is enough against guessing, and it
needs nothing else to be up.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime

from core.kernel.clock import Clock


class TokenBuckets:
    """`burst` calls at once for each key, then `per_minute` more as time goes by. Real time.

    `keep`: how many keys are remembered; the one used longest ago is forgotten first.
    """

    def __init__(self, clock: Clock, *, burst: int, per_minute: float, keep: int = 10_000) -> None:
        self._clock = clock
        self._burst = float(burst)
        self._per_second = per_minute / 60
        self._keep = keep
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """Whether `key` may go on now. A refused call costs nothing more."""
        now = self._clock.real_now()
        with self._lock:
            left = self._left(key, now)
            self._buckets.pop(key, None)
            allowed = left >= 1
            self._buckets[key] = (left - 1 if allowed else left, now)
            while len(self._buckets) > self._keep:
                self._buckets.popitem(last=False)
        return allowed

    def has_left(self, key: str) -> bool:
        """Whether the next call of `key` may go on. Asking costs nothing, and nothing is remembered of it."""
        with self._lock:
            return self._left(key, self._clock.real_now()) >= 1

    def _left(self, key: str, now: datetime) -> float:
        left, since = self._buckets.get(key, (self._burst, now))
        return min(self._burst, left + max(0.0, (now - since).total_seconds()) * self._per_second)
