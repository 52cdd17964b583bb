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
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import Select

from core.agents.rules import LAST_SALES, PROOFS_MAX
from core.agents.sale_queries import proof_key
from core.agents.tables import AgentRow, AgentSaleRow, CashHandOverRow
from core.billing.tables import DunningCycleRow, HoldRow, InvoiceRow, ReminderRow
from core.cases.tables import CaseRow
from core.customers.link_tables import LinkRequestRow
from core.customers.links import HOLDER, SEES_AMOUNTS
from core.customers.tables import ContractRow, CustomerRow, MeterRow, PhoneLinkRow, PhoneRow, SiteRow
from core.db.base import UtcDateTime
from core.ledger.tables import AccountRow
from core.notices.tables import NoticeRow
from core.payments.tables import AttemptRow, PaymentRow
from core.prepaid.tables import PrepaidIssueRow, PrepaidStandingRow
from core.promises.tables import PromiseRow
from core.supply.tables import MeterDesiredRow, MeterReportedRow
from core.turns.tables import TurnDeedRow

RECEIPTS = 3
CASES = 3

_PHONE = cast(bindparam("phone"), String)
_NOW = bindparam("now", type_=UtcDateTime())
_HORIZON = bindparam("horizon", type_=UtcDateTime())
_SINCE = bindparam("since", type_=UtcDateTime())
_PROMISES: list[ColumnElement[str]] = [literal_column("'open'", String), literal_column("'broken'", String)]
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


def _held_until() -> ColumnElement[Any]:
    """Until when nobody is cut for an invoice that is disputed."""
    return (
        select(func.max(HoldRow.until_at))
        .where(
            HoldRow.contract_id == ContractRow.id,
            HoldRow.invoice_id == InvoiceRow.id,
            HoldRow.kind == literal_column("'dispute'"),
            HoldRow.until_at > _NOW,
        )
        .correlate(ContractRow, InvoiceRow)
        .scalar_subquery()
    )


def _proof_failed() -> ColumnElement[bool]:
    """Whether the newest SMS about one of an agent's last sales did not arrive and may be sent again."""
    keys = (
        select(proof_key())
        .where(AgentSaleRow.agent_id == AgentRow.id)
        .order_by(AgentSaleRow.day.desc(), AgentSaleRow.id.desc())
        .limit(LAST_SALES)
        .correlate(AgentRow)
    )
    failed = NoticeRow.state.in_([literal_column("'failed'"), literal_column("'expired'")])
    used_up = NoticeRow.key.like(literal_column(f"'%:again:{PROOFS_MAX}'"))
    return select(NoticeRow.id).where(NoticeRow.key.in_(keys), failed, ~used_up).correlate(AgentRow).exists()


def _fresh(link: Any) -> ColumnElement[bool]:
    return and_(link.confirmed_at.is_not(None), link.fresh_until > _NOW)


def _shows(link: Any) -> ColumnElement[bool]:
    """Whether a link lets amounts be seen."""
    return and_(_fresh(link), link.role.in_([literal_column(f"'{role}'") for role in SEES_AMOUNTS]))


