"""The PIN on the phone: counted once per turn and over all sessions, changed by typing it twice, kept nowhere."""

from __future__ import annotations

import logging
import re

import pytest
import redis
import structlog
from sqlalchemy import select

from channels.ussd.menu.states.agent_words import PIN_ASKED, REFUSALS
from core.agents.rules import NEW_PIN_LIVES
from core.agents.tables import NewPinRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.staff.tables import AuditRow
from tests.channels.ussd.agent_world import FLOAT_TODAY, MORE, SELL, Call, Killed, Trade, said
from tests.channels.ussd.ussd_world import FakePayments
from tests.core.agents.kiosk import CASHIER, PHONE, PIN

pytestmark = pytest.mark.redis_server

WRONG, OTHER = "739264", "904175"
ASKED = "Your agent PIN?"
LEFT = "Wrong PIN. Tries left: {count}."
LOCKED = "Too many wrong PINs. Wait {time}, or ask your agency for a new PIN."


@pytest.fixture
def trade(db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock) -> Trade:
    return Trade(db, client, clock, payments)


def at_the_pin(trade: Trade, choice: str = SELL) -> Call:
    call = trade.call()
    call.types("")
    call.types(choice)
    return call


def failures(trade: Trade) -> int:
    return trade.kiosk.row(trade.agent).pin_failures


def changing(trade: Trade, pin: str = PIN) -> Call:
    call = trade.call()
    for reply in ("", MORE, "2", pin):
        call.types(reply)
    return call


def pin_changes(trade: Trade) -> int:
    with trade.db.read() as session:
        return session.scalars(select(AuditRow.act)).all().count("agent.pin_changed")


# Tries ----------------------------------------------------------------------------------------------------------------


def test_a_wrong_pin_leads_back_to_the_pin_and_the_right_one_on(trade: Trade) -> None:
    call = at_the_pin(trade)
    assert said(LEFT, count="4") in call.types(WRONG)
    assert said(ASKED) in call.screen
    assert said("Sell to which account? Type its 10 digits.") in call.types(PIN)
    assert failures(trade) == 0


def test_a_pin_typed_too_soon_is_not_called_wrong(trade: Trade) -> None:
    """Nobody looked at it: an agent who now has the right one must not think that it is wrong, too."""
    call = at_the_pin(trade)
    call.types(WRONG)
    wrong = said("Wrong PIN. Wait {time} before you try again. Tries left: {count}.", time="15 s", count="3")
    assert wrong in call.types(WRONG)
    assert said("Wait {time} before you try again. Tries left: {count}.", time="15 s", count="3") in call.types(PIN)
    assert wrong not in call.screen
    trade.clock.advance(seconds=15)
    assert said("Sell to which account? Type its 10 digits.") in call.types(PIN)


def test_what_is_no_pin_costs_no_try_and_0_leads_home(trade: Trade) -> None:
    call = at_the_pin(trade)
    for typed in ("12", "abcd", "1234567", "", "12 34"):
        assert said(ASKED) in call.types(typed)
    assert said(PIN_ASKED) in trade_hint(trade)
    assert failures(trade) == 0
    assert "Kiosque Zala" in call.types("0")


def trade_hint(trade: Trade) -> str:
    return at_the_pin(trade).types("12")


def test_a_wrong_pin_counts_once_per_turn(trade: Trade) -> None:
    """Copies, a process that dies after the commit, a Redis that is emptied: the same turn is one try."""
    call = at_the_pin(trade)
    trade.dies_after("agent.enter")
    with pytest.raises(Killed):
        call.types(WRONG)
    assert failures(trade) == 1
    trade.lives_again()
    assert said(LEFT, count="4") in call.again()
    assert call.again() == call.screen
    trade.client.flushall()
    # Nobody knows the session any more: the PIN is asked again, and what was typed is not tried.
    assert said(ASKED) in call.again()
    assert failures(trade) == 1


def test_the_right_pin_of_a_turn_that_died_opens_all_the_same(trade: Trade) -> None:
    call = at_the_pin(trade, FLOAT_TODAY)
    trade.dies_after("agent.enter")
    with pytest.raises(Killed):
        call.types(PIN)
    trade.lives_again()
    assert "100 000 FC" in call.again()
    assert failures(trade) == 0


def test_the_lock_belongs_to_the_agent_and_not_to_a_session(trade: Trade) -> None:
    for left, pause in ((4, 0), (3, 15), (2, 60), (1, 300)):
        call = at_the_pin(trade)
        call.types(WRONG)
        assert f": {left}" in call.screen
        if pause:
            # Too soon: not even the right one counts, in whatever session.
            assert said(ASKED) in at_the_pin(trade).types(PIN)
        trade.clock.advance(seconds=pause)
    call = at_the_pin(trade)
    assert call.types(WRONG) == "END " + said(LOCKED, time="60 min")
    assert call.again() == call.screen
    trade.clock.advance(minutes=30)
    other = at_the_pin(trade)
    assert other.types(PIN) == "END " + said(LOCKED, time="30 min")
    trade.clock.advance(minutes=30)
    assert "100 000 FC" in trade.enter(FLOAT_TODAY).screen


def test_who_is_no_agent_sees_nothing_of_it(trade: Trade) -> None:
    call = trade.call(phone=trade.home.phone)
    assert "Kiosque" not in call.types("")
    trade.kiosk.agents.set_active(trade.agent, False, CASHIER)
    assert "Kiosque" not in trade.call().types("")


