"""The past of a seeded town.

It is lived, not written: invoices are sent, money is taken and dunning is swept by the services themselves, at past
moments of business time, so that the books of the demo add up like those of production. Nothing is sent to anybody:
notices of the past are marked as delivered.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import case, select, update

from core.billing.tables import InvoiceRow, ReminderRow
from core.customers.tables import AgencyRow, ContractRow, MeterRow
from core.db import Database
from core.kernel.clock import EAST, WEST, Clock, local_date
from core.kernel.ids import verification_code
from core.kernel.money import Money
from core.notices.mailing import email_key
from core.notices.staging import errand_key
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.payments.tables import PaymentRow
from core.services.billing import Billing, Line
from core.settlement import post
from core.settlement.events import CashTaken
from core.supply import reports
from core.supply.model import MeterReport
from core.supply.tables import MeterDesiredRow, MeterReportedRow
from mwolo.seed_agents import CASHIER, fill_float, run_errand
from mwolo.seed_data.plan import Errand, Person, Seller, errands, sellers
from mwolo.seed_payroll import payroll_acts

# The oldest open invoice is 20 days old: before that nothing was to be swept, and nothing cut before its +14.
_SWEPT_DAYS, _CUT_DAYS = 20, 7
_NAMESPACE = uuid.UUID("5b1d0a3e-6f0e-4a50-9a3c-6d776f6c6f00")
# Receipts of the newest counter payments are rendered when the workers start; the rest of the past has none.
_PAPERS_KEPT = 10


@dataclass
class Then:
    """A clock whose business time is set to moments of the past."""

    real: Clock
    at: datetime

    def now(self) -> datetime:
        return self.at

    def real_now(self) -> datetime:
        return self.real.real_now()


@dataclass(order=True)
class _Act:
    """Something that happened at a moment. `order` keeps those of one moment apart and in place."""

    at: datetime
    order: int
    do: Callable[[], None] = field(compare=False)


def live(db: Database, clock: Clock, town: list[Person]) -> None:
    """Play the last weeks in order of time: bills, money, sweeps and batches, each by its own service."""
    then = Then(clock, clock.now())
    past = _Past(db, then, Billing(db, then))
    end = clock.now()
    acts = [act for person in town for act in past.of(person, end)]
    acts += [act for seller in sellers() for act in past.float_of(seller, end)]
    acts += [act for errand in errands(town) for act in past.sale_of(errand, end)]
    acts += [_Act(at, 5, do) for at, do in payroll_acts(db, then, past.agencies(), end)]
    for back in range(_SWEPT_DAYS, -1, -1):
        acts.append(_Act(_moment(end, back, 4, WEST), 0, past.sweep))
    for back in range(_CUT_DAYS, -1, -1):
        acts.extend(_Act(_moment(end, back, 9, zone), 9, _bound(past.cut, zone)) for zone in (WEST, EAST))
    for act in sorted(act for act in acts if act.at < end):
        then.at = act.at
        let_arrive(db, then, act.at)
        act.do()
    then.at = end
    let_arrive(db, then, end)
    past.forget_old_papers()


class _Past:
    """The acts of the past. Each may be done again: what was done before is left as it is."""

    def __init__(self, db: Database, then: Then, billing: Billing) -> None:
        self._db = db
        self._then = then
        self._billing = billing
        with db.read() as session:
            self._contracts = {
                account: (contract_id, meter)
                for account, contract_id, meter in session.execute(
                    select(ContractRow.account_number, ContractRow.id, ContractRow.meter_id)
                )
            }

    def agencies(self) -> dict[str, int]:
        with self._db.read() as session:
            return {row.code: row.id for row in session.execute(select(AgencyRow.code, AgencyRow.id))}

    def of(self, person: Person, end: datetime) -> list[_Act]:
        """What one person's last weeks brought, oldest first."""
        chance = random.Random(f"mwolo:history:{person.number}")  # noqa: S311 (a town, not a secret)
        minute = chance.randrange(60)

        def at(back: int, hour: int = 10) -> datetime:
            return _moment(end, back, hour, person.city.zone) + timedelta(minutes=minute)

        if person.fate == "prepaid":
            return [_Act(at(12), 3, lambda: self.take_cash(person, "topup", person.bill))]
        acts: list[_Act] = []
        if person.fate != "scenario" and person.number % 5 == 1:
            before = person.bill if person.currency == "USD" else Money(person.bill.minor // 20_000 * 10_000, "CDF")
            acts += [
                _Act(at(38), 1, lambda: self.bill(person, at(38), 2, before, send=True)),
                _Act(at(36), 3, lambda: self.take_cash(person, "before", before)),
            ]
        sent = {"fresh": 1, "paid": 4, "overpaid": 4, "partly": 5, "reminded": 5, "warned": 9, "cut": 20}
        back = sent.get(person.fate, 12 if person.fate in ("disputed", "estimated") else 2)
        goes_out = person.fate not in ("scenario", "draft", "validated", "cancelled")
        acts.append(_Act(at(back), 1, lambda: self.bill(person, at(back), 1, person.bill, send=goes_out)))
        paid = {
            "paid": person.bill,
            "overpaid": person.bill + Money.units(5_000 if person.currency == "CDF" else 5, person.currency),
            "partly": Money(person.bill.minor // 300 * 100, person.currency),
        }.get(person.fate)
        if paid is not None:
            acts.append(_Act(at(2, 12), 3, lambda: self.take_cash(person, "now", paid)))
        return acts

    def float_of(self, seller: Seller, end: datetime) -> list[_Act]:
        """An agent hands cash over and gets float for it."""
        return [_Act(_moment(end, 7, 11, seller.city.zone), 3, lambda: fill_float(self._db, self._then, seller))]

    def sale_of(self, errand: Errand, end: datetime) -> list[_Act]:
        """A customer who paid at an agent's."""
        at = _moment(end, errand.days_back, errand.hour, WEST)
        return [_Act(at, 3, lambda: run_errand(self._db, self._then, errand))]

    def bill(self, person: Person, at: datetime, months_back: int, total: Money, *, send: bool) -> None:
        """One invoice, as far as its fate wants it."""
        contract_id, _ = self._contracts[person.account]
        period = _period(local_date(at, person.city.zone), months_back)
        with self._db.read() as session:
            there = session.scalars(
                select(InvoiceRow).where(InvoiceRow.contract_id == contract_id, InvoiceRow.period == period)
            ).first()
        state = there.state if there else "draft"
        invoice_id = there.id if there else self._billing.draft_invoice(contract_id, period=period, lines=_lines(total))
        if person.fate == "draft" and not send:
            return
        if state == "draft":
            self._billing.validate_invoice(invoice_id)
            state = "validated"
        if person.fate == "cancelled" and not send and state == "validated":
            self._billing.cancel_invoice(invoice_id, reason="Relevé corrigé")
        if send and state == "validated":
            self._flag(person, invoice_id, months_back)
            self._billing.send_invoice(invoice_id)

    def take_cash(self, person: Person, what: str, amount: Money) -> None:
        """Money over the counter: what no wallet's books have to agree with."""
        contract_id, _ = self._contracts[person.account]
        payment_id = str(uuid.uuid5(_NAMESPACE, f"{person.number}:{what}"))
        with self._db.begin() as session:
            if session.get(PaymentRow, payment_id) is not None:
                return
            session.add(
                PaymentRow(
                    id=payment_id,
                    wallet="cash",
                    contract_id=contract_id,
                    currency=amount.currency,
                    amount_minor=amount.minor,
                    payer_phone=person.phone,
                    paid_at=self._then.now(),
                    received_at=self._then.now(),
                    found_by="counter",
                    receipt_number=f"C-{payment_id[:8].upper()}",
                    verification_code=verification_code(),
                )
            )
            session.flush()
            event = CashTaken(
                key=f"seed:cash:{payment_id}",
                payment_id=payment_id,
                cashier=CASHIER,
                contract_id=contract_id,
                amount=amount,
                actor=CASHIER,
            )
            post(session, event, clock=self._then)

    def sweep(self) -> None:
        self._billing.sweep()

    def cut(self, zone: str) -> None:
        """A batch, and the meters that did what they were told."""
        with self._db.begin() as session:
            for meter_id in session.scalars(select(MeterRow.id).where(MeterRow.control_kind == "mqtt_relay")):
                if session.get(MeterReportedRow, meter_id) is None:
                    reports.take_report(
                        session, clock=self._then, meter_id=meter_id, report=MeterReport(0, "on", "closed", 230, 0, 0)
                    )
        self._billing.cut_batch(zone)
        with self._db.begin() as session:
            wanted = select(MeterDesiredRow).join(MeterRow, MeterRow.id == MeterDesiredRow.meter_id)
            for row in session.scalars(wanted.where(MeterRow.control_kind == "mqtt_relay")):
                if row.supply == "off":
                    report = MeterReport(row.version, "off", "open", 0, 0, 0)
                    reports.take_report(session, clock=self._then, meter_id=row.meter_id, report=report)

    def forget_old_papers(self) -> None:
        with self._db.begin() as session:
            papers = ("document.receipt", "document.invoice")
            waiting = select(OutboxRow.id).where(OutboxRow.kind.in_(papers), OutboxRow.state == "pending")
            ids = list(session.scalars(waiting.order_by(OutboxRow.id)))[:-_PAPERS_KEPT]
            session.execute(
                update(OutboxRow)
                .where(OutboxRow.id.in_(ids))
                .values(state="done", done_at=self._then.real_now(), last_error="seeded")
            )

    def _flag(self, person: Person, invoice_id: int, months_back: int) -> None:
        if months_back != 1 or person.fate not in ("disputed", "estimated"):
            return
        with self._db.begin() as session:
            invoice = session.get_one(InvoiceRow, invoice_id)
            invoice.disputed, invoice.estimated = person.fate == "disputed", person.fate == "estimated"


def let_arrive(db: Database, then: Then, at: datetime, *, contract_id: int | None = None) -> None:
    """Every notice (of one contract) that was to leave by `at` has left and arrived; no gateway hears of it."""
    with db.begin() as session:
        due = select(NoticeRow.id).where(NoticeRow.state == "queued", NoticeRow.not_before <= at)
        if contract_id is not None:
            due = due.where(NoticeRow.contract_id == contract_id)
        ids = list(session.scalars(due))
        if not ids:
            return
        session.execute(
            update(NoticeRow)
            .where(NoticeRow.id.in_(ids))
            .values(
                # Of an e-mail nobody hears more than that it was taken on.
                state=case((NoticeRow.channel == "email", "sent"), else_="delivered"),
                gateway="seed",
                sent_at=NoticeRow.not_before,
                delivered_at=case((NoticeRow.channel == "sms", NoticeRow.not_before)),
            )
        )
        session.execute(
            update(OutboxRow)
            .where(OutboxRow.key.in_([key for i in ids for key in (errand_key(i), email_key(i))]))
            .values(state="done", done_at=then.real_now(), last_error="seeded")
        )
        session.execute(
            update(ReminderRow)
            .where(ReminderRow.notice_id.in_(ids), ReminderRow.delivered_at.is_(None))
            .values(delivered_at=ReminderRow.leaves_at, evidence="report")
        )


def _bound(act: Callable[[str], None], zone: str) -> Callable[[], None]:
    return lambda: act(zone)


def _moment(end: datetime, days_back: int, hour: int, zone: str) -> datetime:
    day = end.astimezone(ZoneInfo(zone)).date() - timedelta(days=days_back)
    return datetime.combine(day, time(hour), ZoneInfo(zone))


def _period(day: date, months_back: int) -> str:
    months = day.year * 12 + day.month - 1 - months_back
    return f"{months // 12}-{months % 12 + 1:02d}"


def _lines(total: Money) -> tuple[Line, ...]:
    """Energy, and the VAT of 16 % that is in the total, to whole francs."""
    step = 100 if total.currency == "CDF" else 1
    tax = total.minor * 16 // 116 // step * step
    energy = Line("Energie électrique", Money(total.minor - tax, total.currency))
    return (energy, Line("TVA 16 %", Money(tax, total.currency), levy="vat")) if tax else (energy,)
