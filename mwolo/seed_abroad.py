"""One customer in Kenya, so that Daraja can be tried in the demo: postpaid, in shillings, with one open invoice.

Safaricom's M-Pesa serves Kenya alone. The name, the address and the site say that this contract is a trial abroad, so
that nobody takes it for a wallet of the DR Congo.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow, NumberSeriesRow, ReminderRow, TariffRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.kernel.clock import Clock, local_date
from core.kernel.digits import with_check
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.services.billing import Billing, Line
from mwolo.seed import SeededPhone

ACCOUNT = with_check("100000254")
ZONE = "Africa/Nairobi"
BILL = Money.units(1_250, "KES")
# A row of `number_series` that says that she has been written.
_MARK = "seed:abroad"

KENYAN = SeededPhone(
    phone="+254712000254",
    name="Wanjiru Kamau (essai Kenya)",
    account=ACCOUNT,
    language="en",
    brand="mpesa",
    wallet_pin="1234",
    balance=20_000,
    currency="KES",
    meter=None,
)


def seed_abroad(db: Database, clock: Clock) -> SeededPhone:
    """Write her into a seeded town; a second run changes nothing. Nothing is sent: her invoice is of yesterday."""
    with db.begin() as session:
        if session.scalar(select(NumberSeriesRow.last).where(NumberSeriesRow.name == _MARK)) is None:
            _write(session, clock)
            session.add(NumberSeriesRow(name=_MARK, last=1))
    then = clock.now() - timedelta(days=1)
    _bill(db, _At(clock, then))
    return KENYAN


class _At:
    """A clock that stands at a moment of the past."""

    def __init__(self, real: Clock, at: datetime) -> None:
        self._real, self._at = real, at

    def now(self) -> datetime:
        return self._at

    def real_now(self) -> datetime:
        return self._real.real_now()


def _write(session: Session, clock: Clock) -> None:
    now = clock.now()
    since = now - timedelta(days=60)
    customer = CustomerRow(name=KENYAN.name, kind="household", language=KENYAN.language, created_at=since)
    site = SiteRow(
        agency_id=session.scalars(select(AgencyRow.id).order_by(AgencyRow.id)).first(),
        address="Moi Avenue (démonstration Daraja, hors RDC)",
        commune="Kenya",
        city="Nairobi (Kenya)",
        time_zone=ZONE,
    )
    tariff = TariffRow(
        code="MONT-KES",
        name="Essai Kenya (M-PESA Safaricom)",
        kind="monthly",
        currency="KES",
        valid_from=date(2024, 1, 1),
        body={"subscription": "1250"},
    )
    session.add_all((customer, site, tariff))
    session.flush()
    session.add(
        PhoneLinkRow(
            phone=KENYAN.phone,
            customer_id=customer.id,
            role="holder",
            language=KENYAN.language,
            last_brand=KENYAN.brand,
            confirmed_at=since,
            fresh_until=now + timedelta(days=365),
            created_at=since,
        )
    )
    session.add(
        ContractRow(
            account_number=ACCOUNT,
            customer_id=customer.id,
            site_id=site.id,
            meter_id=None,
            kind="monthly",
            currency="KES",
            tariff_id=tariff.id,
            opened_on=local_date(since, ZONE),
        )
    )


def _bill(db: Database, then: _At) -> None:
    """Her one invoice, sent; its notice is of the past and goes to nobody."""
    with db.read() as session:
        contract_id = session.scalars(select(ContractRow.id).where(ContractRow.account_number == ACCOUNT)).one()
        there = session.scalars(select(InvoiceRow).where(InvoiceRow.contract_id == contract_id)).first()
    billing = Billing(db, then)
    if there is None:
        tax = Money.units(BILL.minor // 100 * 16 // 116, "KES")
        lines = (Line("Electricity (trial abroad)", BILL - tax), Line("VAT 16 %", tax, levy="vat"))
        month = local_date(then.now(), ZONE).replace(day=1) - timedelta(days=1)
        invoice_id, state = billing.draft_invoice(contract_id, period=f"{month:%Y-%m}", lines=lines), "draft"
    else:
        invoice_id, state = there.id, there.state
    if state == "draft":
        billing.validate_invoice(invoice_id)
    if state in ("draft", "validated"):
        billing.send_invoice(invoice_id)
        _quieten(db, contract_id, then)


def _quieten(db: Database, contract_id: int, then: _At) -> None:
    with db.begin() as session:
        mine = select(NoticeRow.id).where(NoticeRow.contract_id == contract_id, NoticeRow.state == "queued")
        ids = list(session.scalars(mine))
        at = then.now()
        session.execute(
            update(NoticeRow)
            .where(NoticeRow.id.in_(ids))
            .values(state="delivered", gateway="seed", sent_at=at, delivered_at=at)
        )
        session.execute(
            update(OutboxRow)
            .where(OutboxRow.key.in_([f"notice:{i}" for i in ids]))
            .values(state="done", done_at=then.real_now(), last_error="seeded")
        )
        session.execute(
            update(ReminderRow)
            .where(ReminderRow.notice_id.in_(ids), ReminderRow.delivered_at.is_(None))
            .values(delivered_at=ReminderRow.leaves_at, evidence="report")
        )
