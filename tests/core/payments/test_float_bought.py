"""An agent buys float by wallet: an attempt whose target is the float."""

from __future__ import annotations

from core.customers.tables import AgencyRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.ledger import queries as ledger
from core.ledger.model import agent_float
from core.payments.model import BeginRefused
from core.payments.ports import Accepted, Paid
from core.services.agents import Agents
from core.services.staff import Staff
from tests import town
from tests.core.agents.kiosk import FAST
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
