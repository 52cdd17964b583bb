"""Writing turns down, and what a screen that was read is evidence of. Session first; no commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.turns.model import TurnEntry
from core.turns.tables import TurnRow

_TURN: Table = TurnRow.metadata.tables["turn"]
_INSERTS = {
    "sqlite": sqlite.insert(_TURN).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_TURN).on_conflict_do_nothing(),
}


def insert(session: Session, entries: Sequence[TurnEntry]) -> None:
    """Insert turns that are not there yet: a batch may be drained twice."""
    if entries:
        session.execute(_INSERTS[session.get_bind().dialect.name], [_row(entry) for entry in entries])


def sightings(entries: Iterable[TurnEntry]) -> dict[int, datetime]:
    """contract → when its amount due and date were last certainly on the phone."""
    seen: dict[int, datetime] = {}
    for entry in entries:
        if entry.seen_contract_id is not None:
            at = datetime.fromisoformat(entry.at)
            seen[entry.seen_contract_id] = max(at, seen.get(entry.seen_contract_id, at))
    return seen


def dials(entries: Iterable[TurnEntry]) -> dict[str, datetime]:
    """phone → when it last spoke to us."""
    seen: dict[str, datetime] = {}
    for entry in entries:
        at = datetime.fromisoformat(entry.at)
        seen[entry.phone] = max(at, seen.get(entry.phone, at))
    return seen


def _row(entry: TurnEntry) -> dict[str, object]:
    return {
        "gateway": entry.gateway,
        "session_id": entry.session_id,
        "phone": entry.phone,
        "service_code": entry.service_code,
        "day": date.fromisoformat(entry.day),
        "position": entry.position,
        "state": entry.state,
        "prefix_length": entry.prefix_length,
        "prefix_hash": entry.prefix_hash,
        "typed": entry.typed,
        "screen": entry.screen,
        "ended": entry.ended,
        "contract_id": entry.contract_id,
        "at": datetime.fromisoformat(entry.at),
    }
