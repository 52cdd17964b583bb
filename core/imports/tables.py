"""Files that were brought, and what the old system calls what we made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class ImportRow(Base):
    """One file, once: unique on its kind and its bytes. Real time, as the audit log.

    `problems`: [line, column, value, msgid, blanks], the first so many. `fault`: [msgid, blanks], why reading stopped.
    `applied_to`: the number of the last line that was carried out; it moves in the transaction that carries them out.
    """

    __tablename__ = "import_file"
    __table_args__ = (
        UniqueConstraint("kind", "sha256"),
        CheckConstraint("kind IN ('customers', 'contracts', 'meters', 'balances')", name="kind"),
        CheckConstraint("state IN ('waiting', 'good', 'bad', 'applying', 'done')", name="state"),
        Index("ix_import_file_uploaded_at", "uploaded_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))
    filename: Mapped[str] = mapped_column(String(120))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    lines: Mapped[int] = mapped_column(default=0)
    bad: Mapped[int] = mapped_column(default=0)
    problems: Mapped[list[Any]] = mapped_column(JSON, default=list)
    fault: Mapped[list[Any] | None] = mapped_column(JSON)
    uploaded_by: Mapped[str] = mapped_column(String(80))
    uploaded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted_by: Mapped[str | None] = mapped_column(String(80))
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    applied_to: Mapped[int] = mapped_column(default=0)
    made: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ImportPieceRow(Base):
    """The file itself, compressed, in pieces. It holds names and phones, so it goes when the import is done."""

    __tablename__ = "import_piece"

    import_id: Mapped[int] = mapped_column(ForeignKey("import_file.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class OldReferenceRow(Base):
    """What the old system calls a customer or a contract, and our own id of it. It makes a line happen once."""

    __tablename__ = "old_reference"
    __table_args__ = (CheckConstraint("kind IN ('customer', 'contract')", name="kind"),)

    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    reference: Mapped[str] = mapped_column(String(40), primary_key=True)
    subject_id: Mapped[int] = mapped_column(BigInteger, index=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("import_file.id"))
