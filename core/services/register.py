"""The register: who and what there is, a page at a time, as programs read it. Looks only; nothing is changed here.

A page is a fixed number of statements, whatever it holds. Records are plain mappings whose names are those of the API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, text
from sqlalchemy.orm import Session

from core.agents.tables import AgentRow
from core.billing.tables import InvoiceLineRow, InvoiceRow
from core.customers.tables import (
    AgencyRow,
    ContractRow,
    CustomerRow,
    MeterRow,
    PhoneLinkRow,
    PlaceRow,
    ProvinceRow,
    SiteRow,
)
from core.db import Database
from core.ledger.tables import AccountRow
from core.outbox import OutboxRow
from core.payments.counter_tables import DeclaredPaymentRow
from core.payments.tables import PaymentRow
from core.readings.tables import ReadingRow
from core.services.register_columns import (
    AGENCIES,
    AGENTS,
    CONTRACTS,
    CUSTOMERS,
    DECLARED,
    INVOICE_STATES,
    INVOICES,
    JOBS,
    LINES,
    METERS,
    PAYMENTS,
    PHONE_LINKS,
    PLACES,
    PROVINCES,
    READINGS,
    SITES,
)

Record = Mapping[str, Any]
Key = tuple[Any, ...]
# Jobs that whoever asked for them may follow; all other effects are nobody's business outside.
FOLLOWED = ("document.invoice",)


@dataclass(frozen=True, slots=True)
class Page:
    """`after`: the key of the last record, where more follow; None on the last page."""

    items: Sequence[Record]
    after: Key | None


@dataclass(frozen=True, slots=True)
class From:
    """Where a page begins: behind the record with this key, or at the beginning. `limit`: 1 to 100 records."""

    limit: int
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """Which payments. `until` itself is not among them; None: all."""

    contract_id: int | None = None
    account_number: str | None = None
    wallet: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Register:
    """Every method is one page or one record (None: there is none)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # -- customers and their phones ----------------------------------------------------------------------------------

    def customers(self, where: From, *, phone: str | None = None, account_number: str | None = None) -> Page:
        wanted = CUSTOMERS
        if phone is not None:
            wanted = wanted.where(
                CustomerRow.id.in_(select(PhoneLinkRow.customer_id).where(PhoneLinkRow.phone == phone))
            )
        if account_number is not None:
            wanted = wanted.where(CustomerRow.id.in_(_of_account(ContractRow.customer_id, account_number)))
        return self._page(wanted, CustomerRow.id, where)

    def customer(self, customer_id: int) -> Record | None:
        return self._one(CUSTOMERS.where(CustomerRow.id == customer_id))

    def phone_links(self, where: From, *, phone: str | None = None, customer_id: int | None = None) -> Page:
        wanted = PHONE_LINKS
        if phone is not None:
            wanted = wanted.where(PhoneLinkRow.phone == phone)
        if customer_id is not None:
            wanted = wanted.where(PhoneLinkRow.customer_id == customer_id)
        return self._page(wanted, PhoneLinkRow.id, where)

    def phone_link(self, customer_id: int, link_id: int) -> Record | None:
        return self._one(PHONE_LINKS.where(PhoneLinkRow.id == link_id, PhoneLinkRow.customer_id == customer_id))

    # -- places, meters, contracts -----------------------------------------------------------------------------------

    def sites(
        self, where: From, *, agency_id: int | None = None, city: str | None = None, province: str | None = None
    ) -> Page:
        wanted = SITES if province is None else SITES.where(SiteRow.province_code == province)
        if agency_id is not None:
            wanted = wanted.where(SiteRow.agency_id == agency_id)
        if city is not None:
            wanted = wanted.where(SiteRow.city == city)
        return self._page(wanted, SiteRow.id, where)

    def site(self, site_id: int) -> Record | None:
        return self._one(SITES.where(SiteRow.id == site_id))

    def meters(self, where: From, *, site_id: int | None = None) -> Page:
        wanted = METERS if site_id is None else METERS.where(MeterRow.site_id == site_id)
        return self._page(wanted, MeterRow.id, where)

    def meter(self, meter_id: str) -> Record | None:
        return self._one(METERS.where(MeterRow.id == meter_id))

    def readings(self, meter_id: str, where: From, *, since: datetime | None = None) -> Page | None:
        """Oldest first. None: there is no such meter."""
        wanted = READINGS.where(ReadingRow.meter_id == meter_id)
        if since is not None:
            wanted = wanted.where(ReadingRow.at >= since)
        with self._db.read() as session:
            if session.scalar(select(MeterRow.id).where(MeterRow.id == meter_id)) is None:
                return None
            return _read(session, wanted, (ReadingRow.at, ReadingRow.id), where)

    def contracts(
        self,
        where: From,
        *,
        customer_id: int | None = None,
        account_number: str | None = None,
        meter_id: str | None = None,
        state: str | None = None,
    ) -> Page:
        wanted = CONTRACTS
        for column, value in (
            (ContractRow.customer_id, customer_id),
            (ContractRow.account_number, account_number),
            (ContractRow.meter_id, meter_id),
            (ContractRow.state, state),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        with self._db.read() as session:
            page = _read(session, wanted, (ContractRow.id,), where)
            return Page(_with_balances(session, page.items), page.after)

    def contract(self, contract_id: int) -> Record | None:
        with self._db.read() as session:
            found = _records(session, CONTRACTS.where(ContractRow.id == contract_id))
            return next(iter(_with_balances(session, found)), None)

    # -- invoices and payments ---------------------------------------------------------------------------------------

    def invoices(
        self,
        where: From,
        *,
        contract_id: int | None = None,
        account_number: str | None = None,
        state: str | None = None,
        period: str | None = None,
    ) -> Page:
        wanted = INVOICES
        if contract_id is not None:
            wanted = wanted.where(InvoiceRow.contract_id == contract_id)
        if account_number is not None:
            wanted = wanted.where(InvoiceRow.contract_id.in_(_of_account(ContractRow.id, account_number)))
        if state is not None:
            wanted = wanted.where(INVOICE_STATES[state])
        if period is not None:
            wanted = wanted.where(InvoiceRow.period == period)
        page = self._page(wanted, InvoiceRow.id, where)
        return Page([_with_state(row) for row in page.items], page.after)

    def invoice(self, invoice_id: int) -> Record | None:
        """With its lines."""
        with self._db.read() as session:
            found = _records(session, INVOICES.where(InvoiceRow.id == invoice_id))
            if not found:
                return None
            lines = _records(session, LINES.where(InvoiceLineRow.invoice_id == invoice_id))
        return {**_with_state(found[0]), "lines": lines}

    def payments(self, where: From, sought: Sought) -> Page:
        """Money that is booked, in the order it came."""
        wanted = _sought(PAYMENTS, sought, PaymentRow.contract_id, PaymentRow.wallet, PaymentRow.received_at)
        with self._db.read() as session:
            page = _read(session, wanted, (PaymentRow.received_at, PaymentRow.id), where)
        return Page([_booked(row) for row in page.items], page.after)

    def declared_payments(self, where: From, sought: Sought) -> Page:
        """Cash and bank money that waits for its confirmation, in the order it was declared."""
        declared = DeclaredPaymentRow
        wanted = _sought(DECLARED, sought, declared.contract_id, declared.way, declared.declared_at)
        open_ones = wanted.where(text("declared_payment.state = 'declared'"))
        return self._page(open_ones, declared.seq, where, key="seq")

    def payment(self, payment_id: str) -> Record | None:
        """Booked, or declared and not confirmed yet."""
        found = self._one(PAYMENTS.where(PaymentRow.id == payment_id))
        if found is not None:
            return _booked(found)
        return self._one(DECLARED.where(DeclaredPaymentRow.id == payment_id))

    # -- the utility itself ------------------------------------------------------------------------------------------

    def agencies(
        self,
        where: From,
        *,
        city: str | None = None,
        province: str | None = None,
        place: str | None = None,
        closed: bool = False,
    ) -> Page:
        wanted = AGENCIES.where(AgencyRow.closed_at.is_not(None) if closed else AgencyRow.closed_at.is_(None))
        for column, value in (
            (AgencyRow.city, city),
            (AgencyRow.province_code, province),
            (AgencyRow.place_code, place),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        return self._page(wanted, AgencyRow.id, where)

    def agency(self, agency_id: int) -> Record | None:
        return self._one(AGENCIES.where(AgencyRow.id == agency_id))

    def provinces(self, where: From) -> Page:
        """Each with its places."""
        with self._db.read() as session:
            page = _read(session, PROVINCES, (ProvinceRow.code,), where)
            return Page(_with_places(session, page.items), page.after)

    def province(self, code: str) -> Record | None:
        with self._db.read() as session:
            found = _records(session, PROVINCES.where(ProvinceRow.code == code))
            return next(iter(_with_places(session, found)), None)

    def agents(self, where: From, *, agency_id: int | None = None) -> Page:
        wanted = AGENTS if agency_id is None else AGENTS.where(AgentRow.agency_id == agency_id)
        return self._page(wanted, AgentRow.id, where)

    def agent(self, agent_id: int) -> Record | None:
        return self._one(AGENTS.where(AgentRow.id == agent_id))

    def job(self, job_id: int) -> Record | None:
        """One of those that may be followed."""
        return self._one(JOBS.where(OutboxRow.id == job_id, OutboxRow.kind.in_(FOLLOWED)))

    def job_of(self, key: str) -> Record | None:
        return self._one(JOBS.where(OutboxRow.key == key, OutboxRow.kind.in_(FOLLOWED)))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _page(self, wanted: Select[*tuple[Any, ...]], by: Any, where: From, *, key: str | None = None) -> Page:
        with self._db.read() as session:
            return _read(session, wanted, (by,), where, names=(key,) if key else None)

    def _one(self, wanted: Select[*tuple[Any, ...]]) -> Record | None:
        with self._db.read() as session:
            return next(iter(_records(session, wanted.limit(1))), None)


def _records(session: Session, wanted: Select[*tuple[Any, ...]]) -> list[Record]:
    return [dict(row) for row in session.execute(wanted).mappings()]


def _read(
    session: Session,
    wanted: Select[*tuple[Any, ...]],
    by: tuple[Any, ...],
    where: From,
    *,
    names: tuple[str, ...] | None = None,
) -> Page:
    """One statement: a record more than asked for, to know whether more follow."""
    if where.after is not None:
        wanted = wanted.where(_behind(by, where.after))
    rows = _records(session, wanted.order_by(*by).limit(where.limit + 1))
    items = rows[: where.limit]
    if len(rows) <= where.limit:
        return Page(items, None)
    return Page(items, tuple(items[-1][name] for name in names or [column.key for column in by]))


def _behind(by: tuple[Any, ...], after: Key) -> ColumnElement[bool]:
    """Greater than `after`, written so that both databases use the index of the first column."""
    if len(by) != len(after):
        raise ValueError("a key of another list")
    if len(by) == 1:
        return by[0] > after[0]  # type: ignore[no-any-return]
    return and_(by[0] >= after[0], or_(by[0] > after[0], by[1] > after[1]))


def _sought(
    wanted: Select[*tuple[Any, ...]], sought: Sought, contract: Any, wallet: Any, at: Any
) -> Select[*tuple[Any, ...]]:
    if sought.contract_id is not None:
        wanted = wanted.where(contract == sought.contract_id)
    if sought.account_number is not None:
        wanted = wanted.where(contract.in_(_of_account(ContractRow.id, sought.account_number)))
    if sought.wallet is not None:
        wanted = wanted.where(wallet == sought.wallet)
    if sought.since is not None:
        wanted = wanted.where(at >= sought.since)
    if sought.until is not None:
        wanted = wanted.where(at < sought.until)
    return wanted


def _of_account(column: Any, account_number: str) -> Select[*tuple[Any, ...]]:
    return select(column).where(ContractRow.account_number == account_number)


def _with_balances(session: Session, rows: Sequence[Record]) -> Sequence[Record]:
    """What each contract owes and has in credit: the balances the ledger keeps. One statement for all."""
    owners = [str(row["id"]) for row in rows]
    accounts = select(AccountRow.code, AccountRow.owner, AccountRow.currency, AccountRow.balance_minor).where(
        AccountRow.code.in_(("receivable", "credit")), AccountRow.owner.in_(owners)
    )
    kept = {(code, owner, currency): int(minor or 0) for code, owner, currency, minor in session.execute(accounts)}
    return [
        {
            **row,
            "due_minor": kept.get(("receivable", str(row["id"]), row["currency"]), 0),
            "credit_minor": kept.get(("credit", str(row["id"]), row["currency"]), 0),
        }
        for row in rows
    ]


def _with_places(session: Session, rows: Sequence[Record]) -> Sequence[Record]:
    """One statement for all."""
    places = _records(session, PLACES.where(PlaceRow.province_code.in_([row["code"] for row in rows])))
    return [{**row, "places": [p for p in places if p["province_code"] == row["code"]]} for row in rows]


def _with_state(row: Record) -> Record:
    """Partially paid and paid follow from what was paid; they are never stored."""
    state = row["stored_state"]
    if state == "sent" and row["paid_minor"] > 0:
        state = "paid" if row["paid_minor"] >= row["total_minor"] else "partially_paid"
    return {**row, "state": state}


def _booked(row: Record) -> Record:
    state = "reversed" if row["reversed_at"] else "in_suspense" if row["in_suspense"] else "confirmed"
    return {**row, "state": state}
