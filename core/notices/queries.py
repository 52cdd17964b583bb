"""Questions about notices and what gateways reported of them. No commits here."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from core.billing.tables import ReminderRow
from core.customers.tables import PhoneRow
from core.notices.tables import DeliveryReportRow, NoticeRow

_OPTED_OUT = select(PhoneRow.opted_out_at).where(PhoneRow.phone == bindparam("phone"))


def locked(session: Session, notice_id: int) -> NoticeRow | None:
    """One notice, locked until the caller commits."""
    return session.get(NoticeRow, notice_id, with_for_update={"key_share": True})


def by_reference(session: Session, gateway: str, reference: str) -> NoticeRow | None:
    """The notice to which a gateway gave this reference, locked. Uses ix_notice_gateway_ref."""
    return session.scalars(
        select(NoticeRow)
        .where(NoticeRow.gateway == gateway, NoticeRow.gateway_ref == reference)
        .order_by(NoticeRow.id)
        .limit(1)
        .with_for_update(key_share=True)
    ).first()


def reports_of(session: Session, gateway: str, reference: str) -> list[DeliveryReportRow]:
    """Every report that came for a reference, in the order they came."""
    return list(
        session.scalars(
            select(DeliveryReportRow)
            .where(DeliveryReportRow.gateway == gateway, DeliveryReportRow.gateway_ref == reference)
            .order_by(DeliveryReportRow.id)
        )
    )


def the_one_in_doubt(session: Session, gateway: str, phone: str, since: datetime) -> NoticeRow | None:
    """The only notice to `phone` of which nobody knows whether it went, locked.

    None when there are several, or when another one is under way just now: then a report without a known reference may
    belong to that one. Uses ix_notice_to.
    """
    open_ones = session.scalars(
        select(NoticeRow)
        .where(
            NoticeRow.recipient == phone,
            NoticeRow.created_at >= since,
            NoticeRow.gateway == gateway,
            NoticeRow.gateway_ref.is_(None),
            NoticeRow.state.in_(("unknown", "sending")),
        )
        .with_for_update(key_share=True)
    ).all()
    if len(open_ones) != 1 or open_ones[0].state != "unknown":
        return None
    return open_ones[0]


def the_one_parked_reference(session: Session, gateway: str, phone: str, since: datetime) -> str | None:
    """The only reference reported for `phone` that belongs to no notice yet. Uses ix_delivery_report_phone."""
    references = session.scalars(
        select(DeliveryReportRow.gateway_ref)
        .where(
            DeliveryReportRow.phone == phone,
            DeliveryReportRow.gateway == gateway,
            DeliveryReportRow.notice_id.is_(None),
            DeliveryReportRow.received_at >= since,
        )
        .distinct()
    ).all()
    return references[0] if len(references) == 1 else None


def remember_delivery(session: Session, notice_id: int, at: datetime) -> None:
    """A reminder counts as evidence only once it was delivered; earlier evidence stays."""
    session.execute(
        update(ReminderRow)
        .where(ReminderRow.notice_id == notice_id, ReminderRow.delivered_at.is_(None))
        .values(delivered_at=at, evidence="report")
    )


def opted_out(session: Session, phone: str) -> bool:
    """Whether this number asked to be left alone."""
    return session.scalar(_OPTED_OUT, {"phone": phone}) is not None
