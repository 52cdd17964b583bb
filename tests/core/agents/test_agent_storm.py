"""Six processes sell from one float at once: exactly what it allows is granted, on both databases."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from core.agents.model import Limits
from core.agents.tables import AgentSaleRow
from core.db import Database
from core.kernel.clock import FixedClock, SystemClock
from core.payments.tables import PaymentRow
from tests.core.agents.kiosk import END, Kiosk
from tests.core.agents.seller_process import sell
from tests.core.settlement.books import francs

pytestmark = pytest.mark.processes

PROCESSES, EACH, TWINS = 6, 40, 12
# 240 sales are asked of a float that can pay 150: 120 bought, 30 on credit.
PRICE, BOUGHT, CREDIT = francs(1_000), francs(120_000), francs(30_000)
GRANTED = 150


# Six processes are forked from one that has imported everything already: starting them anew costs more than selling.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.core.agents.seller_process"])


class Seller:
    """A process that waits for the word, and then sells."""

    def __init__(self, stack: ExitStack, order: dict[str, Any]) -> None:
        self._line, theirs = FORKS.Pipe()
        self._process = FORKS.Process(target=sell, args=(order, theirs), daemon=True)
        self._process.start()
        theirs.close()
        stack.callback(self._process.kill)

    def _hear(self) -> Any:
        assert self._line.poll(300), "a seller says nothing"
        return self._line.recv()

    def go(self) -> None:
        assert self._hear() == "ready"
        self._line.send("go")

    def answer(self) -> dict[str, Any]:
        said: dict[str, Any] = self._hear()
        self._process.join(300)
        assert self._process.exitcode == 0
        return said

    def died(self) -> None:
        self._process.join(300)
        assert self._process.exitcode == 9


@contextmanager
def market(db: Database, clock: FixedClock) -> Iterator[tuple[Kiosk, ExitStack, dict[str, Any]]]:
    kiosk = Kiosk(db, clock)
    # The processes live in the present.
    clock.advance(seconds=(SystemClock().now() - clock.now()).total_seconds())
    agent = kiosk.open(bought=BOUGHT, credit=CREDIT)
    accounts = [kiosk.customer().account_number for _ in range(7)]
    url = db.url.render_as_string(hide_password=False)
    with ExitStack() as stack:
        yield kiosk, stack, {"url": url, "agent_id": agent, "minor": PRICE.minor, "accounts": accounts}


@pytest.mark.parametrize(("a_day", "granted", "refusal"), [(1_000, GRANTED, "float_short"), (90, 90, "day_limit")])
def test_six_processes_sell_exactly_what_is_allowed(
    clean_db: Database, clock: FixedClock, a_day: int, granted: int, refusal: str
) -> None:
    with market(clean_db, clock) as (kiosk, stack, order):
        kiosk.agents.set_limits(order["agent_id"], Limits(PRICE, francs(1_000 * a_day), PRICE), "awa")
        sellers = [
            Seller(stack, {**order, "keys": [f"{seller}:{n}" for n in range(EACH)]}) for seller in range(PROCESSES)
        ]
        for seller in sellers:
            seller.go()
        answers = [seller.answer() for seller in sellers]
        codes = [code for answer in answers for _, code in answer["granted"]]
        refusals = [code for answer in answers for code in answer["refused"]]
        assert (len(codes), len(set(codes))) == (granted, granted)
        assert refusals == [refusal] * (PROCESSES * EACH - granted)
        assert kiosk.balance(order["agent_id"]) == BOUGHT - francs(1_000 * granted)
        assert kiosk.count(AgentSaleRow) == kiosk.count(PaymentRow) == granted
        # Each proof names its own receipt.
        assert len({text for _, text in kiosk.told()}) == granted
        kiosk.check()


def test_the_same_turns_in_six_processes_are_sold_once(clean_db: Database, clock: FixedClock) -> None:
    with market(clean_db, clock) as (kiosk, stack, order):
        keys = [f"turn:{n}" for n in range(TWINS)]
        sellers = [Seller(stack, {**order, "keys": keys}) for _ in range(PROCESSES)]
        for seller in sellers:
            seller.go()
        answers = [seller.answer()["granted"] for seller in sellers]
        assert all(answer == answers[0] for answer in answers), "every twin hears the same codes"
        assert kiosk.count(AgentSaleRow) == TWINS
        assert kiosk.balance(order["agent_id"]) == BOUGHT - francs(1_000 * TWINS)
        kiosk.check()


def test_a_process_that_dies_after_its_commit_has_sold(clean_db: Database, clock: FixedClock) -> None:
    with market(clean_db, clock) as (kiosk, stack, order):
        seller = Seller(stack, {**order, "keys": ["turn:1"], "dies_after": 1})
        seller.go()
        seller.died()
        again = kiosk.agents.sell(order["agent_id"], order["accounts"][0], PRICE, "turn:1", "another END")
        assert again.repeated
        assert again.end_text == END.replace("### ### ##", f"{again.code[:3]} {again.code[3:6]} {again.code[6:]}")
        assert kiosk.agents.end_text("turn:1") == again.end_text
        assert kiosk.balance(order["agent_id"]) == BOUGHT - PRICE
        kiosk.check()
