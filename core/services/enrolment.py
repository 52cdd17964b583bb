"""Enrolment: new customers, the places they are supplied at, their meters and contracts.

Each method is one transaction. `request_id` names the request: the same again gives what was made, and makes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.api_access.tables import MadeRow
from core.billing.tables import TariffRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, PlaceRow, ProvinceRow, SiteRow
from core.db import Database
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.digits import with_check
from core.kernel.errors import ServiceError, StateConflict

# Older than any contract or meter that still runs.
_FIRST_DAY = date(1950, 1, 1)
_AHEAD = timedelta(days=366)


class Unknown(ServiceError):
    """What the new thing is to belong to is not there; the text says what."""


@dataclass(frozen=True, slots=True)
class NewCustomer:
    name: str
    kind: str
    language: str
    email: str | None


@dataclass(frozen=True, slots=True)
class NewSite:
    """`place`: the code of a city, territory or commune."""

    agency_id: int
    address: str
    commune: str
    city: str
    time_zone: str
    protected: str | None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class NewMeter:
    id: str
    site_id: int
    control_kind: str
    installed_on: date


@dataclass(frozen=True, slots=True)
class NewContract:
    """`opened_on` None: today."""

    customer_id: int
    site_id: int
    meter_id: str | None
    kind: str
    currency: str
    tariff_id: int | None
    opened_on: date | None


class Enrolment:
    """`audit`: `Staff.audit`, which writes into the caller's transaction. `by`: who asks."""

    def __init__(self, db: Database, clock: Clock, audit: Callable[[Session, str, str, str, str], None]) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    def add_customer(self, request_id: str, new: NewCustomer, *, by: str) -> str:
        """A customer without any contract yet; gives the id."""

        def make(session: Session, now: datetime) -> str:
            row = CustomerRow(name=new.name, kind=new.kind, language=new.language, email=new.email, created_at=now)
            session.add(row)
            session.flush()
            return str(row.id)

        return self._once("customer", request_id, by, make)

    def add_site(self, request_id: str, new: NewSite, *, by: str) -> str:
        """A place that is supplied; gives its id. Raises Unknown for an agency or a place that is none, StateConflict
        for a place that lies in the other time zone."""

        def make(session: Session, _now: datetime) -> str:
            _there(session.get(AgencyRow, new.agency_id), "agency")
            province = _province_of(session, new.place, new.time_zone) if new.place is not None else None
            row = SiteRow(
                agency_id=new.agency_id,
                address=new.address,
                commune=new.commune,
                city=new.city,
                time_zone=new.time_zone,
                province_code=province,
                place_code=new.place,
                protected=new.protected,
            )
            session.add(row)
            session.flush()
            return str(row.id)

        return self._once("site", request_id, by, make)

    def add_meter(self, request_id: str, new: NewMeter, *, by: str) -> str:
        """A meter at a site; its key is provisioned apart. Raises Unknown, StateConflict for an id that is taken, a day
        that cannot be."""

        def make(session: Session, now: datetime) -> str:
            _check_day(new.installed_on, now)
            _there(session.get(SiteRow, new.site_id), "site")
            if session.get(MeterRow, new.id) is not None:
                raise StateConflict(f"there is a meter {new.id} already")
            session.add(
                MeterRow(id=new.id, site_id=new.site_id, control_kind=new.control_kind, installed_on=new.installed_on)
            )
            session.flush()
            return new.id

        return self._once("meter", request_id, by, make)

    def add_contract(self, request_id: str, new: NewContract, *, by: str) -> str:
        """An active contract with an account number nobody has; gives its id. Raises Unknown; StateConflict for a
        meter that stands elsewhere or serves another contract, a tariff of another kind or currency, a day that
        cannot be."""

        def make(session: Session, now: datetime) -> str:
            if new.opened_on is not None:
                _check_day(new.opened_on, now)
            _there(session.get(CustomerRow, new.customer_id), "customer")
            site = session.get(SiteRow, new.site_id)
            _there(site, "site")
            self._check_meter(session, new)
            self._check_tariff(session, new)
            row = ContractRow(
                account_number=_account_number(session),
                customer_id=new.customer_id,
                site_id=new.site_id,
                meter_id=new.meter_id,
                kind=new.kind,
                currency=new.currency,
                tariff_id=new.tariff_id,
                opened_on=new.opened_on or local_date(now, site.time_zone if site else WEST),
            )
            session.add(row)
            session.flush()
            return str(row.id)

        return self._once("contract", request_id, by, make)

    @staticmethod
    def _check_meter(session: Session, new: NewContract) -> None:
        if new.meter_id is None:
            if new.kind in ("consumption", "prepaid"):
                raise StateConflict(f"a {new.kind} contract has a meter")
            return
        meter = session.get(MeterRow, new.meter_id, with_for_update=True)
        _there(meter, "meter")
        if meter is not None and meter.site_id != new.site_id:
            raise StateConflict(f"meter {new.meter_id} stands at another site")
        serving = select(ContractRow.id).where(ContractRow.meter_id == new.meter_id, ContractRow.state == "active")
        if session.scalar(serving) is not None:
            raise StateConflict(f"meter {new.meter_id} serves another contract")

    @staticmethod
    def _check_tariff(session: Session, new: NewContract) -> None:
        if new.tariff_id is None:
            return
        tariff = session.get(TariffRow, new.tariff_id)
        _there(tariff, "tariff")
        if tariff is not None and (tariff.kind, tariff.currency) != (new.kind, new.currency):
            raise StateConflict(f"tariff {tariff.code} is {tariff.kind} in {tariff.currency}")

    def _once(self, kind: str, request_id: str, by: str, make: Callable[[Session, datetime], str]) -> str:
        now = self._clock.now()
        try:
            with self._db.begin() as session:
                before = session.get(MadeRow, request_id)
                if before is not None:
                    return before.subject
                subject = make(session, now)
                session.add(MadeRow(id=request_id, kind=kind, subject=subject, made_at=self._clock.real_now()))
                self._audit(session, by, f"{kind}.added", f"{kind} {subject}", "")
                return subject
        except IntegrityError as error:
            # Two in the same instant with one id (PostgreSQL lets two look first): the other one's counts.
            raise StateConflict("somebody added the same in the same moment") from error


def _there(row: object | None, what: str) -> None:
    if row is None:
        raise Unknown(f"There is no such {what}.")


def _check_day(day: date, now: datetime) -> None:
    """Bills follow from these days, and every sum of days stays in the calendar."""
    if not _FIRST_DAY <= day <= now.date() + _AHEAD:
        raise StateConflict(f"a day from {_FIRST_DAY:%Y} on, at most a year ahead")


def _province_of(session: Session, place: str, time_zone: str) -> str:
    found = session.get(PlaceRow, place)
    _there(found, "place")
    assert found is not None
    province = session.get_one(ProvinceRow, found.province_code)
    if province.time_zone != time_zone:
        raise StateConflict(f"{found.name} lies in {province.time_zone}")
    return province.code


def _account_number(session: Session) -> str:
    """Random, so that nobody finds the next account by counting; never a nought in front."""
    while True:
        made = with_check(str(100_000_000 + secrets.randbelow(900_000_000)))
        if session.scalar(select(ContractRow.id).where(ContractRow.account_number == made)) is None:
            return made