def _who() -> Select[*tuple[Any, ...]]:
    """One row at least: the caller; a row per link, its contracts and their open invoices.

    Contracts are joined only over a confirmed and fresh link: what a number may not see is not read.
    """
    caller = select(_PHONE.label("phone")).subquery("caller")
    promise = (
        select(func.max(PromiseRow.id))
        .where(PromiseRow.contract_id == ContractRow.id, PromiseRow.state.in_(_PROMISES))
        .correlate(ContractRow)
        .scalar_subquery()
    )
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
        PhoneLinkRow.customer_id,
        PhoneLinkRow.role,
        MeterDesiredRow.reason.label("why_off"),
        ContractRow.meter_id,
        MeterReportedRow.supply.label("reported"),
        MeterReportedRow.at.label("reported_at"),
        MeterReportedRow.raw.label("report"),
        PrepaidIssueRow.unit,
        PrepaidIssueRow.quantity,
        PrepaidIssueRow.tokens,
        PrepaidIssueRow.issued_at,
        PrepaidStandingRow.paid_until,
        PrepaidStandingRow.recent_tokens,
        PromiseRow.state.label("promise_state"),
        PromiseRow.promised_on,
        PromiseRow.amount_minor.label("promised_minor"),
        PromiseRow.ended_at.label("promise_ended_at"),
        _held_until().label("held_until"),
        _proof_failed().label("proof_failed"),
    ).select_from(
        caller.outerjoin(PhoneRow, PhoneRow.phone == caller.c.phone)
        .outerjoin(AgentRow, and_(AgentRow.phone == caller.c.phone, AgentRow.active == true()))
        .outerjoin(PhoneLinkRow, PhoneLinkRow.phone == caller.c.phone)
        .outerjoin(CustomerRow, CustomerRow.id == PhoneLinkRow.customer_id)
        .outerjoin(
            ContractRow,
            and_(
                ContractRow.customer_id == CustomerRow.id,
                ContractRow.state == literal_column("'active'"),
                _shows(PhoneLinkRow),
            ),
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
        .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == ContractRow.meter_id)
        .outerjoin(PrepaidStandingRow, PrepaidStandingRow.contract_id == ContractRow.id)
        .outerjoin(PrepaidIssueRow, PrepaidIssueRow.id == PrepaidStandingRow.last_issue_id)
        .outerjoin(PromiseRow, PromiseRow.id == promise)
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
            _nothing(PhoneLinkRow.customer_id.type),
            _nothing(PhoneLinkRow.role.type),
            _nothing(MeterDesiredRow.reason.type),
            _nothing(ContractRow.meter_id.type),
            _nothing(MeterReportedRow.supply.type),
            _nothing(MeterReportedRow.at.type),
            _nothing(MeterReportedRow.raw.type),
            _nothing(PrepaidIssueRow.unit.type),
            _nothing(PrepaidIssueRow.quantity.type),
            _nothing(PrepaidIssueRow.tokens.type),
            _nothing(PrepaidIssueRow.issued_at.type),
            _nothing(PrepaidStandingRow.paid_until.type),
            _nothing(PrepaidStandingRow.recent_tokens.type),
            _nothing(PromiseRow.state.type),
            _nothing(PromiseRow.promised_on.type),
            _nothing(PromiseRow.amount_minor.type),
            _nothing(PromiseRow.ended_at.type),
            _nothing(HoldRow.until_at.type),
            _nothing(Boolean()),
        )
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(ContractRow.account_number == bindparam("account"))
    )


def _own_contracts() -> Select[*tuple[Any, ...]]:
    return (
        select(ContractRow.id)
        .join(PhoneLinkRow, PhoneLinkRow.customer_id == ContractRow.customer_id)
        .where(PhoneLinkRow.phone == _PHONE, _shows(PhoneLinkRow))
    )


def _held_customers() -> Select[*tuple[Any, ...]]:
    """Those whose holder this phone is."""
    return select(PhoneLinkRow.customer_id).where(
        PhoneLinkRow.phone == _PHONE, PhoneLinkRow.role == literal_column(f"'{HOLDER}'"), _fresh(PhoneLinkRow)
    )


# What an arm of the second read gives; what it does not name is NULL there.
_COLUMNS: dict[str, Any] = {
    "what": String(),
    "key": String(),
    "reference": String(),
    "contract_id": AttemptRow.contract_id.type,
    "customer_id": CustomerRow.id.type,
    "minor": AttemptRow.charged_minor.type,
    "currency": AttemptRow.charged_currency.type,
    "payer_phone": AttemptRow.payer_phone.type,
    "asked_by_phone": AttemptRow.asked_by_phone.type,
    "state": AttemptRow.state.type,
    "is_open": Boolean(),
    "reason": AttemptRow.reason.type,
    "at": AttemptRow.created_at.type,
    "ended_at": AttemptRow.ended_at.type,
    "account_number": ContractRow.account_number.type,
    "time_zone": SiteRow.time_zone.type,
}


def _arm(what: str, **given: Any) -> Select[*tuple[Any, ...]]:
    given["what"] = literal(what)
    return select(*(given.get(name, _nothing(type_)).label(name) for name, type_ in _COLUMNS.items()))


