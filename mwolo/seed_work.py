"""What a day in the office begins with: readings, a hold, a paper, a promise and a case that wait for a person.

And two homes one looks for in a demo: a prepaid one with a radio meter whose credit is nearly used up, and a customer
with two accounts. A step after the seed. All of it happened yesterday or before, by the services themselves; nothing is
sent to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.billing.queries import policy_on
from core.billing.tables import HoldRow, InvoiceRow, NumberSeriesRow, TariffRow
from core.customers.tables import ContractRow, CustomerRow, MeterRow, SiteRow
from core.db import Database
from core.kernel.clock import Clock, local_date
from core.kernel.digits import with_check
from core.kernel.errors import CustomerError
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.prepaid.tables import PrepaidMarkRow
from core.promises.rules import promise_days
from core.readings.model import Point
from core.readings.tables import ReadingRow
from core.sealing import Sealer
from core.services.billing import Billing, Line
from core.services.cases import Cases
from core.services.dunning_desk import DunningDesk
from core.services.prepaid import Prepaid
from core.services.prepaid_use import PrepaidUse
from core.services.promises import Promises
from core.services.readings import Readings
from meters.registry import TOKEN_MAKERS
from mwolo.seed_agents import CASHIER
from mwolo.seed_data.plan import Person, people
from mwolo.seed_history import Then, let_arrive
from mwolo.seed_readings import register_now

log = structlog.get_logger(__name__)

SECOND_ACCOUNT = with_check("200000712")
# A kWh, 16 % tax included; what the demo's prepaid radio home has left of its credit: just below "low".
KWH_PRICE, LEFT = Money.units(190, "CDF"), Money.units(1_500, "CDF")
_VAT = 1_600
_TARIFF = "PREP-KWH-CDF"
_USED_DAYS = 10
# More than any home counts in a day: a digit too many, as it is misread at a meter.
_JUMP_WH = 900_000
# Rows of `number_series`: how large the town is, and that this step is done.
_PEOPLE, _MARK = "seed:people", "seed:work"


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who plays what. Fewer in a small town."""

    radio: Person | None
    misread: Person | None
    held: Person | None
    protected: Person | None
    promising: Person | None
    reporting: Person | None
    twice: Person | None


def seed_work(db: Database, clock: Clock, sealer: Sealer) -> None:
    """Write it into a seeded town; a second run changes nothing, one that was interrupted is taken up."""
    with db.read() as session:
        size = session.scalar(select(NumberSeriesRow.last).where(NumberSeriesRow.name == _PEOPLE))
        done = session.get(NumberSeriesRow, _MARK) is not None
    if size is None or done:
        return
    work, cast = _Work(db, clock, sealer), _cast(people(size))
    parts: tuple[tuple[Person | None, Callable[[Person], None]], ...] = (
        (cast.radio, work.use_credit),
        (cast.misread, work.misread),
        (cast.held, work.hold),
        (cast.protected, work.protect),
        (cast.promising, work.promise),
        (cast.reporting, work.report),
        (cast.twice, work.second_account),
    )
    for person, act in parts:
        if person is None:
            continue
        try:
            act(person)
        except CustomerError as refused:
            # A town of an earlier version has lived on: where nothing is owed any more nothing is held.
            log.info("seed.left_out", account=person.account, why=refused.text)
    with db.begin() as session:
        session.add(NumberSeriesRow(name=_MARK, last=1))


def _cast(town: list[Person]) -> _Cast:
    taken: set[int] = {0}

    def first(wanted: Callable[[Person], bool]) -> Person | None:
        found = next((p for p in town if p.number not in taken and wanted(p)), None)
        if found is not None:
            taken.add(found.number)
        return found

    def home(person: Person, *fates: str) -> bool:
        return person.kind == "household" and person.fate in fates and person.currency == "CDF"

    return _Cast(
        radio=first(lambda p: home(p, "prepaid") and p.control_kind == "mqtt_relay"),
        # Somebody reads it by eye; in a small town every meter has a radio.
        misread=first(lambda p: p.contract_kind == "consumption" and p.control_kind == "manual")
        or first(lambda p: p.contract_kind == "consumption"),
        promising=first(lambda p: home(p, "fresh")),
        protected=first(lambda p: home(p, "reminded")),
        held=first(lambda p: home(p, "reminded", "fresh", "partly")),
        twice=first(lambda p: home(p, "paid")),
        reporting=first(lambda p: home(p, "paid", "overpaid", "partly")),
    )


