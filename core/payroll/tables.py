"""Employees, their bonuses and deductions, rates by version, and each month's run with its payslips."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime

# `2026-02`.
_MONTH = "length({0}) = 7 AND substr({0}, 1, 2) = '20' AND substr({0}, 5, 1) = '-'"


class EmployeeRow(Base):
    """Somebody on a salary. `base_minor`: of a whole month. `pay_to`: how the money comes, as it stands on the slip."""

    __tablename__ = "employee"
    __table_args__ = (
        CheckConstraint("base_minor >= 0", name="base"),
        CheckConstraint("ends_on IS NULL OR ends_on >= starts_on", name="days"),
        Index("ix_employee_currency", "currency", "active"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    job: Mapped[str] = mapped_column(String(80))
    agency_id: Mapped[int] = mapped_column(ForeignKey("agency.id"))
    phone: Mapped[str] = mapped_column(String(16), default="")
    email: Mapped[str] = mapped_column(String(160), default="")
    language: Mapped[str] = mapped_column(String(3), default="fr")
    pay_to: Mapped[str] = mapped_column(String(60), default="")
    base_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    dependants: Mapped[int] = mapped_column(default=0)
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PayRatesRow(Base):
    """What is kept from pay, from a month on. Never changed; the newest version that has begun counts.

    `confirmed_by`: the member of staff who wrote down that an accountant has confirmed it, with the words.
    """

    __tablename__ = "pay_rates"
    __table_args__ = (
        UniqueConstraint("currency", "version"),
        CheckConstraint(_MONTH.format("from_period"), name="month"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    currency: Mapped[str] = mapped_column(String(3))
    version: Mapped[int]
    from_period: Mapped[str] = mapped_column(String(7))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(80))
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_by: Mapped[str] = mapped_column(String(80), default="")
    confirmation: Mapped[str] = mapped_column(String(200), default="")


class PayrollRunRow(Base):
    """A month's pay in one currency. `version` counts its computations; what was seen of an older one does not count.

    `commission_until`: commission that the ledger had before this moment is paid with it. Business time throughout.
    """

    __tablename__ = "payroll_run"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'review', 'closing', 'closed', 'cancelled')", name="state"),
        CheckConstraint(_MONTH.format("period"), name="month"),
        Index(
            "uq_payroll_run_period",
            "currency",
            "period",
            unique=True,
            sqlite_where=text("state <> 'cancelled'"),
            postgresql_where=text("state <> 'cancelled'"),
        ),
        Index(
            "uq_payroll_run_open",
            "currency",
            unique=True,
            sqlite_where=text("state IN ('open', 'review', 'closing')"),
            postgresql_where=text("state IN ('open', 'review', 'closing')"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    period: Mapped[str] = mapped_column(String(7))
    currency: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(10), default="open")
    version: Mapped[int] = mapped_column(default=1)
    rates_id: Mapped[int | None] = mapped_column(ForeignKey("pay_rates.id"))
    commission_until: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_by: Mapped[str] = mapped_column(String(80))
    computed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    computed_by: Mapped[str] = mapped_column(String(80))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str] = mapped_column(String(80), default="")


class PayrollLookRow(Base):
    """Who looked at which computation of a run, and what they had to say. `sent_back`: it went back to be corrected."""

    __tablename__ = "payroll_look"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("payroll_run.id"), index=True)
    version: Mapped[int]
    by: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(String(300), default="")
    sent_back: Mapped[bool] = mapped_column(default=False)


class PayslipRow(Base):
    """What one person gets in one run. Who it is, as it was then, stands here; `number` is given at closing."""

    __tablename__ = "payslip"
    __table_args__ = (
        UniqueConstraint("run_id", "employee_id"),
        UniqueConstraint("run_id", "agent_id"),
        CheckConstraint("(employee_id IS NULL) <> (agent_id IS NULL)", name="payee"),
        CheckConstraint("net_minor >= 0 AND net_minor = gross_minor - deducted_minor", name="net"),
        Index("ix_payslip_employee_id", "employee_id"),
        Index("ix_payslip_agent_id", "agent_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("payroll_run.id"))
    employee_id: Mapped[int | None] = mapped_column(ForeignKey("employee.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agent.id"))
    number: Mapped[str | None] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    staff_number: Mapped[str] = mapped_column(String(20))
    job: Mapped[str] = mapped_column(String(80))
    agency: Mapped[str] = mapped_column(String(120))
    language: Mapped[str] = mapped_column(String(3))
    email: Mapped[str] = mapped_column(String(160), default="")
    pay_to: Mapped[str] = mapped_column(String(60), default="")
    currency: Mapped[str] = mapped_column(String(3))
    gross_minor: Mapped[int] = mapped_column(BigInteger)
    deducted_minor: Mapped[int] = mapped_column(BigInteger)
    net_minor: Mapped[int] = mapped_column(BigInteger)
    employer_minor: Mapped[int] = mapped_column(BigInteger)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_by: Mapped[str] = mapped_column(String(80), default="")
    paid_reference: Mapped[str] = mapped_column(String(60), default="")


class PayItemRow(Base):
    """A bonus or a deduction. `once`: due from `from_period` on until it was on a slip (`slip_id`); otherwise every
    month up to `until_period`. `carried_slip_id`: the slip on which there was not enough for it."""

    __tablename__ = "pay_item"
    __table_args__ = (
        CheckConstraint("(employee_id IS NULL) <> (agent_id IS NULL)", name="payee"),
        CheckConstraint("kind IN ('bonus', 'deduction')", name="kind"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint(_MONTH.format("from_period"), name="month"),
        UniqueConstraint("carried_slip_id", "carried_item_id"),
        Index("ix_pay_item_employee_id", "employee_id"),
        Index("ix_pay_item_agent_id", "agent_id"),
        Index("ix_pay_item_currency", "currency", "from_period"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    employee_id: Mapped[int | None] = mapped_column(ForeignKey("employee.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agent.id"))
    kind: Mapped[str] = mapped_column(String(10))
    words: Mapped[str] = mapped_column(String(80))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    taxable: Mapped[bool] = mapped_column(default=False)
    once: Mapped[bool] = mapped_column(default=True)
    from_period: Mapped[str] = mapped_column(String(7))
    until_period: Mapped[str] = mapped_column(String(7), default="")
    slip_id: Mapped[int | None] = mapped_column(ForeignKey("payslip.id"))
    carried_from: Mapped[str] = mapped_column(String(7), default="")
    carried_slip_id: Mapped[int | None] = mapped_column(ForeignKey("payslip.id"))
    carried_item_id: Mapped[int | None] = mapped_column(ForeignKey("pay_item.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(80))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str] = mapped_column(String(80), default="")


class PayslipLineRow(Base):
    """One line, in the order of the slip. `basis`: how it comes about; see `core.payroll.model.Line`."""

    __tablename__ = "payslip_line"
    __table_args__ = (
        UniqueConstraint("slip_id", "position"),
        CheckConstraint("amount_minor >= 0 AND asked_minor >= amount_minor", name="amounts"),
        CheckConstraint("side IN ('earning', 'deduction', 'employer')", name="side"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    slip_id: Mapped[int] = mapped_column(ForeignKey("payslip.id"))
    position: Mapped[int]
    side: Mapped[str] = mapped_column(String(10))
    kind: Mapped[str] = mapped_column(String(20))
    label: Mapped[str] = mapped_column(String(80), default="")
    levy: Mapped[str] = mapped_column(String(24), default="")
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    asked_minor: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[int | None] = mapped_column(ForeignKey("pay_item.id"))
    basis: Mapped[dict[str, Any]] = mapped_column(JSON)
