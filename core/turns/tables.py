"""The journal of USSD turns, for the replay of a complaint. Drained here in batches; holds no transcript."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class TurnRow(Base):
    """One screen as the phone showed it. `prefix_hash` is a keyed hash of the transcript; a PIN never stands here."""

    __tablename__ = "turn"
    __table_args__ = (
        UniqueConstraint("gateway", "session_id", "phone", "day", "position"),
        Index("ix_turn_phone", "phone", "at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    gateway: Mapped[str] = mapped_column(String(20))
    session_id: Mapped[str] = mapped_column(String(80))
    phone: Mapped[str] = mapped_column(String(16))
    service_code: Mapped[str] = mapped_column(String(40))
    day: Mapped[date]
    position: Mapped[int]
    state: Mapped[str] = mapped_column(String(40))
    prefix_length: Mapped[int]
    prefix_hash: Mapped[str] = mapped_column(String(64))
    typed: Mapped[str] = mapped_column(String(40), default="")
    screen: Mapped[str] = mapped_column(Text)
    ended: Mapped[bool]
    contract_id: Mapped[int | None]
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class TurnDeedRow(Base):
    """What one turn had done besides payments and sales. `did`: JSON, without any PIN. `end_text`: the END that was
    said; None where the session went on."""

    __tablename__ = "turn_deed"

    turn_key: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    phone: Mapped[str] = mapped_column(String(16), index=True)
    did: Mapped[str] = mapped_column(Text)
    end_text: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
