"""An agent's float when an operator takes money back, and when it recovers. Session first; no commit.

A float may fall to minus the credit limit and no further, whatever its agent does. An operator does not ask: when the
purchase of a float is reversed after it was sold, the debt is a fact and is booked. Its floor goes down with it, so
that nothing can be sold; as the float rises the floor follows, back to the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from core.agents.tables import AgentRow
from core.customers.tables import PhoneRow
from core.i18n import DEFAULT_LANGUAGE
from core.kernel.clock import WEST, Clock
from core.ledger import queries as ledger
from core.ledger.model import Transfer, agent_float
from core.ledger.tables import AccountRow
from core.notices.staging import stage_notice
from core.settlement.events import FloatBought


def make_room(session: Session, transfers: Sequence[Transfer]) -> None:
    """Lower the floor of every float that these transfers take below it."""
    for transfer in transfers:
        if transfer.debit.code != "agent_float":
            continue
        account = ledger.account_row(session, transfer.debit, transfer.amount.currency)
        left = AccountRow.balance_minor - transfer.amount.minor
        session.execute(
            update(AccountRow)
            .where(AccountRow.id == account.id, AccountRow.floor_minor > left)
            .values(floor_minor=left)
            .execution_options(synchronize_session=False)
        )
        session.expire(account)


def recover(session: Session, agent_id: int) -> None:
    """The float went up: bring a floor that was lowered back towards the limit."""
    agent = session.get(AgentRow, agent_id)
    if agent is None:
        return
    account = ledger.account_row(session, agent_float(agent.id), agent.currency)
    limit = -agent.credit_limit_minor
    session.execute(
        update(AccountRow)
        .where(AccountRow.id == account.id, AccountRow.floor_minor < limit)
        .values(floor_minor=case((AccountRow.balance_minor < limit, AccountRow.balance_minor), else_=limit))
        .execution_options(synchronize_session=False)
    )
    session.expire(account)


def tell(session: Session, event: FloatBought, *, clock: Clock) -> None:
    """An SMS to the agent whose wallet paid: the money came while nobody was looking."""
    agent = session.get(AgentRow, event.agent_id)
    if agent is None:
        return
    chosen = session.scalar(select(PhoneRow.language).where(PhoneRow.phone == agent.phone))
    stage_notice(
        session,
        clock=clock,
        kind="agent.float_up",
        key=f"float_up:{event.key}",
        recipient=agent.phone,
        language=chosen or DEFAULT_LANGUAGE,
        blanks={
            "amount": event.amount.text,
            "balance": ledger.balance(session, agent_float(agent.id), agent.currency).text,
        },
        zone=WEST,
    )
