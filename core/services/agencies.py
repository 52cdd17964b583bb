"""Agencies: where they are, when they are open, and what the office changes of that.

Every method opens and ends its own transaction. Changes are written in the audit log in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.agents.tables import AgentRow
from core.customers import agency_queries as queries
from core.customers import agency_rules as rules
from core.customers.agency_rules import AgencyFault, AgencyWanted
from core.customers.opening import Hours, Spans, spans_as_json, spans_from_json, week_as_json
from core.customers.opening_words import spoken_week
from core.customers.tables import AgencyDayRow, AgencyRow, PlaceRow, ProvinceRow
from core.db import Database
from core.i18n import DEFAULT_LANGUAGE, N_
from core.kernel.clock import WEST, Clock, local_date
from core.services.public_holidays import holidays_between, without_hours

PAGE = 50
_EXPORT_LIMIT = 2_000
_DAYS_SHOWN = 100
# How far ahead days that differ are looked at: `Hours.next_opening` looks no further.
_AHEAD = timedelta(days=366)
# Days further away are noted when they are nearer; a slip of the year is not.
_LATEST = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Agency:
    """One agency. `hours_text`: in the language of the reader who asked. `open_until`, `next_opening`: as of now."""

    id: int
    code: str
    name: str
    city: str
    commune: str
    address: str
    province: str
    place: str
    place_code: str
    phones: tuple[str, ...]
    hours: Hours | None
    hours_text: str
    time_zone: str
    latitude_e6: int | None
    longitude_e6: int | None
    closed_at: datetime | None
    open_until: datetime | None
    next_opening: datetime | None


@dataclass(frozen=True, slots=True)
class DifferentDay:
    """One day whose hours differ. `everywhere`: at all agencies. `id` None: a public holiday, which nobody noted."""

    id: int | None
    day: date
    hours: Spans
    reason: str
    everywhere: bool


@dataclass(frozen=True, slots=True)
class AgencyPage:
    """`more`: another page follows."""

    agencies: Sequence[Agency]
    more: bool


@dataclass(frozen=True, slots=True)
class OpeningNow:
    """What a moment says about an agency's hours."""

    hours: Hours | None
    open_until: datetime | None
    next_opening: datetime | None
    days: Sequence[DifferentDay]