def _attempts(whose: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return _arm(
        "attempt",
        key=AttemptRow.id,
        reference=AttemptRow.brand,
        contract_id=AttemptRow.contract_id,
        minor=AttemptRow.charged_minor,
        currency=AttemptRow.charged_currency,
        payer_phone=AttemptRow.payer_phone,
        asked_by_phone=AttemptRow.asked_by_phone,
        state=AttemptRow.state,
        is_open=AttemptRow.is_open,
        reason=AttemptRow.reason,
        at=AttemptRow.created_at,
        ended_at=AttemptRow.ended_at,
    ).where(whose, AttemptRow.created_at > _HORIZON, or_(AttemptRow.is_open == true(), AttemptRow.ended_at >= _SINCE))


def _payments() -> Select[*tuple[Any, ...]]:
    return (
        _arm(
            "payment",
            key=PaymentRow.receipt_number,
            reference=PaymentRow.verification_code,
            contract_id=PaymentRow.contract_id,
            minor=PaymentRow.amount_minor,
            currency=PaymentRow.currency,
            at=PaymentRow.received_at,
            account_number=ContractRow.account_number,
            time_zone=SiteRow.time_zone,
        )
        .select_from(PaymentRow)
        .join(ContractRow, ContractRow.id == PaymentRow.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(PaymentRow.reversed_at.is_(None))
        .order_by(PaymentRow.received_at.desc())
        .limit(RECEIPTS)
    )


def _requests() -> Select[*tuple[Any, ...]]:
    """Open requests for accounts whose holder this phone is."""
    return _arm(
        "request",
        key=cast(LinkRequestRow.id, String),
        reference=LinkRequestRow.phone,
        contract_id=LinkRequestRow.contract_id,
        customer_id=LinkRequestRow.customer_id,
        at=LinkRequestRow.asked_at,
    ).where(
        LinkRequestRow.customer_id.in_(_held_customers()),
        LinkRequestRow.state == literal_column("'open'"),
        LinkRequestRow.expires_at > _NOW,
        LinkRequestRow.phone != _PHONE,
    )


def _members() -> Select[*tuple[Any, ...]]:
    """The other phones of the customers whose holder this phone is."""
    other = aliased(PhoneLinkRow)
    return _arm(
        "member",
        key=cast(other.id, String),
        reference=other.phone,
        customer_id=other.customer_id,
        state=other.role,
        is_open=_fresh(other),
        at=other.created_at,
    ).where(other.customer_id.in_(_held_customers()), other.phone != _PHONE)


def _cases() -> Select[*tuple[Any, ...]]:
    return (
        _arm(
            "case",
            key=CaseRow.number,
            reference=CaseRow.kind,
            contract_id=CaseRow.contract_id,
            state=CaseRow.state,
            at=CaseRow.opened_at,
        )
        .where(CaseRow.state != literal_column("'closed'"))
        .order_by(CaseRow.opened_at.desc())
        .limit(CASES)
    )


def _ends() -> list[Select[*tuple[Any, ...]]]:
    """The END that this very turn left behind, whatever it did: one arm for each table that keeps some."""
    return [
        _arm("end", reference=row.end_text).where(
            row.turn_key == cast(bindparam("turn_key"), String), row.end_text.is_not(None)
        )
        for row in (AttemptRow, TurnDeedRow, AgentSaleRow, CashHandOverRow)
    ]


def _activity(*, details: bool, ends: bool) -> Any:
    """Attempts this phone pays or that pay for its contracts; with `details` also the last payments of either kind, the
    phones of its accounts and its cases; with `ends` what this turn left behind if it was run before.

    Each arm walks one index; what is in two arms comes twice.
    """
    arms = [
        _attempts(AttemptRow.payer_phone == _PHONE),
        _attempts(AttemptRow.contract_id.in_(_own_contracts())),
    ]
    if details:
        sent = _payments().join(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
        arms += [
            _payments().where(PaymentRow.contract_id.in_(_own_contracts())),
            sent.where(AttemptRow.payer_phone == _PHONE),
            _requests(),
            _members(),
            _cases().where(CaseRow.phone == _PHONE),
            _cases().where(CaseRow.contract_id.in_(_own_contracts())),
        ]
    if ends:
        arms += _ends()
    return union_all(*(select(arm.subquery(f"arm_{n}")) for n, arm in enumerate(arms)))


WHO = _who()
WHO_AND_ACCOUNT = union_all(_who(), _account())
# (details, ends) → what was asked of wallets and what arrived.
ACTIVITY = {
    (details, ends): _activity(details=details, ends=ends) for details in (False, True) for ends in (False, True)
}
