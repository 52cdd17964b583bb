"""What a screen has done: once for each turn, with its END kept, and never by digits typed ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import redis

from channels.ussd.deeds import Asked, Deed, Done
from channels.ussd.menu.engine import Act, Again, Context, Go, Menu, Plain, Said, Step
from channels.ussd.menu.journeys import ALL_STATES
from channels.ussd.menu.screen import Screen, line, plain
from core.customers.model import AgentRole
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.turns import deeds
from tests.channels.ussd.turn_table import Caller
from tests.channels.ussd.ussd_world import FakePayments, Line, Site, populate

pytestmark = pytest.mark.redis_server

KIOSK = AgentRole(7, "A7", "Kiosque", "CDF")


class Ask(Plain):
    """Has a thing counted, behind one confirmation."""

    key = "home"
    guarded = True

    def show(self, ctx: Context) -> Screen:
        return Screen((plain("Count?"),), back=False)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.text == "2":
            return Go("agent.door")
        return Act("count", "counted", {"by": 1}) if said.text == "1" else Again(line("No."))


class Counted(Plain):
    key = "counted"

    def show(self, ctx: Context) -> Screen:
        return Screen((plain(f"Counted {ctx.params['did']['n']}"),), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        raise AssertionError("nothing is answered to an END")


class Door(Plain):
    """A PIN, which opens the room behind for this session."""

    key = "agent.door"
    secret = True

    def show(self, ctx: Context) -> Screen:
        assert not ctx.looked_up or ctx.snapshot.contracts
        return Screen((plain("PIN?"),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Act("enter", "agent.room", pin=said.text)


class Room(Plain):
    key = "agent.room"

    def show(self, ctx: Context) -> Screen:
        who = ctx.agent.name if ctx.agent else "nobody"
        return Screen((plain(f"{who} is in, {len(ctx.snapshot.contracts)} contracts, {ctx.params['did']}"),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Go("home.own") if said.text == "1" else Again(line("No."))


class Own(Plain):
    key = "home.own"

    def show(self, ctx: Context) -> Screen:
        return Screen((plain(f"{len(ctx.snapshot.contracts)} contracts of {ctx.phone}"),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line("No."))


class Counter:
    """The deeds: a number in the database that each turn raises once."""

    def __init__(self, db: Database, clock: FixedClock) -> None:
        self._db, self._clock = db, clock
        self.n = 0
        self.asked: list[Asked] = []
        self.fail = False

    def count(self, asked: Asked) -> Done:
        self.asked.append(asked)
        if self.fail:
            raise NotRecorded("busy")

        def do() -> Mapping[str, Any]:
            self.n += asked.values["by"]
            return {"n": self.n}

        with self._db.begin() as session:
            kept = deeds.once(
                session,
                turn_key=asked.turn_key,
                kind="count",
                phone=asked.phone,
                now=self._clock.now(),
                do=do,
                say=asked.say,
            )
        return Done(kept.did, kept.end_text)

    def enter(self, asked: Asked) -> Done:
        self.asked.append(asked)
        return Done({"ok": asked.pin == "4711"}, agent=KIOSK if asked.pin == "4711" else None)

    def by_name(self) -> dict[str, Deed]:
        return {"count": self.count, "enter": self.enter}


@pytest.fixture
def counter(db: Database, clock: FixedClock) -> Counter:
    return Counter(db, clock)


@pytest.fixture
def customer(db: Database) -> Caller:
    return populate(db, 1)[0]


@pytest.fixture
def deed_site(db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock, counter: Counter) -> Site:
    states = {state.key: state for state in (*ALL_STATES, Ask(), Counted(), Door(), Room(), Own())}
    return Site(db, client, payments, clock, states=lambda: Menu(states), deeds=counter.by_name())


def test_a_deed_is_done_once_and_its_end_is_kept(
    deed_site: Site, counter: Counter, customer: Caller, client: redis.Redis
) -> None:
    phone = Line(deed_site, customer.phone)
    assert phone.send_all("", "1") == ["CON Count?", "END Counted 1"]
    assert phone.send("1") == b"END Counted 1"
    client.flushall()
    # Nothing is known of the session: the END stands in the database.
    assert phone.send("1") == b"END Counted 1"
    assert counter.n == 1
    assert len(counter.asked) == 1


def test_a_twin_whose_first_run_was_lost_finds_what_was_done(
    deed_site: Site, counter: Counter, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the deed's commit and the answer: the repeat reads the same END."""
    phone = Line(deed_site, customer.phone)
    phone.send("")
    once = counter.count

    def dies(asked: Asked) -> Done:
        once(asked)
        raise RuntimeError("killed")

    deed_site.turns._deeds = {"count": dies}
    with pytest.raises(RuntimeError):
        phone.send("1")
    deed_site.turns._deeds = counter.by_name()
    assert phone.send("1") == b"END Counted 1"
    assert counter.n == 1


def test_digits_typed_ahead_have_nothing_done(deed_site: Site, counter: Counter, customer: Caller) -> None:
    assert Line(deed_site, customer.phone).send("1") == b"CON Count?"
    assert counter.asked == []


def test_a_busy_database_is_said_and_nothing_is_done(deed_site: Site, counter: Counter, customer: Caller) -> None:
    phone = Line(deed_site, customer.phone)
    phone.send("")
    counter.fail = True
    assert phone.send("1").startswith(b"END ")
    assert counter.n == 0


def test_a_pin_opens_the_session_and_stands_nowhere(
    deed_site: Site, counter: Counter, customer: Caller, client: redis.Redis
) -> None:
    phone = Line(deed_site, customer.phone)
    wrong = phone.send_all("", "2", "2*0815")[-1]
    assert wrong == "CON nobody is in, 0 contracts, {'ok': False}\n0. Retour"
    other = Line(deed_site, customer.phone, "ATUid_2")
    assert other.send_all("", "2", "2*4711")[-1].startswith("CON Kiosque is in, 0 contracts")
    # Another screen than an agent's: the caller is looked up again.
    assert other.send("2*4711*1").decode().startswith(f"CON 1 contracts of {customer.phone}")
    kept = "".join(str(client.hgetall(key)) for key in client.keys("ussd:s:*")) + str(
        client.lrange("ussd:journal", 0, -1)
    )
    assert "Kiosque" in kept
    assert "4711" not in kept
    assert "0815" not in kept
    assert "4711" not in repr(counter.asked)
