"""Builders for a small town: people, places, meters, contracts and invoices, written straight into a session.

Each takes the session first and fills in what a test does not care about. Money is never moved here: an invoice comes
out validated, and is sent through the service. Numbers are counted up from the rows there are, so that a test reads the
same values on every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Session

from core.billing.tables import InvoiceLineRow, InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.kernel.clock import EAST, WEST
from core.kernel.digits import with_check
from core.kernel.money import Money
from core.payments.tables import PaymentRow
from core.supply.tables import MeterReportedRow

# Tuesday 10 March 2026, 09:00 in Kinshasa: where the `clock` fixture stands.
BEGINNING = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
BILL = Money.units(28_500, "CDF")

Row = TypeVar("Row", bound=DeclarativeBase)
_CITIES = {WEST: ("Kinshasa", "Lemba"), EAST: ("Lubumbashi", "Kamalondo")}


@dataclass(frozen=True, slots=True)
class Home:
    """A customer with a confirmed phone, a supplied place, and a contract."""

    customer: CustomerRow
    phone: str
    site: SiteRow
    meter: MeterRow
    contract: ContractRow

    @property
    def account_number(self) -> str:
        return self.contract.account_number


def account_number(count: int) -> str:
    """The account number of the `count`-th contract: nine digits and their check digit."""
    return with_check(f"{100_000_000 + count:09d}")


def phone_number(count: int, prefix: str = "81") -> str:
    """A Vodacom number unless another prefix is asked for (97 Airtel, 84 Orange)."""
    return f"+243{prefix}{5_550_000 + count:07d}"


def agency(session: Session, *, city: str = "Kinshasa", zone: str = WEST, code: str | None = None) -> AgencyRow:
    return _added(
        session,
        AgencyRow(
            code=code or f"AG{_next(session, AgencyRow):03d}",
            name=f"Agence {city}",
            city=city,
            address="12 avenue du Marche",
            phone="+243815550000",
            hours="Lun-Ven 8h-16h",
            time_zone=zone,
        ),
    )


def customer(
    session: Session, *, name: str = "Mbuyi Kalala", language: str = "fr", email: str | None = None
) -> CustomerRow:
    return _added(session, CustomerRow(name=name, language=language, email=email, created_at=BEGINNING))


def phone_link(
    session: Session,
    holder: CustomerRow,
    *,
    phone: str | None = None,
    role: str = "holder",
    confirmed: bool = True,
    fresh: bool = True,
    language: str | None = None,
    last_brand: str | None = None,
) -> PhoneLinkRow:
    """A link that shows amounts, unless it is asked for unconfirmed or stale."""
    until = BEGINNING + timedelta(days=365) if fresh else BEGINNING - timedelta(days=1)
    return _added(
        session,
        PhoneLinkRow(
            phone=phone or phone_number(_next(session, PhoneLinkRow)),
            customer_id=holder.id,
            role=role,
            language=language,
            last_brand=last_brand,
            confirmed_at=BEGINNING - timedelta(days=30) if confirmed else None,
            fresh_until=until if confirmed else None,
            created_at=BEGINNING - timedelta(days=30),
        ),
    )


def site(session: Session, *, zone: str = WEST, at: AgencyRow | None = None, protected: str | None = None) -> SiteRow:
    city, commune = _CITIES[zone]
    return _added(
        session,
        SiteRow(
            agency_id=(at or _some_agency(session, city, zone)).id,
            address="7 avenue Kasa-Vubu",
            commune=commune,
            city=city,
            time_zone=zone,
            protected=protected,
        ),
    )


def meter(
    session: Session, where: SiteRow, *, control_kind: str = "mqtt_relay", meter_id: str | None = None
) -> MeterRow:
    return _added(
        session,
        MeterRow(
            id=meter_id or f"MW{_next(session, MeterRow):08d}",
            site_id=where.id,
            control_kind=control_kind,
            installed_on=date(2024, 5, 2),
        ),
    )


def contract(
    session: Session,
    holder: CustomerRow,
    where: SiteRow,
    measured_by: MeterRow | None,
    *,
    kind: str = "monthly",
    currency: str = "CDF",
    state: str = "active",
    number: str | None = None,
) -> ContractRow:
    return _added(
        session,
        ContractRow(
            account_number=number or account_number(_next(session, ContractRow)),
            customer_id=holder.id,
            site_id=where.id,
            meter_id=measured_by.id if measured_by else None,
            kind=kind,
            currency=currency,
            state=state,
            opened_on=date(2024, 5, 2),
        ),
    )


def invoice(
    session: Session,
    on: ContractRow,
    *,
    total: Money = BILL,
    tax_minor: int = 0,
    state: str = "validated",
    period: str = "2026-02",
    issued_on: date = date(2026, 3, 9),
    estimated: bool = False,
    disputed: bool = False,
) -> InvoiceRow:
    """An invoice with one line, validated and not sent. Sending it is the service's business: it moves money."""
    row = _added(
        session,
        InvoiceRow(
            number=f"T-{_next(session, InvoiceRow):06d}",
            contract_id=on.id,
            period=period,
            currency=total.currency,
            total_minor=total.minor,
            tax_minor=tax_minor,
            state=state,
            issued_on=issued_on,
            estimated=estimated,
            disputed=disputed,
        ),
    )
    session.add(
        InvoiceLineRow(invoice_id=row.id, position=1, label="Abonnement", quantity="1", amount_minor=total.minor)
    )
    session.flush()
    return row


