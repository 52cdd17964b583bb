"""Field agents: who sells for others, from a float; what they sold, what they get for it, the cash they hand over."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class AgentRow(Base):
    """`credit_limit_minor`: how far below zero the float may go. The float itself is a ledger account, whose floor
    follows this limit. `pin_failures` and `pin_locked_until` count in real time, over all sessions."""

    __tablename__ = "agent"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    phone: Mapped[str] = mapped_column(String(16), unique=True)
    agency_id: Mapped[int] = mapped_column(ForeignKey("agency.id"))
    currency: Mapped[str] = mapped_column(String(3))
    credit_limit_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    pin_hash: Mapped[str] = mapped_column(Text)
    pin_failures: Mapped[int] = mapped_column(default=0)
    pin_locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OneTimePinRow(Base):
    """The agent's PIN is one that the office made and has seen: it opens nothing but the change to another.

    The row goes when the agent has chosen one. Real time.
    """

    __tablename__ = "agent_one_time_pin"

    agent_id: Mapped[int] = mapped_column(ForeignKey("agent.id"), primary_key=True, autoincrement=False)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(80))


class NewPinRow(Base):
    """A new PIN that was typed once and waits to be typed again: its Argon2id hash, nothing else. Real time.

    The row goes with the second typing, right or wrong, and with a PIN that the office makes.
    """

    __tablename__ = "agent_new_pin"

    agent_id: Mapped[int] = mapped_column(ForeignKey("agent.id"), primary_key=True, autoincrement=False)
    pin_hash: Mapped[str] = mapped_column(Text)
    typed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AgentLimitRow(Base):
    """Limits of one agent, where the office set some. Without a row: the defaults of the currency."""

    __tablename__ = "agent_limit"
    __table_args__ = (CheckConstraint("large_minor > 0 AND sale_minor > 0 AND day_minor >= sale_minor", name="order"),)

    agent_id: Mapped[int] = mapped_column(ForeignKey("agent.id"), primary_key=True, autoincrement=False)
    sale_minor: Mapped[int] = mapped_column(BigInteger)
    day_minor: Mapped[int] = mapped_column(BigInteger)
    large_minor: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_by: Mapped[str] = mapped_column(String(80))


class CommissionRuleRow(Base):
    """What agents get: insert-only, a change is a new version. `agent_id` None: all who have no rule of their own.

    Of the versions that are in force at a moment the newest counts, an agent's own before the general one.
    """

    __tablename__ = "commission_rule"
    __table_args__ = (
        UniqueConstraint("currency", "version"),
        CheckConstraint("basis_points BETWEEN 0 AND 10000", name="basis_points"),
        CheckConstraint("min_minor >= 0 AND (max_minor IS NULL OR max_minor >= min_minor)", name="bounds"),
        CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="in_force"),
        Index("ix_commission_rule_agent_id", "agent_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    version: Mapped[int]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agent.id"))
    currency: Mapped[str] = mapped_column(String(3))
    basis_points: Mapped[int]
    min_minor: Mapped[int] = mapped_column(BigInteger)
    max_minor: Mapped[int | None] = mapped_column(BigInteger)
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    valid_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(80))


class AgentSaleRow(Base):
    """A sale: complete when this row is committed. `turn_key` makes a repeated or replayed confirmation find it, and
    its END, again. `day` is the day in Kinshasa, of business time; `recorded_at` is real time."""

    __tablename__ = "agent_sale"
    __table_args__ = (
        CheckConstraint("amount_minor > 0 AND commission_minor >= 0", name="amounts"),
        Index("ix_agent_sale_agent_id", "agent_id", "day"),
        Index("ix_agent_sale_contract_id", "contract_id", "sold_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agent.id"))
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), unique=True)
    turn_key: Mapped[str] = mapped_column(String(64), unique=True)
    end_text: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    commission_minor: Mapped[int] = mapped_column(BigInteger)
    commission_rule_id: Mapped[int | None] = mapped_column(ForeignKey("commission_rule.id"))
    float_after_minor: Mapped[int] = mapped_column(BigInteger)
    day: Mapped[date]
    sold_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # How often the proof was asked for again.
    proofs: Mapped[int] = mapped_column(default=0)


class CashHandOverRow(Base):
    """Cash that an agent says is handed over; it counts when a cashier has counted it and typed the code.

    Business time. One open one per agent.
    """

    __tablename__ = "cash_hand_over"
    __table_args__ = (
        CheckConstraint("state IN ('offered', 'accepted', 'withdrawn', 'expired')", name="state"),
        CheckConstraint("amount_minor > 0", name="amount"),
        Index(
            "uq_cash_hand_over_open",
            "agent_id",
            unique=True,
            sqlite_where=text("state = 'offered'"),
            postgresql_where=text("state = 'offered'"),
        ),
        Index("ix_cash_hand_over_agent_id", "agent_id", "offered_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    code: Mapped[str] = mapped_column(String(12), unique=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agent.id"))
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))
    turn_key: Mapped[str] = mapped_column(String(64), unique=True)
    end_text: Mapped[str] = mapped_column(Text)
    cashier: Mapped[str | None] = mapped_column(String(60))
    offered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
