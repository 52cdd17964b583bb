"""Questions about agencies, their hours and where they are. Session or connection first; no commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import Select, func, or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from core.customers.opening import BadHours, Hours, Spans, spans_from_json, week_from_json
from core.customers.tables import AgencyDayRow, AgencyRow, PlaceRow, ProvinceRow, SiteRow

Days = Mapping[int | None, Mapping[date, Spans]]


def days_that_differ(connection: Connection, *, since: date, until: date) -> dict[int | None, dict[date, Spans]]:
    """agency → day → hours, from `since` to `until`; under None those of all agencies."""
    asked = select(AgencyDayRow.agency_id, AgencyDayRow.day, AgencyDayRow.hours).where(
        AgencyDayRow.day >= since, AgencyDayRow.day <= until
    )
    found: dict[int | None, dict[date, Spans]] = {}
    for agency_id, day, hours in connection.execute(asked):
        found.setdefault(agency_id, {})[day] = spans_from_json(hours)
    return found


def hours_of(
    agency_id: int, week: Sequence[Sequence[str]] | None, zone: str, days: Days, holidays: Mapping[date, Spans]
) -> Hours | None:
    """Its hours with every day that differs: its own, else one of all agencies, else a public holiday. None where no
    week was set, or one that nobody can read."""
    if week is None:
        return None
    try:
        return Hours(week_from_json(week), zone, {**holidays, **days.get(None, {}), **days.get(agency_id, {})})
    except BadHours:
        return None


def listed(*, province: str | None, closed: bool | None, like: str) -> Select[AgencyRow, str, str]:
    """Agencies with the names of their province and place, by city and name."""
    asked = (
        select(AgencyRow, ProvinceRow.name.label("province"), PlaceRow.name.label("place"))
        .outerjoin(ProvinceRow, ProvinceRow.code == AgencyRow.province_code)
        .outerjoin(PlaceRow, PlaceRow.code == AgencyRow.place_code)
        .order_by(AgencyRow.city, AgencyRow.name, AgencyRow.id)
    )
    if province:
        asked = asked.where(AgencyRow.province_code == province)
    if closed is not None:
        asked = asked.where(AgencyRow.closed_at.is_not(None) if closed else AgencyRow.closed_at.is_(None))
    if like:
        wanted = f"%{_literal(like.lower())}%"
        columns = AgencyRow.name, AgencyRow.city, AgencyRow.code
        asked = asked.where(or_(*(func.lower(column).like(wanted, escape="\\") for column in columns)))
    return asked


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def sites_of(session: Session, agency_id: int) -> int:
    return session.scalar(select(func.count()).select_from(SiteRow).where(SiteRow.agency_id == agency_id)) or 0
