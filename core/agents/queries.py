"""Questions about agents, and the floor of a float. Session first, no commit.

Who moves an agent's money locks the agent's row first: day sums, the "same sale just now" and commission per day are
read under that lock. The float itself is safe without it: its account has a floor.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, and_, cast, or_, select, update
from sqlalchemy.orm import Session

from core.agents.errors import AgentRefused
from core.agents.model import (
    AgentView,
    CommissionRule,
    Limits,
)
from core.agents.rules import default_limits
from core.agents.tables import (
    AgentLimitRow,
    AgentRow,
    CommissionRuleRow,
    OneTimePinRow,
)
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import agent_float
from core.ledger.tables import AccountRow


def lock_agent(session: Session, agent_id: int) -> AgentRow | None:
    """The agent, locked for this transaction and read afresh."""
    return session.scalar(
        select(AgentRow)
        .where(AgentRow.id == agent_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def lock_by_phone(session: Session, phone: str) -> AgentRow | None:
    return session.scalar(
        select(AgentRow)
        .where(AgentRow.phone == phone)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def by_phone(session: Session, phone: str) -> AgentRow | None:
    return session.scalar(select(AgentRow).where(AgentRow.phone == phone))


def buyer(session: Session, account_id: int) -> AgentRow | None:
    """The agent whose float this ledger account is; None for any other account."""
    account = session.get_one(AccountRow, account_id)
    return session.get(AgentRow, int(account.owner)) if account.code == "agent_float" else None


def has_one_time_pin(session: Session, agent_id: int) -> bool:
    return session.get(OneTimePinRow, agent_id, populate_existing=True) is not None


def open_float(session: Session, agent: AgentRow) -> None:
    """Have the float's account exist with the floor that the agent's credit limit says.

    Raises AgentRefused when the float is below that floor already.
    """
    account = ledger.account_row(session, agent_float(agent.id), agent.currency)
    floor = -agent.credit_limit_minor
    changed = session.scalars(
        update(AccountRow)
        .where(AccountRow.id == account.id, AccountRow.balance_minor >= floor)
        .values(floor_minor=floor)
        .returning(AccountRow.id)
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        debt = -ledger.balance(session, agent_float(agent.id), agent.currency).minor
        raise AgentRefused("limit_below_debt", amount=Money(debt, agent.currency))
    session.expire(account)


def float_account(agent_id: int) -> Any:
    return and_(
        AccountRow.code == "agent_float", AccountRow.owner == str(agent_id), AccountRow.currency == AgentRow.currency
    )


def limits_of(row: Any, currency: str) -> Limits:
    if row.sale_minor is None:
        return default_limits(currency)
    return Limits(Money(row.sale_minor, currency), Money(row.day_minor, currency), Money(row.large_minor, currency))


def rule_of(row: CommissionRuleRow) -> CommissionRule:
    return CommissionRule(
        row.id,
        row.version,
        row.agent_id,
        row.currency,
        row.basis_points,
        row.min_minor,
        row.max_minor,
        row.valid_from,
        row.valid_until,
    )


def commission_rules(session: Session, *, agent_id: int | None = None) -> list[CommissionRule]:
    """Every version, newest first. `agent_id`: that agent's own and the general ones."""
    wanted = select(CommissionRuleRow).order_by(CommissionRuleRow.id.desc())
    if agent_id is not None:
        wanted = wanted.where(or_(CommissionRuleRow.agent_id.is_(None), CommissionRuleRow.agent_id == agent_id))
    return [rule_of(row) for row in session.scalars(wanted)]


# The office.


def agent_views(session: Session, *, agent_id: int | None = None) -> list[AgentView]:
    """All agents by code, or the one with this id."""
    wanted = (
        select(
            AgentRow,
            AccountRow.balance_minor,
            AgentLimitRow.sale_minor,
            AgentLimitRow.day_minor,
            AgentLimitRow.large_minor,
            OneTimePinRow.agent_id.label("one_time"),
        )
        .outerjoin(AgentLimitRow, AgentLimitRow.agent_id == AgentRow.id)
        .outerjoin(OneTimePinRow, OneTimePinRow.agent_id == AgentRow.id)
        .outerjoin(
            AccountRow,
            and_(
                AccountRow.code == "agent_float",
                AccountRow.owner == cast(AgentRow.id, String(64)),
                AccountRow.currency == AgentRow.currency,
            ),
        )
        .order_by(AgentRow.code)
    )
    if agent_id is not None:
        wanted = wanted.where(AgentRow.id == agent_id)
    return [
        AgentView(
            id=row.AgentRow.id,
            code=row.AgentRow.code,
            name=row.AgentRow.name,
            phone=row.AgentRow.phone,
            agency_id=row.AgentRow.agency_id,
            currency=row.AgentRow.currency,
            active=row.AgentRow.active,
            locked_until=row.AgentRow.pin_locked_until,
            must_change_pin=row.one_time is not None,
            balance=Money(row.balance_minor or 0, row.AgentRow.currency),
            credit_limit=Money(row.AgentRow.credit_limit_minor, row.AgentRow.currency),
            limits=limits_of(row, row.AgentRow.currency),
        )
        for row in session.execute(wanted)
    ]
