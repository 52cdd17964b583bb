"""What a turn may cost the database: two reads, and one transaction where something is done. And no partner is called.

Counted on a tour through every screen that people of all kinds can reach, over the product as it is wired, and on the
walks of the page of journeys.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import event

from channels.ussd.menu.journeys import menu
from channels.ussd.menu.walks import WALKS, Walk
from core.db import Database
from core.db.prepared import Prepared
from core.kernel.digits import is_account_number
from core.services.agents import Agents
from tests.processes.callers import KEY, CleanRun, CleanWiring, Seen, joined
from tests.processes.crowd import FITTING, NEW_PIN, Crowd, Person
from tests.processes.web_pair import wired

pytestmark = pytest.mark.redis_server

READS, TRANSACTIONS = 2, 1
# So many replies after the dial, at most.
DEPTH = 6
# The others of the crowd meet the same screens in another language or currency.
TOURISTS = ("two bills", "two accounts", "nothing due", "stranger", "agent")
CARRIED = ("7", "8*5000", "8*abc", "1*1*1", "2*{account}*5000")
# Played by each agent before: there is a sale to look at.
SALE = ("1", "{pin}", "{account}", "5000", "1")
# Keypad meters and wallets that are down are not in this crowd.
# "pay.refused": what a wallet or another payment refuses is said before the confirmation; only a race leads there.
UNREACHED = frozenset({"meter.token", "agent.buy_refused", "agent.taken_back", "pay.refused"})
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class CheapPins(CleanWiring):
    """PINs are checked in no time: here only what they cost the database counts."""

    @cached_property
    def agents(self) -> Agents:
        return Agents(self.db, self.clock, self.staff.audit, hasher=CHEAP)


@dataclass
class Cost:
    """What one turn asked for. `statements`: for the words of a failure."""

    reads: int = 0
    transactions: int = 0
    statements: list[str] = field(default_factory=list)


@contextmanager
def counted(db: Database) -> Iterator[Cost]:
    """Statements on the reading engine, selects that the driver runs by itself, and transactions on the writing one."""
    cost = Cost()
    rows = Prepared.rows

    def read(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            cost.reads += 1
            cost.statements.append(statement[:200])

    def prepared(self: Prepared, connection: Any, values: Any) -> list[Any]:
        cost.reads += 1
        cost.statements.append("prepared")
        return rows(self, connection, values)

    def begin(*_args: Any) -> None:
        cost.transactions += 1
        cost.statements.append("BEGIN")

    event.listen(db._reader, "before_cursor_execute", read)
    event.listen(db._writer, "begin", begin)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Prepared, "rows", prepared)
            yield cost
    finally:
        event.remove(db._reader, "before_cursor_execute", read)
        event.remove(db._writer, "begin", begin)


@dataclass
class Tour:
    """Sessions of fresh people, each turn counted."""

    db: Database
    crowd: Crowd
    clean: CleanRun
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    states: set[str] = field(default_factory=set)
    too_much: list[str] = field(default_factory=list)
    _session: Iterator[int] = field(default_factory=itertools.count)
    _people: dict[str, Person] = field(default_factory=dict)

    def walk(self, kind: str, carried: str, replies: tuple[str, ...]) -> Seen:
        """A dial and its replies; the last screen. Whoever had something done is not asked again."""
        person = self._people.get(kind)
        if person is None:
            self._people[kind] = person = self.crowd.take(kind)
            if person.pin and replies != SALE:
                self.walk(kind, "", SALE)
                self._people[kind] = person
        return self.walk_as(person, carried, replies)

    def walk_as(self, person: Person, carried: str, replies: tuple[str, ...]) -> Seen:
        """The same for one person."""
        kind = person.kind
        session, transcript = f"ATUid_{next(self._session)}", person.types(carried)
        seen = self._turn(person, session, transcript, f"{kind}: *123*{carried}")
        for n, reply in enumerate(replies):
            if seen.ended:
                break
            transcript = joined(transcript, person.types(reply))
            seen = self._turn(person, session, transcript, f"{kind}: {carried!r} {replies[: n + 1]}")
        return seen

    def _turn(self, person: Person, session: str, transcript: str, way: str) -> Seen:
        with counted(self.db) as cost:
            seen = self.clean.send(session, person, transcript)
        self.states.add(seen.state)
        self.counts[cost.reads, cost.transactions] += 1
        if cost.reads > READS or cost.transactions > TRANSACTIONS:
            self.too_much.append(f"{way} -> {seen.state}: {cost}")
        if cost.transactions and (seen.ended or not person.pin):
            self._people.pop(person.kind, None)
        return seen


@pytest.fixture
def tour(db: Database, redis_url: str, client: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tour]:
    def called(*_args: Any, **_more: Any) -> None:
        raise AssertionError("a partner was called in a turn")

    monkeypatch.setattr(httpx.Client, "send", called)
    with wired(CheapPins, str(db.url), redis_url) as wiring:
        tour = Tour(wiring.db, Crowd(db, CHEAP), CleanRun(wiring))
        # What each process keeps in memory for minutes: agencies, the dunning policy, permitted days.
        tour.walk("one bill", "", ("6", "3"))
        tour.too_much.clear()
        tour.counts.clear()
        yield tour


def test_no_turn_costs_more_than_two_reads_and_one_transaction(tour: Tour) -> None:
    """Every key of every screen that people of any kind come to, and what a dial can bring with it."""
    for kind in TOURISTS:
        seen: set[str] = set()
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            way = waiting.pop(0)
            screen = tour.walk(kind, "", way)
            # The same screen for a PIN leads to what was chosen before it.
            place = f"{screen.state} {KEY.findall(screen.text)} {way if screen.state == 'agent.pin' else ''}"
            if place in seen or screen.ended or len(way) >= DEPTH:
                continue
            seen.add(place)
            wanted = FITTING.get(screen.state)
            waiting += [(*way, key) for key in [*KEY.findall(screen.text), *([wanted] if wanted else []), "77"]]
        for carried in CARRIED:
            tour.walk(kind, carried, ("1", "1"))
    several_people(tour)
    print(f"{sum(tour.counts.values())} turns, {len(tour.states)} states, (reads, transactions): {dict(tour.counts)}")
    assert tour.too_much == []
    missed = set(menu().keys) - tour.states
    assert missed <= UNREACHED, sorted(missed - UNREACHED)


def several_people(tour: Tour) -> None:
    """What needs somebody's doing before: a phone that asks to see an account, a payment under way, a new PIN."""
    holder, agent = tour.crowd.take("one bill"), tour.crowd.take("agent")
    guest = replace(tour.crowd.take("stranger"), accounts=holder.accounts)
    tour.walk_as(guest, "", ("2", "{account}", "1"))
    tour.walk_as(holder, "", ("6", "1", "1", "1"))
    tour.walk_as(holder, "", ("6", "1", "1", "1"))
    for _ in range(2):
        tour.walk_as(holder, "", ("1", "1", "1"))
    tour.walk_as(agent, "", ("6", "2", "{pin}", NEW_PIN, NEW_PIN))


def test_the_walks_of_the_page_of_journeys_cost_no_more(tour: Tour) -> None:
    for walk in WALKS:
        replies = tuple("{account}" if is_account_number(reply) else reply for reply in walk.replies)
        tour.walk(kind_of(walk), walk.carried, replies)
    assert sum(tour.counts.values()) > len(WALKS)
    assert tour.too_much == []


def kind_of(walk: Walk) -> str:
    """Who of the crowd comes nearest to the caller of a walk."""
    caller = walk.caller
    if caller.agent is not None:
        return "agent"
    if not caller.contracts:
        return "never confirmed" if caller.is_linked else "stranger"
    if len(caller.contracts) > 1:
        return "two accounts"
    return ("nothing due", "one bill", "two bills")[min(2, len(caller.contracts[0].invoices))]