# A new PIN ------------------------------------------------------------------------------------------------------------


def test_the_pin_is_changed_by_typing_the_new_one_twice(trade: Trade) -> None:
    call = changing(trade)
    assert said("New PIN, 4 to 6 digits?") in call.screen
    assert said("Type the new PIN once more.") in call.types(OTHER)
    trade.dies_after("agent.repeat_pin")
    with pytest.raises(Killed):
        call.types(OTHER)
    trade.lives_again()
    assert call.again() == "END " + said("Your PIN is changed. Dial again to go on.")
    trade.client.flushall()
    assert call.again() == call.screen
    before = pin_changes(trade)
    assert said(LEFT, count="4") in trade.enter(SELL).screen
    assert "100 000 FC" in trade.enter(FLOAT_TODAY, pin=OTHER).screen
    assert pin_changes(trade) == before


def test_the_change_asks_for_the_old_pin_also_in_a_session_that_is_open(trade: Trade) -> None:
    call = trade.enter(FLOAT_TODAY)
    for reply in ("0", MORE, "2"):
        call.types(reply)
    assert said(ASKED) in call.screen
    assert said(LEFT, count="4") in call.types(WRONG)


@pytest.mark.parametrize(
    ("new", "code"), [("1234", "pin_weak"), (PHONE[-4:], "pin_weak"), (PIN, "pin_same")], ids=["easy", "own", "same"]
)
def test_a_bad_new_pin_is_refused_and_asked_again(trade: Trade, new: str, code: str) -> None:
    call = changing(trade)
    assert said(REFUSALS[code]) in call.types(new)
    call.types(OTHER)
    assert call.types(OTHER).startswith("END ")


def test_a_slip_of_the_thumb_changes_nothing(trade: Trade) -> None:
    call = changing(trade)
    call.types(OTHER)
    assert said(REFUSALS["pin_differs"]) in call.types(WRONG)
    assert said("New PIN, 4 to 6 digits?") in call.screen
    with trade.db.read() as session:
        assert session.get(NewPinRow, trade.agent) is None
    assert "100 000 FC" in trade.enter(FLOAT_TODAY).screen
    call.types(OTHER)
    assert call.types(OTHER).startswith("END ")


def test_a_second_typing_that_comes_too_late_changes_nothing(trade: Trade) -> None:
    call = changing(trade)
    call.types(OTHER)
    with trade.db.begin() as session:
        session.get_one(NewPinRow, trade.agent).typed_at = trade.clock.real_now() - NEW_PIN_LIVES * 2
    assert said(REFUSALS["pin_differs"]) in call.types(OTHER)
    assert "100 000 FC" in trade.enter(FLOAT_TODAY).screen


def test_an_open_session_cannot_take_the_number_over_after_a_reset(trade: Trade) -> None:
    call = changing(trade)
    made = trade.kiosk.agents.reset_pin(trade.agent, CASHIER)
    assert said(REFUSALS["pin_must_change"]) in call.types(OTHER)
    assert said("Choose a PIN of your own first.") in at_the_pin(trade, FLOAT_TODAY).types(made)


def test_a_pin_of_the_office_opens_nothing_but_its_change(trade: Trade) -> None:
    made = trade.kiosk.agents.reset_pin(trade.agent, CASHIER)
    call = at_the_pin(trade, FLOAT_TODAY)
    assert said("Choose a PIN of your own first.") in call.types(made)
    assert "FC" not in call.screen
    # Away from here the session is nobody's.
    call.types("0")
    assert said(ASKED) in call.types(FLOAT_TODAY)
    call.types(made)
    call.types(OTHER)
    assert call.types(OTHER) == "END " + said("Your PIN is changed. Dial again to go on.")
    assert "100 000 FC" in trade.enter(FLOAT_TODAY, pin=OTHER).screen


def test_a_reset_forgets_what_was_typed_once(trade: Trade) -> None:
    call = changing(trade)
    call.types(OTHER)
    made = trade.kiosk.agents.reset_pin(trade.agent, CASHIER)
    assert said(REFUSALS["pin_differs"]) in call.types(OTHER)
    assert said("Choose a PIN of your own first.") in trade.enter(SELL, pin=made).screen


# No trace -------------------------------------------------------------------------------------------------------------


def test_no_pin_reaches_redis_the_database_the_journal_or_a_log(
    trade: Trade, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    screens: list[str] = []
    with structlog.testing.capture_logs() as logs:
        screens.append(trade.sell(5_000))
        call = at_the_pin(trade)
        screens += [call.types(reply) for reply in (WRONG, PIN, trade.account)]
        call = changing(trade)
        screens += [call.types(reply) for reply in ("1234", OTHER, "660914", OTHER, OTHER)]
        made = trade.kiosk.agents.reset_pin(trade.agent, CASHIER)
        call = at_the_pin(trade)
        screens += [call.types(reply) for reply in (made, "730528", "730528")]
    assert call.ended
    kept = trade.everything_kept()
    printed = capfd.readouterr()
    everything = "\n".join((*screens, kept, repr(logs), caplog.text, printed.out, printed.err))
    assert grouped_account(trade) in everything
    assert "agent.pin_changed" in everything, "the search looks at what was written"
    pins = (PIN, WRONG, OTHER, "1234", "660914", made, "730528")
    assert [pin for pin in pins if re.search(rf"(?<!\d){pin}(?!\d)", everything)] == []


def grouped_account(trade: Trade) -> str:
    """What was typed beside the PINs, and is kept."""
    return trade.account
