"""Random callers against two web processes, on a network that repeats, delays, loses, and a Redis that is emptied.

Each caller's screens are compared with those of her double, who typed the same on a calm network (`callers.py`), and
at the end what both had done: payments begun, sales, and whatever else a turn had done. MWOLO_TEST_SESSIONS=20000 for
more. The caller whose screen was wrong tells her story; MWOLO_TEST_SHRINK=1 also looks for the smallest game that goes
wrong, which takes minutes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import String, cast, select

from channels.ussd.journal import drain
from channels.ussd.menu.journeys import menu
from channels.ussd.sessions import SessionStore, connect
from core.agents.tables import AgentRow, AgentSaleRow
from core.db import Database
from core.db.upgrade import upgrade
from core.ledger.tables import AccountRow
from core.payments.tables import AttemptRow
from core.turns.tables import TurnDeedRow
from tests.processes.callers import Caller, CleanRun, CleanWiring, Move, Wires
from tests.processes.crowd import FITTING, FLOAT, KINDS, NEW_PIN, PIN, Crowd, Person
from tests.processes.leaks import around, everything_on, files, page
from tests.processes.web_pair import WebPair, two_web_processes, wired
from tests.realparts import redis_server

pytestmark = [pytest.mark.processes, pytest.mark.redis_server]

SESSIONS = int(os.environ.get("MWOLO_TEST_SESSIONS", "2000"))
# Callers of one game, all at once.
CALLERS = 10
# Typed where no key is pressed.
TEXTS = ("1", "", "0", "9", "abc", "1*1", "5000", "3", "{account}", "{other}", "98", "00", " 2 ", "1#", "99999999999")
WHO = tuple(kind.name for kind in KINDS)
# What a dial brings with it.
CARRIED = ("", "", "", "1", "1*1", "1*1*1", "7", "8*5000", "8*abc", "8", "2*{account}*5000", "3*1", "9")

WRONG_PIN = "515253"
# Dialled, then typed: a sale, a wrong PIN, another PIN, one that does not repeat, one typed ahead, one behind a `*`.
PINS_TYPED = (
    ("", "1", "{pin}", "{account}", "5000", "1"),
    ("", "2", WRONG_PIN, "{pin}", "0", "3"),
    ("", "6", "2", "{pin}", NEW_PIN, NEW_PIN),
    ("", "6", "2", "{pin}", NEW_PIN, WRONG_PIN),
    ("1*{pin}*{account}", "{pin}", "{account}"),
    ("", "1", f"{WRONG_PIN}*{PIN}", "{pin}"),
)

MOVES = st.builds(
    Move,
    what=st.sampled_from(("reply",) * 9 + ("nothing", "copy", "stranger", "diverge", "redial")),
    key=st.sampled_from((0, 0, 0, 1, 2, 3, 4, 5, None)),
    text=st.sampled_from(TEXTS),
    lost=st.sampled_from((False,) * 6 + (True,)),
    together=st.sampled_from((0,) * 6 + (1, 2, 3)),
    later=st.sampled_from((0,) * 6 + (1, 2)),
    back=st.sampled_from((0,) * 6 + (1, 2, 3)),
)
EVERYBODY = st.lists(MOVES, min_size=CALLERS, max_size=CALLERS)


_MENU = menu()


def is_guarded(state: str) -> bool:
    if not _MENU.knows(state):
        return False
    found = _MENU.state(state)
    return found.guarded or found.secret


@dataclass
class Town:
    """What all games share."""

    db: Database
    crowd: Crowd
    wires: Wires
    clean: CleanRun
    stores: Sequence[tuple[redis.Redis, SessionStore]]
    players: ThreadPoolExecutor
    copies: ThreadPoolExecutor
    web: WebPair
    wiring: CleanWiring
    counts: Counter[str] = field(default_factory=Counter)
    states: set[str] = field(default_factory=set)

    def caller(self, kind: str, *, patient: bool) -> Caller:
        return Caller(
            self.crowd.take(kind),
            self.crowd.take(kind),
            self.wires,
            self.clean,
            self.copies,
            is_guarded=is_guarded,
            fitting=FITTING.get,
            forget_resume=self.forget_resume,
            patient=patient,
        )

    def empty_redis(self) -> None:
        self.stores[0][0].flushall()

    def forget_resume(self, person: Person) -> None:
        for client, store in self.stores:
            client.delete(store.keys("", "", person.phone, "").resume)

    def done_by(self, person: Person) -> list[tuple[str, ...]]:
        """All that this person's turns had done, without what tells her from her double."""
        money = select(AttemptRow).where(AttemptRow.asked_by_phone == person.phone)
        sales = select(AgentSaleRow.amount_minor).join(AgentRow).where(AgentRow.phone == person.phone)
        left = (
            select(AccountRow.balance_minor)
            .join(AgentRow, AccountRow.owner == cast(AgentRow.id, String))
            .where(AccountRow.code == "agent_float", AgentRow.phone == person.phone)
        )
        deeds = select(TurnDeedRow.kind).where(TurnDeedRow.phone == person.phone)
        with self.db.read() as session:
            begun = [
                (str(a.charged_minor), a.charged_currency, a.brand, person.neutral(a.payer_phone), a.state)
                for a in session.scalars(money)
            ]
            sold = session.scalars(sales).all()
            if person.pin:
                assert session.scalar(left) == FLOAT.minor - sum(sold), "the float is not what was not sold"
            return sorted([*begun, *((str(minor), "sold") for minor in sold), *((d,) for d in session.scalars(deeds))])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("sessions")
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'mwolo.db'}"
        db = Database(url, busy_timeout_s=20)
        stack.callback(db.dispose)
        upgrade(db)
        crowd = Crowd(db)
        shared, calm = stack.enter_context(redis_server()), stack.enter_context(redis_server())
        pair = stack.enter_context(two_web_processes(folder, url, shared))
        clean = stack.enter_context(wired(CleanWiring, url, calm))
        client = connect(shared)
        stack.callback(client.close)
        yield Town(
            db,
            crowd,
            Wires(pair.turn_urls),
            CleanRun(clean),
            ((client, clean.ussd_sessions), (clean.turn_redis, clean.ussd_sessions)),
            stack.enter_context(ThreadPoolExecutor(CALLERS)),
            stack.enter_context(ThreadPoolExecutor(2 * CALLERS)),
            pair,
            clean,
        )


