"""Invoices for the console: the list with its filters and sums, one invoice, and the invoices of one month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, text
from sqlalchemy.orm import Session

from core.billing.tables import HoldRow, InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, SiteRow
from core.desk.invoice_model import InvoiceEntry, InvoiceFilter, Sum
from core.kernel.money import Money

# As literals: a bound parameter would hide the partial index of open invoices from both planners.
IS_OPEN = text("invoice.state = 'sent' AND invoice.paid_minor < invoice.total_minor")
Rows = Select[*tuple[Any, ...]]


def invoices() -> Rows:
    """An invoice with whose it is: what `entry_of` makes a line of."""
    return (
        select(
            InvoiceRow, ContractRow.account_number, CustomerRow.id, CustomerRow.name, AgencyRow.code,
        )
        .join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .join(AgencyRow, AgencyRow.id == SiteRow.agency_id)
    )  # fmt: skip


def entries(
    session: Session,
    wanted: InvoiceFilter,
    *,
    now: datetime,
    today: date,
    overdue_days: int,
    below: int | None,
    limit: int,
) -> tuple[InvoiceEntry, ...]:
    """The newest first, below an id."""
    found = narrowed(invoices(), wanted, now=now, overdue_on=today - timedelta(days=overdue_days))
    if below is not None:
        found = found.where(InvoiceRow.id < below)
    rows = session.execute(found.order_by(InvoiceRow.id.desc()).limit(limit)).all()
    return as_entries(session, rows, now=now, today=today, overdue_days=overdue_days)


def as_entries(
    session: Session, rows: Sequence[Any], *, now: datetime, today: date, overdue_days: int
) -> tuple[InvoiceEntry, ...]:
    """Rows of `invoices` as lines of a list. One statement more, whatever their number."""
    held = _disputed(session, [row[0].id for row in rows], now)
    return tuple(entry_of(*row, today=today, overdue_days=overdue_days, in_dispute=row[0].id in held) for row in rows)


def entry_of(
    row: InvoiceRow,
    account: str,
    customer_id: int,
    customer: str,
    agency: str,
    *,
    today: date,
    overdue_days: int,
    in_dispute: bool,
) -> InvoiceEntry:
    state = shown_state(row)
    due = row.total_minor - row.paid_minor if row.state == "sent" else 0
    days = (today - row.sent_on).days if due and row.sent_on else None
    return InvoiceEntry(
        id=row.id,
        number=row.number,
        period=row.period,
        account=account,
        customer_id=customer_id,
        customer=customer,
        agency=agency,
        state=state,
        total=Money(row.total_minor, row.currency),
        due=Money(due, row.currency),
        issued_on=row.issued_on,
        sent_on=row.sent_on,
        days_open=days,
        overdue=days is not None and days >= overdue_days,
        disputed=row.disputed or in_dispute,
        estimated=row.estimated,
    )


def shown_state(row: InvoiceRow) -> str:
    """`partially_paid` and `paid` follow from the balance; they are never stored."""
    if row.state != "sent" or row.paid_minor == 0:
        return row.state
    return "paid" if row.paid_minor >= row.total_minor else "partially_paid"


def sums(
    session: Session, wanted: InvoiceFilter, *, now: datetime, overdue_on: date, limit: int
) -> tuple[tuple[Sum, ...], int]:
    """(one a currency, how many were counted): of the newest `limit` that the filter finds, whatever the page shows."""
    columns = (InvoiceRow.currency, InvoiceRow.total_minor, InvoiceRow.paid_minor, InvoiceRow.state)
    ids = narrowed(_joined(select(*columns), wanted), wanted, now=now, overdue_on=overdue_on)
    newest = ids.order_by(InvoiceRow.id.desc()).limit(limit).subquery()
    due = func.sum(newest.c.total_minor - newest.c.paid_minor).filter(newest.c.state == "sent")
    rows = session.execute(
        select(newest.c.currency, func.count(), func.sum(newest.c.total_minor), due)
        .group_by(newest.c.currency)
        .order_by(newest.c.currency)
    ).all()
    made = tuple(Sum(count, Money(int(total), code), Money(int(due or 0), code)) for code, count, total, due in rows)
    return made, sum(one.count for one in made)


def narrowed(found: Rows, wanted: InvoiceFilter, *, now: datetime, overdue_on: date) -> Rows:
    """Those that the filter asks for. Joined with contract, site and agency where it needs them."""
    if wanted.state:
        found = found.where(_in_state(wanted.state, now, overdue_on))
    if wanted.period:
        found = found.where(InvoiceRow.period == wanted.period)
    if wanted.currency:
        found = found.where(InvoiceRow.currency == wanted.currency)
    if wanted.agency:
        found = found.where(AgencyRow.code == wanted.agency)
    if wanted.customer_id is not None:
        found = found.where(ContractRow.customer_id == wanted.customer_id)
    if wanted.text:
        found = found.where(_written(wanted.text))
    return found


def agency_codes(session: Session, *, limit: int = 200) -> tuple[tuple[str, str], ...]:
    """(code, name), by name."""
    rows = session.execute(select(AgencyRow.code, AgencyRow.name).order_by(AgencyRow.name).limit(limit))
    return tuple((code, name) for code, name in rows)


def _joined(found: Rows, wanted: InvoiceFilter) -> Rows:
    """Only the tables that the filter asks: sums look at many rows."""
    if wanted.agency or wanted.customer_id is not None or wanted.text.isdigit():
        found = found.join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
    if wanted.agency:
        found = found.join(SiteRow, SiteRow.id == ContractRow.site_id)
        found = found.join(AgencyRow, AgencyRow.id == SiteRow.agency_id)
    return found


def _written(typed: str) -> ColumnElement[bool]:
    if typed.isdigit():
        return ContractRow.account_number == typed
    return InvoiceRow.number.startswith(typed, autoescape=True)


def _in_state(state: str, now: datetime, overdue_on: date) -> ColumnElement[bool]:
    match state:
        case "sent":
            return and_(IS_OPEN, InvoiceRow.paid_minor == 0)
        case "partially_paid":
            return and_(IS_OPEN, InvoiceRow.paid_minor > 0)
        case "paid":
            return and_(InvoiceRow.state == "sent", InvoiceRow.paid_minor >= InvoiceRow.total_minor)
        case "overdue":
            return and_(IS_OPEN, InvoiceRow.sent_on <= overdue_on)
        case "disputed":
            return and_(InvoiceRow.state == "sent", or_(InvoiceRow.disputed.is_(True), exists().where(_dispute(now))))
    return InvoiceRow.state == state


def _dispute(now: datetime) -> ColumnElement[bool]:
    return and_(HoldRow.invoice_id == InvoiceRow.id, HoldRow.kind == "dispute", HoldRow.until_at > now)


def _disputed(session: Session, invoice_ids: Sequence[int], now: datetime) -> set[int]:
    """Those of them that a dispute keeps from the cut."""
    found = select(HoldRow.invoice_id).where(
        HoldRow.invoice_id.in_(invoice_ids), HoldRow.kind == "dispute", HoldRow.until_at > now
    )
    return {int(one) for one in session.scalars(found) if one is not None}
