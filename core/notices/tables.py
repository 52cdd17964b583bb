"""An SMS or e-mail we send, and what becomes of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, RowId, UtcDateTime


class NoticeRow(Base):
    """`key` makes it happen once per event and recipient. Delivery moves `state` forward only.

    `not_before` and `expires_at` are business time (quiet hours of the site); attempts and leases are the outbox's.
    `subject` and `attachment` (`invoice:4711`: which document goes with it) are those of an e-mail. Its `gateway_ref`
    is the Message-ID, written before it is handed over: what comes back names it.
    """

    __tablename__ = "notice"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'unknown', 'expired', 'suppressed')",
            name="state",
        ),
        Index("ix_notice_to", "recipient", "created_at"),
        Index("ix_notice_created_at", "created_at"),
        Index("ix_notice_gateway_ref", "gateway", "gateway_ref"),
        Index("ix_notice_contract_id", "contract_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    channel: Mapped[str] = mapped_column(String(8), default="sms")
    recipient: Mapped[str] = mapped_column(String(160))
    language: Mapped[str] = mapped_column(String(3))
    # Of the site: quiet hours are asked again when the text is about to leave.
    zone: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(String(160), default="", server_default="")
    attachment: Mapped[str | None] = mapped_column(String(80))
    segments: Mapped[int]
    state: Mapped[str] = mapped_column(String(12), default="queued")
    detail: Mapped[str] = mapped_column(String(120), default="")
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payment.id"))
    gateway: Mapped[str | None] = mapped_column(String(20))
    gateway_ref: Mapped[str | None] = mapped_column(String(80))
    attempts: Mapped[int] = mapped_column(default=0)
    # How often nobody knew whether it had gone, and since when that is so (real time).
    doubts: Mapped[int] = mapped_column(default=0)
    in_doubt_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EmailAddressRow(Base):
    """What we know of an e-mail address by itself, in lower case: that nothing arrives there, or that it opted out.

    `bounced_at` is cleared when a person has looked and lets it be tried again.
    """

    __tablename__ = "email_address"

    address: Mapped[str] = mapped_column(String(160), primary_key=True)
    bounced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    bounce_code: Mapped[str] = mapped_column(String(24), default="", server_default="")
    bounce_reason: Mapped[str] = mapped_column(String(200), default="", server_default="")
    opted_out_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DeliveryReportRow(Base):
    """A report as it arrived. One that comes before our own row is written waits here until it is matched."""

    __tablename__ = "delivery_report"
    __table_args__ = (
        UniqueConstraint("gateway", "gateway_ref", "status"),
        Index("ix_delivery_report_notice_id", "notice_id"),
        Index("ix_delivery_report_phone", "phone"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    gateway: Mapped[str] = mapped_column(String(20))
    gateway_ref: Mapped[str] = mapped_column(String(80))
    status: Mapped[str] = mapped_column(String(24))
    reason: Mapped[str] = mapped_column(String(60), default="")
    network_code: Mapped[str] = mapped_column(String(12), default="")
    # Whose handset it speaks of: the only thread to a text whose own answer was lost on the way.
    phone: Mapped[str] = mapped_column(String(16), default="")
    # What the adapter reads in it: sent, failed, delivered; None for a word nobody knows yet.
    meaning: Mapped[str | None] = mapped_column(String(10))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    notice_id: Mapped[int | None] = mapped_column(ForeignKey("notice.id"))


class InboundSmsRow(Base):
    """A text somebody sent us; deduplicated on the aggregator's id. What may be a PIN is covered in `body`.

    `sent_to`: the number or short code it was sent to, as the aggregator says. `delayed_s`: real seconds between its
    being sent and reaching us, 0 where the aggregator does not say. `handled`: what was made of it.
    """

    __tablename__ = "inbound_sms"
    __table_args__ = (UniqueConstraint("gateway", "gateway_ref"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    gateway: Mapped[str] = mapped_column(String(20))
    gateway_ref: Mapped[str] = mapped_column(String(80))
    phone: Mapped[str] = mapped_column(String(16), index=True)
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    handled: Mapped[str] = mapped_column(String(20), default="")
    sent_to: Mapped[str] = mapped_column(String(20), default="", server_default="")
    delayed_s: Mapped[int] = mapped_column(default=0, server_default="0")
    # Business time; None until it was answered, or left without an answer on purpose.
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
