"""Cases and what was said and done in each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class CaseRow(Base):
    """One thing somebody reported. `number`: digits with a check digit, for the telephone.

    `phone`: who is answered; None for a case that staff opened for nobody. `reports`: how often the same was reported
    while it was fresh. `state`: `open` until a person takes it (`taken`) or answers (`answered`); `closed` is the end.
    """

    __tablename__ = "customer_case"
    __table_args__ = (
        CheckConstraint("kind IN ('outage', 'dispute', 'complaint', 'other')", name="kind"),
        CheckConstraint("state IN ('open', 'taken', 'answered', 'closed')", name="state"),
        CheckConstraint("source IN ('ussd', 'sms', 'staff')", name="source"),
        # The list, the first page and the join of a second report walk those that are not closed.
        Index(
            "ix_customer_case_live",
            "opened_at",
            sqlite_where=text("state <> 'closed'"),
            postgresql_where=text("state <> 'closed'"),
        ),
        Index("ix_customer_case_phone", "phone", "opened_at"),
        Index("ix_customer_case_contract_id", "contract_id", "opened_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number: Mapped[str] = mapped_column(String(12), unique=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(8), default="open")
    source: Mapped[str] = mapped_column(String(5))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("hold.id"))
    phone: Mapped[str | None] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(3), default="fr")
    body: Mapped[str] = mapped_column(Text, default="")
    reports: Mapped[int] = mapped_column(default=1)
    assigned_to: Mapped[str | None] = mapped_column(String(80))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_by: Mapped[str] = mapped_column(String(80))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(String(80))
    close_reason: Mapped[str] = mapped_column(String(200), default="")


class CaseNoteRow(Base):
    """A line of a case's history. `kind`: `opened`, `again` (reported once more), `note`, `answer` (went out by SMS),
    `assigned`, `closed`. `key`: made by whoever writes it, so that the same report or form counts once."""

    __tablename__ = "customer_case_note"
    __table_args__ = (Index("ix_customer_case_note_case_id", "case_id", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("customer_case.id"))
    key: Mapped[str] = mapped_column(String(120), unique=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(10))
    text: Mapped[str] = mapped_column(Text, default="")
    notice_id: Mapped[int | None] = mapped_column(ForeignKey("notice.id"))
