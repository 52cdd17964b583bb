"""Writing turns and ends of sessions down, and what a screen that was read is evidence of. Session first; no commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.turns.model import EndEntry, TurnEntry
from core.turns.rules import how_it_ended
from core.turns.tables import SessionEndRow, TurnRow

_TURN: Table = TurnRow.metadata.tables["turn"]
_END: Table = SessionEndRow.metadata.tables["session_end"]
_INSERTS = {
    "sqlite": sqlite.insert(_TURN).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_TURN).on_conflict_do_nothing(),
}
_INSERTS_OF_ENDS = {
    "sqlite": sqlite.insert(_END).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_END).on_conflict_do_nothing(),
}
_ANSWERED = update(_TURN).where(_TURN.c.id == bindparam("row")).values(answer_ms=bindparam("took_ms"))

# gateway, session id, phone, day
_Key = tuple[str, str, str, date]


@dataclass(slots=True)
class _Shown:
    """A screen as far as the next request needs it. `row`: its id, None where this batch brings it."""

    state: str
    language: str
    at: datetime
    row: int | None = None
    answer_ms: int | None = None


# session → position → screen
_Sessions = dict[_Key, dict[int, _Shown]]


def insert(session: Session, entries: Sequence[TurnEntry | EndEntry]) -> None:
    """Insert turns and ends that are not there yet: a batch may be drained twice. A turn says of the screen before it
    how long it took to answer."""
    turns = [entry for entry in entries if isinstance(entry, TurnEntry)]
    ends = [entry for entry in entries if isinstance(entry, EndEntry)]
    shown = _known(session, turns, ends)
    for turn in turns:
        at = datetime.fromisoformat(turn.at)
        shown.setdefault(_key(turn), {}).setdefault(turn.position, _Shown(turn.state, turn.language, at))
    answered = _answer(turns, shown)
    dialect = session.get_bind().dialect.name
    if turns:
        session.execute(_INSERTS[dialect], [_row(turn, shown[_key(turn)][turn.position]) for turn in turns])
    if answered:
        session.connection().execute(_ANSWERED, answered)
    if ends:
        session.execute(_INSERTS_OF_ENDS[dialect], [_end_row(end, shown) for end in ends])


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


def _key(turn: TurnEntry) -> _Key:
    return turn.gateway, turn.session_id, turn.phone, date.fromisoformat(turn.day)


def _known(session: Session, turns: Sequence[TurnEntry], ends: Sequence[EndEntry]) -> _Sessions:
    """The screens of these sessions that are in the database already, in one read."""
    here = {(_key(turn), turn.position) for turn in turns}
    keys = {_key(turn) for turn in turns if turn.position and (_key(turn), turn.position - 1) not in here}
    keys |= {key for end in ends for key in _days(end)}
    found: _Sessions = {}
    if not keys:
        return found
    rows = session.execute(
        select(
            TurnRow.gateway, TurnRow.session_id, TurnRow.phone, TurnRow.day, TurnRow.position,
            TurnRow.state, TurnRow.language, TurnRow.at, TurnRow.id, TurnRow.answer_ms,
        ).where(tuple_(TurnRow.gateway, TurnRow.session_id, TurnRow.phone, TurnRow.day).in_(sorted(keys)))
    )  # fmt: skip
    for gateway, session_id, phone, day, position, *rest in rows:
        found.setdefault((gateway, session_id, phone, day), {})[position] = _Shown(*rest)
    return found


def _days(end: EndEntry) -> tuple[_Key, _Key]:
    """The session that ended began today, or just before midnight."""
    day = date.fromisoformat(end.day)
    return (end.gateway, end.session_id, end.phone, day), (
        end.gateway, end.session_id, end.phone, day - timedelta(days=1),
    )  # fmt: skip


def _answer(turns: Sequence[TurnEntry], shown: _Sessions) -> list[dict[str, int]]:
    """Note on the screens before these turns that they were answered; returns what must be changed in the database."""
    late: list[dict[str, int]] = []
    for turn in turns:
        before = shown[_key(turn)].get(turn.position - 1)
        if before is None or before.answer_ms is not None:
            continue
        before.answer_ms = _ms(datetime.fromisoformat(turn.at) - before.at)
        if before.row is not None:
            late.append({"row": before.row, "took_ms": before.answer_ms})
    return late


def _ms(took: timedelta) -> int:
    # The sandbox's clock may jump by weeks between two keys; nothing here is a longer wait than a day.
    return max(0, min(int(took.total_seconds() * 1000), 86_400_000))


def _row(entry: TurnEntry, shown: _Shown) -> Mapping[str, Any]:
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
        "network": entry.network,
        "language": entry.language,
        "answer_ms": shown.answer_ms,
    }


def _end_row(end: EndEntry, shown: _Sessions) -> Mapping[str, Any]:
    key = next((key for key in _days(end) if key in shown), _days(end)[0])
    screens = shown.get(key, {})
    at = datetime.fromisoformat(end.at)
    last = screens[max(screens)] if screens else None
    silence_ms = None
    if last is not None and end.duration_ms is not None:
        # The network's own count: its news may come late, and ours would take the delay for silence.
        silence_ms = end.duration_ms - _ms(last.at - screens[min(screens)].at)
    elif last is not None:
        silence_ms = _ms(at - last.at)
    return {
        "gateway": end.gateway,
        "session_id": end.session_id,
        "phone": end.phone,
        "service_code": end.service_code,
        "day": key[3],
        "network": end.network,
        "language": last.language if last else "",
        "state": last.state if last else "",
        "status": end.status,
        "reason": end.reason,
        "how": how_it_ended(end.status, end.reason, silence_ms),
        "duration_ms": end.duration_ms,
        "hops": end.hops,
        "at": at,
    }
