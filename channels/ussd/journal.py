"""Drains the journal of turns and ends of sessions from Redis into the database, in batches.

A batch is taken off the list only after it is committed; one that is drained twice changes nothing.
"""

from __future__ import annotations

from typing import Protocol

import redis
import structlog

from channels.ussd.sessions import JOURNAL
from core.turns.model import EndEntry, TurnEntry, read_entry

# One transaction of about 20 ms on SQLite, where everybody else's writes wait meanwhile.
BATCH = 200
BATCHES_AT_MOST = 50

_log = structlog.get_logger("ussd_journal")


class TurnRecorder(Protocol):
    def record(self, entries: list[TurnEntry | EndEntry]) -> None: ...


def drain(client: redis.Redis, turns: TurnRecorder) -> int:
    """Move what is waiting into the database, up to 10 000 turns and ends; returns how many. One caller at a time.

    Raises redis.exceptions.RedisError and NotRecorded; what is not committed stays on the list.
    """
    moved = 0
    for _ in range(BATCHES_AT_MOST):
        raw = client.lrange(JOURNAL, 0, BATCH - 1)
        if not raw:
            break
        turns.record([entry for entry in map(_read, raw) if entry is not None])
        client.ltrim(JOURNAL, len(raw), -1)
        moved += len(raw)
    return moved


def _read(raw: bytes | str) -> TurnEntry | EndEntry | None:
    try:
        return read_entry(raw)
    except (ValueError, TypeError):
        # Another release's format: complaint replay loses a turn, nobody loses money.
        _log.warning("ussd_journal_unreadable", octets=len(raw))
        return None
