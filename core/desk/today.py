"""Today's figures: money, what hangs, what failed, what waits, who was told, which meters are out of step."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, case, func, literal, or_, select
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, CustomerRow
from core.desk.model import AttemptLine, DeadRow, FailureCount, MoneyIn, NoticeCount, QueueAge, StrayMeter
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.outbox import KINDS, OutboxRow, needs_a_person, pending_by_kind
from core.payments.tables import AttemptRow, PaymentRow
from core.supply.tables import MeterDesiredRow, MeterReportedRow

FAILED = ("failed", "expired", "needs_attention")


def money_in(session: Session, *, since: datetime) -> tuple[MoneyIn, ...]:
    """Per wallet, brand and currency, most first."""
    stands = PaymentRow.reversed_at.is_(None)
    total = func.coalesce(func.sum(case((stands, PaymentRow.amount_minor), else_=0)), 0)
    rows = session.execute(
        select(
            PaymentRow.wallet,
            AttemptRow.brand,
            PaymentRow.currency,
            total,
            func.sum(case((stands, 1), else_=0)),
            func.sum(case((stands, 0), else_=1)),
        )
        .outerjoin(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
        .where(PaymentRow.received_at >= since)
        .group_by(PaymentRow.wallet, AttemptRow.brand, PaymentRow.currency)
        .order_by(PaymentRow.currency, total.desc())
    )
    return tuple(
        MoneyIn(wallet, brand, Money(int(minor), currency), int(count), int(gone))
        for wallet, brand, currency, minor, count, gone in rows
    )


def attempt_lines() -> Select[AttemptRow, int, str, str]:
    """Attempts with whose contract they pay: what `attempt_line` makes a line of."""
    return (
        select(AttemptRow, CustomerRow.id, CustomerRow.name, ContractRow.account_number)
        .outerjoin(ContractRow, ContractRow.id == AttemptRow.contract_id)
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
    )


def attempt_line(
    row: AttemptRow, customer_id: int | None, name: str | None, account: str | None, ahead: timedelta
) -> AttemptLine:
    return AttemptLine(
        id=row.id,
        own_ref=row.own_ref,
        customer_id=customer_id,
        customer=name or "",
        account=account or "",
        payer_phone=row.payer_phone,
        brand=row.brand,
        wallet=row.wallet,
        charged=Money(row.charged_minor, row.charged_currency),
        state=row.state,
        reason=row.reason,
        code=row.code,
        created_at=row.created_at + ahead,
    )


def open_attempts(session: Session, *, ahead: timedelta, limit: int) -> tuple[AttemptLine, ...]:
    """Asked and without a final word, oldest first. `ahead`: how far business time stands from real time."""
    rows = session.execute(attempt_lines().where(AttemptRow.is_open).order_by(AttemptRow.created_at).limit(limit))
    return tuple(attempt_line(row[0], row[1], row[2], row[3], ahead) for row in rows)


def open_count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(AttemptRow).where(AttemptRow.is_open)) or 0


def failures(session: Session, *, since: datetime) -> tuple[FailureCount, ...]:
    """By brand and reason, most first. `since`: real time, as attempts are dated."""
    rows = session.execute(
        select(AttemptRow.brand, AttemptRow.state, AttemptRow.reason, func.count())
        .where(AttemptRow.created_at >= since, AttemptRow.state.in_(FAILED))
        .group_by(AttemptRow.brand, AttemptRow.state, AttemptRow.reason)
        .order_by(func.count().desc())
        .limit(50)
    )
    return tuple(FailureCount(*row) for row in rows)


def failed_attempts(session: Session, *, since: datetime, ahead: timedelta, limit: int) -> tuple[AttemptLine, ...]:
    rows = session.execute(
        attempt_lines()
        .where(AttemptRow.created_at >= since, AttemptRow.state.in_(FAILED))
        .order_by(AttemptRow.created_at.desc())
        .limit(limit)
    )
    return tuple(attempt_line(row[0], row[1], row[2], row[3], ahead) for row in rows)


def queues(session: Session) -> tuple[QueueAge, ...]:
    """Every kind of effect there is, also those with nothing waiting."""
    pending = pending_by_kind(session)
    dead = {
        row[0]: row[1]
        for row in session.execute(
            select(OutboxRow.kind, func.count()).where(*needs_a_person()).group_by(OutboxRow.kind)
        )
    }
    ages: list[QueueAge] = []
    for kind in sorted(set(KINDS) | set(pending) | set(dead)):
        waiting, oldest = pending.get(kind, (0, None))
        ages.append(QueueAge(kind, waiting, oldest, dead.get(kind, 0)))
    return tuple(ages)


def dead_rows(session: Session, *, limit: int) -> tuple[DeadRow, ...]:
    rows = session.scalars(select(OutboxRow).where(*needs_a_person()).order_by(OutboxRow.id.desc()).limit(limit))
    return tuple(DeadRow(row.id, row.kind, row.key, row.last_error, row.created_at) for row in rows)


def notices(session: Session, *, since: datetime) -> tuple[NoticeCount, ...]:
    """By kind, most first."""

    def counted(*states: str) -> ColumnElement[int]:
        return func.sum(case((NoticeRow.state.in_(states), 1), else_=0))

    rows = session.execute(
        select(
            NoticeRow.kind,
            counted("sent", "unknown"),
            counted("delivered"),
            counted("queued", "sending"),
            counted("failed", "expired"),
        )
        .where(NoticeRow.created_at >= since)
        .group_by(NoticeRow.kind)
        .order_by(func.count().desc())
    )
    return tuple(
        NoticeCount(kind, int(sent), int(delivered), int(waiting), int(failed))
        for kind, sent, delivered, waiting, failed in rows
    )


_OUT_OF_STEP = or_(
    MeterReportedRow.meter_id.is_(None),
    MeterReportedRow.supply != MeterDesiredRow.supply,
)


def stray_count(session: Session) -> int:
    return (
        session.scalar(
            select(func.count())
            .select_from(MeterDesiredRow)
            .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == MeterDesiredRow.meter_id)
            .where(_OUT_OF_STEP)
        )
        or 0
    )


def stray_meters(session: Session, *, limit: int) -> tuple[StrayMeter, ...]:
    """Wanted one way and reporting another, or never heard of; longest first."""
    rows = session.execute(
        select(MeterDesiredRow, MeterReportedRow, CustomerRow.id, CustomerRow.name, ContractRow.account_number)
        .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == MeterDesiredRow.meter_id)
        .outerjoin(
            ContractRow, (ContractRow.meter_id == MeterDesiredRow.meter_id) & (ContractRow.state == literal("active"))
        )
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(_OUT_OF_STEP)
        .order_by(MeterDesiredRow.set_at, MeterDesiredRow.meter_id)
        .limit(limit)
    )
    return tuple(
        StrayMeter(
            meter_id=wanted.meter_id,
            customer_id=customer_id,
            customer=name or "",
            account=account or "",
            desired=wanted.supply,
            desired_version=wanted.version,
            reported=said.supply if said else None,
            online=bool(said and said.online),
            reported_at=said.at if said else None,
            since=wanted.set_at,
        )
        for wanted, said, customer_id, name, account in rows
    )