def payment(session: Session, on: ContractRow, amount: Money, *, wallet: str = "vodacom") -> PaymentRow:
    """The row of money that came for a contract. Posting it is the test's business."""
    count = _next(session, PaymentRow)
    return _added(
        session,
        PaymentRow(
            id=f"00000000-0000-4000-8000-{count:012d}",
            wallet=wallet,
            provider_txn_id=f"TXN{count:06d}",
            contract_id=on.id,
            currency=amount.currency,
            amount_minor=amount.minor,
            payer_phone=None,
            received_at=BEGINNING,
            found_by="test",
            receipt_number=f"R-{count:06d}",
            verification_code=with_check(f"{count:09d}"),
        ),
    )


def heard(session: Session, measured_by: MeterRow, *, at: datetime, supply: str = "on", version: int = 0) -> None:
    """What a meter last said of itself, and when (real time): one that was never heard is never cut."""
    row = session.get(MeterReportedRow, measured_by.id) or MeterReportedRow(meter_id=measured_by.id)
    row.version, row.supply, row.at, row.online, row.session_no, row.raw = version, supply, at, True, 1, {}
    row.relay = "closed" if supply == "on" else "open"
    session.add(row)
    session.flush()


def home(
    session: Session,
    *,
    name: str = "Mbuyi Kalala",
    language: str = "fr",
    phone: str | None = None,
    zone: str = WEST,
    kind: str = "monthly",
    currency: str = "CDF",
    control_kind: str = "mqtt_relay",
    protected: str | None = None,
) -> Home:
    """Everything at once: a customer with a confirmed and fresh phone, a site, a meter and an active contract."""
    holder = customer(session, name=name, language=language)
    link = phone_link(session, holder, phone=phone)
    where = site(session, zone=zone, protected=protected)
    measured_by = meter(session, where, control_kind=control_kind)
    on = contract(session, holder, where, measured_by, kind=kind, currency=currency)
    return Home(holder, link.phone, where, measured_by, on)


def _some_agency(session: Session, city: str, zone: str) -> AgencyRow:
    found = session.scalars(select(AgencyRow).where(AgencyRow.time_zone == zone).order_by(AgencyRow.id)).first()
    return found or agency(session, city=city, zone=zone)


def _next(session: Session, table: type[DeclarativeBase]) -> int:
    return (session.scalar(select(func.count()).select_from(table)) or 0) + 1


def _added(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row
