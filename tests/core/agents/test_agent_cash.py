"""Cash from the agent to the counter: both sides confirm, and it is booked once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.agents.errors import AgentRefused
from core.agents.tables import CashHandOverRow
from core.kernel.errors import NotRecorded
from core.ledger.queries import trial_balance
from tests.core.agents.kiosk import CASHIER, Kiosk
from tests.core.settlement.books import francs

END = "Give the code ### ### ## to the cashier."


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(AgentRefused) as caught:
        act()
    return caught.value.code


def cash(kiosk: Kiosk) -> int:
    with kiosk.db.read() as session:
        return trial_balance(session).get(("cash", CASHIER, "CDF"), 0)


def test_cash_counts_when_the_cashier_has_counted_it(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    offer = kiosk.agents.offer_cash(agent, francs(40_000), "turn", END)
    assert offer.code in offer.end_text.replace(" ", "")
    assert kiosk.balance(agent) == francs(0), "an offer is a word, no money"
    again = kiosk.agents.offer_cash(agent, francs(40_000), "turn", "other")
    assert again.repeated
    assert (again.code, again.end_text) == (offer.code, offer.end_text)
    assert kiosk.agents.end_text("turn") == offer.end_text
    seen = kiosk.agents.hand_over(f"{offer.code[:3]} {offer.code[3:]}")
    assert (seen.agent_name, seen.amount, seen.state) == ("Kiosque Zala", francs(40_000), "offered")
    accepted = kiosk.agents.accept_cash(offer.code, CASHIER)
    assert (accepted.state, accepted.cashier) == ("accepted", CASHIER)
    assert kiosk.balance(agent) == francs(40_000)
    assert cash(kiosk) == francs(40_000).minor
    assert kiosk.agents.accept_cash(offer.code, CASHIER).repeated
    assert cash(kiosk) == francs(40_000).minor
    assert kiosk.agents.entries(agent)[0].actor == CASHIER
    assert kiosk.staff.verify_chain().whole
    kiosk.check()


def test_two_counters_at_once_book_it_once(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    kiosk.staff.create_user("ben", "une lampe dans la nuit", name="Ben", role="office")
    offer = kiosk.agents.offer_cash(agent, francs(40_000), "turn")
    together = threading.Barrier(2)

    def accept(login: str) -> str:
        together.wait()
        while True:
            try:
                return str(kiosk.agents.accept_cash(offer.code, login).cashier)
            except AgentRefused as late:
                return late.code
            except NotRecorded:
                continue

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(accept, (CASHIER, "ben")))
    assert sorted(answer == "hand_over_ended" for answer in answers) == [False, True]
    assert kiosk.balance(agent) == francs(40_000)
    kiosk.check()


def test_one_offer_at_a_time_and_taken_back(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    offer = kiosk.agents.offer_cash(agent, francs(40_000), "one")
    assert refused(lambda: kiosk.agents.offer_cash(agent, francs(5_000), "two")) == "hand_over_open"
    assert refused(lambda: kiosk.agents.offer_cash(agent, francs(5_000), "one")) == "same_key"
    other = kiosk.agent("+243815557002")
    assert refused(lambda: kiosk.agents.withdraw_cash(other, offer.code)) == "hand_over_unknown"
    assert kiosk.agents.withdraw_cash(agent, offer.code).state == "withdrawn"
    assert kiosk.agents.withdraw_cash(agent, offer.code).repeated
    assert refused(lambda: kiosk.agents.accept_cash(offer.code, CASHIER)) == "hand_over_ended"
    kiosk.agents.offer_cash(agent, francs(5_000), "two")
    assert kiosk.count(CashHandOverRow) == 2
    assert kiosk.balance(agent) == francs(0)


def test_an_offer_ends_after_a_day(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    offer = kiosk.agents.offer_cash(agent, francs(40_000), "one")
    kiosk.clock.advance(hours=23, minutes=59)
    assert kiosk.agents.expire_hand_overs() == 0
    kiosk.clock.advance(minutes=1)
    assert refused(lambda: kiosk.agents.accept_cash(offer.code, CASHIER)) == "hand_over_expired", "before any sweep"
    newer = kiosk.agents.offer_cash(agent, francs(40_000), "two")
    assert kiosk.agents.hand_over(offer.code).state == "expired"
    kiosk.clock.advance(hours=24)
    assert kiosk.agents.expire_hand_overs() == 1
    assert kiosk.agents.expire_hand_overs() == 0
    assert refused(lambda: kiosk.agents.withdraw_cash(agent, newer.code)) == "hand_over_expired"
    assert [one.state for one in kiosk.agents.hand_overs(agent)] == ["expired", "expired"]
    assert kiosk.balance(agent) == francs(0)


def test_cash_that_nobody_hands_over(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    assert refused(lambda: kiosk.agents.offer_cash(agent, francs(0), "one")) == "amount_not_whole"
    assert refused(lambda: kiosk.agents.offer_cash(agent, francs(20_000_001), "one")) == "above_limit"
    assert refused(lambda: kiosk.agents.accept_cash("12345678", CASHIER)) == "hand_over_unknown"
    assert refused(lambda: kiosk.agents.hand_over("12345678")) == "hand_over_unknown"
    offer = kiosk.agents.offer_cash(agent, francs(40_000), "one")
    assert refused(lambda: kiosk.agents.accept_cash(offer.code, "nobody")) == "cashier_unknown"
    kiosk.staff.set_active(CASHIER, False, actor="system")
    assert refused(lambda: kiosk.agents.accept_cash(offer.code, CASHIER)) == "cashier_unknown"
    assert kiosk.balance(agent) == francs(0)
