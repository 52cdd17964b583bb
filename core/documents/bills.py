"""What a bill is made of."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.explained import in_words
from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import InvoiceLineRow, InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, SiteRow
from core.documents.invoice import Before, BillLine, InvoiceFacts, Mark, Measured, Office
from core.kernel.clock import local_date
from core.kernel.money import Money
from core.phone_numbers import NotCongolese, trunk

_DAY = timedelta(days=1)


def load_invoice(
    session: Session, invoice_id: int, *, utility: str, short_code: str, verify_url: str, code: str
) -> tuple[InvoiceFacts, str] | None:
    """(the facts, the customer's language); None when there is no such invoice. `verify_url`: without the code."""
    invoice = session.get(InvoiceRow, invoice_id)
    if invoice is None:
        return None
    contract = session.get_one(ContractRow, invoice.contract_id)
    customer = session.get_one(CustomerRow, contract.customer_id)
    site = session.get_one(SiteRow, contract.site_id)
    measured = _measured(session, invoice.id, site.time_zone)
    facts = InvoiceFacts(
        utility=utility,
        number=invoice.number if invoice.state != "draft" else "",
        code=code,
        mark=_mark(invoice.state),
        period=invoice.period,
        issued_on=invoice.issued_on,
        name=customer.name,
        address=[part for part in (site.address, site.commune, site.city) if part],
        account=contract.account_number,
        meter=measured.meter if measured else contract.meter_id or "",
        currency=invoice.currency,
        lines=_lines(session, invoice),
        short_code=short_code,
        office=office_of(session.get_one(AgencyRow, site.agency_id)),
        verify_url=verify_url + code,
        days=(invoice.from_on, invoice.until_on - _DAY) if invoice.from_on and invoice.until_on else None,
        measured=measured,
        before=_before(session, invoice, customer.language),
    )
    return facts, customer.language


def _mark(state: str) -> Mark:
    if state == "draft":
        return "draft"
    return "cancelled" if state == "cancelled" else ""


def _lines(session: Session, invoice: InvoiceRow) -> list[BillLine]:
    rows = session.scalars(
        select(InvoiceLineRow).where(InvoiceLineRow.invoice_id == invoice.id).order_by(InvoiceLineRow.position)
    ).all()
    lines = [
        BillLine(
            label=row.label,
            amount=Money(row.amount_minor, invoice.currency),
            quantity="" if row.levy else figure(row.quantity),
            price="" if row.levy or not row.price else figure(row.price),
            is_tax=row.levy is not None,
        )
        for row in rows
    ]
    if lines:
        return lines
    # Carried over from another system: nothing but its total is known.
    net, tax = invoice.total_minor - invoice.tax_minor, invoice.tax_minor
    whole = [BillLine(invoice.period, Money(net, invoice.currency))]
    return whole + ([BillLine("TVA", Money(tax, invoice.currency), is_tax=True)] if tax else [])


def figure(text: str) -> str:
    """A figure as this country reads it: `16042.5 kWh` is 16 042,5 kWh."""
    number, space, unit = text.partition(" ")
    whole, point, rest = number.partition(".")
    if not whole.isascii() or not whole.isdecimal():
        return text
    return f"{int(whole):,}".replace(",", " ") + (f",{rest}" if point else "") + space + unit


def _measured(session: Session, invoice_id: int, zone: str) -> Measured | None:
    row = session.get(InvoiceMeasureRow, invoice_id)
    if row is None:
        return None
    return Measured(
        meter=row.meter_id,
        from_on=local_date(row.from_at, zone),
        until_on=local_date(row.until_at, zone),
        from_wh=row.from_wh,
        until_wh=row.until_wh,
        estimated=row.estimated,
    )


def _before(session: Session, invoice: InvoiceRow, language: str) -> Before | None:
    if invoice.besides:
        # A fee is no month: it compares with nothing.
        return None
    row = session.scalars(
        select(InvoiceRow)
        .where(
            InvoiceRow.contract_id == invoice.contract_id,
            InvoiceRow.currency == invoice.currency,
            InvoiceRow.period < invoice.period,
            InvoiceRow.state.in_(("validated", "sent")),
            InvoiceRow.besides.is_(False),
        )
        .order_by(InvoiceRow.period.desc(), InvoiceRow.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    why = in_words(invoice.explained or (), invoice.currency, language)
    return Before(row.period, Money(row.total_minor, row.currency), why)


def office_of(agency: AgencyRow) -> Office:
    """Where a customer of this agency may ask, as it stands at the foot of a paper."""
    return Office(agency.name, f"{agency.address}, {agency.city}", _spoken(agency.phone), agency.hours)


def _spoken(phone: str) -> str:
    """As it is dialled at home, in groups; anything else as it is."""
    try:
        digits = trunk(phone)
    except NotCongolese:
        return phone
    return f"{digits[:4]} {digits[4:7]} {digits[7:]}"