class Game(RuleBasedStateMachine):
    """Ten callers, round after round."""

    town: ClassVar[Town]
    well = False

    @initialize(
        kinds=st.lists(st.sampled_from(WHO), min_size=CALLERS, max_size=CALLERS),
        carried=st.lists(st.sampled_from(CARRIED), min_size=CALLERS, max_size=CALLERS),
        moves=EVERYBODY,
        redis_may_go=st.booleans(),
    )
    def everybody_dials(self, kinds: list[str], carried: list[str], moves: list[Move], redis_may_go: bool) -> None:
        self.redis_may_go = redis_may_go
        self.callers = [self.town.caller(kind, patient=redis_may_go) for kind in kinds]
        self._all(zip(self.callers, moves, carried, strict=True))

    def _all(self, plays: Iterable[tuple[Caller, Move, str | None]]) -> None:
        """At the same moment. What went wrong for one of them is told when all are done."""

        def play(caller: Caller, move: Move, carried: str | None) -> None:
            if carried is None:
                caller.play(move)
            else:
                caller.dial(carried, move)

        self.well = False
        running = [self.town.players.submit(play, *one) for one in plays]
        wait(running)
        for one in running:
            one.result()
        self.well = True

    @rule(moves=EVERYBODY, redis=st.sampled_from(("stays",) * 3 + ("is emptied", "is emptied meanwhile")))
    def a_round(self, moves: list[Move], redis: str) -> None:
        redis = redis if self.redis_may_go else "stays"
        self.town.counts[f"Redis {redis}"] += 1
        if redis == "is emptied":
            self.town.empty_redis()
            self._forget()
        if redis == "is emptied meanwhile":
            self._round_with_redis_emptied(moves)
        else:
            self._all((caller, move, None) for caller, move in zip(self.callers, moves, strict=True))

    def _round_with_redis_emptied(self, moves: list[Move]) -> None:
        """At some moment of it. Every request comes once: a copy after that moment would be taken for news."""
        self._forget()
        pairs = zip(self.callers, moves, strict=True)
        calling = [(caller, move.calm, None) for caller, move in pairs if caller.call and move.what == "reply"]
        emptied = self.town.copies.submit(self.town.empty_redis)
        self._all(calling)
        emptied.result()
        self._forget()

    def _forget(self) -> None:
        for caller in self.callers:
            caller.forget()

    def teardown(self) -> None:
        town = self.town
        for caller in self.callers if self.well else ():
            town.counts["sessions"] += len(caller.calls)
            town.counts["turns"] += sum(len(call.keys) for call in caller.calls)
            town.states |= caller.states
            done, meant = town.done_by(caller.person), town.done_by(caller.double)
            if caller.asked_again:
                # A PIN is asked again, and counts again.
                done, meant = ([one for one in all_ if one != ("agent.enter",)] for all_ in (done, meant))
            town.counts["asked again"] += caller.asked_again
            town.counts["done"] += len(done)
            assert done == meant, "\n  ".join([f"{done} is not {meant}", *caller.story])


