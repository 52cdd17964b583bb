"""Questions about the float and the cash handed over. Session first, no commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from core.agents.model import (
    FloatEntry,
    FloatView,
    HandOver,
    HandOverState,
)
from core.agents.queries import float_account
from core.agents.rules import check_agent
from core.agents.tables import (
    AgentRow,
    AgentSaleRow,
    CashHandOverRow,
    OneTimePinRow,
)
from core.customers.tables import ContractRow
from core.kernel.clock import WEST, local_date
from core.kernel.money import Money
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.payments.tables import PaymentRow


def float_view(session: Session, agent_id: int, *, now: datetime, by_agent: bool) -> FloatView | None:
    """The float as its agent sees it, in one statement that no number of past sales makes longer; None when there is
    no such agent. `by_agent`: raises AgentRefused for one who may do nothing at all."""
    today = local_date(now, WEST)
    todays = select(AgentSaleRow.id).where(AgentSaleRow.agent_id == agent_id, AgentSaleRow.day == today).subquery()
    mine = AgentSaleRow.id.in_(select(todays.c.id))

    def sold(column: Any) -> Any:
        return select(func.coalesce(func.sum(column), 0)).where(mine).scalar_subquery()

    payable = aliased(AccountRow)
    is_payable = and_(
        payable.code == "commission_payable", payable.owner == str(agent_id), payable.currency == AgentRow.currency
    )
    row = session.execute(
        select(
            AgentRow.active,
            OneTimePinRow.agent_id.label("one_time"),
            AgentRow.currency,
            AgentRow.credit_limit_minor,
            AccountRow.balance_minor,
            select(func.count()).select_from(AgentSaleRow).where(mine).scalar_subquery().label("sales"),
            sold(AgentSaleRow.amount_minor).label("sold"),
            sold(AgentSaleRow.commission_minor).label("gain"),
            payable.balance_minor.label("unpaid"),
        )
        .select_from(AgentRow)
        .outerjoin(AccountRow, float_account(agent_id))
        .outerjoin(payable, is_payable)
        .outerjoin(OneTimePinRow, OneTimePinRow.agent_id == AgentRow.id)
        .where(AgentRow.id == agent_id)
    ).first()
    if row is None:
        return None
    if by_agent:
        check_agent(active=row.active, must_change_pin=row.one_time is not None)
    currency, balance = row.currency, row.balance_minor or 0
    return FloatView(
        balance=Money(balance, currency),
        credit_limit=Money(row.credit_limit_minor, currency),
        available=Money(max(0, balance + row.credit_limit_minor), currency),
        sales_today=int(row.sales),
        sold_today=Money(int(row.sold), currency),
        commission_unpaid=Money(row.unpaid or 0, currency),
        commission_today=Money(int(row.gain), currency),
    )


def entries(session: Session, agent_id: int, *, limit: int, after: str | None = None) -> list[FloatEntry]:
    """The float's movements, newest first, one line per event. `after`: the id of the last line seen."""
    account = (
        select(AccountRow.id, AccountRow.currency)
        .join(AgentRow, AgentRow.currency == AccountRow.currency)
        .where(AgentRow.id == agent_id, AccountRow.code == "agent_float", AccountRow.owner == str(agent_id))
    )
    found = session.execute(account).first()
    if found is None:
        return []
    account_id, currency = found
    signed = case(
        (TransferRow.credit_account_id == account_id, TransferRow.amount_minor), else_=-TransferRow.amount_minor
    )
    lines = (
        select(
            JournalRow.id, JournalRow.at, JournalRow.kind, func.sum(signed).label("change"),
            JournalRow.actor, JournalRow.memo, func.max(TransferRow.payment_id).label("payment_id"),
        )
        .join(TransferRow, TransferRow.journal_id == JournalRow.id)
        .where(or_(TransferRow.credit_account_id == account_id, TransferRow.debit_account_id == account_id))
        .group_by(JournalRow.id, JournalRow.at, JournalRow.kind, JournalRow.actor, JournalRow.memo)
    )  # fmt: skip
    if after is not None:
        seen_at = select(JournalRow.at).where(JournalRow.id == after).scalar_subquery()
        lines = lines.where(or_(JournalRow.at < seen_at, and_(JournalRow.at == seen_at, JournalRow.id < after)))
    page = lines.order_by(JournalRow.at.desc(), JournalRow.id.desc()).limit(limit).subquery()
    rows = session.execute(
        select(page, ContractRow.account_number, PaymentRow.receipt_number)
        .outerjoin(PaymentRow, PaymentRow.id == page.c.payment_id)
        .outerjoin(ContractRow, ContractRow.id == PaymentRow.contract_id)
        .order_by(page.c.at.desc(), page.c.id.desc())
    )
    return [
        FloatEntry(
            r.id, r.at, r.kind, Money(int(r.change), currency), r.actor, r.memo, r.account_number, r.receipt_number
        )
        for r in rows
    ]


# Cash.


def hand_over_view(row: CashHandOverRow, agent_name: str, *, repeated: bool = False) -> HandOver:
    state: HandOverState = row.state  # type: ignore[assignment]
    return HandOver(
        code=row.code,
        agent_id=row.agent_id,
        agent_name=agent_name,
        amount=Money(row.amount_minor, row.currency),
        state=state,
        offered_at=row.offered_at,
        expires_at=row.expires_at,
        cashier=row.cashier,
        end_text=row.end_text,
        repeated=repeated,
    )


def lock_hand_over(session: Session, code: str) -> CashHandOverRow | None:
    return session.scalar(
        select(CashHandOverRow)
        .where(CashHandOverRow.code == code)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def hand_over_of_turn(session: Session, turn_key: str) -> CashHandOverRow | None:
    return session.scalar(select(CashHandOverRow).where(CashHandOverRow.turn_key == turn_key))


def open_hand_over(session: Session, agent_id: int) -> CashHandOverRow | None:
    """Uses uq_cash_hand_over_open."""
    return session.scalar(
        select(CashHandOverRow)
        .where(CashHandOverRow.agent_id == agent_id, CashHandOverRow.state == "offered")
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def waiting_hand_over(session: Session, agent_id: int, *, now: datetime) -> HandOver | None:
    """The open offer that a cashier may still accept, not locked; none of one who is off.

    Uses uq_cash_hand_over_open.
    """
    row = session.execute(
        select(CashHandOverRow, AgentRow.name)
        .join(AgentRow, AgentRow.id == CashHandOverRow.agent_id)
        .where(
            CashHandOverRow.agent_id == agent_id,
            CashHandOverRow.state == "offered",
            CashHandOverRow.expires_at > now,
            AgentRow.active,
        )
    ).first()
    return hand_over_view(*row) if row is not None else None


def stale_hand_overs(session: Session, *, now: datetime, limit: int) -> Sequence[CashHandOverRow]:
    """Offered, and not accepted in time; locked against a second sweep."""
    return session.scalars(
        select(CashHandOverRow)
        .where(CashHandOverRow.state == "offered", CashHandOverRow.expires_at <= now)
        .order_by(CashHandOverRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()


def hand_overs(session: Session, *, agent_id: int | None = None, limit: int = 50) -> list[HandOver]:
    """Newest first, of one agent or of all."""
    wanted = (
        select(CashHandOverRow, AgentRow.name)
        .join(AgentRow, AgentRow.id == CashHandOverRow.agent_id)
        .order_by(CashHandOverRow.id.desc())
        .limit(limit)
    )
    if agent_id is not None:
        wanted = wanted.where(CashHandOverRow.agent_id == agent_id)
    return [hand_over_view(row, name) for row, name in session.execute(wanted)]
