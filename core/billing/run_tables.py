"""What an invoice was measured by, what a run could not bill, and credit notes."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
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
