"""Documents we made: where the bytes lie, and that they are still the same."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class DocumentRow(Base):
    """`kind` and `subject` name it (`receipt` of a payment id); `storage_key` is where the store keeps it.

    `code`: by which anybody checks a bill; a receipt's stands on its payment.
    """

    __tablename__ = "document"
    __table_args__ = (UniqueConstraint("kind", "subject"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(64))
    code: Mapped[str | None] = mapped_column(String(10), unique=True)
    storage_key: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
