"""Sessions shared by all processes through Redis, so that workers do not end each other's tokens.

What is kept is sealed: a token moves money. Redis may be emptied, which costs one more session, and may be away:
then each process goes on with what it last saw and keeps its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import redis
import structlog
from redis.exceptions import LockError, RedisError

from channels.wallets.sessions import InProcessStore, Session, Sessions
from core.sealing import SealBroken, Sealer

# Longer than any call for a token lasts; whoever holds the lock longer has crashed.
_LOCK_S = 90
# No operator's session lives a day: what nobody renewed is not left lying about.
_KEEP_S = 24 * 3600
# While Redis is away each try may cost seconds of a payment: it is not tried more often than this.
_TRY_AGAIN_S = 5.0

_log = structlog.get_logger("wallet_sessions")


class RedisSessionStore:
    """Keeps the sessions of one application (`name`) for everybody who has this Redis and this secret key."""

    def __init__(
        self,
        client: redis.Redis,
        sealer: Sealer,
        name: str,
        *,
        lock_s: float = _LOCK_S,
        try_again_s: float = _TRY_AGAIN_S,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._purpose = f"wallet_sessions:{name}"
        self._key = f"wallets:sessions:{name}"
        self._lock_key = f"wallets:sessions:{name}:creator"
        self._lock_s = lock_s
        self._try_again_s = try_again_s
        # What this process last saw: all there is while Redis is away.
        self._own = InProcessStore()
        self._away = False
        self._tried_at = 0.0
        self._unreadable = False

    def load(self) -> Sessions:
        if self._left_alone():
            return self._own.load()
        try:
            kept = self._read(self._client.get(self._key))
        except RedisError as error:
            self._gone(error)
            return self._own.load()
        self._back()
        self._own.update(lambda _: kept)
        return kept

    def update(self, change: Callable[[Sessions], Sessions]) -> None:
        changed: Sessions = ()

        def step(pipe: Any) -> None:
            nonlocal changed
            changed = change(self._read(pipe.get(self._key)))
            pipe.multi()
            pipe.set(self._key, self._write(changed), ex=_KEEP_S)

        if self._left_alone():
            self._own.update(change)
            return
        try:
            # Watches the key and starts again when somebody else was faster.
            self._client.transaction(step, self._key)
        except RedisError as error:
            self._gone(error)
            self._own.update(change)
            return
        self._back()
        self._own.update(lambda _: changed)

    @contextmanager
    def creating(self) -> Iterator[bool]:
        if self._left_alone():
            with self._own.creating() as alone:
                yield alone
            return
        # The lock carries a token of its holder and is freed by nobody else; a crash frees it after `lock_s`.
        lock = self._client.lock(self._lock_key, timeout=self._lock_s, thread_local=False)
        try:
            mine = bool(lock.acquire(blocking=False))
        except RedisError as error:
            self._gone(error)
            with self._own.creating() as alone:
                yield alone
            return
        self._back()
        try:
            yield mine
        finally:
            if mine:
                self._free(lock)

    def _free(self, lock: Any) -> None:
        try:
            lock.release()
        except LockError:
            # It was held too long and is somebody else's now, or Redis was emptied meanwhile.
            _log.info("session_lock_lost", name=self._key)
        except RedisError as error:
            self._gone(error)

    def _read(self, text: Any) -> Sessions:
        if text is None:
            return ()
        try:
            sealed = text.decode() if isinstance(text, bytes) else str(text)
            rows = json.loads(self._sealer.unseal(sealed, purpose=self._purpose))
            kept = tuple(_session(row) for row in rows)
        except (SealBroken, ValueError, KeyError, TypeError) as error:
            # Another secret key or another release wrote it: as good as empty, and written over.
            if not self._unreadable:
                _log.warning("sessions_unreadable", name=self._key, why=type(error).__name__)
            self._unreadable = True
            return ()
        self._unreadable = False
        return kept

    def _write(self, sessions: Sessions) -> str:
        rows = [
            asdict(s) | {"created_at": s.created_at.isoformat(), "live_at": s.live_at.isoformat()} for s in sessions
        ]
        return self._sealer.seal(json.dumps(rows).encode(), purpose=self._purpose)

    def _gone(self, error: RedisError) -> None:
        if not self._away:
            _log.warning("session_store_away", name=self._key, why=type(error).__name__)
        self._away, self._tried_at = True, time.monotonic()

    def _left_alone(self) -> bool:
        return self._away and time.monotonic() < self._tried_at + self._try_again_s

    def _back(self) -> None:
        if self._away:
            _log.info("session_store_back", name=self._key)
        self._away = False


def _session(row: dict[str, Any]) -> Session:
    return Session(
        id=str(row["id"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        live_at=datetime.fromisoformat(row["live_at"]),
        proven=bool(row["proven"]),
        lifetime_s=row["lifetime_s"],
    )
