"""Promises to pay, and how each ended."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class PromiseRow(Base):
    """Somebody said that what a contract owes will be paid by the end of `promised_on`, a day at the site.

    `state`: `open`; `kept` (all that was owed when it was made is paid), `broken` (the day passed), `cancelled` (by a
    named person). `hold_id`: what keeps the cut away; it stands until the end of the day even when the promise is kept,
    so that a payment never brings a cut nearer.
    """

    __tablename__ = "promise"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'kept', 'broken', 'cancelled')", name="state"),
        CheckConstraint("amount_minor > 0", name="amount"),
        # One open promise a contract. The sweep walks this index, too.
        Index(
            "uq_promise_open",
            "contract_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_promise_contract_id", "contract_id", "id"),
        Index("ix_promise_state", "state", "promised_on"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    state: Mapped[str] = mapped_column(String(10), default="open")
    promised_on: Mapped[date]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    phone: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(3), default="fr")
    policy_version: Mapped[int]
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("hold.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(String(80))
    end_reason: Mapped[str] = mapped_column(String(200), default="")