class Agencies:
    """`audit`: `Staff.audit`, which writes into the caller's transaction. `by`: the login of whoever acts."""

    def __init__(self, db: Database, clock: Clock, audit: Callable[[Session, str, str, str, str], None]) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    # -- looking -----------------------------------------------------------------------------------------------------

    def page(
        self,
        *,
        language: str = DEFAULT_LANGUAGE,
        province: str | None = None,
        closed: bool | None = None,
        like: str = "",
        number: int = 0,
    ) -> AgencyPage:
        """The agencies by city, page `number` from 0. Two reads. `closed` None: both kinds."""
        asked = queries.listed(province=province, closed=closed, like=like)
        found = self._read(asked.limit(PAGE + 1).offset(PAGE * number), language)
        return AgencyPage(found[:PAGE], len(found) > PAGE)

    def all(self, *, language: str = DEFAULT_LANGUAGE) -> Sequence[Agency]:
        """Every agency, for a file. Two reads."""
        return self._read(queries.listed(province=None, closed=None, like="").limit(_EXPORT_LIMIT), language)

    def one(self, agency_id: int, *, language: str = DEFAULT_LANGUAGE) -> Agency | None:
        asked = queries.listed(province=None, closed=None, like="").where(AgencyRow.id == agency_id)
        return next(iter(self._read(asked, language)), None)

    def depend_on(self, agency_id: int) -> tuple[int, int]:
        """(sites, active agents) that belong to it."""
        with self._db.read() as session:
            active = select(AgentRow.id).where(AgentRow.agency_id == agency_id, AgentRow.active)
            return queries.sites_of(session, agency_id), len(session.scalars(active).all())

    def different_days(self, agency_id: int | None) -> Sequence[DifferentDay]:
        """From today on: those noted for this agency and for all, and the public holidays of a year. None: for all."""
        today = self._today()
        with self._db.read() as session:
            asked = select(AgencyDayRow).where(AgencyDayRow.day >= today)
            whose = or_(AgencyDayRow.agency_id.is_(None), AgencyDayRow.agency_id == agency_id)
            rows = session.scalars(asked.where(whose).order_by(AgencyDayRow.day, AgencyDayRow.id).limit(_DAYS_SHOWN))
            noted = [_different(row) for row in rows]
        named = {day.day for day in noted}
        free = [
            DifferentDay(None, day, (), name, True)
            for day, name in holidays_between(today, today + _AHEAD).items()
            if day not in named
        ]
        return sorted([*noted, *free], key=lambda day: (day.day, day.everywhere))

    def opening(self, records: Iterable[Mapping[str, Any]]) -> dict[int, OpeningNow]:
        """id → hours as of now, for records with `id`, `week` and `time_zone`. One read, however many."""
        wanted = list(records)
        now, today = self._clock.now(), self._today()
        free = without_hours(today - timedelta(days=1), today + _AHEAD)
        with self._db.read() as session:
            noted = self._noted(session, [int(record["id"]) for record in wanted])
        spans = _by_agency(noted)
        said = {}
        for record in wanted:
            agency_id = int(record["id"])
            hours = queries.hours_of(agency_id, record["week"], str(record["time_zone"]), spans, free)
            days = [_different(row) for row in noted if row.agency_id in (None, agency_id) and row.day >= today]
            said[agency_id] = OpeningNow(
                hours, hours.open_until(now) if hours else None, hours.next_opening(now) if hours else None, days
            )
        return said

    # -- changing ----------------------------------------------------------------------------------------------------

    def create(self, code: str, wanted: AgencyWanted, *, by: str) -> int:
        """A new agency; returns the id. Raises AgencyFault. The code never changes: invoice numbers carry it."""
        code = rules.code_of(code)
        values = _checked(wanted)
        taken = AgencyFault("code", N_("Another agency has the code {code}."), code=code)
        try:
            with self._db.begin() as session:
                if session.scalar(select(AgencyRow.id).where(AgencyRow.code == code)) is not None:
                    raise taken
                row = AgencyRow(code=code, hours="")
                self._fill(session, row, wanted, values)
                session.add(row)
                session.flush()
                self._audit(session, by, "agency.created", code, row.name)
                return row.id
        except IntegrityError:
            raise taken from None

    def change(self, agency_id: int, wanted: AgencyWanted, *, by: str) -> None:
        """Raises AgencyFault. The audit log says what was other before."""
        values = _checked(wanted)
        with self._db.begin() as session:
            row = _locked(session, agency_id)
            before = _told(row)
            self._fill(session, row, wanted, values)
            changed = [f"{name}: {was} > {_told(row)[name]}" for name, was in before.items() if was != _told(row)[name]]
            if changed:
                self._audit(session, by, "agency.changed", row.code, "; ".join(changed)[:1000])

    def close(self, agency_id: int, *, by: str) -> None:
        """For good, or until `reopen`: customers do not see it any more. Its sites and agents stay its own."""
        with self._db.begin() as session:
            row = _locked(session, agency_id)
            if row.closed_at is None:
                row.closed_at = self._clock.now()
                self._audit(session, by, "agency.closed", row.code, row.name)

    def reopen(self, agency_id: int, *, by: str) -> None:
        with self._db.begin() as session:
            row = _locked(session, agency_id)
            if row.closed_at is not None:
                row.closed_at = None
                self._audit(session, by, "agency.reopened", row.code, row.name)

    def set_day(self, agency_id: int | None, day: date, hours: Spans, reason: str, *, by: str) -> None:
        """Hours of one day instead of the week's and of a public holiday's; none: closed. `agency_id` None: at every
        agency. Said again it replaces what was said. Raises AgencyFault."""
        today = self._today()
        if not today <= day <= today + _LATEST:
            raise AgencyFault("day", N_("Name a day from today to two years ahead."))
        reason = rules.text_of("reason", reason, rules.REASON_MAX, needed=False)
        with self._db.begin() as session:
            code = _locked(session, agency_id).code if agency_id is not None else "all"
            session.execute(delete(AgencyDayRow).where(_whose(agency_id), AgencyDayRow.day == day))
            row = AgencyDayRow(
                agency_id=agency_id,
                day=day,
                hours=spans_as_json(hours),
                reason=reason,
                made_by=by[:80],
                made_at=self._clock.real_now(),
            )
            session.add(row)
            session.flush()
            said = ", ".join(row.hours) or "closed"
            self._audit(session, by, "agency.day", code, f"{day.isoformat()} {said} {reason}".strip())

    def drop_day(self, agency_id: int | None, day_id: int, *, by: str) -> None:
        """The usual hours again. A day that is gone already is nothing to complain about."""
        with self._db.begin() as session:
            row = session.get(AgencyDayRow, day_id)
            if row is None or row.agency_id != agency_id:
                return
            code = _locked(session, agency_id).code if agency_id is not None else "all"
            session.delete(row)
            self._audit(session, by, "agency.day_dropped", code, row.day.isoformat())

    # -- within ------------------------------------------------------------------------------------------------------

    def _today(self) -> date:
        return local_date(self._clock.now(), WEST)

    def _noted(self, session: Session, ids: Sequence[int]) -> list[AgencyDayRow]:
        since = self._today() - timedelta(days=1)
        whose = AgencyDayRow.agency_id.is_(None) | AgencyDayRow.agency_id.in_(ids)
        asked = select(AgencyDayRow).where(AgencyDayRow.day >= since, AgencyDayRow.day <= since + _AHEAD, whose)
        return list(session.scalars(asked.order_by(AgencyDayRow.day, AgencyDayRow.id)))

    def _read(self, asked: Any, language: str) -> list[Agency]:
        now, today = self._clock.now(), self._today()
        free = without_hours(today - timedelta(days=1), today + _AHEAD)
        with self._db.read() as session:
            rows = session.execute(asked).all()
            days = _by_agency(self._noted(session, [row.AgencyRow.id for row in rows])) if rows else {}
        return [_agency(row, queries.hours_of(*_week(row), days, free), language, now) for row in rows]

    @staticmethod
    def _fill(session: Session, row: AgencyRow, wanted: AgencyWanted, values: dict[str, Any]) -> None:
        place = session.get(PlaceRow, wanted.place)
        if place is None:
            raise AgencyFault("place", N_("Choose a place."))
        province = session.get_one(ProvinceRow, place.province_code)
        for name, value in values.items():
            setattr(row, name, value)
        row.city = row.city or (place.name if place.kind != "commune" else province.name)
        row.commune = row.commune or (place.name if place.kind == "commune" else None)
        row.place_code, row.province_code, row.time_zone = place.code, province.code, province.time_zone
        if row.week is not None:
            row.hours = ""


