"""How the dunning policy changes hands, and what stops cuts at once whatever the policy says."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class PolicyDraftRow(Base):
    """A new version that somebody asked for. A second person's word makes a row of `dunning_policy` of it.

    `based_on`: the version it was written from, to show what changes. `version`: what it became.
    """

    __tablename__ = "dunning_policy_draft"
    __table_args__ = (CheckConstraint("state IN ('waiting', 'released', 'rejected', 'withdrawn')", name="state"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    valid_from: Mapped[date]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    based_on: Mapped[int]
    note: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(String(80))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    decided_by: Mapped[str | None] = mapped_column(String(80))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decision_note: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int | None]


class CutStopRow(Base):
    """No cut while it stands: the emergency brake, or a day declared a holiday.

    It needs no second person and no version, because it only keeps the light on; a version that begins meanwhile does
    not lift it.
    """

    __tablename__ = "cut_stop"
    __table_args__ = (
        CheckConstraint("kind IN ('holiday', 'brake')", name="kind"),
        CheckConstraint("(kind = 'brake') = (day IS NULL)", name="day"),
        Index(
            "ix_cut_stop_brake",
            "kind",
            unique=True,
            sqlite_where=text("lifted_at IS NULL AND kind = 'brake'"),
            postgresql_where=text("lifted_at IS NULL AND kind = 'brake'"),
        ),
        Index(
            "ix_cut_stop_day",
            "day",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    day: Mapped[date | None]
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lifted_by: Mapped[str | None] = mapped_column(String(80))
    lift_reason: Mapped[str] = mapped_column(Text, default="")
