"""The journal of turns in the database: kept for complaints, and as evidence that a reminder was read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow, ReminderRow
from core.customers import link_queries
from core.db import Database
from core.turns import deeds, queries
from core.turns.model import EndEntry, TurnEntry

DEEDS_KEPT = timedelta(days=30)
# SQLite has one writer: whoever clears up lets others in between.
_CHUNK = 500


class Turns:
    """Batches of turns drained from the channel."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, entries: Sequence[TurnEntry | EndEntry]) -> None:
        """Insert a batch of turns and of ended sessions, in one short transaction, and mark what it proves: reminders
        read, phones in use.

        The same batch again changes nothing.
        """
        with self._db.begin() as session:
            queries.insert(session, entries)
            turns = [entry for entry in entries if isinstance(entry, TurnEntry)]
            for contract_id, at in queries.sightings(turns).items():
                _mark_shown(session, contract_id, at)
            link_queries.refresh(session, queries.dials(turns))

    def forget_deeds(self, now: datetime) -> int:
        """Drop what turns had done longer than `DEEDS_KEPT` ago, in short transactions; how many. No turn comes again
        so late: a session lasts minutes, its transcript is replayed within the day. Again is harmless."""
        forgotten = 0
        while True:
            with self._db.begin() as session:
                count = deeds.forget(session, before=now - DEEDS_KEPT, limit=_CHUNK)
            forgotten += count
            if count < _CHUNK:
                return forgotten

    def shown(self, contract_id: int, at: datetime) -> None:
        """A screen with the amount due and the date was read by the contract's customer at `at` (business time): the
        reminders sent until then count as delivered."""
        with self._db.begin() as session:
            _mark_shown(session, contract_id, at)


def _mark_shown(session: Session, contract_id: int, at: datetime) -> None:
    invoices = select(InvoiceRow.id).where(InvoiceRow.contract_id == contract_id)
    session.execute(
        update(ReminderRow)
        .where(ReminderRow.invoice_id.in_(invoices), ReminderRow.delivered_at.is_(None), ReminderRow.created_at <= at)
        .values(delivered_at=at, evidence="screen")
        .execution_options(synchronize_session=False)
    )
