"""Random days of an agent against a model of a few integers: same refusals, float and commission, and whole books."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.agents.errors import AgentRefused
from core.agents.model import Limits, Sale
from core.agents.tables import AgentSaleRow
from core.db import Database
from core.kernel.clock import WEST, FixedClock, local_date
from core.ledger.queries import trial_balance
from tests.core.agents.kiosk import CASHIER, END, Kiosk
from tests.core.settlement.books import francs

PER_SALE, PER_DAY, LARGE = 50_000, 120_000, 50_000
LEAST, MOST, POINTS = 50, 400, 125


def tried(act: Callable[[], Any]) -> Any:
    """What `act` answers, or its refusal."""
    try:
        return act()
    except AgentRefused as refused:
        return refused


class Days(RuleBasedStateMachine):
    """Whole francs throughout. `template`: a closed SQLite file with every table."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="mwolo-agent-")
        shutil.copyfile(self.template, f"{self.folder}/mwolo.db")
        self.db = Database(f"sqlite:///{self.folder}/mwolo.db")
        self.clock = FixedClock(datetime(2026, 3, 10, 8, 0, tzinfo=UTC))
        self.kiosk = Kiosk(self.db, self.clock)
        self.agent = self.kiosk.open(bought=francs(60_000), credit=francs(10_000))
        self.kiosk.agents.set_limits(self.agent, Limits(francs(PER_SALE), francs(PER_DAY), francs(LARGE)), "awa")
        self.kiosk.agents.add_commission_rule(
            "CDF", POINTS, by="awa", min_minor=francs(LEAST).minor, max_minor=francs(MOST).minor
        )
        self.accounts = [self.kiosk.customer().account_number for _ in range(2)]
        self.balance, self.credit = 60_000, 10_000
        self.sold: dict[tuple[object, str], int] = {}
        self.sales: list[tuple[str, str, Sale]] = []
        self.offered: tuple[str, int] | None = None

    def teardown(self) -> None:
        self.db.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)

    def today(self) -> object:
        return local_date(self.clock.now(), WEST)

    def expected(self, amount: int) -> str | None:
        sold_today = sum(sold for (day, _), sold in self.sold.items() if day == self.today())
        if amount > PER_SALE:
            return "above_limit"
        if sold_today + amount > PER_DAY:
            return "day_limit"
        return "float_short" if amount > self.balance + self.credit else None

    @rule(which=st.integers(0, 1), amount=st.integers(1, 520).map(lambda hundreds: hundreds * 100))
    def sell(self, which: int, amount: int) -> None:
        account, key = self.accounts[which], self.kiosk.key()
        expected = self.expected(amount)
        sale = tried(lambda: self.kiosk.agents.sell(self.agent, account, francs(amount), key, END, again=True))
        if isinstance(sale, AgentRefused):
            assert sale.code == expected
            return
        assert expected is None
        self.balance -= amount
        self.sold[self.today(), account] = self.sold.get((self.today(), account), 0) + amount
        self.sales.append((key, account, sale))
        assert sale.float_after == francs(self.balance)

    @precondition(lambda self: self.sales)
    @rule(data=st.data())
    def the_same_turn_comes_again(self, data: st.DataObject) -> None:
        key, account, first = data.draw(st.sampled_from(self.sales))
        again = self.kiosk.agents.sell(self.agent, account, first.amount, key, "other words")
        assert again.repeated
        assert (again.code, again.end_text, again.commission) == (first.code, first.end_text, first.commission)

    @rule(amount=st.integers(1, 500).map(lambda hundreds: hundreds * 100))
    def offer(self, amount: int) -> None:
        made = tried(lambda: self.kiosk.agents.offer_cash(self.agent, francs(amount), self.kiosk.key()))
        if isinstance(made, AgentRefused):
            assert made.code == "hand_over_open"
            assert self.offered is not None
            return
        assert self.offered is None
        self.offered = (made.code, amount)

    @precondition(lambda self: self.offered)
    @rule(taken=st.booleans())
    def end_offer(self, taken: bool) -> None:
        assert self.offered is not None
        code, amount = self.offered
        self.offered = None
        if taken:
            self.kiosk.agents.accept_cash(code, CASHIER)
            assert self.kiosk.agents.accept_cash(code, CASHIER).repeated
            self.balance += amount
        else:
            self.kiosk.agents.withdraw_cash(self.agent, code)

    @rule(limit=st.integers(0, 300).map(lambda hundreds: hundreds * 100))
    def set_credit(self, limit: int) -> None:
        refused = tried(lambda: self.kiosk.agents.set_credit_limit(self.agent, francs(limit), "awa"))
        if refused is not None:
            assert (refused.code, refused.amount) == ("limit_below_debt", francs(-self.balance))
            assert -self.balance > limit
            return
        assert -self.balance <= limit
        self.credit = limit

    @precondition(lambda self: self.offered is None)
    @rule(hours=st.integers(1, 20))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule()
    def a_day_passes(self) -> None:
        self.clock.advance(hours=24)
        assert self.kiosk.agents.expire_hand_overs() == (self.offered is not None)
        self.offered = None

    @invariant()
    def books_agree(self) -> None:
        view = self.kiosk.agents.float_of(self.agent)
        earned = sum(
            min(MOST * 100, max(LEAST * 100, (sold * 100 * POINTS + 5_000) // 10_000)) for sold in self.sold.values()
        )
        sold_today = sum(sold for (day, _), sold in self.sold.items() if day == self.today())
        assert view.balance == francs(self.balance)
        assert view.available == francs(max(0, self.balance + self.credit))
        assert view.sold_today == francs(sold_today)
        assert view.commission_unpaid.minor == earned
        assert self.kiosk.floor(self.agent) == -francs(self.credit).minor
        assert self.kiosk.count(AgentSaleRow) == len(self.sales)
        with self.db.read() as session:
            assert trial_balance(session).get(("commission_expense", "", "CDF"), 0) == earned
        self.kiosk.check()


@pytest.mark.parametrize("examples", [25])
def test_random_days_of_an_agent(sqlite_with_tables: Path, examples: int) -> None:
    class OnThisFile(Days):
        template = sqlite_with_tables

    settings = hypothesis.settings(max_examples=examples, stateful_step_count=25)
    hypothesis.stateful.run_state_machine_as_test(OnThisFile, settings=settings)
