"""Questions and one change about customers and their phones. Session first; no commit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from core.customers.model import AgencyView
from core.customers.tables import AgencyRow, PhoneLinkRow, PhoneRow

_AGENCIES = select(
    AgencyRow.id, AgencyRow.name, AgencyRow.city, AgencyRow.address, AgencyRow.phone, AgencyRow.hours
).order_by(AgencyRow.city, AgencyRow.name, AgencyRow.id)


def agencies(connection: Connection) -> tuple[AgencyView, ...]:
    """All agencies by city. A few dozen rows that hardly ever change: callers keep them for a while."""
    return tuple(AgencyView(*row) for row in connection.execute(_AGENCIES))


def set_language(session: Session, *, phone: str, language: str, now: datetime) -> None:
    """The language this number chose; it wins over that of the customers it is linked to. Repeats harmlessly."""
    row = session.get(PhoneRow, phone)
    if row is None:
        session.add(PhoneRow(phone=phone, language=language, last_seen_at=now))
    else:
        row.language, row.last_seen_at = language, now
    session.execute(update(PhoneLinkRow).where(PhoneLinkRow.phone == phone).values(language=language))
