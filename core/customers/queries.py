"""Questions and one change about customers and their phones. Session first; no commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import select, update
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from core.customers.agency_queries import days_that_differ, hours_of
from core.customers.model import AgencyView
from core.customers.opening import Spans
from core.customers.tables import AgencyRow, PhoneLinkRow, PhoneRow

_AGENCIES = (
    select(
        AgencyRow.id, AgencyRow.name, AgencyRow.city, AgencyRow.address, AgencyRow.phone, AgencyRow.hours,
        AgencyRow.week, AgencyRow.time_zone,
    )
    .where(AgencyRow.closed_at.is_(None))
    .order_by(AgencyRow.city, AgencyRow.name, AgencyRow.id)
)  # fmt: skip


def agencies(
    connection: Connection, *, since: date, until: date, holidays: Mapping[date, Spans]
) -> tuple[AgencyView, ...]:
    """All agencies that are not closed for good, by city. A few dozen rows that hardly ever change: callers keep them
    for a while. `since`, `until`: which days that differ are looked at; `holidays`: those of the country among them."""
    rows = connection.execute(_AGENCIES).all()
    if all(row.week is None for row in rows):
        return tuple(AgencyView(*row[:6]) for row in rows)
    days = days_that_differ(connection, since=since, until=until)
    return tuple(AgencyView(*row[:6], hours_of(row.id, row.week, row.time_zone, days, holidays)) for row in rows)


def set_language(session: Session, *, phone: str, language: str, now: datetime) -> None:
    """The language this number chose; it wins over that of the customers it is linked to. Repeats harmlessly."""
    row = session.get(PhoneRow, phone)
    if row is None:
        session.add(PhoneRow(phone=phone, language=language, last_seen_at=now))
    else:
        row.language, row.last_seen_at = language, now
    session.execute(update(PhoneLinkRow).where(PhoneLinkRow.phone == phone).values(language=language))
