"""Accounts, journals and transfers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class AccountRow(Base):
    """A ledger account: a code of the chart, its owner ('' where it has none), one currency.

    `balance_minor` is cached only where a floor or an owner needs it (receivable, credit, agent float) or a turn shows
    it (commission payable): debits minus credits for receivable, credits minus debits for the others. Recomputed
    nightly; a difference is an alarm.
    """

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("code", "owner", "currency"),
        UniqueConstraint("id", "currency"),
        CheckConstraint("balance_minor IS NULL OR floor_minor IS NULL OR balance_minor >= floor_minor", name="floor"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(String(32))
    owner: Mapped[str] = mapped_column(String(64), default="")
    currency: Mapped[str] = mapped_column(String(3))
    balance_minor: Mapped[int | None] = mapped_column(BigInteger)
    floor_minor: Mapped[int | None] = mapped_column(BigInteger)


class JournalRow(Base):
    """One event that moved money. `key` makes it happen once; `digest` refuses other content under the same key."""

    __tablename__ = "journal"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(120), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    memo: Mapped[str] = mapped_column(Text, default="")
    actor: Mapped[str] = mapped_column(String(80), default="system")
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TransferRow(Base):
    """One movement from a credit account to a debit account. Insert-only: a correction is a new row.

    An allocation is a transfer that names its invoice.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        ForeignKeyConstraint(
            ["debit_account_id", "currency"], ["account.id", "account.currency"], name="fk_transfer_debit"
        ),
        ForeignKeyConstraint(
            ["credit_account_id", "currency"], ["account.id", "account.currency"], name="fk_transfer_credit"
        ),
        CheckConstraint("amount_minor > 0", name="positive"),
        CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
        Index("ix_transfer_debit_account_id", "debit_account_id"),
        Index("ix_transfer_credit_account_id", "credit_account_id"),
        Index("ix_transfer_invoice_id", "invoice_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    journal_id: Mapped[str] = mapped_column(ForeignKey("journal.id"), index=True)
    debit_account_id: Mapped[int] = mapped_column(BigInteger)
    credit_account_id: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payment.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
