"""Attempts (we asked a wallet), payments (money that arrived), and the callbacks in between."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class QuoteRow(Base):
    """A promise to exchange: 1 unit of `from_currency` is rate_num / rate_den of `to_currency`, until it expires."""

    __tablename__ = "quote"
    __table_args__ = (CheckConstraint("rate_num > 0 AND rate_den > 0", name="rate"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    from_currency: Mapped[str] = mapped_column(String(3))
    to_currency: Mapped[str] = mapped_column(String(3))
    rate_num: Mapped[int] = mapped_column(BigInteger)
    rate_den: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(String(60))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AttemptRow(Base):
    """We ask a wallet. The target is a ledger account (receivable, credit, agent float), optionally with invoices.

    Keeps what is owed, what is charged, and the quote between them where the currencies differ. `is_open` is true from
    `created` to the final word; one open attempt per payer and target.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint(
            "state IN ('created', 'submitting', 'pending', 'unknown', 'expired', 'failed', 'succeeded', 'cancelled',"
            " 'needs_attention')",
            name="state",
        ),
        CheckConstraint("charged_minor > 0 AND owed_minor > 0", name="amounts"),
        Index(
            "uq_attempt_open",
            "payer_phone",
            "target_account_id",
            unique=True,
            sqlite_where=text("is_open = 1"),
            postgresql_where=text("is_open"),
        ),
        Index("ix_attempt_next_query_at", "next_query_at"),
        Index("ix_attempt_payer_phone", "payer_phone", "created_at"),
        Index("ix_attempt_created_at", "created_at"),
        Index("ix_attempt_contract_id", "contract_id", "created_at"),
        Index("ix_attempt_provider_ref", "wallet", "provider_ref"),
        # What a person works through: few among many.
        Index(
            "ix_attempt_needs_somebody",
            "created_at",
            sqlite_where=text("state = 'needs_attention' OR flag IS NOT NULL"),
            postgresql_where=text("state = 'needs_attention' OR flag IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    own_ref: Mapped[str] = mapped_column(String(20), unique=True)
    wallet: Mapped[str] = mapped_column(String(16))
    brand: Mapped[str] = mapped_column(String(16))
    payer_phone: Mapped[str] = mapped_column(String(16))
    asked_by_phone: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(3))
    target_account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    # What is owed, in the currency of the target.
    owed_minor: Mapped[int] = mapped_column(BigInteger)
    owed_currency: Mapped[str] = mapped_column(String(3))
    # What the wallet is asked for. Equal to what is owed unless a quote stands between them.
    charged_minor: Mapped[int] = mapped_column(BigInteger)
    charged_currency: Mapped[str] = mapped_column(String(3))
    quote_id: Mapped[int | None] = mapped_column(ForeignKey("quote.id"))
    state: Mapped[str] = mapped_column(String(16))
    is_open: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(String(24))
    code: Mapped[str | None] = mapped_column(String(80))
    provider_ref: Mapped[str | None] = mapped_column(String(80))
    provider_txn_id: Mapped[str | None] = mapped_column(String(80))
    # The confirming turn, so that a repeated or replayed confirmation finds this attempt and its END again.
    turn_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    end_text: Mapped[str | None] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Real time: when the wallet was asked, when it is to be queried next, and how often it was.
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_query_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queries: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    flag: Mapped[str | None] = mapped_column(String(24))


class AttemptInvoiceRow(Base):
    """The invoices a customer chose to pay, in order. Without rows: oldest first."""

    __tablename__ = "attempt_invoice"

    attempt_id: Mapped[str] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    position: Mapped[int]


class WalletPostRow(Base):
    """One debit POST. Written before the call; a second one exists only after an answer that took nothing on."""

    __tablename__ = "wallet_post"
    __table_args__ = (UniqueConstraint("attempt_id", "number"), CheckConstraint("number IN (1, 2)", name="two_at_most"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    attempt_id: Mapped[str] = mapped_column(ForeignKey("attempt.id"))
    number: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(80))


class AttemptEventRow(Base):
    """The life of an attempt, for the story in the console. Append only."""

    __tablename__ = "attempt_event"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    attempt_id: Mapped[str] = mapped_column(ForeignKey("attempt.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    by: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(String(200), default="")


class PaymentRow(Base):
    """Money that arrived. Credited at most once: unique per wallet and provider transaction, and per attempt.

    `provider_txn_id` may be missing while only a query has found it; the callback that follows merges into this row.
    """

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("wallet", "provider_txn_id"),
        CheckConstraint("amount_minor > 0", name="amount"),
        Index("ix_payment_contract_id", "contract_id", "received_at"),
        Index("ix_payment_received_at", "received_at"),
        # The same money about the same time: what reconciliation asks before it books a line.
        Index("ix_payment_money", "wallet", "amount_minor", "paid_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    wallet: Mapped[str] = mapped_column(String(16))
    provider_txn_id: Mapped[str | None] = mapped_column(String(80))
    attempt_id: Mapped[str | None] = mapped_column(ForeignKey("attempt.id"), unique=True)
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    payer_phone: Mapped[str | None] = mapped_column(String(40))
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    found_by: Mapped[str] = mapped_column(String(12))
    receipt_number: Mapped[str] = mapped_column(String(24), unique=True)
    verification_code: Mapped[str] = mapped_column(String(12), unique=True)
    # What the payer typed, where he came by himself.
    reference: Mapped[str | None] = mapped_column(String(40))
    in_suspense: Mapped[bool] = mapped_column(default=False)
    # Refunds under way or done; raised only where the whole stays at most `amount_minor`.
    refunded_minor: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # When it was found in the operator's own statement, with equal amount and currency.
    reconciled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reversed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CallbackRow(Base):
    """The inbox: a callback as it arrived, stored before anybody judges it."""

    __tablename__ = "callback_inbox"
    __table_args__ = (
        Index("ix_callback_inbox_state", "state", "received_at"),
        Index("ix_callback_inbox_attempt_id", "attempt_id"),
        Index("ix_callback_inbox_attempt_hint", "attempt_hint"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    wallet: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(12))
    attempt_hint: Mapped[str | None] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(8))
    authority: Mapped[str] = mapped_column(String(120))
    path: Mapped[str] = mapped_column(String(300))
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    source: Mapped[str] = mapped_column(String(60))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # new → done | duplicate | unmatched | malformed
    state: Mapped[str] = mapped_column(String(12), default="new")
    note: Mapped[str] = mapped_column(String(200), default="")
    attempt_id: Mapped[str | None] = mapped_column(ForeignKey("attempt.id"))
    processed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RefundRow(Base):
    """Money on its way back to a payer. Asked for by one person, approved by another; the payment itself stays.

    `source`: where the money is taken from, the contract's credit or the wallet's suspense. One open refund a payment.
    """

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint(
            "state IN ('requested', 'rejected', 'approved', 'submitting', 'pending', 'unknown', 'paid', 'failed',"
            " 'needs_attention')",
            name="state",
        ),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("source IN ('credit', 'suspense')", name="source"),
        CheckConstraint("decided_by IS NULL OR decided_by <> requested_by", name="two_people"),
        Index(
            "uq_refund_open",
            "payment_id",
            unique=True,
            sqlite_where=text("is_open = 1"),
            postgresql_where=text("is_open"),
        ),
        Index("ix_refund_next_query_at", "next_query_at"),
        Index("ix_refund_requested_at", "requested_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    own_ref: Mapped[str] = mapped_column(String(20), unique=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    wallet: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(8))
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    payer_phone: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    is_open: Mapped[bool]
    requested_by: Mapped[str] = mapped_column(String(40))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decision_note: Mapped[str] = mapped_column(String(200), default="")
    provider_ref: Mapped[str | None] = mapped_column(String(80))
    provider_txn_id: Mapped[str | None] = mapped_column(String(80))
    code: Mapped[str | None] = mapped_column(String(80))
    posts: Mapped[int] = mapped_column(default=0)
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_query_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queries: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CircuitRow(Base):
    """How an operator fares. `open_until` in the future: it is left alone, and customers are offered others."""

    __tablename__ = "wallet_circuit"

    wallet: Mapped[str] = mapped_column(String(16), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    trips: Mapped[int] = mapped_column(default=0)
    open_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    why: Mapped[str] = mapped_column(String(80), default="")


class NumberRangeRow(Base):
    """Which wallet to propose for numbers that begin so. What the office has written here goes before our own table.

    `prefix`: E.164 without the plus, two to nine digits. `brand` None: no wallet we reach.
    """

    __tablename__ = "number_range"

    prefix: Mapped[str] = mapped_column(String(9), primary_key=True)
    operator: Mapped[str] = mapped_column(String(40))
    brand: Mapped[str | None] = mapped_column(String(16))
    changed_by: Mapped[str] = mapped_column(String(40))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
