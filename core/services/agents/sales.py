"""A sale: quoted, made, proven again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.agents import queries, rules, sale_queries
from core.agents.errors import AgentRefused
from core.agents.model import ProofState, Quote, Sale
from core.agents.sale_queries import Counter
from core.agents.tables import AgentRow, AgentSaleRow
from core.customers.tables import ContractRow, SiteRow
from core.kernel.clock import WEST, local_date, local_time
from core.kernel.digits import grouped, is_account_number, normalise
from core.kernel.errors import NotRecorded
from core.kernel.ids import ALPHABET, new_uuid, verification_code
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.errors import BelowFloor
from core.ledger.model import agent_float
from core.notices.staging import stage_notice
from core.notices.tables import NoticeRow
from core.payments.tables import PaymentRow
from core.phone_numbers import masked
from core.services.agents.context import Context
from core.settlement import post
from core.settlement.effects import holders
from core.settlement.events import AgentSale
from core.turns import deeds

# In the column of wallets: money that an agent took. No wallet has this name.
WALLET = "agent"

# How often a key that somebody took first is tried again, and how many codes are drawn for one that is free.
_ROUNDS = 4
_DRAWS = 40

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ProofSent:
    """`phone` is masked: the agent sees that it is the customer's, and not which."""

    phone: str
    proofs_left: int


@dataclass(frozen=True, slots=True)
class _Order:
    """One confirmed sale, as the turn asks for it."""

    agent_id: int
    account_number: str
    amount: Money
    turn_key: str
    end_text: str
    again: bool


def quote(ctx: Context, agent_id: int, account_number: str, amount: Money, *, again: bool) -> Quote:
    number = _account(account_number)
    with ctx.db.read() as session:
        seen = _counter(ctx, session, agent_id, number, amount, again=again)
    return Quote(
        contract_id=seen.contract_id,
        account_number=number,
        masked_name=rules.masked_name(seen.customer_name),
        amount=amount,
        commission=_commission(seen, amount, ctx.clock.now()),
        float_after=seen.facts.balance - amount,
        customer_told=seen.customer_told,
    )


def sell(
    ctx: Context, agent_id: int, account_number: str, amount: Money, turn_key: str, end_text: str, *, again: bool
) -> Sale:
    order = _Order(agent_id, _account(account_number), amount, turn_key, end_text, again)
    return once_more(lambda: _sell_once(ctx, order))


def once_more(act: Callable[[], _Result]) -> _Result:
    """Again after a key that somebody else has meanwhile: a code drawn twice at once, or a twin of this turn.

    Raises NotRecorded where it still is so after `_ROUNDS`: nothing was committed.
    """
    taken: IntegrityError | None = None
    for _ in range(_ROUNDS):
        try:
            return act()
        except IntegrityError as error:
            taken = error
    raise NotRecorded("a key is still taken after several tries") from taken


def unused(session: Session, column: InstrumentedAttribute[str], make: Callable[[], str]) -> str:
    """A number that this column does not hold yet: seven digits stay taken for ever, and years fill them.

    Raises NotRecorded when none was found: the next try draws others.
    """
    for _ in range(_DRAWS):
        made = make()
        if session.scalar(select(column).where(column == made)) is None:
            return made
    raise NotRecorded("no unused code was found")


def _sell_once(ctx: Context, order: _Order) -> Sale:
    try:
        with ctx.db.begin() as session:
            return _sell(ctx, session, order)
    except BelowFloor as error:
        with ctx.db.read() as session:
            left = ledger.balance(session, agent_float(order.agent_id), order.amount.currency)
            agent = session.get(AgentRow, order.agent_id)
        free = max(0, left.minor + (agent.credit_limit_minor if agent else 0))
        raise AgentRefused("float_short", amount=Money(free, left.currency)) from error


def _sell(ctx: Context, session: Session, order: _Order) -> Sale:
    agent = queries.lock_agent(session, order.agent_id)
    if agent is None:
        raise AgentRefused("not_active")
    # Under the lock: a twin of this turn may have committed while we waited for it.
    before = _repeated(session, order)
    if before is not None:
        return before
    seen = _counter(ctx, session, agent.id, order.account_number, order.amount, again=order.again)
    if seen.floor_minor is None or seen.floor_minor > -agent.credit_limit_minor:
        queries.open_float(session, agent)
    now, code = ctx.clock.now(), unused(session, AgentSaleRow.code, lambda: rules.new_code(secrets.randbelow))
    commission = _commission(seen, order.amount, now)
    payment = _payment(session, seen.contract_id, order.amount, code, now)
    event = AgentSale(
        key=f"payment:{payment.id}",
        actor=agent.code,
        payment_id=payment.id,
        agent_id=agent.id,
        contract_id=seen.contract_id,
        amount=order.amount,
        commission=commission or None,
    )
    post(session, event, clock=ctx.clock)
    left = ledger.balance(session, agent_float(agent.id), agent.currency)
    rule = rules.rule_in_force(seen.rules, agent.currency, now)
    row = AgentSaleRow(
        code=code,
        agent_id=agent.id,
        contract_id=seen.contract_id,
        payment_id=payment.id,
        turn_key=order.turn_key,
        end_text=rules.with_code(order.end_text, code),
        currency=agent.currency,
        amount_minor=order.amount.minor,
        commission_minor=commission.minor,
        commission_rule_id=rule.id if rule else None,
        float_after_minor=left.minor,
        day=local_date(now, WEST),
        sold_at=now,
        recorded_at=ctx.clock.real_now(),
        proofs=0,
    )
    session.add(row)
    session.flush()
    return sale_queries.sale_view(row, payment.receipt_number, order.account_number)


