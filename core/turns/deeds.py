"""What a turn had done, kept with it: the same turn again gets the same answer and nothing is done twice.

Session first; no commit. A service that a screen calls runs `once` in the transaction that does the deed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.turns.tables import TurnDeedRow

Say = Callable[[Mapping[str, Any]], str | None]

_DEED: Table = TurnDeedRow.metadata.tables["turn_deed"]
_INSERTS = {
    "sqlite": sqlite.insert(_DEED).on_conflict_do_nothing().returning(TurnDeedRow.turn_key),
    "postgresql": postgresql.insert(_DEED).on_conflict_do_nothing().returning(TurnDeedRow.turn_key),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of a deed, now or the first time. `end_text`: the END that was said, None where the session went on."""

    did: Mapping[str, Any]
    end_text: str | None


def once(
    session: Session,
    *,
    turn_key: str,
    kind: str,
    phone: str,
    now: datetime,
    do: Callable[[], Mapping[str, Any]],
    say: Say,
) -> Kept:
    """Do it, unless this turn did it before. `kind`: the deed's name; another one under the same key: ValueError.

    The row is written first: a twin of this turn waits for it, and finds what we did. What `do` returns must be JSON; a
    refusal is data like any other.
    """
    row = {"turn_key": turn_key, "kind": kind, "phone": phone, "did": "", "end_text": None, "at": now}
    if session.scalar(_INSERTS[session.get_bind().dialect.name], row) is None:
        before = session.execute(
            select(TurnDeedRow.kind, TurnDeedRow.did, TurnDeedRow.end_text).where(TurnDeedRow.turn_key == turn_key)
        ).one()
        if before.kind != kind:
            raise ValueError(f"the turn that did {before.kind} cannot do {kind}")
        return Kept(json.loads(before.did), before.end_text)
    did = dict(do())
    end_text = say(did)
    session.execute(
        update(TurnDeedRow)
        .where(TurnDeedRow.turn_key == turn_key)
        .values(did=json.dumps(did, ensure_ascii=False, separators=(",", ":")), end_text=end_text)
    )
    return Kept(did, end_text)


def forget(session: Session, *, before: datetime, limit: int) -> int:
    """Drop what turns before this moment had done, at most so many; how many. Uses ix_turn_deed_at."""
    old = session.scalars(
        select(TurnDeedRow.turn_key).where(TurnDeedRow.at < before).order_by(TurnDeedRow.at).limit(limit)
    ).all()
    if old:
        session.execute(delete(TurnDeedRow).where(TurnDeedRow.turn_key.in_(old)))
    return len(old)


def find(session: Session, turn_key: str) -> Kept | None:
    """What this turn had done, None when nothing."""
    row = session.execute(
        select(TurnDeedRow.did, TurnDeedRow.end_text).where(TurnDeedRow.turn_key == turn_key)
    ).one_or_none()
    return Kept(json.loads(row.did), row.end_text) if row else None
