"""A kiosk with a float, and the customers who come to it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.agents.model import AgentSession
from core.agents.tables import AgentRow
from core.customers.tables import PhoneRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import agent_float
from core.ledger.tables import AccountRow
from core.notices.tables import NoticeRow
from core.services.agents import Agents
from core.services.staff import Staff
from core.settlement import post
from core.settlement.events import CashHandedOver
from tests import town
from tests.core.settlement.books import Books, francs

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
CASHIER = "awa"
PHONE = "+243815557001"
PIN = "482163"
END = "Sold. Code ### ### ##. Thank you."


@dataclass
class Kiosk:
    """One agent who has chosen a PIN, a cashier, and the service, on one database."""

    db: Database
    clock: FixedClock
    hasher: PasswordHasher = FAST
    _keys: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.staff = Staff(self.db, self.clock, "a secret of the tests", hasher=FAST)
        self.agents = Agents(self.db, self.clock, self.staff.audit, hasher=self.hasher)
        self.books = Books(self.db, self.clock)

    def open(self, *, bought: Money, credit: Money | None = None) -> int:
        """The agent's id. `bought`: float handed over in cash before the day begins."""
        self.staff.create_user(CASHIER, "une lampe dans la nuit", name="Awa Ilunga", role="office")
        agent_id = self.agent(PHONE, credit=credit)
        if bought:
            self.fill(agent_id, bought)
        return agent_id

    def agent(self, phone: str, *, credit: Money | None = None, pin: str = PIN) -> int:
        with self.db.begin() as session:
            agency_id = town.agency(session).id
        made = self.agents.create(
            "Kiosque Zala", phone, agency_id=agency_id, credit_limit=credit or francs(0), by=CASHIER
        )
        assert isinstance(self.agents.enter(phone, made.pin), AgentSession)
        self.agents.change_pin(made.agent_id, made.pin, pin)
        return made.agent_id

    def fill(self, agent_id: int, amount: Money) -> None:
        with self.db.begin() as session:
            event = CashHandedOver(key=f"fill:{next(self._keys)}", cashier=CASHIER, agent_id=agent_id, amount=amount)
            post(session, event, clock=self.clock)

    def customer(self, *, phone: str | None = None, currency: str = "CDF") -> town.Home:
        with self.db.begin() as session:
            return town.home(session, phone=phone, currency=currency)

    def key(self) -> str:
        return f"turn-{next(self._keys)}"

    def sim_changed(self, phone: str) -> None:
        with self.db.begin() as session:
            session.merge(PhoneRow(phone=phone, sim_changed_at=self.clock.now()))

    def row(self, agent_id: int) -> AgentRow:
        with self.db.read() as session:
            return session.get_one(AgentRow, agent_id)

    def floor(self, agent_id: int) -> int | None:
        with self.db.read() as session:
            return session.scalar(
                select(AccountRow.floor_minor).where(
                    AccountRow.code == "agent_float", AccountRow.owner == str(agent_id)
                )
            )

    def balance(self, agent_id: int) -> Money:
        with self.db.read() as session:
            return ledger.balance(session, agent_float(agent_id), "CDF")

    def count(self, table: type) -> int:
        with self.db.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def told(self) -> list[tuple[str, str]]:
        """(phone, text) of every notice, oldest first."""
        with self.db.read() as session:
            return [(n.recipient, n.body) for n in session.scalars(select(NoticeRow).order_by(NoticeRow.id))]

    def check(self) -> None:
        """Sums, cached balances, and every float at or above its floor."""
        with self.db.read() as session:
            check_floats(session)


def check_floats(session: Session) -> None:
    trial = ledger.trial_balance(session)
    for currency in {currency for _, _, currency in trial}:
        assert sum(minor for (_, _, cur), minor in trial.items() if cur == currency) == 0
    assert ledger.differences(session) == []
    for agent in session.scalars(select(AgentRow)):
        debt = trial.get(("agent_float", str(agent.id), agent.currency), 0)
        assert debt <= agent.credit_limit_minor
