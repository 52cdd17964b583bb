"""Fill an empty database with a small, believable utility: people, meters, invoices in every state, and their past."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.billing.policy import DEFAULT_POLICY
from core.billing.tables import DunningPolicyRow, InvoiceRow, NumberSeriesRow, TariffRow
from core.customers.opening import read_spans, week_as_json, week_of
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.kernel.clock import Clock, local_date
from core.kernel.errors import StateConflict
from core.services.places import Places
from core.supply.tables import MeterDesiredRow
from mwolo.seed_agents import pin_hashes, write_agents, write_rules
from mwolo.seed_data.places import CITIES
from mwolo.seed_data.plan import Person, people, sellers
from mwolo.seed_history import live
from mwolo.seed_readings import write_readings

# Rows of `number_series` that say how far a seed came: its size when the people are written, 1 when history is.
_PEOPLE, _HISTORY = "seed:people", "seed:history"


class NotEmpty(StateConflict):
    """There are contracts that no seed wrote. A seed never touches them."""


@dataclass(frozen=True, slots=True)
class SeededPhone:
    """A customer for `ready.json` and the sandbox's phones. `balance`: whole units of `currency` in the wallet."""

    phone: str
    name: str
    account: str
    language: str
    brand: str
    wallet_pin: str
    balance: int
    currency: str
    meter: str | None


@dataclass(frozen=True, slots=True)
class SeededAgent:
    """`pin` opens the float on the short code, `wallet_pin` the agent's own wallet, in which `balance` lies."""

    phone: str
    name: str
    language: str
    brand: str
    pin: str
    wallet_pin: str
    balance: int
    currency: str = "CDF"
    account: str | None = None
    meter: str | None = None


@dataclass(frozen=True, slots=True)
class SeededMeter:
    """A meter with a radio, as the simulator must start it."""

    id: str
    supply: str
    version: int
    account: str


@dataclass(frozen=True, slots=True)
class SeededKeypad:
    """A keypad meter, as the sandbox must hang it up. `typed`: tokens that were typed on it, at `typed_at`."""

    id: str
    key: str = field(repr=False)
    starting_code: int
    account: str
    typed: tuple[str, ...]
    typed_at: float


@dataclass(frozen=True, slots=True)
class SeededScenario:
    """The customer of the story of the unpaid invoice: validated, not sent."""

    phone: str
    account: str
    meter: str
    wallet_pin: str
    contract_id: int
    invoice_id: int


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What a demo needs to know of the town. The scenario's customer comes first."""

    customers: tuple[SeededPhone, ...]
    agents: tuple[SeededAgent, ...]
    meters: tuple[SeededMeter, ...]
    scenario: SeededScenario
    keypads: tuple[SeededKeypad, ...] = ()


def seed(db: Database, clock: Clock, *, size: int = 200) -> SeedReport:
    """Write the town into an empty database; a second run changes nothing and answers at once, whatever its `size`.

    One that was interrupted is taken up where it stopped. Raises NotEmpty.
    """
    with db.read() as session:
        written, lived = _mark(session, _PEOPLE), _mark(session, _HISTORY)
        if written is None and session.scalar(select(func.count()).select_from(ContractRow)):
            raise NotEmpty("The database has contracts already: a seed fills an empty one only.")
    town = people(written or size)
    if written is None:
        _write_people(db, clock, town)
    if lived is None:
        live(db, clock, town)
        with db.begin() as session:
            session.add(NumberSeriesRow(name=_HISTORY, last=1))
    return _report(db, town)


def _mark(session: Session, name: str) -> int | None:
    return session.scalar(select(NumberSeriesRow.last).where(NumberSeriesRow.name == name))


# The people.


def _write_people(db: Database, clock: Clock, town: list[Person]) -> None:
    hashes = pin_hashes()
    Places(db).load()
    with db.begin() as session:
        agencies = _agencies(session)
        tariffs = _tariffs(session)
        write_agents(session, clock, agencies, hashes)
        write_rules(session, clock, clock.now() - timedelta(days=60))
        session.add(DunningPolicyRow(version=1, valid_from=date(2020, 1, 1), body=DEFAULT_POLICY.as_json()))
        for person in town:
            _person(session, clock, person, agencies, tariffs)
        session.add(NumberSeriesRow(name=_PEOPLE, last=len(town)))


_WEEK = week_as_json(week_of([*[read_spans("8h-16h")] * 5, read_spans("8h-12h"), ()]))


def _agencies(session: Session) -> dict[str, int]:
    rows = {
        city.code: AgencyRow(
            code=city.code,
            name=f"Agence {city.name}",
            city=city.name,
            address=city.agency_address,
            phone=f"+24381000800{number}",
            hours="",
            week=_WEEK,
            time_zone=city.zone,
            province_code=city.place[:2],
            place_code=city.place,
        )
        for number, city in enumerate(CITIES)
    }
    session.add_all(rows.values())
    session.flush()
    return {code: row.id for code, row in rows.items()}


