"""A kiosk on a phone: the real agents service behind the real turns, two processes on one Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from sqlalchemy import event, select

from channels.ussd.deeds import Asked, Deed, Done
from channels.ussd.deeds.agents import deeds
from channels.ussd.menu.fit import Network, words
from channels.ussd.menu.screen import line
from core.agents.tables import AgentSaleRow
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from tests import town
from tests.channels.ussd.ussd_world import FakePayments, Line, Site
from tests.core.agents.kiosk import PHONE, PIN, Kiosk

FLOAT = Money.units(100_000, "CDF")
# Choices of an agent's home.
SELL, FLOAT_TODAY, SALES, BUY, CASH, MORE = "1", "2", "3", "4", "5", "6"


def said(text: str, **blanks: str) -> str:
    """A sentence as an agent who set no language reads it."""
    return words(line(text, **blanks), "fr", Network())


@dataclass
class Trade:
    """One agent with a float, one customer who owes, and the agent's phone."""

    db: Database
    client: redis.Redis
    clock: FixedClock
    payments: FakePayments
    kiosk: Kiosk = field(init=False)
    site: Site = field(init=False)
    deeds: dict[str, Deed] = field(init=False)
    agent: int = field(init=False)
    home: town.Home = field(init=False)
    sessions: int = 0

    def __post_init__(self) -> None:
        self.kiosk = Kiosk(self.db, self.clock)
        self.agent = self.kiosk.open(bought=FLOAT)
        self.home = self.kiosk.customer()
        self.deeds = deeds(self.kiosk.agents)
        self.site = self.another_process()

    @property
    def account(self) -> str:
        return self.home.account_number

    def another_process(self) -> Site:
        return Site(self.db, self.client, self.payments, self.clock, deeds=self.deeds)

    def call(self, session: str = "", phone: str = PHONE, site: Site | None = None) -> Call:
        self.sessions += 1
        return Call(Line(site or self.site, phone, session or f"ATUid_{self.sessions}"))

    def enter(self, choice: str, *, pin: str = PIN) -> Call:
        """A new session, the choice on the agent's home, and the PIN."""
        call = self.call()
        call.types("")
        call.types(choice)
        call.types(pin)
        return call

    def sales(self) -> list[tuple[int, int]]:
        """(amount in francs, float afterwards) of every sale, oldest first."""
        with self.db.read() as session:
            rows = session.scalars(select(AgentSaleRow).order_by(AgentSaleRow.id)).all()
        return [(row.amount_minor // 100, row.float_after_minor // 100) for row in rows]

    def sell(self, francs: int) -> str:
        """A sale by phone, from the dial to the END."""
        call = self.enter(SELL)
        for reply in (self.account, str(francs), "1"):
            call.types(reply)
        return call.screen

    def dies_after(self, name: str) -> None:
        """The process is killed between the commit of this deed and its answer."""
        deed = self.deeds[name]

        def killed(asked: Asked) -> Done:
            deed(asked)
            raise Killed

        self.site.turns._deeds = {**self.deeds, name: killed}

    def lives_again(self) -> None:
        self.site.turns._deeds = self.deeds

    def everything_kept(self) -> str:
        """All of Redis and of the database, as text."""
        kept: list[str] = []
        for key in self.client.keys("*"):
            kind = self.client.type(key)
            read: Mapping[bytes, Any] = {b"hash": self.client.hgetall, b"string": self.client.get}
            rows = self.client.lrange(key, 0, -1) if kind == b"list" else read[kind](key)
            kept.append(f"{key!r}: {rows!r}")
        with self.db.read() as session:
            for name, table in metadata.tables.items():
                kept += [f"{name}: {tuple(row)!r}" for row in session.execute(select(table))]
        return "\n".join(kept)


class Killed(Exception):
    """The process is gone."""


@dataclass
class Call:
    """One session: what was typed so far, and the screen that stands on the phone."""

    line: Line
    typed: list[str] = field(default_factory=list)
    screen: str = ""
    turns: int = 0

    def types(self, reply: str) -> str:
        if self.turns:
            self.typed.append(reply)
        self.turns += 1
        return self.again()

    def again(self) -> str:
        """The same request once more."""
        self.screen = self.line.send("*".join(self.typed)).decode()
        return self.screen

    @property
    def ended(self) -> bool:
        return self.screen.startswith("END ")


@dataclass
class Cost:
    """Statements on the reading engine, and transactions on the writing one."""

    reads: int = 0
    writes: int = 0


@contextmanager
def counted(db: Database) -> Iterator[Cost]:
    cost = Cost()

    def read(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        cost.reads += statement.startswith("SELECT")

    def write(*_args: Any) -> None:
        cost.writes += 1

    event.listen(db._reader, "before_cursor_execute", read)
    event.listen(db._writer, "begin", write)
    try:
        yield cost
    finally:
        event.remove(db._reader, "before_cursor_execute", read)
        event.remove(db._writer, "begin", write)
