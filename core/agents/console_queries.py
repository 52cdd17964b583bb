"""Questions that only the console asks: agents beside their agency and their day. Session first, no commit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.agents.model import AgentLine, RuleLine
from core.agents.queries import agent_views, rule_of
from core.agents.tables import AgentRow, AgentSaleRow, CommissionRuleRow
from core.customers.tables import AgencyRow, PhoneRow
from core.kernel.clock import WEST, local_date
from core.kernel.money import Money


def agent_lines(session: Session, *, now: datetime, agent_id: int | None = None) -> list[AgentLine]:
    """All agents by code, or the one with this id. Uses ix_agent_sale_agent_id."""
    day = local_date(now, WEST)
    beside = (
        select(
            AgentRow.id,
            AgencyRow.name.label("agency"),
            PhoneRow.sim_changed_at,
            func.count(AgentSaleRow.id).label("sales"),
            func.coalesce(func.sum(AgentSaleRow.amount_minor), 0).label("sold"),
        )
        .join(AgencyRow, AgencyRow.id == AgentRow.agency_id)
        .outerjoin(PhoneRow, PhoneRow.phone == AgentRow.phone)
        .outerjoin(AgentSaleRow, (AgentSaleRow.agent_id == AgentRow.id) & (AgentSaleRow.day == day))
        .group_by(AgentRow.id, AgencyRow.name, PhoneRow.sim_changed_at)
    )
    if agent_id is not None:
        beside = beside.where(AgentRow.id == agent_id)
    found = {row.id: row for row in session.execute(beside)}
    return [
        AgentLine(
            agent=view,
            agency=found[view.id].agency,
            sim_changed_at=found[view.id].sim_changed_at,
            sales_today=int(found[view.id].sales),
            sold_today=Money(int(found[view.id].sold), view.currency),
        )
        for view in agent_views(session, agent_id=agent_id)
    ]


def rule_lines(session: Session, *, agent_id: int | None = None, limit: int = 200) -> list[RuleLine]:
    """Versions of the commission, newest first; `agent_id`: that agent's own and the general ones."""
    wanted = (
        select(CommissionRuleRow, AgentRow.code)
        .outerjoin(AgentRow, AgentRow.id == CommissionRuleRow.agent_id)
        .order_by(CommissionRuleRow.id.desc())
        .limit(limit)
    )
    if agent_id is not None:
        wanted = wanted.where(or_(CommissionRuleRow.agent_id.is_(None), CommissionRuleRow.agent_id == agent_id))
    return [RuleLine(rule_of(row), code, row.made_at, row.made_by) for row, code in session.execute(wanted)]


def agencies(session: Session) -> list[tuple[int, str]]:
    """(id, name) of every agency that is not closed for good, by name."""
    asked = select(AgencyRow.id, AgencyRow.name).where(AgencyRow.closed_at.is_(None)).order_by(AgencyRow.name)
    return [(row.id, row.name) for row in session.execute(asked)]
