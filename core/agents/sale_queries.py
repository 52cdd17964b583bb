"""Questions about sales: what one is decided by, and those that were made. Session first, no commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, and_, case, cast, exists, false, func, literal, or_, select, true
from sqlalchemy.orm import Session

from core.agents.model import (
    CommissionRule,
    Sale,
)
from core.agents.queries import float_account, limits_of, rule_of
from core.agents.rules import PROOFS_MAX, SaleFacts
from core.agents.tables import (
    AgentLimitRow,
    AgentRow,
    AgentSaleRow,
    CommissionRuleRow,
    OneTimePinRow,
)
from core.customers.links import SEES_AMOUNTS
from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow, PhoneRow
from core.kernel.clock import WEST, local_date
from core.kernel.money import Money
from core.ledger.tables import AccountRow
from core.payments.tables import PaymentRow


@dataclass(frozen=True, slots=True)
class Counter:
    """What is on the table for one sale: who sells, to which account, for which commission."""

    facts: SaleFacts
    rules: tuple[CommissionRule, ...]
    contract_id: int
    customer_name: str
    customer_told: bool
    floor_minor: int | None
    account_sold: Money
    account_given: Money


def counter(
    session: Session, agent_id: int, account_number: str, amount_minor: int, *, now: datetime
) -> Counter | None:
    """Everything a sale is decided by, in two statements; None when there is no such agent. `now`: business time."""
    rows = session.execute(_seller_and_account(agent_id, account_number, now)).all()
    if not rows:
        return None
    row = rows[0]
    currency = row.currency
    sums = session.execute(_sold(agent_id, row.contract_id or 0, amount_minor, row.sim_changed_at, now)).one()
    facts = SaleFacts(
        active=row.active,
        must_change_pin=row.one_time is not None,
        limits=limits_of(row, currency),
        balance=Money(row.balance_minor or 0, currency),
        credit_limit=Money(row.credit_limit_minor, currency),
        sold_today=Money(int(sums.today), currency),
        sim_changed_at=row.sim_changed_at,
        sold_since_sim=Money(int(sums.since_sim), currency),
        contract_currency=row.contract_currency,
        contract_active=row.contract_state == "active",
        same_at=sums.same_at,
    )
    return Counter(
        facts=facts,
        rules=tuple(rule_of(r.CommissionRuleRow) for r in rows if r.CommissionRuleRow is not None),
        contract_id=row.contract_id or 0,
        customer_name=row.customer_name or "",
        customer_told=bool(row.told),
        floor_minor=row.floor_minor,
        account_sold=Money(int(sums.account_sold), currency),
        account_given=Money(int(sums.account_given), currency),
    )


def _seller_and_account(agent_id: int, account_number: str, now: datetime) -> Any:
    # Whom settlement sends the proof to. Who only pays for the account is not of the household.
    told = exists().where(
        PhoneLinkRow.customer_id == ContractRow.customer_id,
        PhoneLinkRow.confirmed_at.is_not(None),
        PhoneLinkRow.role.in_(SEES_AMOUNTS),
    )
    rule_counts = and_(
        CommissionRuleRow.currency == AgentRow.currency,
        or_(CommissionRuleRow.agent_id.is_(None), CommissionRuleRow.agent_id == agent_id),
        CommissionRuleRow.valid_from <= now,
        or_(CommissionRuleRow.valid_until.is_(None), CommissionRuleRow.valid_until > now),
    )
    return (
        select(
            AgentRow.currency,
            AgentRow.active,
            AgentRow.credit_limit_minor,
            OneTimePinRow.agent_id.label("one_time"),
            AgentLimitRow.sale_minor,
            AgentLimitRow.day_minor,
            AgentLimitRow.large_minor,
            AccountRow.balance_minor,
            AccountRow.floor_minor,
            PhoneRow.sim_changed_at,
            ContractRow.id.label("contract_id"),
            ContractRow.currency.label("contract_currency"),
            ContractRow.state.label("contract_state"),
            CustomerRow.name.label("customer_name"),
            told.label("told"),
            CommissionRuleRow,
        )
        .select_from(AgentRow)
        .outerjoin(OneTimePinRow, OneTimePinRow.agent_id == AgentRow.id)
        .outerjoin(AgentLimitRow, AgentLimitRow.agent_id == AgentRow.id)
        .outerjoin(AccountRow, float_account(agent_id))
        .outerjoin(PhoneRow, PhoneRow.phone == AgentRow.phone)
        .outerjoin(ContractRow, ContractRow.account_number == account_number)
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .outerjoin(CommissionRuleRow, rule_counts)
        .where(AgentRow.id == agent_id)
    )


def _sold(agent_id: int, contract_id: int, amount_minor: int, sim_changed_at: datetime | None, now: datetime) -> Any:
    """Sums of today in Kinshasa, and since another SIM. Yesterday is read too: the same sale may have been made before
    midnight, and no SIM is held for longer than a day."""
    today = local_date(now, WEST)
    here, is_today = AgentSaleRow.contract_id == contract_id, AgentSaleRow.day == today
    same = and_(here, AgentSaleRow.amount_minor == amount_minor)
    since_sim = AgentSaleRow.sold_at >= sim_changed_at if sim_changed_at is not None else false()

    def total(column: Any, condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, column), else_=0)), 0)

    return select(
        total(AgentSaleRow.amount_minor, is_today).label("today"),
        total(AgentSaleRow.amount_minor, and_(is_today, here)).label("account_sold"),
        total(AgentSaleRow.commission_minor, and_(is_today, here)).label("account_given"),
        total(AgentSaleRow.amount_minor, since_sim).label("since_sim"),
        func.max(case((same, AgentSaleRow.recorded_at))).label("same_at"),
    ).where(AgentSaleRow.agent_id == agent_id, AgentSaleRow.day >= today - timedelta(days=1))


def _sales() -> Any:
    return (
        select(AgentSaleRow, PaymentRow.receipt_number, ContractRow.account_number)
        .join(PaymentRow, PaymentRow.id == AgentSaleRow.payment_id)
        .join(ContractRow, ContractRow.id == AgentSaleRow.contract_id)
    )


def sale_view(row: AgentSaleRow, receipt_number: str, account_number: str, *, repeated: bool = False) -> Sale:
    return Sale(
        code=row.code,
        payment_id=row.payment_id,
        receipt_number=receipt_number,
        account_number=account_number,
        amount=Money(row.amount_minor, row.currency),
        commission=Money(row.commission_minor, row.currency),
        float_after=Money(row.float_after_minor, row.currency),
        end_text=row.end_text,
        sold_at=row.sold_at,
        proofs_left=PROOFS_MAX - row.proofs,
        repeated=repeated,
    )


def sale_of_turn(session: Session, turn_key: str) -> tuple[AgentSaleRow, Sale] | None:
    found = session.execute(_sales().where(AgentSaleRow.turn_key == turn_key)).first()
    return None if found is None else (found[0], sale_view(*found, repeated=True))


def sales_of(agent_id: int, *, limit: int) -> Any:
    """Newest first: a row, its receipt and its account, as `sale_view` takes them; then whether the agent is active,
    and a one-time PIN's mark. An agent without sales has one line without a sale. Uses ix_agent_sale_agent_id."""
    newest_first = (AgentSaleRow.day.desc(), AgentSaleRow.id.desc())
    mine = AgentSaleRow.agent_id == agent_id
    newest = select(AgentSaleRow.id).where(mine).order_by(*newest_first).limit(limit).subquery()
    return (
        select(
            AgentSaleRow,
            PaymentRow.receipt_number,
            ContractRow.account_number,
            AgentRow.active,
            OneTimePinRow.agent_id.label("one_time"),
        )
        .select_from(AgentRow)
        .outerjoin(OneTimePinRow, OneTimePinRow.agent_id == AgentRow.id)
        .outerjoin(newest, true())
        .outerjoin(AgentSaleRow, AgentSaleRow.id == newest.c.id)
        .outerjoin(PaymentRow, PaymentRow.id == AgentSaleRow.payment_id)
        .outerjoin(ContractRow, ContractRow.id == AgentSaleRow.contract_id)
        .where(AgentRow.id == agent_id)
        .order_by(*newest_first)
    )


def proof_key() -> Any:
    """The key of the newest SMS about a sale: settlement's own, or the last one that was asked for. It is unique."""
    asked = cast(AgentSaleRow.proofs, String)
    which = case((AgentSaleRow.proofs == 0, literal(":account")), else_=literal(":again:").concat(asked))
    return literal("receipt:").concat(AgentSaleRow.payment_id).concat(which)


def lock_sale(session: Session, agent_id: int, code: str) -> AgentSaleRow | None:
    """A sale of this agent, locked: nobody sends the proof of another's."""
    return session.scalar(
        select(AgentSaleRow)
        .where(AgentSaleRow.code == code, AgentSaleRow.agent_id == agent_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
