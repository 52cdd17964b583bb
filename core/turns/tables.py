"""The journal of USSD turns, for the replay of a complaint. Drained here in batches; holds no transcript."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class TurnRow(Base):
    """One screen as the phone showed it. `prefix_hash` is a keyed hash of the transcript; a PIN never stands here."""

    __tablename__ = "turn"
    __table_args__ = (
        UniqueConstraint("gateway", "session_id", "phone", "day", "position"),
        Index("ix_turn_phone", "phone", "at"),
        Index("ix_turn_day", "day", "state"),
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
    # The network's code and the language of the screen; empty in rows of an older release.
    network: Mapped[str] = mapped_column(String(12), default="", server_default="")
    language: Mapped[str] = mapped_column(String(8), default="", server_default="")
    # How long until the next request of the session; None: nobody answered this screen.
    answer_ms: Mapped[int | None]


class SessionEndRow(Base):
    """The network's news that a session is over. It may be missing, late or repeated: it only refines what turns say.

    `status`, `reason`: the network's, in our words. `how`: what we make of it (`core.turns.rules.how_it_ended`).
    `state`, `language`: of the last screen shown, empty where no turn of the session is known.
    """

    __tablename__ = "session_end"
    __table_args__ = (
        UniqueConstraint("gateway", "session_id", "phone", "day"),
        Index("ix_session_end_day", "day", "state"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    gateway: Mapped[str] = mapped_column(String(20))
    session_id: Mapped[str] = mapped_column(String(80))
    phone: Mapped[str] = mapped_column(String(16))
    service_code: Mapped[str] = mapped_column(String(40))
    # The session's own day, which is the one before where it began before midnight.
    day: Mapped[date]
    network: Mapped[str] = mapped_column(String(12))
    language: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(String(12))
    how: Mapped[str] = mapped_column(String(12))
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    hops: Mapped[int | None]
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
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
