"""Prices in force, the counter under its lock, tokens read again."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import String, cast, func, or_, select
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, CustomerRow, MeterRow
from core.kernel.money import Money
from core.ledger.tables import AccountRow
from core.prepaid.model import Issue, Price, Short, Unit
from core.prepaid.tables import KeypadMeterRow, PrepaidIssueRow, PrepaidPriceRow, PrepaidStandingRow


def price_on(session: Session, unit: str, currency: str, day: date) -> Price | None:
    """The newest version whose first day has come."""
    row = session.scalar(
        select(PrepaidPriceRow)
        .where(PrepaidPriceRow.unit == unit, PrepaidPriceRow.currency == currency, PrepaidPriceRow.valid_from <= day)
        .order_by(PrepaidPriceRow.valid_from.desc(), PrepaidPriceRow.version.desc())
        .limit(1)
    )
    return None if row is None else as_price(row)


def first_day(session: Session, unit: str, currency: str) -> date | None:
    """The day from which there is a price, past or to come; None where there is none yet."""
    return session.scalar(
        select(func.min(PrepaidPriceRow.valid_from)).where(
            PrepaidPriceRow.unit == unit, PrepaidPriceRow.currency == currency
        )
    )


def prices(session: Session) -> list[Price]:
    """Every version, the newest first."""
    order = (PrepaidPriceRow.currency, PrepaidPriceRow.unit, PrepaidPriceRow.version.desc())
    return [as_price(row) for row in session.scalars(select(PrepaidPriceRow).order_by(*order))]


def newest_version(session: Session, unit: str, currency: str) -> int:
    newest = select(func.max(PrepaidPriceRow.version)).where(
        PrepaidPriceRow.unit == unit, PrepaidPriceRow.currency == currency
    )
    return int(session.scalar(newest) or 0)


def lock_keypad(session: Session, meter_id: str) -> KeypadMeterRow | None:
    """The counter's row, locked until the caller commits. SQLite's writer holds the whole database already."""
    return session.scalar(
        select(KeypadMeterRow)
        .where(KeypadMeterRow.meter_id == meter_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def issue_for(session: Session, cause: str) -> Issue | None:
    """What was issued for this cause, if anything was."""
    row = session.scalar(select(PrepaidIssueRow).where(PrepaidIssueRow.cause == cause))
    return None if row is None else as_issue(row)


def issues_of(session: Session, contract_id: int, *, limit: int) -> list[Issue]:
    """The newest first. Uses ix_prepaid_issue_contract_id."""
    rows = session.scalars(
        select(PrepaidIssueRow)
        .where(PrepaidIssueRow.contract_id == contract_id)
        .order_by(PrepaidIssueRow.id.desc())
        .limit(limit)
    )
    return [as_issue(row) for row in rows]


def issued_after(session: Session, contract_id: int, at: datetime) -> bool:
    """Whether a token left for this contract at `at` (business time) or later."""
    later = select(PrepaidIssueRow.id).where(
        PrepaidIssueRow.contract_id == contract_id, PrepaidIssueRow.issued_at >= at
    )
    return session.scalar(later.limit(1)) is not None


def standing_of(session: Session, contract_id: int) -> PrepaidStandingRow | None:
    return session.get(PrepaidStandingRow, contract_id, populate_existing=True)


def short(session: Session, *, limit: int) -> list[Short]:
    """Prepaid accounts below zero, the deepest first: their tokens had left when the money was taken back."""
    rows = session.execute(
        select(
            ContractRow.id,
            ContractRow.account_number,
            CustomerRow.name,
            AccountRow.balance_minor,
            ContractRow.currency,
            PrepaidIssueRow.issued_at,
        )
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(
            AccountRow,
            (AccountRow.code == "credit")
            & (AccountRow.owner == cast(ContractRow.id, String))
            & (AccountRow.currency == ContractRow.currency),
        )
        .outerjoin(PrepaidStandingRow, PrepaidStandingRow.contract_id == ContractRow.id)
        .outerjoin(PrepaidIssueRow, PrepaidIssueRow.id == PrepaidStandingRow.last_issue_id)
        .outerjoin(MeterRow, MeterRow.id == ContractRow.meter_id)
        # A radio meter's account goes below zero by its use, and its supply goes off for that.
        .where(or_(MeterRow.id.is_(None), MeterRow.control_kind != "mqtt_relay"))
        .where(ContractRow.kind == "prepaid", AccountRow.balance_minor < 0)
        .order_by(AccountRow.balance_minor, ContractRow.id)
        .limit(limit)
    )
    return [
        Short(contract_id, account, name, Money(-int(balance or 0), currency), at)
        for contract_id, account, name, balance, currency, at in rows
    ]


def as_price(row: PrepaidPriceRow) -> Price:
    return Price(
        row.id,
        row.version,
        as_unit(row.unit),
        Money(row.price_minor, row.currency),
        row.tax_basis_points,
        row.levy,
        row.valid_from,
    )


def as_issue(row: PrepaidIssueRow) -> Issue:
    return Issue(
        id=row.id,
        cause=row.cause,
        contract_id=row.contract_id,
        meter_id=row.meter_id,
        payment_id=row.payment_id,
        unit=as_unit(row.unit),
        quantity=row.quantity,
        amount=Money(row.amount_minor, row.currency),
        tax=Money(row.tax_minor, row.currency),
        tokens=tuple(row.tokens.split()),
        issued_at=row.issued_at,
    )


def as_unit(text: str) -> Unit:
    """The check on the column allows no third."""
    return "kwh" if text == "kwh" else "day"