class _Work:
    """The acts. Each may be done again: what was done before is left as it is."""

    def __init__(self, db: Database, clock: Clock, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        self._end = clock.now()
        self._then = Then(clock, self._end)

    def use_credit(self, person: Person) -> None:
        """A prepaid home by the kWh: ten days of readings, each charged, until little is left."""
        contract_id = self._at(person, _USED_DAYS + 1, 18)
        self._sells_by_kwh(contract_id, person)
        with self._db.read() as session:
            if session.get(PrepaidMarkRow, contract_id) is not None:
                return
            held = ledger.balance(session, credit(contract_id), person.currency)
        newest = register_now(person)
        spent = max(0, held.minor - LEFT.minor) * 1_000 // KWH_PRICE.minor
        a_day = min(spent, newest * 9 // 10) // _USED_DAYS
        readings, use = Readings(self._db, self._then), PrepaidUse(self._db, self._then)
        for back in range(_USED_DAYS + 1, 0, -1):
            self._at(person, back, 18)
            point = Point(self._then.now(), newest - a_day * (back - 1))
            readings.take(person.meter, [point], source="mqtt")
            use.charge(contract_id)
        self._arrived(contract_id)

    def misread(self, person: Person) -> None:
        self._at(person, 1, 15)
        with self._db.read() as session:
            held = exists().where(ReadingRow.meter_id == person.meter, ReadingRow.state == "held")
            if session.scalar(select(held)):
                return
        point = Point(self._then.now(), register_now(person) + _JUMP_WH)
        Readings(self._db, self._then).take(person.meter, [point], source="csv", by="releveur-1")

    def hold(self, person: Person) -> None:
        contract_id = self._at(person, 1, 9)
        with self._db.read() as session:
            if session.scalar(select(exists().where(HoldRow.contract_id == contract_id, HoldRow.kind == "staff"))):
                return
        DunningDesk(self._db, self._then).put_hold(
            contract_id,
            "staff",
            self._day(person, 2),
            reason="Relevé contesté au guichet, contrôle du compteur demandé",
            by=CASHIER,
        )
        self._arrived(contract_id)

    def protect(self, person: Person) -> None:
        contract_id = self._at(person, 1, 10)
        with self._db.read() as session:
            protected = select(SiteRow.protected).join(ContractRow, ContractRow.site_id == SiteRow.id)
            if session.scalar(protected.where(ContractRow.id == contract_id)) is not None:
                return
        DunningDesk(self._db, self._then).protect(
            contract_id,
            "medical",
            paper="Certificat médical 118/CSL, oxygène à domicile",
            until=self._day(person, 6),
            reason="Appareil médical branché en permanence",
            by=CASHIER,
        )
        self._arrived(contract_id)

    def promise(self, person: Person) -> None:
        contract_id = self._at(person, 1, 11)
        with self._db.read() as session:
            days = promise_days(policy_on(session, self._then.now().date()), self._then.now(), person.city.zone)
        if days:
            Promises(self._db, self._then).make(
                contract_id=contract_id,
                promised_on=days[-1],
                phone=person.phone,
                language=person.language,
                turn_key="seed:promise",
                say=_nothing,
            )
            self._arrived(contract_id)

    def report(self, person: Person) -> None:
        contract_id = self._at(person, 1, 14)
        Cases(self._db, self._then).open_by_staff(
            kind="complaint",
            body="La lumière baisse tous les soirs entre 18 h et 20 h, depuis une semaine. Visite demandée.",
            account=person.account,
            phone=person.phone,
            key="seed:case",
            by=CASHIER,
        )
        self._arrived(contract_id)

    def second_account(self, person: Person) -> None:
        """A small shop beside the home: the same customer, another account, one open bill."""
        first_id = self._at(person, 1, 12)
        with self._db.begin() as session:
            contract = _contract(session, SECOND_ACCOUNT) or _open_shop(session, first_id, person)
            contract_id = contract.id
            there = session.scalars(select(InvoiceRow).where(InvoiceRow.contract_id == contract_id)).first()
            invoice_id, state = (there.id, there.state) if there else (0, "")
        billing, total = Billing(self._db, self._then), Money.units(15_000, "CDF")
        if not state:
            month = self._day(person, 0).replace(day=1) - timedelta(days=1)
            tax = Money.units(total.minor // 100 * 16 // 116, "CDF")
            lines = (Line("Forfait social", total - tax), Line("TVA 16 %", tax, levy="vat"))
            invoice_id, state = billing.draft_invoice(contract_id, period=f"{month:%Y-%m}", lines=lines), "draft"
        if state == "draft":
            billing.validate_invoice(invoice_id)
        if state in ("draft", "validated"):
            billing.send_invoice(invoice_id)
        self._arrived(contract_id)

    # Inside.

    def _at(self, person: Person, days_back: int, hour: int) -> int:
        """Put the clock to an hour of a past day at the person's place; the number of the person's contract."""
        day = self._day(person, -days_back)
        self._then.at = datetime.combine(day, time(hour), ZoneInfo(person.city.zone))
        with self._db.read() as session:
            return session.scalars(select(ContractRow.id).where(ContractRow.account_number == person.account)).one()

    def _day(self, person: Person, days: int) -> date:
        return local_date(self._end, person.city.zone) + timedelta(days=days)

    def _arrived(self, contract_id: int) -> None:
        let_arrive(self._db, self._then, self._end, contract_id=contract_id)

    def _sells_by_kwh(self, contract_id: int, person: Person) -> None:
        prices = Prepaid(self._db, self._then, self._sealer, TOKEN_MAKERS)
        if not any(one.unit == "kwh" for one in prices.prices()):
            prices.set_price("kwh", KWH_PRICE, tax_basis_points=_VAT, valid_from=self._day(person, -60), by="seed")
        with self._db.begin() as session:
            tariff = session.scalars(select(TariffRow).where(TariffRow.code == _TARIFF)).first()
            if tariff is None:
                body = {"unit": "kwh"}
                tariff = TariffRow(
                    code=_TARIFF, name="Prépayé au kWh", kind="prepaid", currency="CDF", valid_from=date(2024, 1, 1),
                    body=body,
                )  # fmt: skip
                session.add(tariff)
                session.flush()
            session.get_one(ContractRow, contract_id).tariff_id = tariff.id


def _nothing(did: Mapping[str, Any]) -> None:
    """Nobody reads a screen of the past."""
    del did


def _contract(session: Session, account: str) -> ContractRow | None:
    return session.scalars(select(ContractRow).where(ContractRow.account_number == account)).first()


def _open_shop(session: Session, first_id: int, person: Person) -> ContractRow:
    first = session.get_one(ContractRow, first_id)
    home, customer = session.get_one(SiteRow, first.site_id), session.get_one(CustomerRow, first.customer_id)
    site = SiteRow(
        agency_id=home.agency_id,
        address=f"{home.address} (boutique)",
        commune=home.commune,
        city=home.city,
        time_zone=home.time_zone,
        province_code=home.province_code,
        place_code=home.place_code,
    )
    session.add(site)
    session.flush()
    meter = MeterRow(id="MW24900712", site_id=site.id, control_kind="manual", installed_on=first.opened_on)
    session.add(meter)
    session.flush()
    flat = select(TariffRow.id).where(TariffRow.kind == "flat", TariffRow.currency == "CDF").order_by(TariffRow.id)
    shop = ContractRow(
        account_number=SECOND_ACCOUNT,
        customer_id=customer.id,
        site_id=site.id,
        meter_id=meter.id,
        kind="flat",
        currency="CDF",
        tariff_id=session.scalars(flat).first(),
        opened_on=first.opened_on,
    )
    session.add(shop)
    session.flush()
    return shop