def _checked(wanted: AgencyWanted) -> dict[str, Any]:
    phones = rules.phones_of(wanted.phones)
    at = rules.coordinates_of(wanted.latitude, wanted.longitude)
    return {
        "name": rules.text_of("name", wanted.name, rules.NAME_MAX),
        "address": rules.text_of("address", wanted.address, rules.ADDRESS_MAX),
        "city": rules.text_of("city", wanted.city, rules.CITY_MAX, needed=False),
        "commune": rules.text_of("commune", wanted.commune, rules.COMMUNE_MAX, needed=False) or None,
        "phone": phones[0],
        "phones": phones[1:] or None,
        "week": week_as_json(wanted.week) if wanted.week is not None else None,
        "latitude_e6": at[0] if at else None,
        "longitude_e6": at[1] if at else None,
    }


def _told(row: AgencyRow) -> dict[str, str]:
    """What the audit log compares."""
    return {
        "name": row.name,
        "place": row.place_code or "",
        "city": row.city,
        "commune": row.commune or "",
        "address": row.address,
        "phones": " ".join([row.phone, *(row.phones or ())]),
        "hours": " | ".join(",".join(day) for day in row.week) if row.week else row.hours,
        "coordinates": f"{rules.degrees_text(row.latitude_e6)} {rules.degrees_text(row.longitude_e6)}".strip(),
    }


def _locked(session: Session, agency_id: int | None) -> AgencyRow:
    row = session.scalar(select(AgencyRow).where(AgencyRow.id == agency_id).with_for_update(key_share=True))
    if row is None:
        raise AgencyFault("id", N_("There is no such agency."))
    return row


def _whose(agency_id: int | None) -> Any:
    return AgencyDayRow.agency_id.is_(None) if agency_id is None else AgencyDayRow.agency_id == agency_id


def _week(row: Any) -> tuple[int, list[list[str]] | None, str]:
    agency: AgencyRow = row.AgencyRow
    return agency.id, agency.week, agency.time_zone


def _by_agency(rows: Sequence[AgencyDayRow]) -> dict[int | None, dict[date, Spans]]:
    days: dict[int | None, dict[date, Spans]] = {}
    for row in rows:
        days.setdefault(row.agency_id, {})[row.day] = spans_from_json(row.hours)
    return days


def _different(row: AgencyDayRow) -> DifferentDay:
    return DifferentDay(row.id, row.day, spans_from_json(row.hours), row.reason, row.agency_id is None)


def _agency(row: Any, hours: Hours | None, language: str, now: datetime) -> Agency:
    a: AgencyRow = row.AgencyRow
    counts = hours is not None and a.closed_at is None
    return Agency(
        id=a.id,
        code=a.code,
        name=a.name,
        city=a.city,
        commune=a.commune or "",
        address=a.address,
        province=row.province or "",
        place=row.place or "",
        place_code=a.place_code or "",
        phones=(a.phone, *(a.phones or ())),
        hours=hours,
        hours_text=spoken_week(hours.week, language) if hours else a.hours,
        time_zone=a.time_zone,
        latitude_e6=a.latitude_e6,
        longitude_e6=a.longitude_e6,
        closed_at=a.closed_at,
        open_until=hours.open_until(now) if hours and counts else None,
        next_opening=hours.next_opening(now) if hours and counts else None,
    )
