"""PINs: growing waits, a lock that belongs to the agent, one-time PINs, and no trace of any."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from argon2 import PasswordHasher
from sqlalchemy import select

from core.agents.errors import AgentRefused
from core.agents.model import AgentSession, Locked, PinChanged, PinRefused
from core.db.tables import metadata
from core.staff.tables import AuditRow
from tests.core.agents.kiosk import END, FAST, PHONE, PIN, Kiosk
from tests.core.settlement.books import francs

WRONG = "739264"


class CountingHasher(PasswordHasher):
    """Counts how often a PIN was really checked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checked = 0

    def verify(self, *args: object) -> bool:  # type: ignore[override]
        self.checked += 1
        return super().verify(*args)  # type: ignore[arg-type]


def refused(act: Callable[[], object]) -> AgentRefused:
    with pytest.raises(AgentRefused) as caught:
        act()
    return caught.value


def test_the_right_pin_enters(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    entered = kiosk.agents.enter(PHONE, PIN)
    assert entered == AgentSession(agent, "A001", "Kiosque Zala", "CDF", must_change_pin=False)


def test_waits_grow_until_the_number_is_locked(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    waits = []
    for left in (4, 3, 2, 1):
        answer = kiosk.agents.enter(PHONE, WRONG)
        assert isinstance(answer, PinRefused)
        assert answer.tries_left == left
        waits.append(answer.wait_s)
        if answer.wait_s:
            # Neither the right PIN nor another try counts before the wait is over.
            assert kiosk.agents.enter(PHONE, PIN) == replace(answer, too_soon=True)
        kiosk.clock.advance(seconds=answer.wait_s)
    assert waits == [0, 15, 60, 300]
    locked = kiosk.agents.enter(PHONE, WRONG)
    assert locked == Locked(kiosk.clock.now() + timedelta(hours=1))
    kiosk.clock.advance(minutes=59)
    assert kiosk.agents.enter(PHONE, PIN) == locked
    kiosk.clock.advance(minutes=1)
    assert kiosk.agents.enter(PHONE, WRONG) == Locked(kiosk.clock.now() + timedelta(hours=2))
    kiosk.clock.advance(hours=2)
    assert isinstance(kiosk.agents.enter(PHONE, PIN), AgentSession)
    assert kiosk.row(agent).pin_failures == 0
    with kiosk.db.read() as session:
        acts = session.scalars(select(AuditRow.act).order_by(AuditRow.id)).all()
    assert acts.count("agent.pin_locked") == 2


def test_the_count_is_in_the_database_and_changing_the_pin_counts_too(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    assert kiosk.agents.enter(PHONE, WRONG) == PinRefused(4, 0)
    # Another process, another session.
    other = Kiosk(kiosk.db, kiosk.clock)
    assert other.agents.change_pin(agent, WRONG, "7350") == PinRefused(3, 15)
    assert kiosk.agents.enter(PHONE, PIN) == PinRefused(3, 15, too_soon=True)
    kiosk.clock.advance(seconds=15)
    assert kiosk.agents.change_pin(agent, PIN, "7350") == PinChanged()
    assert isinstance(other.agents.enter(PHONE, "7350"), AgentSession)


def test_guesses_in_parallel_do_not_outrun_the_count(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: kiosk.agents.enter(PHONE, f"9041{n:02d}"), range(12)))
    assert not any(isinstance(answer, AgentSession) for answer in answers)
    assert kiosk.row(agent).pin_failures == 2, "the second wrong one started a wait"


def test_an_unknown_number_costs_the_same_work(kiosk: Kiosk) -> None:
    hasher = CountingHasher()
    counting = Kiosk(kiosk.db, kiosk.clock, hasher=hasher)
    agent = counting.open(bought=francs(0))
    hasher.checked = 0
    assert counting.agents.enter("+243815550000", WRONG) == counting.agents.enter(PHONE, WRONG)
    assert hasher.checked == 2
    counting.agents.enter(PHONE, WRONG)
    counting.agents.enter(PHONE, PIN)
    assert hasher.checked == 4, "also while it rests"
    kiosk.clock.advance(seconds=15)
    counting.agents.set_active(agent, False, "awa")
    assert counting.agents.enter(PHONE, PIN) == PinRefused(4, 0)
    assert counting.agents.change_pin(agent, PIN, "7350") == PinRefused(4, 0)
    assert hasher.checked == 6


def test_a_reset_pin_opens_nothing_but_its_change(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(50_000))
    home = kiosk.customer()
    sale = kiosk.agents.sell(agent, home.account_number, francs(1_000), "one", END)
    for _ in range(5):
        kiosk.agents.enter(PHONE, WRONG)
        kiosk.clock.advance(minutes=5)
    assert isinstance(kiosk.agents.enter(PHONE, PIN), Locked)
    pin = kiosk.agents.reset_pin(agent, "awa")
    assert isinstance(kiosk.agents.enter(PHONE, PIN), PinRefused), "the old one is gone"
    entered = kiosk.agents.enter(PHONE, pin)
    assert isinstance(entered, AgentSession)
    assert entered.must_change_pin
    acts: list[Callable[[], object]] = [
        lambda: kiosk.agents.quote_sale(agent, home.account_number, francs(2_000)),
        lambda: kiosk.agents.sell(agent, home.account_number, francs(2_000), "two", END),
        lambda: kiosk.agents.offer_cash(agent, francs(2_000), "three"),
        lambda: kiosk.agents.resend_proof(agent, sale.code),
    ]
    assert [refused(act).code for act in acts] == ["pin_must_change"] * 4
    assert refused(lambda: kiosk.agents.change_pin(agent, pin, pin)).code == "pin_same"
    assert refused(lambda: kiosk.agents.change_pin(agent, pin, "1234")).code == "pin_weak"
    assert kiosk.row(agent).pin_failures == 0, "the old PIN was right"
    kiosk.agents.change_pin(agent, pin, "7350")
    kiosk.agents.sell(agent, home.account_number, francs(2_000), "two", END)
    with kiosk.db.read() as session:
        acts_done = session.execute(select(AuditRow.actor, AuditRow.act).order_by(AuditRow.id)).all()
    assert ("awa", "agent.pin_reset") in acts_done
    assert ("A001", "agent.pin_changed") in acts_done
    assert kiosk.staff.verify_chain().whole


def test_a_hash_of_older_settings_is_made_anew(kiosk: Kiosk) -> None:
    agent = kiosk.open(bought=francs(0))
    older = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PIN)
    with kiosk.db.begin() as session:
        session.merge(kiosk.row(agent)).pin_hash = older
    assert isinstance(kiosk.agents.enter(PHONE, PIN), AgentSession)
    assert not FAST.check_needs_rehash(kiosk.row(agent).pin_hash)


def test_a_pin_appears_nowhere(
    kiosk: Kiosk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every act with a PIN, then the whole database and everything that was logged or printed is searched."""
    caplog.set_level(logging.DEBUG)
    words: list[str] = []
    with structlog.testing.capture_logs() as logs:
        agent = kiosk.open(bought=francs(10_000))
        pins = {PIN, WRONG, "904175", "1234"}
        words.append(repr(kiosk.agents.enter(PHONE, PIN)))
        for _ in range(6):
            words.append(repr(kiosk.agents.enter(PHONE, WRONG)))
            kiosk.clock.advance(minutes=5)
        made = kiosk.agents.reset_pin(agent, "awa")
        pins.add(made)
        words.append(repr(refused(lambda: kiosk.agents.change_pin(agent, made, "1234"))))
        words.append(repr(kiosk.agents.change_pin(agent, made, "904175")))
        words.append(repr(kiosk.agents.enter("+243815550000", WRONG)))
        kiosk.agents.sell(agent, kiosk.customer().account_number, francs(1_000), "turn", END)
    printed = capfd.readouterr()
    words += [repr(logs), caplog.text, printed.out, printed.err, _dump(kiosk)]
    everything = "\n".join(words)
    assert "agent.pin_reset" in everything, "the search looks at what was written"
    found = [pin for pin in pins if re.search(rf"(?<!\d){pin}(?!\d)", everything)]
    assert found == []


def _dump(kiosk: Kiosk) -> str:
    with kiosk.db.read() as session:
        return "\n".join(
            f"{name}: {tuple(row)!r}"
            for name, table in metadata.tables.items()
            for row in session.execute(select(table))
        )