# Subscription, standing charge, flat price, and a kWh of each block.
_PRICES = {
    "CDF": ("6000", "3000", "15000", ("70", "140", "165")),
    "USD": ("2.15", "1.10", "5.40", ("0.025", "0.05", "0.06")),
}


def _tariff_bodies(prices: tuple[str, str, str, tuple[str, str, str]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """kind → (name, body). VAT of 16 %, which the social block is free of; prepaid has prices of its own."""
    subscription, standing, flat, (social, middle, high) = prices
    vat = [{"code": "vat", "name": "TVA", "percent": "16", "spares_social": True}]
    blocks = [
        {"upto_kwh": 50, "per_kwh": social},
        {"upto_kwh": 150, "per_kwh": middle},
        {"per_kwh": high},
    ]
    return {
        "monthly": ("Mensuel basse tension", {"subscription": subscription, "levies": vat}),
        "consumption": ("Consommation basse tension", {"blocks": blocks, "standing": standing, "levies": vat}),
        "flat": ("Forfait social", {"flat": flat, "levies": vat}),
        "prepaid": ("Prépayé", {"unit": "day"}),
    }


def _tariffs(session: Session) -> dict[tuple[str, str], int]:
    rows = {
        (kind, currency): TariffRow(
            code=f"{kind[:4].upper()}-{currency}",
            name=name,
            kind=kind,
            currency=currency,
            valid_from=date(2024, 1, 1),
            body=body,
        )
        for currency, prices in _PRICES.items()
        for kind, (name, body) in _tariff_bodies(prices).items()
    }
    session.add_all(rows.values())
    session.flush()
    return {key: row.id for key, row in rows.items()}


def _person(
    session: Session,
    clock: Clock,
    person: Person,
    agencies: dict[str, int],
    tariffs: dict[tuple[str, str], int],
) -> None:
    now = clock.now()
    since = now - timedelta(days=400)
    customer = CustomerRow(
        name=person.name,
        kind=person.kind,
        language=person.language,
        # One in five has an address; the first of the town is one of them.
        email=f"client{person.number}@exemple.cd" if person.number % 5 == 1 else None,
        created_at=since,
    )
    site = SiteRow(
        agency_id=agencies[person.city.code],
        address=person.address,
        commune=person.commune,
        city=person.city.name,
        time_zone=person.city.zone,
        province_code=person.city.place[:2],
        place_code=person.city.place,
        protected=person.protected,
    )
    session.add_all((customer, site))
    session.flush()
    session.add(
        PhoneLinkRow(
            phone=person.phone,
            customer_id=customer.id,
            role="holder",
            language=person.language,
            last_brand=person.brand,
            confirmed_at=since,
            fresh_until=now + timedelta(days=365),
            created_at=since,
        )
    )
    installed = local_date(since, person.city.zone)
    session.add(MeterRow(id=person.meter, site_id=site.id, control_kind=person.control_kind, installed_on=installed))
    session.flush()
    session.add(
        ContractRow(
            account_number=person.account,
            customer_id=customer.id,
            site_id=site.id,
            meter_id=person.meter,
            kind=person.contract_kind,
            currency=person.currency,
            tariff_id=tariffs[person.contract_kind, person.currency],
            opened_on=installed,
        )
    )
    session.flush()
    if person.contract_kind == "consumption":
        write_readings(session, person, now)


# The report.


def _report(db: Database, town: list[Person]) -> SeedReport:
    with db.read() as session:
        desired = {row.meter_id: row for row in session.scalars(select(MeterDesiredRow))}
        first = town[0]
        contract_id, invoice_id = session.execute(
            select(ContractRow.id, InvoiceRow.id)
            .join(InvoiceRow, InvoiceRow.contract_id == ContractRow.id)
            .where(ContractRow.account_number == first.account)
            .order_by(InvoiceRow.id)
        ).first() or (0, 0)

    def meter(person: Person) -> SeededMeter:
        row = desired.get(person.meter)
        return SeededMeter(person.meter, row.supply if row else "on", row.version if row else 0, person.account)

    return SeedReport(
        customers=tuple(
            SeededPhone(p.phone, p.name, p.account, p.language, p.brand, p.wallet_pin, p.purse, p.currency, p.meter)
            for p in town
        ),
        agents=tuple(
            SeededAgent(s.phone, s.name, s.language, s.brand, s.pin, s.wallet_pin, s.purse, s.float_.currency)
            for s in sellers()
        ),
        meters=tuple(meter(p) for p in town if p.control_kind == "mqtt_relay"),
        scenario=SeededScenario(first.phone, first.account, first.meter, first.wallet_pin, contract_id, invoice_id),
    )
