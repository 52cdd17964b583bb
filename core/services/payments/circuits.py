"""How each operator fares, kept in one row for all processes, and looked at in memory by those in a hurry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.db import Database
from core.kernel.clock import Clock
from core.payments.circuit import Circuit, after, condition
from core.payments.ports import QueryAnswer, StartAnswer
from core.payments.tables import CircuitRow

log = structlog.get_logger(__name__)

_CLOSED = Circuit()


@dataclass(frozen=True, slots=True)
class CircuitState:
    """One operator, for people. `open_until` None: it is well, or was only in trouble a few times."""

    wallet: str
    failures: int
    open_until: datetime | None
    why: str


def of(session: Session, wallet: str) -> Circuit:
    """The circuit as the database has it now."""
    row = session.get(CircuitRow, wallet)
    return Circuit(row.failures, row.trips, row.open_until, row.why) if row else _CLOSED


def note(
    session: Session,
    wallet: str,
    call: Literal["start", "query"],
    answer: StartAnswer | QueryAnswer,
    *,
    clock: Clock,
    scale: float,
) -> None:
    """Take one answer into account, last thing in the caller's transaction: its row is one that all contend for."""
    seen = condition(call, answer)
    if seen == "unclear" or (seen == "well" and of(session, wallet) == _CLOSED):
        return
    now = clock.real_now()
    row = _locked(session, wallet, now)
    before = Circuit(row.failures, row.trips, row.open_until, row.why)
    why = str(getattr(answer, "why", None) or getattr(answer, "code", ""))
    later = after(before, seen, why=why, now=now, scale=scale)
    if later == before:
        return
    row.failures, row.trips, row.open_until, row.why = later.failures, later.trips, later.open_until, later.why
    row.changed_at = now
    if later.open_until and later.open_until != before.open_until:
        log.warning("wallet.left_alone", wallet=wallet, until=later.open_until.isoformat(), why=later.why)
    elif before.open_until and later.open_until is None:
        log.info("wallet.well_again", wallet=wallet)


def _locked(session: Session, wallet: str, now: datetime) -> CircuitRow:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    session.execute(
        insert(CircuitRow)
        .values(wallet=wallet, failures=0, trips=0, open_until=None, changed_at=now, why="")
        .on_conflict_do_nothing(index_elements=["wallet"])
    )
    return session.get_one(CircuitRow, wallet, with_for_update=True, populate_existing=True)


class Circuits:
    """A copy in memory for those who may not ask the database: turns of customers. `refresh` renews it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._open_until: Mapping[str, datetime] = {}

    def refresh(self) -> None:
        """Read the rows anew. Called every few seconds by a thread of the web process."""
        self._open_until = {state.wallet: state.open_until for state in self.states() if state.open_until}

    def is_open(self, wallet: str) -> bool:
        until = self._open_until.get(wallet)
        return until is not None and self._clock.real_now() < until

    def states(self) -> list[CircuitState]:
        with self._db.read() as session:
            rows = session.scalars(select(CircuitRow).order_by(CircuitRow.wallet)).all()
        return [CircuitState(row.wallet, row.failures, row.open_until, row.why) for row in rows]
