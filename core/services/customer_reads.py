"""The two reads behind a caller's snapshot. Statements are built once, at import: building costs more than running.

`WHO` (or `WHO_AND_ACCOUNT`) answers who is calling, for which contracts, and what is open on them; `ACTIVITY` what was
asked of wallets lately, and what else the turn may need.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    String,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.selectable import Select, Subquery

from core.agents.tables import AgentRow, AgentSaleRow, CashHandOverRow
from core.billing.tables import DunningCycleRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow, CustomerRow, MeterRow, PhoneLinkRow, PhoneRow, SiteRow
from core.db.base import UtcDateTime
from core.ledger.tables import AccountRow
from core.payments.tables import AttemptRow, PaymentRow
from core.supply.tables import MeterDesiredRow
from core.turns.tables import TurnDeedRow

RECEIPTS = 3

_PHONE = cast(bindparam("phone"), String)
_NOW = bindparam("now", type_=UtcDateTime())
_HORIZON = bindparam("horizon", type_=UtcDateTime())
_SINCE = bindparam("since", type_=UtcDateTime())
# Literals, as in the partial index: a bound parameter may miss it.
_IS_OPEN_INVOICE = literal_column("invoice.state = 'sent' AND invoice.paid_minor < invoice.total_minor", Boolean)


def _nothing(type_: Any) -> ColumnElement[Any]:
    return cast(null(), type_)


def _named_cut() -> ColumnElement[Any]:
    """The day the newest warning of an invoice named: a screen must not name an earlier one."""
    return (
        select(func.max(ReminderRow.cut_on))
        .where(ReminderRow.invoice_id == InvoiceRow.id, ReminderRow.cycle == InvoiceRow.cycle)
        .correlate(InvoiceRow)
        .scalar_subquery()
    )


def _who() -> Select[*tuple[Any, ...]]:
    """One row at least: the caller; a row per link, its contracts and their open invoices.

    Contracts are joined only over a confirmed and fresh link: what a number may not see is not read.
    """
    caller = select(_PHONE.label("phone")).subquery("caller")
    shows = and_(PhoneLinkRow.confirmed_at.is_not(None), PhoneLinkRow.fresh_until > _NOW)
    return select(
        literal_column("0", Integer).label("is_other"),
        PhoneRow.language.label("phone_language"),
        PhoneLinkRow.id.label("link_id"),
        PhoneLinkRow.language.label("link_language"),
        PhoneLinkRow.last_brand,
        CustomerRow.language.label("customer_language"),
        CustomerRow.name,
        ContractRow.id.label("contract_id"),
        ContractRow.account_number,
        ContractRow.kind,
        ContractRow.currency,
        ContractRow.state,
        SiteRow.time_zone,
        SiteRow.commune,
        AccountRow.balance_minor.label("credit_minor"),
        MeterDesiredRow.supply,
        InvoiceRow.id.label("invoice_id"),
        InvoiceRow.number,
        InvoiceRow.period,
        (InvoiceRow.total_minor - InvoiceRow.paid_minor).label("due_minor"),
        func.coalesce(InvoiceRow.sent_on, InvoiceRow.issued_on).label("sent_on"),
        func.coalesce(DunningCycleRow.started_on, InvoiceRow.sent_on, InvoiceRow.issued_on).label("cycle_started_on"),
        _named_cut().label("named_cut_on"),
        SiteRow.protected,
        MeterRow.control_kind,
        AgentRow.id.label("agent_id"),
        AgentRow.code.label("agent_code"),
        AgentRow.name.label("agent_name"),
        AgentRow.currency.label("agent_currency"),
    ).select_from(
        caller.outerjoin(PhoneRow, PhoneRow.phone == caller.c.phone)
        .outerjoin(AgentRow, and_(AgentRow.phone == caller.c.phone, AgentRow.active == true()))
        .outerjoin(PhoneLinkRow, PhoneLinkRow.phone == caller.c.phone)
        .outerjoin(CustomerRow, CustomerRow.id == PhoneLinkRow.customer_id)
        .outerjoin(
            ContractRow,
            and_(ContractRow.customer_id == CustomerRow.id, ContractRow.state == literal_column("'active'"), shows),
        )
        .outerjoin(SiteRow, SiteRow.id == ContractRow.site_id)
        .outerjoin(
            AccountRow,
            and_(
                AccountRow.code == literal_column("'credit'"),
                AccountRow.owner == cast(ContractRow.id, String),
                AccountRow.currency == ContractRow.currency,
            ),
        )
        .outerjoin(MeterDesiredRow, MeterDesiredRow.meter_id == ContractRow.meter_id)
        .outerjoin(MeterRow, MeterRow.id == ContractRow.meter_id)
        .outerjoin(InvoiceRow, and_(InvoiceRow.contract_id == ContractRow.id, _IS_OPEN_INVOICE))
        .outerjoin(
            DunningCycleRow,
            and_(DunningCycleRow.invoice_id == InvoiceRow.id, DunningCycleRow.cycle == InvoiceRow.cycle),
        )
    )


def _account() -> Select[*tuple[Any, ...]]:
    """The contract of the account number somebody typed: no amounts."""
    return (
        select(
            literal_column("1", Integer),
            _nothing(PhoneRow.language.type),
            _nothing(PhoneLinkRow.id.type),
            _nothing(PhoneLinkRow.language.type),
            _nothing(PhoneLinkRow.last_brand.type),
            _nothing(CustomerRow.language.type),
            CustomerRow.name,
            ContractRow.id,
            ContractRow.account_number,
            ContractRow.kind,
            ContractRow.currency,
            ContractRow.state,
            SiteRow.time_zone,
            SiteRow.commune,
            _nothing(AccountRow.balance_minor.type),
            _nothing(MeterDesiredRow.supply.type),
            _nothing(InvoiceRow.id.type),
            _nothing(InvoiceRow.number.type),
            _nothing(InvoiceRow.period.type),
            _nothing(InvoiceRow.total_minor.type),
            _nothing(InvoiceRow.issued_on.type),
            _nothing(InvoiceRow.issued_on.type),
            _nothing(InvoiceRow.issued_on.type),
            _nothing(SiteRow.protected.type),
            _nothing(MeterRow.control_kind.type),
            _nothing(AgentRow.id.type),
            _nothing(AgentRow.code.type),
            _nothing(AgentRow.name.type),
            _nothing(AgentRow.currency.type),
        )
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(ContractRow.account_number == bindparam("account"))
    )


def _own_contracts() -> Select[*tuple[Any, ...]]:
    return (
        select(ContractRow.id)
        .join(PhoneLinkRow, PhoneLinkRow.customer_id == ContractRow.customer_id)
        .where(PhoneLinkRow.phone == _PHONE, PhoneLinkRow.confirmed_at.is_not(None), PhoneLinkRow.fresh_until > _NOW)
    )


def _attempts(whose: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return select(
        literal("attempt").label("what"),
        AttemptRow.id.label("key"),
        AttemptRow.brand.label("reference"),
        AttemptRow.contract_id,
        AttemptRow.charged_minor.label("minor"),
        AttemptRow.charged_currency.label("currency"),
        AttemptRow.payer_phone,
        AttemptRow.asked_by_phone,
        AttemptRow.state,
        AttemptRow.is_open,
        AttemptRow.reason,
        AttemptRow.created_at.label("at"),
        AttemptRow.ended_at,
        _nothing(ContractRow.account_number.type).label("account_number"),
        _nothing(SiteRow.time_zone.type).label("time_zone"),
    ).where(whose, AttemptRow.created_at > _HORIZON, or_(AttemptRow.is_open == true(), AttemptRow.ended_at >= _SINCE))


def _payments() -> Select[*tuple[Any, ...]]:
    return (
        select(
            literal("payment").label("what"),
            PaymentRow.receipt_number.label("key"),
            PaymentRow.verification_code.label("reference"),
            PaymentRow.contract_id,
            PaymentRow.amount_minor.label("minor"),
            PaymentRow.currency,
            _nothing(AttemptRow.payer_phone.type).label("payer_phone"),
            _nothing(AttemptRow.asked_by_phone.type).label("asked_by_phone"),
            _nothing(AttemptRow.state.type).label("state"),
            false().label("is_open"),
            _nothing(AttemptRow.reason.type).label("reason"),
            PaymentRow.received_at.label("at"),
            _nothing(AttemptRow.ended_at.type).label("ended_at"),
            ContractRow.account_number,
            SiteRow.time_zone,
        )
        .join(ContractRow, ContractRow.id == PaymentRow.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(PaymentRow.reversed_at.is_(None))
        .order_by(PaymentRow.received_at.desc())
        .limit(RECEIPTS)
    )


def _ends() -> list[Select[*tuple[Any, ...]]]:
    """The END that this very turn left behind, whatever it did: one arm for each table that keeps some."""
    return [
        select(
            literal("end").label("what"),
            literal("").label("key"),
            row.end_text.label("reference"),
            _nothing(AttemptRow.contract_id.type).label("contract_id"),
            _nothing(AttemptRow.charged_minor.type).label("minor"),
            _nothing(AttemptRow.charged_currency.type).label("currency"),
            _nothing(AttemptRow.payer_phone.type).label("payer_phone"),
            _nothing(AttemptRow.asked_by_phone.type).label("asked_by_phone"),
            _nothing(AttemptRow.state.type).label("state"),
            false().label("is_open"),
            _nothing(AttemptRow.reason.type).label("reason"),
            _nothing(AttemptRow.created_at.type).label("at"),
            _nothing(AttemptRow.ended_at.type).label("ended_at"),
            _nothing(ContractRow.account_number.type).label("account_number"),
            _nothing(SiteRow.time_zone.type).label("time_zone"),
        ).where(row.turn_key == cast(bindparam("turn_key"), String), row.end_text.is_not(None))
        for row in (AttemptRow, TurnDeedRow, AgentSaleRow, CashHandOverRow)
    ]


def _activity(*, details: bool, ends: bool = False) -> Any:
    """Attempts this phone pays or that pay for its contracts; with `details` the last payments of either kind; with
    `ends` what this turn left behind if it was run before.

    Each arm walks one index; an attempt that is in both arms comes twice.
    """
    arms: list[Subquery] = [
        _attempts(AttemptRow.payer_phone == _PHONE).subquery("paid_by_me"),
        _attempts(AttemptRow.contract_id.in_(_own_contracts())).subquery("paid_for_me"),
    ]
    if details:
        arms.append(_payments().where(PaymentRow.contract_id.in_(_own_contracts())).subquery("arrived_for_me"))
        sent = _payments().join(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
        arms.append(sent.where(AttemptRow.payer_phone == _PHONE).subquery("sent_by_me"))
    if ends:
        arms.extend(arm.subquery(f"end_{n}") for n, arm in enumerate(_ends()))
    return union_all(*(select(arm) for arm in arms))


WHO = _who()
WHO_AND_ACCOUNT = union_all(_who(), _account())
# (details, ends) → what was asked of wallets and what arrived.
ACTIVITY = {
    (details, ends): _activity(details=details, ends=ends) for details in (False, True) for ends in (False, True)
}
