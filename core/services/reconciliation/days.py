"""Days, what is missing in them, their closing, and the three-way totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, and_, case, exists, false, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.i18n import N_
from core.kernel.clock import WEST
from core.kernel.money import Money
from core.payments.tables import PaymentRow, RefundRow
from core.reconciliation import queries
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.model import DayFigures, Figure, LineView, PaymentView, Totals
from core.reconciliation.tables import ClosedDayRow, StatementLineRow
from core.services.reconciliation.context import Context
from core.services.reconciliation.decide import view
from core.settlement import post
from core.settlement.events import OperatorPaidOut

log = structlog.get_logger(__name__)

NOTE_LENGTH = 400
_FIGURES = (
    "ours",
    "theirs",
    "matched",
    "theirs_only",
    "ours_only",
    "differs",
    "fees",
    "refunds",
    "reversals",
    "payouts",
)


def _bounds(day: date) -> tuple[datetime, datetime]:
    """A Kinshasa day in UTC: [start, end)."""
    zone = ZoneInfo(WEST)
    start = datetime.combine(day, time(), zone)
    return start.astimezone(UTC), datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _came() -> ColumnElement[Any]:
    """When a payment came: the operator's word, else when we heard of it."""
    return func.coalesce(PaymentRow.paid_at, PaymentRow.received_at)


def _not_shown() -> ColumnElement[bool]:
    """No line of the operator's shows this payment, not even a different one."""
    shown = exists().where(StatementLineRow.payment_id == PaymentRow.id, StatementLineRow.kind == "payment")
    return and_(PaymentRow.reconciled_at.is_(None), ~shown)


def ours_only(
    ctx: Context, wallet: str, until: datetime | None, limit: int, after: datetime | None, after_id: str
) -> Sequence[PaymentView]:
    """See `Reconciliation.ours_only`."""
    until = until or ctx.clock.now() - ctx.settlement_delay
    wanted = (
        select(PaymentRow)
        .where(PaymentRow.wallet == wallet, PaymentRow.received_at < until, _not_shown())
        .order_by(PaymentRow.received_at, PaymentRow.id)
        .limit(limit)
    )
    if after is not None:
        same_moment = and_(PaymentRow.received_at == after, PaymentRow.id > after_id)
        wanted = wanted.where(or_(PaymentRow.received_at > after, same_moment if after_id else false()))
    with ctx.db.read() as session:
        return [
            PaymentView(
                id=row.id,
                receipt_number=row.receipt_number,
                wallet=row.wallet,
                amount=Money(row.amount_minor, row.currency),
                provider_txn_id=row.provider_txn_id,
                attempt_id=row.attempt_id,
                contract_id=row.contract_id,
                payer=row.payer_phone,
                at=row.paid_at or row.received_at,
                received_at=row.received_at,
                found_by=row.found_by,
            )
            for row in session.scalars(wanted)
        ]


def day(ctx: Context, wallet: str, day: date, currency: str) -> DayFigures:
    """See `Reconciliation.day`."""
    with ctx.db.snapshot() as session:
        closed = _closed(session, wallet, day, currency)
        return _frozen(session, closed) if closed else _figures(session, wallet, day, currency)


def _closed(session: Session, wallet: str, day: date, currency: str) -> ClosedDayRow | None:
    return session.scalar(
        select(ClosedDayRow).where(
            ClosedDayRow.wallet == wallet, ClosedDayRow.day == day, ClosedDayRow.currency == currency
        )
    )


def _frozen(session: Session, row: ClosedDayRow) -> DayFigures:
    kept = dict(row.figures)
    late = select(func.count()).select_from(StatementLineRow).where(_late(row))
    return DayFigures(
        row.wallet,
        row.day,
        row.currency,
        **{name: Figure(**kept[name]) for name in _FIGURES},
        open_lines=kept["open_lines"],
        unread_lines=kept.get("unread_lines", 0),
        closing_minor=kept["closing_minor"],
        closed_by=row.closed_by,
        closed_at=row.closed_at,
        note=row.note,
        after_closing=int(session.scalar(late) or 0),
    )


def _late(row: ClosedDayRow) -> ColumnElement[bool]:
    return and_(
        StatementLineRow.wallet == row.wallet,
        StatementLineRow.day == row.day,
        StatementLineRow.currency == row.currency,
        StatementLineRow.id > int(row.figures["last_line_id"]),
    )


