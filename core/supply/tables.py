"""What the utility wants of a meter, what the meter reports, and what a command is doing: three facts, three tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class MeterDesiredRow(Base):
    """What the utility wants. `version` only grows: it is taken in the transaction that records the reason."""

    __tablename__ = "meter_desired"
    __table_args__ = (CheckConstraint("supply IN ('on', 'off')", name="supply"),)

    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    supply: Mapped[str] = mapped_column(String(3))
    reason: Mapped[str] = mapped_column(String(40))
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    not_after: Mapped[datetime | None] = mapped_column(UtcDateTime)
    set_by: Mapped[str] = mapped_column(String(80))
    set_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MeterReportedRow(Base):
    """What the meter says of itself."""

    __tablename__ = "meter_reported"

    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    supply: Mapped[str] = mapped_column(String(3))
    relay: Mapped[str] = mapped_column(String(8))
    online: Mapped[bool] = mapped_column(default=False)
    session_no: Mapped[int] = mapped_column(BigInteger, default=0)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)


class RelayCommandRow(Base):
    """One version sent to one meter. The row is the truth, a PUBACK is not; only the meter's report says applied."""

    __tablename__ = "relay_command"
    __table_args__ = (
        UniqueConstraint("meter_id", "version"),
        CheckConstraint(
            "state IN ('held', 'queued', 'publishing', 'sent', 'acknowledged', 'applied', 'rejected', 'failed',"
            " 'expired', 'superseded', 'cancelled')",
            name="state",
        ),
        Index("ix_relay_command_state", "state", "next_try_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"), index=True)
    version: Mapped[int] = mapped_column(BigInteger)
    supply: Mapped[str] = mapped_column(String(3))
    reason: Mapped[str] = mapped_column(String(40))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(default=0)
    # Real time: when to try next, and until when one bridge holds it.
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_token: Mapped[str | None] = mapped_column(String(36))
    # Business time: the permitted window of an off, the long life of an on.
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_code: Mapped[str | None] = mapped_column(String(40))
    hold_reasons: Mapped[list[Any]] = mapped_column(JSON, default=list)


class RelayCommandEventRow(Base):
    __tablename__ = "relay_command_event"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    command_id: Mapped[str] = mapped_column(ForeignKey("relay_command.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    from_state: Mapped[str] = mapped_column(String(12))
    to_state: Mapped[str] = mapped_column(String(12))
    actor: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(200), default="")


class CrewTaskRow(Base):
    """Work for a person on the road: switching a manual meter, a relay that is stuck, a notice to hand over."""

    __tablename__ = "crew_task"
    __table_args__ = (UniqueConstraint("kind", "key"), Index("ix_crew_task_contract_id", "contract_id"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(80))
    meter_id: Mapped[str | None] = mapped_column(ForeignKey("meter.id"))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    state: Mapped[str] = mapped_column(String(10), default="open")
    detail: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_by: Mapped[str | None] = mapped_column(String(80))
