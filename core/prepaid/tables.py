"""Prices of prepaid energy, keypad meters with their counters, every token that was issued, and what was used."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class PrepaidPriceRow(Base):
    """What one unit costs, tax included: insert-only, a change is a new version with its first day.

    `unit`: day or kwh. `tax_basis_points`: the part of the price that is tax, on top of the net price.
    """

    __tablename__ = "prepaid_price"
    __table_args__ = (
        UniqueConstraint("currency", "unit", "version"),
        CheckConstraint("unit IN ('day', 'kwh')", name="unit"),
        CheckConstraint("price_minor > 0", name="price"),
        CheckConstraint("tax_basis_points BETWEEN 0 AND 10000", name="tax"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    currency: Mapped[str] = mapped_column(String(3))
    unit: Mapped[str] = mapped_column(String(3))
    version: Mapped[int]
    price_minor: Mapped[int] = mapped_column(BigInteger)
    tax_basis_points: Mapped[int] = mapped_column(default=0)
    levy: Mapped[str] = mapped_column(String(20), default="vat")
    valid_from: Mapped[date]
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(80))


class KeypadMeterRow(Base):
    """What a token for a keypad meter is made from. The row is locked while one is made.

    `secret`: the device's key, sealed (core.sealing, purpose `keypad:<meter>`). `starting_code`: nine digits; None
    until the meter is provisioned. `count`: the counter of the newest token. `divider`: how many steps of the device
    one unit is. `unit`: what the device counts, day or kwh.
    """

    __tablename__ = "keypad_meter"
    __table_args__ = (
        CheckConstraint("unit IN ('day', 'kwh')", name="unit"),
        CheckConstraint("divider BETWEEN 1 AND 255", name="divider"),
        CheckConstraint("count >= 0", name="count"),
    )

    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"), primary_key=True)
    secret: Mapped[str | None] = mapped_column(Text)
    starting_code: Mapped[int | None]
    count: Mapped[int] = mapped_column(default=1)
    unit: Mapped[str] = mapped_column(String(3), default="day")
    divider: Mapped[int] = mapped_column(default=1)
    restricted: Mapped[bool] = mapped_column(default=False)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrepaidIssueRow(Base):
    """Credit that became tokens, once per cause. Business time.

    `tokens`: text with leading zeros, one blank between two; in the order in which they are best typed.
    `counter_after` is unique on the meter: the same count twice would lock the customer out.
    """

    __tablename__ = "prepaid_issue"
    __table_args__ = (
        UniqueConstraint("meter_id", "counter_after"),
        CheckConstraint("quantity > 0 AND amount_minor > 0 AND tax_minor >= 0", name="amounts"),
        CheckConstraint("counter_after > counter_before", name="counter"),
        Index("ix_prepaid_issue_contract_id", "contract_id", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    cause: Mapped[str] = mapped_column(String(110), unique=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"))
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payment.id"), index=True)
    price_id: Mapped[int] = mapped_column(ForeignKey("prepaid_price.id"))
    unit: Mapped[str] = mapped_column(String(3))
    quantity: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[str] = mapped_column(Text)
    counter_before: Mapped[int]
    counter_after: Mapped[int]
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrepaidStandingRow(Base):
    """Where a prepaid contract stands: its newest issue, and until when what was bought lasts.

    `recent_tokens`: the last ones over all issues for this meter, oldest first, one blank between two: as many as the
    device takes in any order, and all of the newest two issues.
    `paid_until`: business time, when every token was typed at once; None where the meter counts kWh, which only a
    reading tells.
    """

    __tablename__ = "prepaid_standing"

    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"), primary_key=True, autoincrement=False)
    last_issue_id: Mapped[int] = mapped_column(ForeignKey("prepaid_issue.id"))
    recent_tokens: Mapped[str] = mapped_column(Text)
    paid_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PrepaidUseRow(Base):
    """Credit that a radio meter used up, at one price: insert-only. Business time.

    `seq` counts per contract. Energy: from `from_wh` to `until_wh` of the register, `reading_id` the reading at its
    end; days: `days`. `carry_before`, `carry_after`: thousandths of a minor unit that no charge was whole enough for.
    `undone_at`: the reading was corrected afterwards, the money given back, and the use charged anew.
    """

    __tablename__ = "prepaid_use"
    __table_args__ = (
        UniqueConstraint("contract_id", "seq"),
        CheckConstraint("unit IN ('day', 'kwh')", name="unit"),
        CheckConstraint("amount_minor >= 0 AND tax_minor >= 0 AND tax_minor <= amount_minor", name="amounts"),
        CheckConstraint("until_wh >= from_wh AND until_at > from_at", name="span"),
        Index("ix_prepaid_use_reading_id", "reading_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    seq: Mapped[int]
    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"))
    reading_id: Mapped[int | None] = mapped_column(ForeignKey("reading.id"))
    price_id: Mapped[int] = mapped_column(ForeignKey("prepaid_price.id"))
    unit: Mapped[str] = mapped_column(String(3))
    from_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)
    from_wh: Mapped[int] = mapped_column(BigInteger)
    until_wh: Mapped[int] = mapped_column(BigInteger)
    reading_wh: Mapped[int] = mapped_column(BigInteger)
    days: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger)
    carry_before: Mapped[int] = mapped_column(BigInteger)
    carry_after: Mapped[int] = mapped_column(BigInteger)
    charged_at: Mapped[datetime] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PrepaidMarkRow(Base):
    """Up to where the use of a prepaid radio meter is charged. Written under the contract's lock.

    `until_at`, `until_wh`, `carry`: see `core.prepaid.use_rules.Mark`. `last_seq`: of its newest use. `told`: the
    lowest level of credit (1 low, 2 used up) that its people were told of and have not risen above; `told_at`: when
    that notice could leave.
    """

    __tablename__ = "prepaid_mark"
    __table_args__ = (
        CheckConstraint("unit IN ('day', 'kwh')", name="unit"),
        CheckConstraint("told BETWEEN 0 AND 2", name="told"),
    )

    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"), primary_key=True, autoincrement=False)
    meter_id: Mapped[str] = mapped_column(ForeignKey("meter.id"))
    unit: Mapped[str] = mapped_column(String(3))
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until_wh: Mapped[int] = mapped_column(BigInteger, default=0)
    carry: Mapped[int] = mapped_column(BigInteger, default=0)
    last_seq: Mapped[int] = mapped_column(default=0)
    told: Mapped[int] = mapped_column(default=0)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
