"""Attempts for the money pages: the list, one attempt with all that is known of it, and how the wallets fare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import and_, case, func, or_, select, text
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, CustomerRow
from core.desk.callback_text import masked_path, readable_body, readable_headers
from core.desk.money_model import (
    AttemptEntry,
    AttemptFilter,
    AttemptView,
    CallbackView,
    Place,
    QuoteView,
    WalletFigures,
)
from core.desk.story_money import one_asked, payment_lines, payments
from core.desk.today import attempt_line, attempt_lines
from core.payments.tables import AttemptInvoiceRow, AttemptRow, CallbackRow, PaymentRow, QuoteRow

_CALLBACKS_MAX = 40
# What needs somebody: nobody asks any more, or two things contradict each other.
_ATTENTION = or_(AttemptRow.state == text("'needs_attention'"), AttemptRow.flag.is_not(None))


def attempts(
    session: Session, wanted: AttemptFilter, *, after: Place | None, ahead: timedelta, limit: int
) -> tuple[AttemptEntry, ...]:
    """Newest first, from `after` on. Uses ix_attempt_created_at, or ix_attempt_payer_phone where a phone is given."""
    asked_for = attempt_lines().order_by(AttemptRow.created_at.desc(), AttemptRow.id.desc()).limit(limit)
    for column, value in (
        (AttemptRow.state, wanted.state),
        (AttemptRow.wallet, wanted.wallet),
        (AttemptRow.brand, wanted.brand),
        (AttemptRow.payer_phone, wanted.phone),
        (AttemptRow.own_ref, wanted.own_ref),
    ):
        if value:
            asked_for = asked_for.where(column == value)
    if wanted.attention:
        asked_for = asked_for.where(_ATTENTION)
    if after is not None:
        at = after.at - ahead
        asked_for = asked_for.where(
            or_(AttemptRow.created_at < at, and_(AttemptRow.created_at == at, AttemptRow.id < after.id))
        )
    return tuple(
        AttemptEntry(
            line=attempt_line(row, customer_id, name, account, ahead),
            flag=row.flag,
            provider_txn_id=row.provider_txn_id,
            next_query_at=row.next_query_at,
            queries=row.queries,
        )
        for row, customer_id, name, account in session.execute(asked_for)
    )


def attention_count(session: Session, *, limit: int) -> int:
    """How many need somebody, counted up to `limit`."""
    some = select(AttemptRow.id).where(_ATTENTION).limit(limit).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def attempt(
    session: Session, attempt_id: str, *, ahead: timedelta, real_now: datetime, whole_numbers: bool
) -> AttemptView | None:
    """Everything that is known of one attempt; None when there is none. `whole_numbers`: do not mask telephones."""
    row = session.get(AttemptRow, attempt_id)
    if row is None:
        return None
    whose = session.execute(
        select(CustomerRow.id, CustomerRow.name, ContractRow.account_number)
        .join(ContractRow, ContractRow.customer_id == CustomerRow.id)
        .where(ContractRow.id == row.contract_id)
    ).first()
    return AttemptView(
        asked=one_asked(session, row, account=whose[2] if whose else "", ahead=ahead),
        customer_id=whose[0] if whose else None,
        customer=whose[1] if whose else "",
        origin=row.origin,
        language=row.language,
        queries=row.queries,
        submitted_at=row.submitted_at + ahead if row.submitted_at else None,
        ended_at=row.ended_at + ahead if row.ended_at else None,
        next_query_at=row.next_query_at,
        real_now=real_now,
        invoices=_chosen(session, attempt_id),
        quote=_quote(session, row.quote_id),
        callbacks=_callbacks(session, row, ahead=ahead, whole_numbers=whole_numbers),
        payments=tuple(payments(session, payment_lines().where(PaymentRow.attempt_id == attempt_id))),
    )


def _chosen(session: Session, attempt_id: str) -> tuple[str, ...]:
    return tuple(
        session.scalars(
            select(InvoiceRow.number)
            .join(AttemptInvoiceRow, AttemptInvoiceRow.invoice_id == InvoiceRow.id)
            .where(AttemptInvoiceRow.attempt_id == attempt_id)
            .order_by(AttemptInvoiceRow.position)
        )
    )


def _quote(session: Session, quote_id: int | None) -> QuoteView | None:
    row = session.get(QuoteRow, quote_id) if quote_id else None
    if row is None:
        return None
    rate = (Decimal(row.rate_num) / Decimal(row.rate_den)).quantize(Decimal("0.000001")).normalize()
    return QuoteView(row.from_currency, row.to_currency, f"{rate:f}".replace(".", ","), row.source, row.expires_at)


def _callbacks(
    session: Session, attempt_row: AttemptRow, *, ahead: timedelta, whole_numbers: bool
) -> tuple[CallbackView, ...]:
    """Those that were matched with it, and those that only name it in their path."""
    rows = session.scalars(
        select(CallbackRow)
        .where(
            CallbackRow.wallet == attempt_row.wallet,
            or_(
                CallbackRow.attempt_id == attempt_row.id,
                CallbackRow.attempt_hint.in_((attempt_row.id, attempt_row.own_ref)),
            ),
        )
        .order_by(CallbackRow.id)
        .limit(_CALLBACKS_MAX)
    )
    return tuple(_callback(row, ahead=ahead, whole_numbers=whole_numbers) for row in rows)


def stray_callbacks(
    session: Session, *, before_id: int | None, ahead: timedelta, limit: int, whole_numbers: bool
) -> tuple[CallbackView, ...]:
    """Those that belong to nothing we know, and those nobody can read; newest first."""
    asked_for = (
        select(CallbackRow)
        .where(CallbackRow.state.in_(("unmatched", "malformed")))
        .order_by(CallbackRow.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        asked_for = asked_for.where(CallbackRow.id < before_id)
    return tuple(_callback(row, ahead=ahead, whole_numbers=whole_numbers) for row in session.scalars(asked_for))


def _callback(row: CallbackRow, *, ahead: timedelta, whole_numbers: bool) -> CallbackView:
    return CallbackView(
        id=row.id,
        wallet=row.wallet,
        kind=row.kind,
        at=row.received_at + ahead,
        state=row.state,
        note=row.note,
        source=row.source,
        method=row.method,
        path=masked_path(row.path),
        headers=readable_headers(row.headers, row.path),
        body=readable_body(row.body, row.path, whole_numbers=whole_numbers),
        size=len(row.body),
        processed_at=row.processed_at + ahead if row.processed_at else None,
    )


def wallet_figures(session: Session, wallets: Sequence[str], *, since: datetime) -> Mapping[str, WalletFigures]:
    """wallet → its figures. `since`: real time; the open ones are counted whenever they began."""
    opened: dict[str, tuple[int, datetime | None]] = {
        wallet: (count, oldest)
        for wallet, count, oldest in session.execute(
            select(
                AttemptRow.wallet,
                func.count(),
                func.min(case((AttemptRow.state == text("'unknown'"), AttemptRow.created_at))),
            )
            .where(AttemptRow.is_open)
            .group_by(AttemptRow.wallet)
        )
    }
    ended = {
        wallet: (count, int(paid or 0))
        for wallet, count, paid in session.execute(
            select(
                AttemptRow.wallet, func.count(), func.sum(case((AttemptRow.state == text("'succeeded'"), 1), else_=0))
            )
            .where(
                AttemptRow.created_at >= since,
                AttemptRow.state.in_(("succeeded", "failed", "expired", "needs_attention")),
            )
            .group_by(AttemptRow.wallet)
        )
    }
    return {
        name: WalletFigures(
            name, opened.get(name, (0, None))[0], *ended.get(name, (0, 0)), opened.get(name, (0, None))[1]
        )
        for name in wallets
    }