def _figures(session: Session, wallet: str, day: date, currency: str) -> DayFigures:
    start, end = _bounds(day)
    of_day = and_(StatementLineRow.wallet == wallet, StatementLineRow.day == day, StatementLineRow.currency == currency)
    counted = session.execute(
        select(
            StatementLineRow.kind,
            StatementLineRow.outcome,
            func.count(),
            func.coalesce(func.sum(StatementLineRow.amount_minor), 0),
            func.sum(case((queries.is_open(), 1), else_=0)),
            func.sum(case((StatementLineRow.fee_minor > 0, 1), else_=0)),
            func.coalesce(func.sum(StatementLineRow.fee_minor), 0),
        )
        .where(of_day)
        .group_by(StatementLineRow.kind, StatementLineRow.outcome)
    ).all()
    rows = [
        (k, o, Figure(int(n), int(m)), int(waiting), Figure(int(fn), int(fm)))
        for k, o, n, m, waiting, fn, fm in counted
    ]

    def of(kind: str, *outcomes: str) -> Figure:
        return _sum(f for k, o, f, _, _ in rows if k == kind and (o in outcomes if outcomes else o != "ignored"))

    came = and_(PaymentRow.wallet == wallet, PaymentRow.currency == currency, _came() >= start, _came() < end)
    return DayFigures(
        wallet,
        day,
        currency,
        ours=_payments(session, came),
        theirs=of("payment"),
        matched=of("payment", "matched"),
        theirs_only=of("payment", "theirs_only"),
        ours_only=_payments(session, and_(came, _not_shown())),
        differs=of("payment", "differs", "new"),
        fees=_sum([of("fee"), *(fee for _, o, _, _, fee in rows if o != "ignored")]),
        refunds=of("refund"),
        reversals=of("reversal"),
        payouts=of("payout"),
        open_lines=sum(waiting for _, _, _, waiting, _ in rows),
        closing_minor=queries.clearing(session, wallet, currency, end),
        unread_lines=queries.unread_lines(session, wallet, start, end),
    )


def _sum(figures: Any) -> Figure:
    count = minor = 0
    for figure in figures:
        count, minor = count + figure.count, minor + figure.minor
    return Figure(count, minor)


def _payments(session: Session, condition: ColumnElement[bool]) -> Figure:
    counted = select(func.count(), func.coalesce(func.sum(PaymentRow.amount_minor), 0)).where(condition)
    count, minor = session.execute(counted).one()
    return Figure(int(count), int(minor))


def days(ctx: Context, wallet: str, currency: str, limit: int) -> Sequence[DayFigures]:
    """See `Reconciliation.days`."""
    with ctx.db.snapshot() as session:
        by_line = session.scalars(
            select(StatementLineRow.day)
            .where(StatementLineRow.wallet == wallet, StatementLineRow.currency == currency)
            .distinct()
            .order_by(StatementLineRow.day.desc())
            .limit(limit)
        ).all()
        newest = session.scalars(
            select(_came())
            .where(PaymentRow.wallet == wallet, PaymentRow.currency == currency)
            .where(PaymentRow.received_at >= ctx.clock.now() - timedelta(days=limit + 1))
        )
        by_payment = {_local_day(at) for at in newest}
        wanted = sorted({*by_line, *by_payment}, reverse=True)[:limit]
        found = []
        for one in wanted:
            closed = _closed(session, wallet, one, currency)
            found.append(_frozen(session, closed) if closed else _figures(session, wallet, one, currency))
        return found


def _local_day(at: datetime) -> date:
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    return moment.astimezone(ZoneInfo(WEST)).date()


def after_closing(ctx: Context, wallet: str, day: date, currency: str) -> Sequence[LineView]:
    """See `Reconciliation.after_closing`."""
    with ctx.db.read() as session:
        row = _closed(session, wallet, day, currency)
        if row is None:
            return []
        late = (
            select(StatementLineRow, PaymentRow.attempt_id)
            .outerjoin(PaymentRow, PaymentRow.id == StatementLineRow.payment_id)
            .where(_late(row))
            .order_by(StatementLineRow.id)
        )
        return [view(line, attempt_id) for line, attempt_id in session.execute(late)]


def close_day(ctx: Context, wallet: str, day: date, currency: str, note: str, by: str) -> DayFigures:
    """See `Reconciliation.close_day`."""
    now = ctx.clock.now()
    if _bounds(day)[1] > now:
        raise ReconciliationRefused(N_("This day is not over yet."))
    try:
        with ctx.db.begin() as session:
            _close(ctx, session, wallet, day, currency, note.strip()[:NOTE_LENGTH], by)
    except IntegrityError as error:
        raise ReconciliationRefused(N_("This day is closed already.")) from error
    log.info("day.closed", wallet=wallet, day=day.isoformat(), currency=currency, by=by)
    with ctx.db.snapshot() as session:
        closed = _closed(session, wallet, day, currency)
        assert closed is not None
        return _frozen(session, closed)


