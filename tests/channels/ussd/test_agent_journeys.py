"""An agent's day on the phone: sold once whatever happens, float, proofs, cash, float bought by wallet."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from sqlalchemy import select

from channels.ussd.menu.engine import WRONG_CHOICE
from channels.ussd.menu.states.agent_words import REFUSALS
from core.agents.model import Limits
from core.agents.tables import AgentSaleRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.notices.tables import NoticeRow
from core.payments.model import BeginRefused
from tests.channels.ussd.agent_world import (
    BUY,
    CASH,
    FLOAT_TODAY,
    MORE,
    SALES,
    SELL,
    Call,
    Killed,
    Trade,
    counted,
    said,
)
from tests.channels.ussd.ussd_world import FakePayments
from tests.core.agents.kiosk import CASHIER, PHONE, PIN
from tests.core.settlement.books import francs

pytestmark = pytest.mark.redis_server

_CODE = re.compile(r"\d{3} \d{3} \d{2}\b")
SOLD = "Sold: {amount} to account {account}. Code {code}. The customer gets an SMS."


@pytest.fixture
def trade(db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock) -> Trade:
    return Trade(db, client, clock, payments)


def code_of(trade: Trade) -> str:
    with trade.db.read() as session:
        return session.scalars(select(AgentSaleRow.code).order_by(AgentSaleRow.id.desc())).first() or ""


# The sale ------------------------------------------------------------------------------------------------------------


def test_a_sale_takes_six_entries(trade: Trade) -> None:
    call = trade.call()
    screens = [call.types(entry) for entry in ("", SELL, PIN, trade.account, "5000", "1")]
    assert [screen[:3] for screen in screens] == ["CON"] * 5 + ["END"]
    amount, account = "5 000 FC", grouped(trade.account)
    assert all(part in screens[4] for part in (amount, account, "M*** K***", "95 000 FC"))
    assert screens[5] == "END " + said(SOLD, amount=amount, account=account, code=grouped(code_of(trade)))
    assert trade.sales() == [(5_000, 95_000)]
    trade.kiosk.check()


def test_one_confirmation_comes_before_the_sale_and_0_leads_back(trade: Trade) -> None:
    call = trade.enter(SELL)
    for reply in (trade.account, "5000", "7"):
        call.types(reply)
    assert said(WRONG_CHOICE) in call.screen
    assert grouped(trade.account) in call.types("0")
    assert "6 000 FC" in call.types("6000")
    assert trade.sales() == []
    call.types("1")
    assert trade.sales() == [(6_000, 94_000)]


def test_a_sale_is_made_once_under_copies_and_with_redis_emptied(trade: Trade) -> None:
    call = trade.enter(SELL)
    for reply in (trade.account, "5000"):
        call.types(reply)
        call.again()
    call.typed.append("1")
    twin = trade.call(session="ATUid_1", site=trade.another_process())
    twin.typed = call.typed
    with ThreadPoolExecutor(2) as pool:
        ends = {future.result() for future in [pool.submit(one.again) for one in (call, twin, call, twin)]}
    assert len(ends) == 1
    trade.client.flushall()
    assert ends == {call.again()}
    assert ends == {twin.again()}
    assert trade.sales() == [(5_000, 95_000)]


def test_a_process_that_dies_after_the_sale_costs_nothing(trade: Trade) -> None:
    call = trade.enter(SELL)
    for reply in (trade.account, "5000"):
        call.types(reply)
    trade.dies_after("agent.sell")
    with pytest.raises(Killed):
        call.types("1")
    trade.lives_again()
    assert call.again() == "END " + said(
        SOLD, amount="5 000 FC", account=grouped(trade.account), code=grouped(code_of(trade))
    )
    trade.client.flushall()
    assert call.again().startswith("END ")
    assert len(trade.sales()) == 1


def test_redis_emptied_before_the_sale_asks_the_pin_again_and_sells_nothing_by_itself(trade: Trade) -> None:
    call = trade.enter(SELL)
    for reply in (trade.account, "5000"):
        call.types(reply)
    trade.client.flushall()
    assert said("Your agent PIN?") in call.types("1")
    assert trade.sales() == []
    for reply in (PIN, trade.account, "5000"):
        call.types(reply)
    assert call.types("1").startswith("END ")
    assert trade.sales() == [(5_000, 95_000)]


def test_digits_typed_ahead_stop_at_the_pin(trade: Trade) -> None:
    call = trade.call()
    call.typed = ["1", PIN, trade.account, "5000", "1"]
    assert said("Your agent PIN?") in call.again()
    assert trade.sales() == []
    assert trade.kiosk.row(trade.agent).pin_failures == 0


def test_the_pin_is_asked_once_per_session(trade: Trade) -> None:
    call = trade.enter(FLOAT_TODAY)
    assert "100 000 FC" in call.screen
    home = call.types("0")
    assert "Kiosque Zala" in home
    assert said("Sell to which account? Type its 10 digits.") in call.types(SELL)
    assert "Kiosque Zala" in call.types("0")
    assert "100 000 FC" in call.types(FLOAT_TODAY)
    other = trade.call()
    other.types("")
    assert said("Your agent PIN?") in other.types(SELL)


# What stands in the way ----------------------------------------------------------------------------------------------


def limits(trade: Trade, per_sale: int, per_day: int) -> None:
    trade.kiosk.agents.set_limits(trade.agent, Limits(francs(per_sale), francs(per_day), francs(per_sale)), CASHIER)


def quote(trade: Trade, francs_typed: str, account: str = "") -> Call:
    call = trade.enter(SELL)
    call.types(account or trade.account)
    call.types(francs_typed)
    return call


@pytest.mark.parametrize(
    ("arrange", "typed", "code", "blanks"),
    [
        (lambda t: None, "200000", "float_short", {"amount": "100 000 FC"}),
        (lambda t: None, "50", "below_limit", {"amount": "100 FC"}),
        (lambda t: limits(t, 20_000, 60_000), "20001", "above_limit", {"amount": "20 000 FC"}),
        (lambda t: (limits(t, 20_000, 25_000), t.sell(20_000)), "6000", "day_limit", {"amount": "5 000 FC"}),
        (lambda t: (limits(t, 20_000, 60_000), t.kiosk.sim_changed(PHONE)), "20000", "sim_hold",
         {"amount": "20 000 FC", "time": "24 h"}),
        (lambda t: t.sell(5_000), "5000", "sold_just_now", {"amount": "5 000 FC"}),
    ],
)  # fmt: skip
def test_a_refusal_says_how_much_or_how_long(
    trade: Trade, arrange: Callable[[Trade], object], typed: str, code: str, blanks: dict[str, str]
) -> None:
    arrange(trade)
    before = trade.sales()
    call = quote(trade, typed)
    assert said(REFUSALS[code], **blanks) in call.screen
    assert not call.ended
    if code != "sold_just_now":
        # 1 asks for another amount.
        assert grouped(trade.account) in call.types("1")
    assert trade.sales() == before


def test_the_same_sale_again_is_asked_and_then_made(trade: Trade) -> None:
    trade.sell(5_000)
    call = quote(trade, "5000")
    assert "90 000 FC" in call.types("1")
    assert call.types("1").startswith("END ")
    assert trade.sales() == [(5_000, 95_000), (5_000, 90_000)]


def test_what_was_true_on_the_confirmation_is_asked_again(trade: Trade) -> None:
    """Between the confirmation and the key the float is sold from another phone: nothing is sold, and it is said."""
    call = quote(trade, "60000")
    other = trade.kiosk.customer()
    trade.kiosk.agents.sell(trade.agent, other.account_number, francs(50_000), "elsewhere", "END")
    assert said(REFUSALS["float_short"], amount="50 000 FC") in call.types("1")
    assert grouped(trade.account) in call.types("1")
    call.types("50000")
    assert call.types("1").startswith("END ")


def test_wrong_accounts(trade: Trade) -> None:
    dollars = trade.kiosk.customer(currency="USD")
    call = trade.enter(SELL)
    assert said("An account number has 10 digits.") in call.types("123")
    assert said("One digit is wrong. Look again.") in call.types("1000000090")
    call.types(dollars.account_number)
    assert said(REFUSALS["currency_differs"]) in call.types("5000")
    assert said("Sell to which account? Type its 10 digits.") in call.types("1")
    call.types("1000009992")
    call.types("5000")
    assert said(REFUSALS["account_unknown"]) in call.screen


def test_an_agent_switched_off_in_the_middle_sells_nothing(trade: Trade) -> None:
    call = quote(trade, "5000")
    trade.kiosk.agents.set_active(trade.agent, False, CASHIER)
    assert said(REFUSALS["not_active"]) in call.types("1")
    assert trade.sales() == []


# Float, sales, proofs ------------------------------------------------------------------------------------------------


def test_the_float_and_the_day(trade: Trade) -> None:
    trade.kiosk.agents.add_commission_rule("CDF", 200, by=CASHIER)
    trade.sell(5_000)
    trade.clock.advance(minutes=6)
    trade.sell(3_000)
    screen = trade.enter(FLOAT_TODAY).screen
    assert said("Float {balance}. Left to sell: {free}.", balance="92 000 FC", free="92 000 FC") in screen
    today = said(
        "Sales today: {count}, {amount}, commission {commission}.", count="2", amount="8 000 FC", commission="160 FC"
    )
    assert today in screen
    assert said("Commission owed to you: {amount}.", amount="160 FC") in screen


def failed_proof(trade: Trade) -> None:
    with trade.db.begin() as session:
        for notice in session.scalars(select(NoticeRow)):
            notice.state = "failed"


def test_a_proof_that_did_not_arrive_stands_on_the_list_and_is_sent_again(trade: Trade) -> None:
    trade.sell(5_000)
    assert "5 000 FC" in trade.enter(SALES).screen
    assert said("Last sales") in trade.call().types(""), "nothing is amiss yet"
    failed_proof(trade)
    assert said("Sales: an SMS failed") in trade.call().types(""), "it is offered on the next dial"
    call = trade.enter(SALES)
    listed = said("{account}: {amount}, SMS failed", account=grouped(trade.account), amount="5 000 FC")
    assert listed in call.screen
    one = call.types("1")
    assert grouped(code_of(trade)) in one
    assert said("The customer's SMS did not arrive.") in one
    sent_before = len(trade.kiosk.told())
    call.types("1")
    masked = f"081***{trade.home.phone[-4:]}"
    assert said("The SMS goes to {phone} again. Sendings left: {count}.", phone=masked, count="2") in call.screen
    call.again()
    assert len(trade.kiosk.told()) == sent_before + 1
    assert "5 000 FC" in call.types("0"), "back to the list"
    assert said("Last sales") in trade.call().types(""), "the one under way may still arrive"
    again = trade.enter(SALES)
    assert said("The customer's SMS is under way.") in again.types("1")


def test_a_proof_is_sent_once_where_the_process_died(trade: Trade) -> None:
    trade.sell(5_000)
    call = trade.enter(SALES)
    call.types("1")
    sent_before = len(trade.kiosk.told())
    trade.dies_after("agent.proof")
    with pytest.raises(Killed):
        call.types("1")
    trade.lives_again()
    assert "2" in call.again()
    assert len(trade.kiosk.told()) == sent_before + 1


def test_no_sales_yet(trade: Trade) -> None:
    assert said("No sales yet.") in trade.enter(SALES).screen


# Cash ----------------------------------------------------------------------------------------------------------------


def test_cash_is_offered_taken_back_and_offered_again(trade: Trade) -> None:
    call = trade.enter(CASH)
    assert said("How much cash do you hand over, in {currency}?", currency="FC") in call.screen
    assert "80 000 FC" in call.types("80000")
    end = call.types("1")
    (code,) = _CODE.findall(end)
    assert call.ended
    trade.client.flushall()
    assert call.again() == end
    call = trade.enter(CASH)
    assert said("{amount} wait for the cashier. Code {code}.", amount="80 000 FC", code=code) in call.screen
    trade.dies_after("agent.take_back")
    with pytest.raises(Killed):
        call.types("1")
    trade.lives_again()
    assert said("Taken back: {amount}. Nothing was booked.", amount="80 000 FC") in call.again()
    call = trade.enter(CASH)
    call.types("70000")
    (code,) = _CODE.findall(call.types("1"))
    trade.kiosk.agents.accept_cash(code.replace(" ", ""), CASHIER)
    assert trade.kiosk.balance(trade.agent) == francs(170_000)


def test_an_offer_taken_meanwhile_is_not_taken_back(trade: Trade) -> None:
    call = trade.enter(CASH)
    call.types("80000")
    (code,) = _CODE.findall(call.types("1"))
    call = trade.enter(CASH)
    trade.kiosk.agents.accept_cash(code.replace(" ", ""), CASHIER)
    assert said(REFUSALS["hand_over_ended"]) in call.types("1")


def test_one_offer_at_a_time(trade: Trade) -> None:
    first, second = trade.enter(CASH), trade.enter(CASH)
    for call in (first, second):
        call.types("80000")
    assert first.types("1").startswith("END ")
    assert said(REFUSALS["hand_over_open"], amount="80 000 FC") in second.types("1")


# Float bought by wallet ----------------------------------------------------------------------------------------------


def test_float_is_bought_with_the_own_wallet(trade: Trade) -> None:
    call = trade.enter(BUY)
    call.types("50000")
    assert "50 000 FC" in call.screen
    assert "M-Pesa" in call.screen
    assert call.types("1").startswith("END ")
    assert call.again() == call.screen
    (request,) = trade.payments.begun.values()
    assert (request.float_agent_id, request.contract_id) == (trade.agent, None)
    assert (request.amount, request.payer_phone, request.brand) == (francs(50_000), PHONE, "mpesa")


def test_float_is_bought_with_another_wallet_and_number(trade: Trade) -> None:
    call = trade.enter(BUY)
    for reply in ("50000", "2", "2", "0975550002"):
        call.types(reply)
    assert "Airtel" in call.screen
    call.types("1")
    (request,) = trade.payments.begun.values()
    assert (request.payer_phone, request.brand) == ("+243975550002", "airtel")


@pytest.mark.parametrize("why", ["float_closed", "already_open", "wallet_down"])
def test_float_that_cannot_be_bought_says_why(trade: Trade, why: str) -> None:
    trade.payments.answers = [BeginRefused(why, "pending")]  # type: ignore[arg-type]
    call = trade.enter(BUY)
    call.types("50000")
    call.types("1")
    assert call.ended is (why != "wallet_down")
    if why == "wallet_down":
        assert "Airtel" in call.types("1"), "another wallet"


def test_a_wallet_that_is_down_is_not_proposed(trade: Trade) -> None:
    trade.payments.down = {"mpesa"}
    call = trade.enter(BUY)
    assert "Airtel" in call.types("50000")


# What it costs -------------------------------------------------------------------------------------------------------


def test_no_turn_of_an_agent_takes_more_than_two_reads_and_one_transaction(trade: Trade) -> None:
    trade.sell(4_000)
    ways = (
        (SELL, PIN, trade.account, "5000", "1"),
        (FLOAT_TODAY, PIN, "0", SALES, "0", CASH, "0", SELL),
        (SALES, PIN, "1", "1"),
        (CASH, PIN, "80000", "1"),
        (BUY, PIN, "50000", "2"),
        (MORE, "2", PIN, "7350", "7350"),
    )
    dearest = (0, 0)
    for way in ways:
        call = trade.call()
        call.types("")
        for reply in way:
            with counted(trade.db) as cost:
                call.types(reply)
            assert cost.reads <= 2, (way, reply, call.screen)
            assert cost.writes <= 1, (way, reply, call.screen)
            dearest = max(dearest, (cost.reads, cost.writes))
        trade.clock.advance(minutes=6)
    assert dearest == (2, 1), "the counter counts"


def test_a_sale_is_a_transaction_and_its_quote_two_reads(trade: Trade) -> None:
    call = trade.enter(SELL)
    with counted(trade.db) as cost:
        call.types(trade.account)
    assert (cost.reads, cost.writes) == (0, 0)
    with counted(trade.db) as cost:
        call.types("5000")
    assert (cost.reads, cost.writes) == (2, 0)
    with counted(trade.db) as cost:
        call.types("1")
    assert (cost.reads, cost.writes) == (0, 1)
