"""Statements of operators, their lines, how their columns are read, and the days that a person has closed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class StatementMappingRow(Base):
    """How the columns of one operator's file are read; saved with the first import, offered with the next.

    `columns`: our field → the header in the file. `options`: separators, time zone, words for kinds and states.
    """

    __tablename__ = "statement_mapping"
    __table_args__ = (UniqueConstraint("wallet", "currency"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    wallet: Mapped[str] = mapped_column(String(16))
    currency: Mapped[str] = mapped_column(String(3))
    columns: Mapped[dict[str, Any]] = mapped_column(JSON)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    saved_by: Mapped[str] = mapped_column(String(40))
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)


class StatementImportRow(Base):
    """One file or fetched report. The same bytes, read by the same columns, are taken once for a wallet.

    `lines_skipped`: lines that say themselves that no money moved. `covers_from`, `covers_until`: the time the report
    is about: what was asked of an API, else that of a file's first and last line. `released_*`: who let its many new
    lines be booked.
    """

    __tablename__ = "statement_import"
    __table_args__ = (UniqueConstraint("wallet", "digest"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    wallet: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(120))
    digest: Mapped[str] = mapped_column(String(64))
    imported_by: Mapped[str] = mapped_column(String(40))
    imported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lines_new: Mapped[int] = mapped_column(default=0)
    lines_known: Mapped[int] = mapped_column(default=0)
    lines_bad: Mapped[int] = mapped_column(default=0)
    lines_skipped: Mapped[int] = mapped_column(default=0, server_default="0")
    # [{"line": 12, "why": "...", "blanks": {}}], the first hundred.
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    covers_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    covers_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    released_by: Mapped[str | None] = mapped_column(String(40))
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    release_note: Mapped[str] = mapped_column(String(200), default="", server_default="")


class StatementLineRow(Base):
    """One line of an operator's report. Taken once, whichever report brings it.

    `outcome`: new → matched | theirs_only | differs | ignored. What only we have is no line: it is found by looking for
    payments that no line has matched.
    """

    __tablename__ = "statement_line"
    __table_args__ = (
        UniqueConstraint("wallet", "row_key"),
        CheckConstraint("kind IN ('payment', 'refund', 'reversal', 'fee', 'payout', 'other')", name="kind"),
        CheckConstraint("outcome IN ('new', 'matched', 'theirs_only', 'differs', 'ignored')", name="outcome"),
        Index("ix_statement_line_day", "wallet", "day", "currency"),
        Index("ix_statement_line_outcome", "outcome", "wallet"),
        Index("ix_statement_line_txn", "wallet", "provider_txn_id"),
        Index("ix_statement_line_money", "wallet", "amount_minor", "at"),
        # Whatever two matchers see: one line a payment, one a refund.
        Index(
            "uq_statement_line_payment",
            "payment_id",
            unique=True,
            sqlite_where=text("kind = 'payment' AND outcome IN ('matched', 'theirs_only')"),
            postgresql_where=text("kind = 'payment' AND outcome IN ('matched', 'theirs_only')"),
        ),
        Index(
            "uq_statement_line_refund",
            "refund_id",
            unique=True,
            sqlite_where=text("outcome = 'matched'"),
            postgresql_where=text("outcome = 'matched'"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("statement_import.id"))
    wallet: Mapped[str] = mapped_column(String(16))
    row_key: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(10))
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    fee_minor: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The day of the books in Kinshasa.
    day: Mapped[date] = mapped_column(Date)
    provider_txn_id: Mapped[str | None] = mapped_column(String(80))
    original_txn_id: Mapped[str | None] = mapped_column(String(80))
    own_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    payer: Mapped[str | None] = mapped_column(String(40))
    reference: Mapped[str | None] = mapped_column(String(60))
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)
    outcome: Mapped[str] = mapped_column(String(12), default="new")
    note: Mapped[str] = mapped_column(String(200), default="")
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payment.id"), index=True)
    refund_id: Mapped[str | None] = mapped_column(ForeignKey("refund.id"))
    # The day with whose closing its fee was booked.
    fee_booked_on: Mapped[date | None] = mapped_column(Date)
    # Who is booking it at this moment, in real time; an old claim is somebody's who died.
    claim: Mapped[str | None] = mapped_column(String(36))
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # When a line that differs was last compared again, in real time: the longest ago comes first.
    looked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Who settled a difference, and when.
    decided_by: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ClosedDayRow(Base):
    """A day signed off: what the figures were, what was open, and who says so. Later corrections are new entries."""

    __tablename__ = "closed_day"
    __table_args__ = (UniqueConstraint("wallet", "day", "currency"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    wallet: Mapped[str] = mapped_column(String(16))
    day: Mapped[date] = mapped_column(Date)
    currency: Mapped[str] = mapped_column(String(3))
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)
    note: Mapped[str] = mapped_column(String(400), default="")
    closed_by: Mapped[str] = mapped_column(String(40))
    closed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SuspensePlacingRow(Base):
    """Somebody wants suspense put on a contract. A second person does it; one open wish a payment."""

    __tablename__ = "suspense_placing"
    __table_args__ = (
        CheckConstraint("decided_by IS NULL OR withdrawn OR decided_by <> asked_by", name="two_people"),
        Index(
            "uq_suspense_placing_open",
            "payment_id",
            unique=True,
            sqlite_where=text("is_open = 1"),
            postgresql_where=text("is_open"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(String(200), default="")
    is_open: Mapped[bool] = mapped_column(default=True)
    withdrawn: Mapped[bool] = mapped_column(default=False)
    asked_by: Mapped[str] = mapped_column(String(40))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
