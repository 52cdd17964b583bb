"""Refunds as the console lists them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, or_, select

from core.customers.tables import ContractRow
from core.kernel.money import Money
from core.payments.refund_model import RefundView
from core.payments.refund_rules import CONTRADICTIONS, contradicted
from core.payments.tables import PaymentRow, RefundRow
from core.services.refunds.context import Context


def under_way() -> ColumnElement[bool]:
    """What somebody still has to end: all that is open, and what ended in a contradiction."""
    at_odds = and_(RefundRow.state.in_(("paid", "failed")), RefundRow.code.in_(sorted(CONTRADICTIONS)))
    return or_(RefundRow.is_open.is_(True), at_odds)


def _query() -> Select[RefundRow, str, str]:
    return (
        select(RefundRow, PaymentRow.receipt_number, ContractRow.account_number)
        .join(PaymentRow, PaymentRow.id == RefundRow.payment_id)
        .outerjoin(ContractRow, ContractRow.id == RefundRow.contract_id)
    )


def listed(
    ctx: Context, *, open_only: bool, payment_id: str | None, contract_id: int | None, limit: int
) -> list[RefundView]:
    """See `Refunds.listed`. Uses ix_refund_requested_at."""
    wanted = _query().order_by(RefundRow.requested_at.desc(), RefundRow.id).limit(limit)
    if open_only:
        wanted = wanted.where(under_way())
    if payment_id is not None:
        wanted = wanted.where(RefundRow.payment_id == payment_id)
    if contract_id is not None:
        wanted = wanted.where(RefundRow.contract_id == contract_id)
    with ctx.db.read() as session:
        return [_view(row[0], row[1], row[2]) for row in session.execute(wanted)]


def one(ctx: Context, refund_id: str) -> RefundView | None:
    with ctx.db.read() as session:
        found = session.execute(_query().where(RefundRow.id == refund_id)).first()
        return _view(found[0], found[1], found[2]) if found is not None else None


def _view(row: RefundRow, receipt_number: str, account_number: str | None) -> RefundView:
    at_odds = contradicted(row.state, row.code)
    return RefundView(
        refund_id=row.id,
        own_ref=row.own_ref,
        payment_id=row.payment_id,
        receipt_number=receipt_number,
        contract_id=row.contract_id,
        account_number=account_number,
        wallet=row.wallet,
        source=row.source,
        amount=Money(row.amount_minor, row.currency),
        payer_phone=row.payer_phone,
        reason=row.reason,
        state="needs_attention" if at_odds else row.state,
        is_open=row.is_open or at_odds,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_note=row.decision_note,
        provider_ref=row.provider_ref,
        provider_txn_id=row.provider_txn_id,
        code=row.code,
        posts=row.posts,
        queries=row.queries,
        submitted_at=row.submitted_at,
        next_query_at=row.next_query_at,
        ended_at=row.ended_at,
        at_odds=at_odds,
    )
