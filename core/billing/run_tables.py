"""What an invoice was measured by, what a run could not bill, and credit notes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class InvoiceMeasureRow(Base):
    """What an invoice for consumption was measured by. The next one begins where this one ended.

    Registers in whole watt-hours, cumulative. `until_wh` is never below `from_wh`: after an estimate that was too high
    nothing is billed until the register has caught up. `until_measured_wh` is what the register really said.
    """

    __tablename__ = "invoice_measure"
    __table_args__ = (CheckConstraint("until_wh >= from_wh", name="forwards"),)

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True, autoincrement=False)
    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"))
    from_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)
    from_wh: Mapped[int] = mapped_column(BigInteger)
    until_wh: Mapped[int] = mapped_column(BigInteger)
    until_measured_wh: Mapped[int] = mapped_column(BigInteger)
    estimated: Mapped[bool] = mapped_column(default=False)


class LeftOutRow(Base):
    """A contract that a run could not bill, and why. Gone as soon as it is billed; a person works through the rest."""

    __tablename__ = "billing_left_out"
    __table_args__ = (Index("ix_billing_left_out_period", "period", "reason"),)

    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"), primary_key=True, autoincrement=False)
    period: Mapped[str] = mapped_column(String(7), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("billing_run.id"))
    reason: Mapped[str] = mapped_column(String(24))
    detail: Mapped[str] = mapped_column(String(160), default="")


class CreditNoteRow(Base):
    """A numbered paper that lowers an invoice. What moved is in the ledger, under keys that begin with its number.

    `amount_minor` has its taxes in it, `tax_minor` says how much of it they are.
    """

    __tablename__ = "credit_note"
    __table_args__ = (
        CheckConstraint("amount_minor > 0 AND tax_minor >= 0 AND tax_minor <= amount_minor", name="amounts"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number: Mapped[str] = mapped_column(String(24), unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), index=True)
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    issued_on: Mapped[date]
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_by: Mapped[str] = mapped_column(String(80))


class BillingOrderRow(Base):
    """Work on a month's invoices that somebody ordered at the console and a worker carries out, part by part.

    `key`: made by the form, so that one sent twice is one order. `of`: how many there were to look at when it began;
    `done`, `moved`: how many were looked at, and drafted, validated or sent. `after_id`: where the next part goes on.
    `refused`: the first of those that did not go further, as [invoice id, code].
    """

    __tablename__ = "billing_order"
    __table_args__ = (
        CheckConstraint("act IN ('draft', 'validate', 'send')", name="act"),
        CheckConstraint("state IN ('waiting', 'running', 'stopping', 'stopped', 'done')", name="state"),
        Index("ix_billing_order_period", "period", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(String(36), unique=True)
    act: Mapped[str] = mapped_column(String(8))
    period: Mapped[str] = mapped_column(String(7))
    agency_id: Mapped[int | None] = mapped_column(ForeignKey("agency.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("billing_run.id"))
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    of: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    moved: Mapped[int] = mapped_column(default=0)
    after_id: Mapped[int] = mapped_column(BigInteger, default=0)
    refused: Mapped[list[Any]] = mapped_column(JSON, default=list)
    refused_count: Mapped[int] = mapped_column(default=0)
    ordered_by: Mapped[str] = mapped_column(String(80))
    ordered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    began_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
