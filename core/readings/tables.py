"""Registers of meters and what they said."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class RegisterRow(Base):
    """How wide a register is: after `modulus_wh` it begins again at nothing. Without a row nothing rolls over."""

    __tablename__ = "meter_register"
    __table_args__ = (CheckConstraint("modulus_wh > 0", name="modulus"),)

    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"), primary_key=True)
    register: Mapped[str] = mapped_column(String(12), primary_key=True)
    modulus_wh: Mapped[int] = mapped_column(BigInteger)


class ReadingRow(Base):
    """What one register of one meter said at one moment. Cumulative, in whole watt-hours, never a difference.

    `at`: the meter's own time; `arrived_at`: ours (business time). Unique on meter, register and `at`, so that a batch
    that comes again changes nothing. `quality`: 0 measured, 1 clock doubtful, 2 after an outage, 3 estimated by us,
    4 edited by a person. `state`: accepted; held (a person looks, `doubt` says why); rejected. `said_wh`: what it said
    before a person edited it. `total_wh`: the register with every roll-over added; what is billed by.
    """

    __tablename__ = "reading"
    __table_args__ = (
        UniqueConstraint("meter_id", "register", "at"),
        CheckConstraint("wh >= 0 AND total_wh >= wh", name="register"),
        CheckConstraint("quality BETWEEN 0 AND 4", name="quality"),
        CheckConstraint("state IN ('accepted', 'held', 'rejected')", name="state"),
        # Few, and looked for on every list and before every cut.
        Index(
            "ix_reading_held",
            "meter_id",
            sqlite_where=text("state = 'held'"),
            postgresql_where=text("state = 'held'"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"))
    register: Mapped[str] = mapped_column(String(12))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    arrived_at: Mapped[datetime] = mapped_column(UtcDateTime)
    wh: Mapped[int] = mapped_column(BigInteger)
    total_wh: Mapped[int] = mapped_column(BigInteger)
    quality: Mapped[int]
    source: Mapped[str] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(8))
    doubt: Mapped[str | None] = mapped_column(String(24))
    said_wh: Mapped[int | None] = mapped_column(BigInteger)
    by: Mapped[str | None] = mapped_column(String(80))
    reason: Mapped[str | None] = mapped_column(String(200))
