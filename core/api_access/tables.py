"""Tokens of programs, and the requests that carried an idempotency key."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class ApiTokenRow(Base):
    """Only the hash is kept; `hint` is its beginning, so that people can tell tokens apart. Real time throughout."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(12))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(80))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApiRequestRow(Base):
    """A request under an idempotency key, and its answer. Real time; the row goes some days later.

    `digest`: of method, path and content. `in_hand_until`: whoever works on it has given up by then.
    """

    __tablename__ = "api_request"
    __table_args__ = (
        UniqueConstraint("token_id", "key"),
        CheckConstraint("state IN ('in_hand', 'answered')", name="state"),
        Index("ix_api_request_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("api_token.id"))
    key: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    in_hand_until: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[int | None]
    content_type: Mapped[str | None] = mapped_column(String(40))
    answer: Mapped[str | None] = mapped_column(Text)


class MadeRow(Base):
    """What a request made: written in the transaction that made it, so that the same request again finds it.

    `id`: made from the token and the key of the request; `subject`: the id of what it made.
    """

    __tablename__ = "api_made"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))
    subject: Mapped[str] = mapped_column(String(40))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