def test_final_screens_and_payments_are_those_of_the_clean_run(town: Town) -> None:
    Game.town = town
    # Who was cut off dials again: a caller has two sessions and more.
    games = settings(
        max_examples=max(1, SESSIONS * 6 // (10 * CALLERS)),
        stateful_step_count=8,
        suppress_health_check=list(HealthCheck),
        phases=list(Phase) if os.environ.get("MWOLO_TEST_SHRINK") else [Phase.generate],
    )
    run_state_machine_as_test(Game, settings=games)
    print(dict(town.counts), len(town.states))
    assert town.counts["sessions"] >= SESSIONS


def test_no_pin_is_left_anywhere(town: Town) -> None:
    """After all these sessions, and some more whose PINs are right, wrong, new, typed ahead and typed again."""
    agents = [town.caller("agent", patient=True) for _ in PINS_TYPED]
    moved = Move("reply", None, lost=True, together=1, later=1, back=1)
    for agent, (carried, *replies) in zip(agents, PINS_TYPED, strict=True):
        agent.dial(carried, Move())
        for typed in replies:
            agent.play(replace(moved, text=typed))
        town.wires.end(agent.calls[-1].session, agent.person.phone, agent.calls[-1].own)
    town.empty_redis()
    for agent in agents[:2]:
        # Everything that was typed, PIN and all, is what a session begins with that nobody knows.
        town.wires.post(0, agent.calls[-1].session, agent.person.phone, agent.calls[-1].own)
    with town.wiring.db.begin() as session:
        left = len(session.scalars(select(AgentSaleRow)).all())
    assert left, "nothing was sold"
    kept = {"Redis": everything_on(town.stores[0][0])}
    drain(town.stores[0][0], town.wiring.turns)
    kept |= files(town.web.logs) | {str(port): page(f"http://127.0.0.1:{port}/metrics") for port in town.web.ports}
    # The search finds what is there.
    assert around(agents[0].person.accounts[0], kept["mwolo.db"] + kept["mwolo.db-wal"])
    for pin in (PIN, NEW_PIN, WRONG_PIN):
        found = {where: around(pin, text) for where, text in kept.items() if around(pin, text)}
        assert not found, found