def _close(ctx: Context, session: Session, wallet: str, day: date, currency: str, note: str, by: str) -> None:
    # No line may come between the figures and the last line that they hold.
    queries.lock_reports(session, wallet)
    if _closed(session, wallet, day, currency) is not None:
        raise ReconciliationRefused(N_("This day is closed already."))
    _book_fees(ctx, session, wallet, day, currency, by)
    figures = _figures(session, wallet, day, currency)
    open_items = figures.open_lines + figures.ours_only.count + figures.unread_lines
    if open_items and not note:
        raise ReconciliationRefused(
            N_("{count} items of this day are open: settle them, or say in a note why it is closed all the same."),
            count=str(open_items),
        )
    last = select(func.coalesce(func.max(StatementLineRow.id), 0)).where(
        StatementLineRow.wallet == wallet, StatementLineRow.day == day, StatementLineRow.currency == currency
    )
    kept: dict[str, Any] = {name: asdict(getattr(figures, name)) for name in _FIGURES}
    kept |= {
        "open_lines": figures.open_lines,
        "unread_lines": figures.unread_lines,
        "closing_minor": figures.closing_minor,
        "last_line_id": int(session.scalar(last) or 0),
    }
    session.add(
        ClosedDayRow(
            wallet=wallet,
            day=day,
            currency=currency,
            figures=kept,
            note=note,
            closed_by=by[:40],
            closed_at=ctx.clock.now(),
        )
    )
    session.flush()


def _book_fees(ctx: Context, session: Session, wallet: str, day: date, currency: str, by: str) -> None:
    """What the operator kept for itself up to this day and nobody has booked: late fees of closed days come along.

    Each line is marked in the same statement that finds it, so that two closings never book one fee twice.
    """
    marked = session.execute(
        update(StatementLineRow)
        .where(
            StatementLineRow.wallet == wallet,
            StatementLineRow.currency == currency,
            StatementLineRow.day <= day,
            StatementLineRow.fee_booked_on.is_(None),
            StatementLineRow.outcome != "ignored",
            # What nobody has settled may be a line that came before: its fee is booked with a later day.
            ~queries.is_open(),
            StatementLineRow.kind != "payout",
            or_(StatementLineRow.kind == "fee", StatementLineRow.fee_minor > 0),
        )
        .values(fee_booked_on=day)
        .returning(StatementLineRow.kind, StatementLineRow.amount_minor, StatementLineRow.fee_minor)
        .execution_options(synchronize_session=False)
    ).all()
    total = sum((amount if kind == "fee" else 0) + (fee or 0) for kind, amount, fee in marked)
    if total > 0:
        event = OperatorPaidOut(
            key=f"fees:{wallet}:{currency}:{day.isoformat()}",
            actor=by,
            memo=f"fees of {day.isoformat()}",
            wallet=wallet,
            amount=Money(total, currency),
            fees=Money(total, currency),
        )
        post(session, event, clock=ctx.clock)


def totals(ctx: Context, wallet: str) -> Sequence[Totals]:
    """See `Reconciliation.totals`."""
    with ctx.db.snapshot() as session:
        ours = _by_currency(session, PaymentRow.currency, PaymentRow.amount_minor, PaymentRow.wallet == wallet)
        back = _by_currency(
            session,
            PaymentRow.currency,
            PaymentRow.amount_minor,
            and_(PaymentRow.wallet == wallet, PaymentRow.reversed_at.is_not(None)),
        )
        refunded = _by_currency(
            session,
            RefundRow.currency,
            RefundRow.amount_minor,
            and_(RefundRow.wallet == wallet, RefundRow.state == "paid"),
        )
        theirs, waiting, differs = _lines_by_currency(session, wallet)
        currencies = sorted({*ours, *theirs, *waiting, *differs})
        found = []
        for currency in currencies:
            clearing = queries.clearing(session, wallet, currency)
            out = queries.paid_out(session, wallet, currency)
            found.append(
                Totals(
                    wallet,
                    currency,
                    ours=ours.get(currency, 0) - back.get(currency, 0) - refunded.get(currency, 0),
                    theirs=theirs.get(currency, 0),
                    ledger=clearing + sum(out.values()),
                    clearing=clearing,
                    paid_out=out.get("bank", 0),
                    fees=out.get("fees", 0),
                    waiting=waiting.get(currency, 0),
                    differs=differs.get(currency, 0),
                )
            )
        return found


def _by_currency(session: Session, currency: Any, amount: Any, condition: ColumnElement[bool]) -> dict[str, int]:
    rows = session.execute(select(currency, func.sum(amount)).where(condition).group_by(currency))
    return {str(name): int(minor) for name, minor in rows}


def _lines_by_currency(session: Session, wallet: str) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """currency → what the operator's lines come to; how many wait for anybody; how many differ, decided or not."""
    signed = case(
        (StatementLineRow.kind == "payment", StatementLineRow.amount_minor),
        (StatementLineRow.kind.in_(("refund", "reversal")), -StatementLineRow.amount_minor),
        else_=0,
    )
    rows = session.execute(
        select(
            StatementLineRow.currency,
            func.sum(case((StatementLineRow.outcome == "ignored", 0), else_=signed)),
            func.sum(case((queries.is_open(), 1), else_=0)),
            func.sum(case((StatementLineRow.outcome == "differs", 1), else_=0)),
        )
        .where(StatementLineRow.wallet == wallet)
        .group_by(StatementLineRow.currency)
    ).all()
    return (
        {c: int(minor) for c, minor, _, _ in rows},
        {c: int(count) for c, _, count, _ in rows},
        {c: int(count) for c, _, _, count in rows},
    )
