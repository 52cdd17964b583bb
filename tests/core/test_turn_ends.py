"""How long a screen waited for its answer, and how its session ended: written down once, in whatever batches."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import event, select

from core.db import Database
from core.kernel.clock import FixedClock
from core.services.turns import Turns
from core.turns.model import EndEntry, TurnEntry, read_entry
from core.turns.rules import SILENCE_MS, how_it_ended
from core.turns.tables import SessionEndRow, TurnRow

PHONE = "+243815550001"


def turn(clock: FixedClock, position: int, *, after_s: float = 0, ended: bool = False, **other: object) -> TurnEntry:
    entry = TurnEntry(
        "africastalking", "ATUid_1", PHONE, "*123#", "2026-03-10", position, f"state{position}", position, "0" * 32, "",
        "Marie", ended, None, (clock.now() + timedelta(seconds=after_s)).isoformat(), None, "63001", "fr",
    )  # fmt: skip
    return replace(entry, **other)  # type: ignore[arg-type]


def end(clock: FixedClock, *, after_s: float, **other: object) -> EndEntry:
    entry = EndEntry(
        "africastalking", "ATUid_1", PHONE, "*123#", "63001", "left", "", None, 3, "2026-03-10",
        (clock.now() + timedelta(seconds=after_s)).isoformat(),
    )  # fmt: skip
    return replace(entry, **other)  # type: ignore[arg-type]


def test_the_old_shape_is_still_read(clock: FixedClock) -> None:
    new = turn(clock, 0)
    old = json.dumps(json.loads(new.to_json())[:15])
    assert read_entry(old) == replace(new, network="", language="")
    assert read_entry(new.to_json()) == new
    gone = end(clock, after_s=3)
    assert read_entry(gone.to_json()) == gone
    for nonsense in ("{}", '{"end": [1]}', "[1]", "3", "x"):
        with pytest.raises((ValueError, TypeError)):
            read_entry(nonsense)


@pytest.mark.parametrize("cut", range(5))
def test_answers_and_ends_in_any_batches(any_db: Database, clock: FixedClock, cut: int) -> None:
    turns = Turns(any_db)
    entries = [
        turn(clock, 0), turn(clock, 1, after_s=4.5), turn(clock, 2, after_s=10, language="sw"), end(clock, after_s=12),
    ]  # fmt: skip
    for batch in (entries[:cut], entries[cut:], entries[:cut]):
        turns.record(batch)
    with any_db.read() as session:
        rows = session.scalars(select(TurnRow).order_by(TurnRow.position)).all()
        assert [(row.network, row.language, row.answer_ms) for row in rows] == [
            ("63001", "fr", 4500), ("63001", "fr", 5500), ("63001", "sw", None),
        ]  # fmt: skip
        (ended,) = session.scalars(select(SessionEndRow))
        assert (ended.state, ended.language, ended.how, ended.hops) == ("state2", "sw", "hung_up", 3)


def test_an_end_belongs_to_the_session_that_began_before_midnight(any_db: Database, clock: FixedClock) -> None:
    turns = Turns(any_db)
    turns.record([turn(clock, 0, day="2026-03-09")])
    # The network's own duration counts: the news came an hour late.
    turns.record([end(clock, after_s=3600, duration_ms=5000)])
    turns.record([end(clock, after_s=1, session_id="nobody's", status="failed", reason="timeout")])
    with any_db.read() as session:
        known, unknown = session.scalars(select(SessionEndRow).order_by(SessionEndRow.id))
        assert (known.day, known.state, known.how) == (date(2026, 3, 9), "state0", "hung_up")
        assert (unknown.day, unknown.state, unknown.how) == (date(2026, 3, 10), "", "failed")


@pytest.mark.parametrize(
    ("status", "reason", "silence_ms", "how"),
    [
        ("reached_end", "", 0, "reached_end"),
        ("failed", "timeout", 0, "failed"),
        ("left", "timeout", 0, "timed_out"),
        ("left", "cancelled", 90_000, "hung_up"),
        ("left", "", SILENCE_MS, "timed_out"),
        ("left", "other", SILENCE_MS - 1, "hung_up"),
        ("left", "", None, "left"),
    ],
)
def test_who_ended_it(status: str, reason: str, silence_ms: int | None, how: str) -> None:
    assert how_it_ended(status, reason, silence_ms) == how


def test_a_batch_is_few_statements(any_db: Database, clock: FixedClock) -> None:
    turns = Turns(any_db)
    many = [turn(clock, n, session_id=f"s{s}") for s, n in itertools.product(range(30), range(3))]
    turns.record(many[:44])
    told: list[str] = []
    event.listen(any_db.engine, "before_cursor_execute", lambda *said: told.append(said[2]))
    turns.record([*many[44:], *(end(clock, after_s=9, session_id=f"s{s}") for s in range(30))])
    ours = [one.split()[0] for one in told if "turn" in one or "session_end" in one]
    # On PostgreSQL many rows go in pages of a thousand.
    assert ours == ["SELECT", "INSERT", "UPDATE", "INSERT"]
