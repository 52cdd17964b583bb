"""An agent with a float, rules and a past, beside the console that looks at it."""

from __future__ import annotations

import itertools

from core.agents.model import AgentSession
from core.db import Database
from core.kernel.money import Money
from tests import town
from tests.admin.console_town import Console

PHONE, PIN = "+243815557001", "482163"
_keys = itertools.count(1)


def francs(units: int) -> Money:
    return Money.units(units, "CDF")


def hired(console: Console, db: Database, *, phone: str = PHONE, credit: int = 0, name: str = "Kiosque Zala") -> int:
    """An agent in Kinshasa who has chosen a PIN; the number."""
    agents = console.agents.agents
    agencies = console.agents.desk.agencies()
    if agencies:
        agency_id = agencies[0][0]
    else:
        with db.begin() as session:
            agency_id = town.agency(session).id
    made = agents.create(name, phone, agency_id=agency_id, credit_limit=francs(credit), by="office")
    assert isinstance(agents.enter(phone, made.pin), AgentSession)
    agents.change_pin(made.agent_id, made.pin, PIN)
    return made.agent_id


def offered(console: Console, agent_id: int, units: int) -> str:
    """The code of a hand-over that waits to be counted."""
    return console.agents.agents.offer_cash(agent_id, francs(units), f"turn-{next(_keys)}").code


def filled(console: Console, agent_id: int, units: int) -> None:
    console.agents.agents.accept_cash(offered(console, agent_id, units), "office")


def sold(console: Console, agent_id: int, account: str, units: int) -> None:
    console.agents.agents.sell(agent_id, account, francs(units), f"turn-{next(_keys)}", "END", again=True)
