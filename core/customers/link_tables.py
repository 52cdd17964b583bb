"""Requests of phones to be linked to an account, and what became of links."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class LinkRequestRow(Base):
    """A phone asks to be linked to an account number.

    `contract_id` and `customer_id` are None when nobody has that number: such a request is kept all the same, so that
    limits and answers tell nobody which numbers exist. `expired` is written when the phone asks again; readers compare
    `expires_at`. `decided_by`: the holder's number, or `staff:` and a name.
    """

    __tablename__ = "link_request"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'confirmed', 'denied', 'expired')", name="state"),
        Index(
            "uq_link_request_open",
            "phone",
            "account_number",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index(
            "ix_link_request_open_customer",
            "customer_id",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_link_request_phone", "phone", "asked_at"),
        Index("ix_link_request_account", "account_number", "asked_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    phone: Mapped[str] = mapped_column(String(16))
    account_number: Mapped[str] = mapped_column(String(10))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    language: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(10), default="open")
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(80))


class LinkChangeRow(Base):
    """What happened to the phones of a customer, oldest first, insert-only. `by`: as `LinkRequestRow.decided_by`;
    `role`: the link's afterwards, None when it is gone."""

    __tablename__ = "link_change"
    __table_args__ = (
        CheckConstraint("what IN ('confirmed', 'renewed', 'removed', 'denied', 'sim_changed')", name="what"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    phone: Mapped[str] = mapped_column(String(16))
    what: Mapped[str] = mapped_column(String(12))
    role: Mapped[str | None] = mapped_column(String(8))
    by: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
