"""pawaPay's public keys, by which its callbacks are verified."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from channels.wallets.http_signatures import PublicKey
from core.kernel.clock import Clock


class KeyRing:
    """Public keys by id: cached, and fetched anew for an id not seen before (keys rotate)."""

    # Somebody may send made-up ids all day: that must not become a call to pawaPay each.
    PAUSE = timedelta(seconds=60)

    def __init__(self, fetch: Callable[[], Mapping[str, PublicKey]], clock: Clock, *, lifetime_s: int) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lifetime = timedelta(seconds=lifetime_s)
        self._lock = threading.Lock()
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_at: datetime | None = None

    def find(self, key_id: str) -> PublicKey | None:
        """The key of this id, None when pawaPay has none. Raises PartnerError when the keys cannot be fetched."""
        with self._lock:
            age = None if self._fetched_at is None else self._clock.real_now() - self._fetched_at
            known = key_id in self._keys
            if age is None or age > self._lifetime or (not known and age > self.PAUSE):
                self._keys = self._fetch()
                self._fetched_at = self._clock.real_now()
            return self._keys.get(key_id)
