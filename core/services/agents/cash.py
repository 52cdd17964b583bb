"""Cash from an agent to a counter, confirmed by both: the agent offers, a cashier counts and types the code."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.agents import float_queries, queries, rules
from core.agents.errors import AgentRefused
from core.agents.model import HandOver
from core.agents.tables import AgentRow, CashHandOverRow
from core.kernel.digits import normalise
from core.kernel.money import Money
from core.services.agents.context import Context
from core.services.agents.sales import once_more, unused
from core.settlement import post
from core.settlement.events import CashHandedOver
from core.staff import queries as staff

# A sweep goes in short chunks: SQLite has one writer.
_CHUNK = 100


def offer(ctx: Context, agent_id: int, amount: Money, turn_key: str, end_text: str) -> HandOver:
    return once_more(lambda: _offer_once(ctx, agent_id, amount, turn_key, end_text))


def _offer_once(ctx: Context, agent_id: int, amount: Money, turn_key: str, end_text: str) -> HandOver:
    now = ctx.clock.now()
    with ctx.db.begin() as session:
        agent = queries.lock_agent(session, agent_id)
        if agent is None:
            raise AgentRefused("not_active")
        before = float_queries.hand_over_of_turn(session, turn_key)
        if before is not None:
            if (before.agent_id, before.amount_minor, before.currency) != (agent.id, amount.minor, amount.currency):
                raise AgentRefused("same_key")
            return float_queries.hand_over_view(before, agent.name, repeated=True)
        rules.check_agent(active=agent.active, must_change_pin=queries.has_one_time_pin(session, agent.id))
        rules.check_cash(amount, agent.currency)
        still_open = float_queries.open_hand_over(session, agent.id)
        if still_open is not None and still_open.expires_at > now:
            raise AgentRefused("hand_over_open", amount=Money(still_open.amount_minor, still_open.currency))
        if still_open is not None:
            _expire(ctx, still_open)
            session.flush()
        code = unused(session, CashHandOverRow.code, lambda: rules.new_code(secrets.randbelow))
        row = CashHandOverRow(
            code=code,
            agent_id=agent.id,
            currency=agent.currency,
            amount_minor=amount.minor,
            state="offered",
            turn_key=turn_key,
            end_text=rules.with_code(end_text, code),
            offered_at=now,
            expires_at=now + rules.HAND_OVER_LIVES,
        )
        session.add(row)
        session.flush()
        return float_queries.hand_over_view(row, agent.name)


def accept(ctx: Context, code: str, cashier_login: str) -> HandOver:
    with ctx.db.begin() as session:
        row, agent = _locked(session, code)
        if row.state == "accepted" and row.cashier == cashier_login:
            return float_queries.hand_over_view(row, agent.name, repeated=True)
        if row.state in ("accepted", "withdrawn"):
            raise AgentRefused("hand_over_ended")
        if row.state == "expired" or row.expires_at <= ctx.clock.now():
            raise AgentRefused("hand_over_expired")
        cashier = staff.user_by_login(session, cashier_login)
        if cashier is None or not cashier.active:
            raise AgentRefused("cashier_unknown")
        row.state, row.cashier, row.ended_at = "accepted", cashier.login, ctx.clock.now()
        amount = Money(row.amount_minor, row.currency)
        event = CashHandedOver(
            key=f"hand_over:{row.id}", actor=cashier.login, cashier=cashier.login, agent_id=agent.id, amount=amount
        )
        post(session, event, clock=ctx.clock)
        ctx.audit(session, cashier.login, "agent.cash_accepted", agent.code, f"{amount} ({row.code})")
        return float_queries.hand_over_view(row, agent.name)


def withdraw(ctx: Context, agent_id: int, code: str) -> HandOver:
    with ctx.db.begin() as session:
        row, agent = _locked(session, code)
        if row.agent_id != agent_id:
            raise AgentRefused("hand_over_unknown")
        if row.state == "withdrawn":
            return float_queries.hand_over_view(row, agent.name, repeated=True)
        if row.state == "accepted":
            raise AgentRefused("hand_over_ended")
        if row.state == "expired" or row.expires_at <= ctx.clock.now():
            raise AgentRefused("hand_over_expired")
        row.state, row.ended_at = "withdrawn", ctx.clock.now()
        return float_queries.hand_over_view(row, agent.name)


def expire(ctx: Context) -> int:
    ended = 0
    while True:
        with ctx.db.begin() as session:
            stale = float_queries.stale_hand_overs(session, now=ctx.clock.now(), limit=_CHUNK)
            for row in stale:
                _expire(ctx, row)
        ended += len(stale)
        if len(stale) < _CHUNK:
            return ended


def look(ctx: Context, code: str) -> HandOver:
    with ctx.db.read() as session:
        found = session.execute(
            select(CashHandOverRow, AgentRow.name)
            .join(AgentRow, AgentRow.id == CashHandOverRow.agent_id)
            .where(CashHandOverRow.code == normalise(code))
        ).first()
        if found is None:
            raise AgentRefused("hand_over_unknown")
        return float_queries.hand_over_view(*found)


def _locked(session: Session, code: str) -> tuple[CashHandOverRow, AgentRow]:
    """The agent first, as everywhere: who offers holds it while he looks for an open one."""
    digits = normalise(code)
    agent_id = session.scalar(select(CashHandOverRow.agent_id).where(CashHandOverRow.code == digits))
    agent = queries.lock_agent(session, agent_id) if agent_id is not None else None
    row = float_queries.lock_hand_over(session, digits)
    if agent is None or row is None:
        raise AgentRefused("hand_over_unknown")
    return row, agent


def _expire(ctx: Context, row: CashHandOverRow) -> None:
    row.state, row.ended_at = "expired", ctx.clock.now()
