"""An agent buys float by wallet: an attempt whose target is the float."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from core.customers.tables import AgencyRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.ledger import queries as ledger
from core.ledger.model import agent_float
from core.ledger.tables import AccountRow
from core.notices.tables import NoticeRow
from core.payments.model import BeginRefused
from core.payments.ports import Accepted, Paid
from core.payments.tables import PaymentRow
from core.services.agents import AgentRefused, Agents
from core.services.staff import Staff
from core.settlement import post
from core.settlement.events import CashHandedOver, OperatorReversed
from tests import town
from tests.core.agents.kiosk import FAST, Kiosk
from tests.core.payments.scripted import Till
from tests.core.settlement.books import francs


def test_float_is_bought_by_wallet(clean_db: Database, clock: FixedClock) -> None:
    till = Till(clean_db, clock)
    agents = Agents(clean_db, clock, Staff(clean_db, clock, "a secret", hasher=FAST).audit, hasher=FAST)
    with clean_db.begin() as session:
        agency: AgencyRow = town.agency(session)
    made = agents.create("Kiosque", "+243815557001", agency_id=agency.id, credit_limit=francs(1_000), by="awa")
    for_float = {"contract_id": None, "float_agent_id": made.agent_id, "amount": francs(20_000)}
    attempt = till.submitted(Accepted("REF"), turn_key="one", **for_float)
    assert till.try_begin(turn_key="two", **for_float) == BeginRefused("already_open", "pending")
    till.ask(attempt, Paid("TX1", francs(20_000)))
    with clean_db.read() as session:
        assert ledger.balance(session, agent_float(made.agent_id), "CDF") == francs(20_000)
    assert agents.entries(made.agent_id)[0].kind == "float_bought"
    agents.set_active(made.agent_id, False, "awa")
    assert till.try_begin(turn_key="three", **for_float) == BeginRefused("float_closed")
    till.check()


def test_an_operator_takes_back_float_that_was_sold(clean_db: Database, clock: FixedClock) -> None:
    """The debt is a fact: it is booked below the limit, nothing can be sold on it, and cash brings the limit back."""
    till = Till(clean_db, clock)
    kiosk = Kiosk(clean_db, clock)
    agent, account = kiosk.open(bought=francs(0), credit=francs(1_000)), kiosk.customer().account_number
    attempt = till.submitted(Accepted("REF"), contract_id=None, float_agent_id=agent, amount=francs(20_000))
    till.ask(attempt, Paid("TX1", francs(20_000)))
    kiosk.agents.sell(agent, account, francs(20_500), "a sale", "Sold.")
    with clean_db.begin() as session:
        payment = session.scalars(select(PaymentRow).where(PaymentRow.attempt_id == attempt)).one()
        post(session, OperatorReversed(key="back", payment_id=payment.id, contract_id=None), clock=clock)
    assert standing(clean_db, agent) == (-20_500, -20_500)
    with pytest.raises(AgentRefused) as refused:
        kiosk.agents.sell(agent, account, francs(200), "another", "Sold.")
    assert (refused.value.code, refused.value.amount) == ("float_short", francs(0))
    for key, cash, left in (("one", 10_000, (-10_500, -10_500)), ("two", 15_000, (4_500, -1_000))):
        with clean_db.begin() as session:
            event = CashHandedOver(key=key, cashier="awa", agent_id=agent, amount=francs(cash))
            post(session, event, clock=clock)
        assert standing(clean_db, agent) == left
    kiosk.agents.sell(agent, account, francs(5_500), "to the limit", "Sold.")
    kiosk.fill(agent, francs(1_000))
    with clean_db.read() as session:
        told = session.scalars(select(NoticeRow.body).where(NoticeRow.kind == "agent.float_up")).all()
    assert told == ["Votre float augmente de 20 000 FC. Float : 20 000 FC."]
    till.check()


def standing(db: Database, agent_id: int) -> tuple[int, int]:
    """(balance, floor) of a float, in whole francs."""
    with db.read() as session:
        row = session.scalars(
            select(AccountRow).where(AccountRow.code == "agent_float", AccountRow.owner == str(agent_id))
        ).one()
        assert row.balance_minor is not None
        assert row.floor_minor is not None
        return row.balance_minor // 100, row.floor_minor // 100
