"""Cash and bank money that somebody has declared and nobody has confirmed yet."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class DeclaredPaymentRow(Base):
    """Money that is said to have come. It counts once it is confirmed: then the payment with the same id exists.

    `id`: made by whoever declares, so that a declaration that is repeated stays one. `reference`: the number of the
    bank's statement, unique among bank money that counts; the counter's slip for cash. Business time.
    """

    __tablename__ = "declared_payment"
    __table_args__ = (
        CheckConstraint("way IN ('cash', 'bank')", name="way"),
        CheckConstraint("state IN ('declared', 'confirmed')", name="state"),
        CheckConstraint("amount_minor > 0", name="amount"),
        Index(
            "ix_declared_payment_open",
            "seq",
            sqlite_where=text("state = 'declared'"),
            postgresql_where=text("state = 'declared'"),
        ),
    )

    seq: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    way: Mapped[str] = mapped_column(String(4))
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    reference: Mapped[str | None] = mapped_column(String(40))
    paid_on: Mapped[date | None]
    state: Mapped[str] = mapped_column(String(10))
    declared_by: Mapped[str] = mapped_column(String(80))
    declared_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_by: Mapped[str | None] = mapped_column(String(80))
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
