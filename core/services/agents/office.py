"""What the office does with agents: make one, switch it off, set what it may and gets. Each with its audit row."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.agents import queries, rules
from core.agents.errors import AgentRefused
from core.agents.model import AgentCreated, Limits
from core.agents.tables import AgentLimitRow, AgentRow, CommissionRuleRow
from core.customers import link_queries
from core.customers.tables import AgencyRow
from core.kernel.money import Money
from core.phone_numbers import masked, parse_e164
from core.services.agents.context import Context
from core.services.agents.pins import Pins
from core.services.agents.sales import once_more


def create(
    ctx: Context, pins: Pins, name: str, phone: str, *, agency_id: int, credit_limit: Money, by: str, code: str | None
) -> AgentCreated:
    number = parse_e164(phone)
    if number is None:
        raise AgentRefused("phone_invalid")
    _check_credit(credit_limit)
    pin, hashed = pins.one_time(number)
    row = AgentRow(
        code=(code or "").strip().upper()[:12],
        name=name.strip()[:120] or number,
        phone=number,
        agency_id=agency_id,
        currency=credit_limit.currency,
        credit_limit_minor=credit_limit.minor,
        pin_hash=hashed,
        created_at=ctx.clock.now(),
    )
    try:
        with ctx.db.begin() as session:
            _check_new(session, row)
            session.add(row)
            session.flush()
            pins.mark_one_time(session, row.id, by)
            queries.open_float(session, row)
            ctx.audit(session, by, "agent.created", row.code, f"{masked(number)}, {credit_limit} on credit, {row.name}")
            return AgentCreated(row.id, row.code, pin)
    except IntegrityError as error:
        # Somebody else wrote the same phone or code at the same moment.
        with ctx.db.read() as session:
            raise AgentRefused("phone_taken" if queries.by_phone(session, number) else "code_taken") from error


def _check_new(session: Session, row: AgentRow) -> None:
    if session.get(AgencyRow, row.agency_id) is None:
        raise AgentRefused("agency_unknown")
    if queries.by_phone(session, row.phone) is not None:
        raise AgentRefused("phone_taken")
    row.code = row.code or _next_code(session)
    if session.scalar(select(AgentRow.id).where(AgentRow.code == row.code)) is not None:
        raise AgentRefused("code_taken")


def _next_code(session: Session) -> str:
    """`A004` after the third agent; the next number that is free where codes were chosen by hand."""
    number = int(session.scalar(select(func.count()).select_from(AgentRow)) or 0)
    while True:
        number += 1
        code = f"A{number:03d}"
        if session.scalar(select(AgentRow.id).where(AgentRow.code == code)) is None:
            return code


def _check_credit(limit: Money) -> None:
    if limit.minor < 0:
        raise AgentRefused("limits_invalid")


def _locked(session: Session, agent_id: int) -> AgentRow:
    agent = queries.lock_agent(session, agent_id)
    if agent is None:
        raise AgentRefused("not_active")
    return agent


def set_active(ctx: Context, agent_id: int, active: bool, by: str) -> None:
    with ctx.db.begin() as session:
        agent = _locked(session, agent_id)
        if agent.active == active:
            return
        agent.active = active
        ctx.audit(session, by, "agent.enabled" if active else "agent.disabled", agent.code)


def note_sim_changed(ctx: Context, agent_id: int, by: str) -> datetime:
    with ctx.db.begin() as session:
        agent = _locked(session, agent_id)
        now, who = ctx.clock.now(), f"staff:{by}"
        # The same number may be some customer's: whoever has the SIM now sees nothing of those accounts either.
        for customer_id in link_queries.sim_changed(session, agent.phone, now=now):
            link_queries.note(
                session, customer_id=customer_id, phone=agent.phone, what="sim_changed", role=None, by=who, now=now
            )
        ctx.audit(session, by, "agent.sim_changed", agent.code, masked(agent.phone))
        return now


def set_credit_limit(ctx: Context, agent_id: int, limit: Money, by: str) -> None:
    _check_credit(limit)
    with ctx.db.begin() as session:
        agent = _locked(session, agent_id)
        if limit.currency != agent.currency:
            raise AgentRefused("currency_differs")
        before = Money(agent.credit_limit_minor, agent.currency)
        agent.credit_limit_minor = limit.minor
        session.flush()
        queries.open_float(session, agent)
        if before != limit:
            ctx.audit(session, by, "agent.credit_limit", agent.code, f"{before} to {limit}")


def set_limits(ctx: Context, agent_id: int, limits: Limits, by: str) -> None:
    with ctx.db.begin() as session:
        agent = _locked(session, agent_id)
        rules.check_limits(limits, agent.currency)
        row = session.get(AgentLimitRow, agent_id) or AgentLimitRow(agent_id=agent_id)
        row.sale_minor, row.day_minor = limits.per_sale.minor, limits.per_day.minor
        row.large_minor, row.changed_at, row.changed_by = limits.large_sale.minor, ctx.clock.real_now(), by[:80]
        session.add(row)
        told = f"{limits.per_sale} a sale, {limits.per_day} a day, large from {limits.large_sale}"
        ctx.audit(session, by, "agent.limits", agent.code, told)


def add_commission_rule(
    ctx: Context,
    currency: str,
    basis_points: int,
    *,
    min_minor: int,
    max_minor: int | None,
    valid_from: datetime | None,
    valid_until: datetime | None,
    agent_id: int | None,
    by: str,
) -> int:
    now = ctx.clock.now()
    starts = valid_from or now
    in_order = valid_until is None or valid_until > starts
    bounded = min_minor >= 0 and (max_minor is None or max_minor >= min_minor)
    # What was sold under a rule stays explained by it: none begins in the past.
    if not 0 <= basis_points <= 10_000 or not bounded or not in_order or starts < now:
        raise AgentRefused("rule_invalid")

    def row() -> CommissionRuleRow:
        return CommissionRuleRow(
            agent_id=agent_id,
            currency=currency,
            basis_points=basis_points,
            min_minor=min_minor,
            max_minor=max_minor,
            valid_from=starts,
            valid_until=valid_until,
            made_at=ctx.clock.real_now(),
            made_by=by[:80],
        )

    return once_more(lambda: _write_rule(ctx, row(), by))


def _write_rule(ctx: Context, row: CommissionRuleRow, by: str) -> int:
    with ctx.db.begin() as session:
        agent = _locked(session, row.agent_id) if row.agent_id is not None else None
        if agent is not None and agent.currency != row.currency:
            raise AgentRefused("currency_differs")
        return _add_rule(ctx, session, row, agent.code if agent else "all", by)


def _add_rule(ctx: Context, session: Session, row: CommissionRuleRow, whose: str, by: str) -> int:
    newest = select(func.max(CommissionRuleRow.version)).where(CommissionRuleRow.currency == row.currency)
    row.version = (session.scalar(newest) or 0) + 1
    session.add(row)
    session.flush()
    most = "any" if row.max_minor is None else row.max_minor
    told = f"{row.basis_points} basis points, {row.min_minor} to {most} minor units of {row.currency}"
    ctx.audit(session, by, "agent.commission", whose, f"version {row.version}: {told}")
    return row.version


def write_first_rules(ctx: Context, by: str) -> list[str]:
    # Two upgrades at once write the same version: the second finds the first when it comes again.
    return [currency for currency in rules.FIRST_RULES if once_more(partial(_write_first, ctx, currency, by))]


def _write_first(ctx: Context, currency: str, by: str) -> bool:
    """False where the currency has a general rule, in force or not."""
    general = CommissionRuleRow.currency == currency, CommissionRuleRow.agent_id.is_(None)
    least, most = rules.FIRST_RULES[currency]
    with ctx.db.begin() as session:
        if session.scalar(select(CommissionRuleRow.id).where(*general).limit(1)) is not None:
            return False
        row = CommissionRuleRow(
            currency=currency,
            basis_points=rules.FIRST_BASIS_POINTS,
            min_minor=least,
            max_minor=most,
            valid_from=ctx.clock.now(),
            made_at=ctx.clock.real_now(),
            made_by=by[:80],
        )
        _add_rule(ctx, session, row, "all", by)
        return True