def _repeated(session: Session, order: _Order) -> Sale | None:
    """The sale of this turn, if it was made. Raises AgentRefused when the key stands for another one."""
    found = sale_queries.sale_of_turn(session, order.turn_key)
    if found is None:
        return None
    row, sale = found
    if (row.agent_id, sale.account_number, sale.amount) != (order.agent_id, order.account_number, order.amount):
        raise AgentRefused("same_key")
    return sale


def _counter(
    ctx: Context, session: Session, agent_id: int, account_number: str, amount: Money, *, again: bool
) -> Counter:
    now = ctx.clock.now()
    seen = sale_queries.counter(session, agent_id, account_number, amount.minor, now=now)
    if seen is None:
        raise AgentRefused("not_active")
    rules.check_sale(seen.facts, amount, now=now, real_now=ctx.clock.real_now(), again=again)
    return seen


def _commission(seen: Counter, amount: Money, at: datetime) -> Money:
    return rules.commission_now(seen.rules, amount, at, sold_before=seen.account_sold, given_before=seen.account_given)


def _account(typed: str) -> str:
    number = normalise(typed)
    if not is_account_number(number):
        raise AgentRefused("account_unknown")
    return number


def _payment(session: Session, contract_id: int, amount: Money, code: str, now: datetime) -> PaymentRow:
    """The money of a sale. No payer's number: the proof goes to the account's own phone, never to one that was typed.

    The sale's code stands where a wallet's transaction would, and is unique there as well.
    """
    payment = PaymentRow(
        id=new_uuid(),
        wallet=WALLET,
        provider_txn_id=code,
        contract_id=contract_id,
        currency=amount.currency,
        amount_minor=amount.minor,
        payer_phone=None,
        paid_at=now,
        received_at=now,
        found_by="agent",
        receipt_number=unused(session, PaymentRow.receipt_number, lambda: _receipt_number(now)),
        verification_code=unused(session, PaymentRow.verification_code, verification_code),
    )
    session.add(payment)
    session.flush()
    return payment


def _receipt_number(now: datetime) -> str:
    return f"R{local_time(now, WEST):%y%m%d}" + "".join(secrets.choice(ALPHABET) for _ in range(5))


# The SMS about a sale may still arrive.
_UNDER_WAY = frozenset({"queued", "sending", "sent", "unknown"})


def last_sales(ctx: Context, agent_id: int, limit: int, *, by_agent: bool) -> list[Sale]:
    key = sale_queries.proof_key()
    wanted = sale_queries.sales_of(agent_id, limit=limit)
    with ctx.db.read() as session:
        rows = session.execute(wanted.add_columns(NoticeRow.state).outerjoin(NoticeRow, NoticeRow.key == key)).all()
    if by_agent:
        active, one_time = (rows[0].active, rows[0].one_time) if rows else (False, None)
        rules.check_agent(active=active, must_change_pin=one_time is not None)
    return [
        replace(sale_queries.sale_view(row, receipt, account), proof=_proof(state))
        for row, receipt, account, _active, _one_time, state in rows
        if row is not None
    ]


def _proof(state: str | None) -> ProofState:
    if state is None:
        return "none"
    return "delivered" if state == "delivered" else "under_way" if state in _UNDER_WAY else "failed"


def resend_proof(
    ctx: Context, agent_id: int, sale_code: str, *, phone: str = "", turn_key: str | None = None
) -> ProofSent:
    with ctx.db.begin() as session:
        if turn_key is None:
            return _resend(ctx, session, agent_id, sale_code)

        def do() -> Mapping[str, Any]:
            sent = _resend(ctx, session, agent_id, sale_code)
            return {"phone": sent.phone, "left": sent.proofs_left}

        kept = deeds.once(
            session,
            turn_key=turn_key,
            kind="agent.proof",
            phone=phone,
            now=ctx.clock.now(),
            do=do,
            say=lambda _did: None,
        )
        return ProofSent(kept.did["phone"], kept.did["left"])


def _resend(ctx: Context, session: Session, agent_id: int, sale_code: str) -> ProofSent:
    agent = session.get(AgentRow, agent_id)
    must_change = queries.has_one_time_pin(session, agent_id)
    rules.check_agent(active=agent is not None and agent.active, must_change_pin=must_change)
    sale = sale_queries.lock_sale(session, agent_id, normalise(sale_code))
    payment = session.get_one(PaymentRow, sale.payment_id) if sale is not None else None
    if sale is None or payment is None or payment.reversed_at is not None:
        raise AgentRefused("sale_unknown")
    if sale.proofs >= rules.PROOFS_MAX:
        raise AgentRefused("proofs_used_up")
    contract = session.get_one(ContractRow, sale.contract_id)
    people = holders(session, contract, clock=ctx.clock)
    if not people:
        raise AgentRefused("no_phone")
    sale.proofs += 1
    told = people[0]
    stage_notice(
        session,
        clock=ctx.clock,
        kind="payment.receipt_payer",
        key=f"receipt:{payment.id}:again:{sale.proofs}",
        recipient=told.phone,
        language=told.language,
        # Proof of the money, nothing about what the account still owes: an agent may ask for it at any time.
        blanks={
            "amount": Money(payment.amount_minor, payment.currency).text,
            "account": grouped(contract.account_number),
            "receipt": payment.receipt_number,
            "verification": grouped(payment.verification_code),
        },
        zone=session.scalars(select(SiteRow.time_zone).where(SiteRow.id == contract.site_id)).one(),
        customer_id=told.customer_id,
        contract_id=contract.id,
        payment_id=payment.id,
    )
    return ProofSent(masked(told.phone), rules.PROOFS_MAX - sale.proofs)
