"""What a record of each kind is made of, as a select: the columns carry the API's names."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, String, and_, case, cast, select, text

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
from core.ledger.tables import AccountRow
from core.outbox import OutboxRow
from core.payments.counter_tables import DeclaredPaymentRow
from core.payments.tables import PaymentRow
from core.readings.tables import ReadingRow
from core.supply.tables import MeterDesiredRow, MeterReportedRow

CUSTOMERS = select(
    CustomerRow.id, CustomerRow.name, CustomerRow.kind, CustomerRow.language, CustomerRow.email, CustomerRow.created_at
)
PHONE_LINKS = select(
    PhoneLinkRow.id,
    PhoneLinkRow.phone,
    PhoneLinkRow.customer_id,
    PhoneLinkRow.role,
    PhoneLinkRow.language,
    PhoneLinkRow.confirmed_at,
    PhoneLinkRow.fresh_until,
    PhoneLinkRow.created_at,
)
SITES = select(
    SiteRow.id,
    SiteRow.agency_id,
    SiteRow.address,
    SiteRow.commune,
    SiteRow.city,
    SiteRow.time_zone,
    SiteRow.province_code.label("province"),
    SiteRow.place_code.label("place"),
    SiteRow.protected,
)
METERS = (
    select(
        MeterRow.id,
        MeterRow.site_id,
        MeterRow.control_kind,
        MeterRow.installed_on,
        MeterDesiredRow.supply.label("wanted"),
        MeterReportedRow.supply.label("reported"),
        MeterReportedRow.online,
        MeterReportedRow.at.label("reported_at"),
    )
    .outerjoin(MeterDesiredRow, MeterDesiredRow.meter_id == MeterRow.id)
    .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == MeterRow.id)
)
READINGS = select(
    ReadingRow.id,
    ReadingRow.meter_id,
    ReadingRow.register,
    ReadingRow.at,
    ReadingRow.arrived_at,
    ReadingRow.wh,
    ReadingRow.quality,
    ReadingRow.source,
    ReadingRow.state,
    ReadingRow.doubt,
)
CONTRACTS = select(
    ContractRow.id,
    ContractRow.account_number,
    ContractRow.customer_id,
    ContractRow.site_id,
    ContractRow.meter_id,
    ContractRow.kind,
    ContractRow.currency,
    ContractRow.tariff_id,
    ContractRow.state,
    ContractRow.opened_on,
)
INVOICES = select(
    InvoiceRow.id,
    InvoiceRow.number,
    InvoiceRow.contract_id,
    ContractRow.account_number,
    InvoiceRow.period,
    InvoiceRow.currency,
    InvoiceRow.total_minor,
    InvoiceRow.tax_minor,
    InvoiceRow.paid_minor,
    InvoiceRow.state.label("stored_state"),
    InvoiceRow.issued_on,
    InvoiceRow.sent_on,
    InvoiceRow.disputed,
    InvoiceRow.estimated,
).join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
_SENT = InvoiceRow.state == "sent"
# As `_with_state` reads them. Open ones stand as literals, or the planners do not use their index.
INVOICE_STATES: Mapping[str, ColumnElement[bool]] = {
    "draft": InvoiceRow.state == "draft",
    "validated": InvoiceRow.state == "validated",
    "cancelled": InvoiceRow.state == "cancelled",
    "sent": and_(_SENT, InvoiceRow.paid_minor == 0),
    "partially_paid": and_(text("invoice.state = 'sent' AND paid_minor < total_minor"), InvoiceRow.paid_minor > 0),
    "paid": and_(_SENT, InvoiceRow.paid_minor >= InvoiceRow.total_minor),
}
LINES = select(
    InvoiceLineRow.position,
    InvoiceLineRow.label,
    InvoiceLineRow.quantity,
    InvoiceLineRow.amount_minor,
    InvoiceLineRow.levy,
).order_by(InvoiceLineRow.position)
PAYMENTS = select(
    PaymentRow.id,
    PaymentRow.wallet,
    PaymentRow.provider_txn_id,
    PaymentRow.contract_id,
    ContractRow.account_number,
    PaymentRow.currency,
    PaymentRow.amount_minor,
    PaymentRow.reference,
    PaymentRow.paid_at,
    PaymentRow.received_at,
    PaymentRow.receipt_number,
    PaymentRow.verification_code,
    PaymentRow.in_suspense,
    PaymentRow.reversed_at,
).outerjoin(ContractRow, ContractRow.id == PaymentRow.contract_id)
DECLARED = select(
    DeclaredPaymentRow.seq,
    DeclaredPaymentRow.id,
    DeclaredPaymentRow.way.label("wallet"),
    DeclaredPaymentRow.contract_id,
    ContractRow.account_number,
    DeclaredPaymentRow.currency,
    DeclaredPaymentRow.amount_minor,
    DeclaredPaymentRow.reference,
    DeclaredPaymentRow.declared_at.label("received_at"),
    DeclaredPaymentRow.state,
).join(ContractRow, ContractRow.id == DeclaredPaymentRow.contract_id)
AGENCIES = select(
    AgencyRow.id,
    AgencyRow.code,
    AgencyRow.name,
    AgencyRow.city,
    AgencyRow.address,
    AgencyRow.phone,
    AgencyRow.hours,
    AgencyRow.time_zone,
    AgencyRow.province_code,
    AgencyRow.place_code,
    AgencyRow.commune,
    AgencyRow.phones,
    AgencyRow.week,
    AgencyRow.latitude_e6,
    AgencyRow.longitude_e6,
    AgencyRow.closed_at,
)
PROVINCES = select(ProvinceRow.code, ProvinceRow.name, ProvinceRow.capital, ProvinceRow.time_zone)
# Cities first, then territories, communes last.
_KIND = case({"city": 0, "territory": 1}, value=PlaceRow.kind, else_=2)
PLACES = select(PlaceRow.province_code, PlaceRow.code, PlaceRow.kind, PlaceRow.name).order_by(
    PlaceRow.province_code, _KIND, PlaceRow.code
)
AGENTS = select(
    AgentRow.id,
    AgentRow.code,
    AgentRow.name,
    AgentRow.phone,
    AgentRow.agency_id,
    AgentRow.currency,
    AgentRow.credit_limit_minor,
    AgentRow.active,
    AccountRow.balance_minor.label("float_minor"),
).outerjoin(
    AccountRow,
    and_(
        AccountRow.code == "agent_float",
        AccountRow.owner == cast(AgentRow.id, String),
        AccountRow.currency == AgentRow.currency,
    ),
)
JOBS = select(
    OutboxRow.id,
    OutboxRow.kind,
    OutboxRow.body,
    OutboxRow.state,
    OutboxRow.attempts,
    OutboxRow.lease_until,
    OutboxRow.last_error,
    OutboxRow.created_at,
    OutboxRow.done_at,
)
