"""The town's agents: who sells, from what float, for what share, and what they sold in the last days.

The float and the sales come about as in production: cash is offered and accepted, a sale is made by the service.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.agents import rules
from core.agents.queries import open_float
from core.agents.tables import AgentRow, CashHandOverRow, CommissionRuleRow
from core.db import Database
from core.kernel.clock import Clock
from core.services.agents import Agents
from core.settlement import post
from core.settlement.events import CashHandedOver
from mwolo.seed_data.plan import Errand, Seller, sellers

# The one at the counter in the past of the town; nobody logs in as this.
CASHIER = "guichet-1"
# The settings of the service itself, so that the first log-in has nothing to hash again.
_HASHER = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)
# As long as a hand-over lives: what was offered then is accepted an hour later.
_COUNTED_AFTER = timedelta(hours=1)


def pin_hashes() -> dict[str, str]:
    """Seller's code → hash of the PIN; takes a while, so it is done before a transaction."""
    return {seller.code: _HASHER.hash(seller.pin) for seller in sellers()}


def write_agents(session: Session, clock: Clock, agencies: dict[str, int], hashes: dict[str, str]) -> None:
    for seller in sellers():
        row = AgentRow(
            code=seller.code,
            name=seller.name,
            phone=seller.phone,
            agency_id=agencies[seller.city.code],
            currency=seller.float_.currency,
            credit_limit_minor=seller.credit_limit.minor,
            pin_hash=hashes[seller.code],
            created_at=clock.now(),
        )
        session.add(row)
        session.flush()
        open_float(session, row)


def write_rules(session: Session, clock: Clock, since: datetime) -> None:
    """A general rule for each currency that has none, in force since before the town's past began."""
    for currency, (least, most) in rules.FIRST_RULES.items():
        general = CommissionRuleRow.currency == currency, CommissionRuleRow.agent_id.is_(None)
        if session.scalar(select(CommissionRuleRow.id).where(*general).limit(1)) is None:
            session.add(
                CommissionRuleRow(
                    version=1,
                    currency=currency,
                    basis_points=rules.FIRST_BASIS_POINTS,
                    min_minor=least,
                    max_minor=most,
                    valid_from=since,
                    made_at=clock.real_now(),
                    made_by="seed",
                )
            )


def fill_float(db: Database, then: Clock, seller: Seller) -> None:
    """Cash that was offered and counted in the past, with its entry in the float. Done once."""
    key = f"seed:float:{seller.code}"
    with db.begin() as session:
        if session.scalar(select(CashHandOverRow.id).where(CashHandOverRow.turn_key == key)) is not None:
            return
        agent_id = session.scalars(select(AgentRow.id).where(AgentRow.code == seller.code)).one()
        # A code that depends on the seller alone: a town is the same every time.
        code = rules.new_code(lambda below: int(seller.code[1:]) * 7_368_787 % below)
        row = CashHandOverRow(
            code=code,
            agent_id=agent_id,
            currency=seller.float_.currency,
            amount_minor=seller.float_.minor,
            state="accepted",
            turn_key=key,
            end_text="",
            cashier=CASHIER,
            offered_at=then.now() - _COUNTED_AFTER,
            expires_at=then.now() - _COUNTED_AFTER + rules.HAND_OVER_LIVES,
            ended_at=then.now(),
        )
        session.add(row)
        session.flush()
        event = CashHandedOver(
            key=f"hand_over:{row.id}", actor=CASHIER, cashier=CASHIER, agent_id=agent_id, amount=seller.float_
        )
        post(session, event, clock=then)


def run_errand(db: Database, then: Clock, errand: Errand) -> None:
    """One sale of the past. The same errand again finds the first."""
    with db.read() as session:
        agent_id = session.scalars(select(AgentRow.id).where(AgentRow.code == errand.seller)).one()
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    agents = Agents(db, then, _nothing_to_audit, hasher=cheap)
    agents.sell(agent_id, errand.account, errand.amount, f"seed:sale:{errand.key}", "", again=True)


def _nothing_to_audit(session: Session, actor: str, act: str, subject: str, detail: str = "") -> None:
    """A sale is no act of the office."""
