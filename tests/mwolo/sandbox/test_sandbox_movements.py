"""What all operators of the box share: money that goes back, comes unasked or in the wrong coin; callbacks that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mwolo.sandbox.callbacks import Callbacks
from mwolo.sandbox.errands import Errands
from mwolo.sandbox.faults import WALLET_FAULTS, Faults, UnknownFault
from mwolo.sandbox.ledger import Ask, OperatorLedger
from mwolo.sandbox.movements import NothingThere, RefundAsk, WalkIn
from mwolo.sandbox.phones import Phones, balance, network_of
from mwolo.sandbox.store import Row, Store
from mwolo.sandbox.wire import clock_of, plan_for
from tests.mwolo.sandbox.box_rig import HandClock, until

AIRTEL, KENYA = "+243970000002", "+254712000001"


class Desk:
    """One operator called `airtel` that posts its callbacks into a list."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.store = Store(folder)
        self.errands = Errands(self.store, self.clock)
        self.faults = Faults(self.store)
        self.ledger = OperatorLedger(self.store, self.errands, self.clock, prompt_lifetime_s=90, ahead=lambda: 86_400.0)
        self.posted: list[dict[str, Any]] = []
        self.takes = [True]
        self.callbacks = Callbacks(
            "airtel", self.store, self.ledger, self.errands, self.clock, self._post, retry_s=0.01, most=3
        )
        self.ledger.on_settled("airtel", self.callbacks.stage)
        Phones(self.store).seed({"phone": AIRTEL, "balance": 20_000})
        self.errands.start()

    def _post(self, entry: Mapping[Any, Any]) -> bool:
        self.posted.append(dict(entry))
        return self.takes.pop() if len(self.takes) > 1 else self.takes[0]

    def asked(self, own_id: str, *, phone: str = AIRTEL, minor: int = 5_000_00, currency: str = "CDF") -> Row:
        plan = plan_for(self.faults, "airtel", phone, refusal="NO")
        brand = "mpesa" if phone == KENYA else "airtel"
        entry, new = self.ledger.ask(Ask("airtel", own_id, phone, brand, minor, currency, "facture", plan))
        assert new
        with self.store.begin() as db:
            self.callbacks.stage_false(db, entry)
        return entry

    def paid(self, own_id: str, **how: Any) -> Row:
        entry = self.asked(own_id, **how)
        self.ledger.answer(entry["phone"], pin="1234")
        return self.ledger.by_id(entry["id"])

    def purse(self, currency: str = "CDF", phone: str = AIRTEL) -> int:
        with self.store.read() as db:
            return balance(db, phone, currency)

    def put(self, fault: str, times: int = 1, **params: Any) -> None:
        self.faults.put("airtel", fault, times=times, phone=None, params=params)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.store.bell.close()
    desk.errands.stop()
    desk.store.close()


# Money that goes back.


def test_a_refund_gives_back_once_and_never_too_much(desk: Desk) -> None:
    entry = desk.paid("one")
    refund, new = desk.ledger.refund(RefundAsk("airtel", "back-1", "one", 2_000_00))
    again, second = desk.ledger.refund(RefundAsk("airtel", "back-1", "one", 2_000_00))
    assert (refund["state"], new, again["id"], second) == ("paid", True, refund["id"], False)
    too_much, _ = desk.ledger.refund(RefundAsk("airtel", "back-2", entry["provider_txn_id"], 3_000_01))
    rest, _ = desk.ledger.refund(RefundAsk("airtel", "back-3", entry["provider_ref"]))
    nothing, _ = desk.ledger.refund(RefundAsk("airtel", "back-4", "one"))
    nobody, _ = desk.ledger.refund(RefundAsk("airtel", "back-5", "never heard of"))
    assert [one["reason"] for one in (too_much, rest, nothing, nobody)] == [
        "too_much",
        None,
        "reversed",
        "unknown_payment",
    ]
    assert (rest["minor"], desk.purse()) == (3_000_00, 20_000_00)
    shown = desk.ledger.report("airtel")
    assert [one["amount"] for one in shown["refunds"] if one["state"] == "paid"] == ["2000", "3000"]
    assert shown["total_paid"] == {"CDF": "5000"}  # the original stays


def test_a_refund_may_take_its_time_and_is_told(desk: Desk) -> None:
    heard: list[str] = []
    desk.ledger.movements.on_refunded("airtel", lambda _db, row: heard.append(row["state"]))
    desk.paid("one")
    slow, _ = desk.ledger.refund(RefundAsk("airtel", "slow", "one", 1_00, delay_s=0.05))
    never, _ = desk.ledger.refund(RefundAsk("airtel", "never", "one", 1_00, plan={"never_final": {}}))
    no, _ = desk.ledger.refund(RefundAsk("airtel", "no", "one", 1_00, plan={"refused": "ESB9"}))
    assert [slow["state"], never["state"], no["state"], no["reason"]] == ["asked", "asked", "failed", "ESB9"]
    until(lambda: heard == ["failed", "paid"])
    assert [desk.ledger.movements.refund_of("airtel", key)["state"] for key in ("slow", "never")] == ["paid", "asked"]


def test_the_operator_takes_a_payment_back(desk: Desk) -> None:
    entry = desk.paid("one")
    desk.ledger.refund(RefundAsk("airtel", "part", "one", 1_000_00))
    back = desk.ledger.reverse(entry["id"])
    assert (back["minor"], back["kind"], desk.purse()) == (4_000_00, "reversal", 20_000_00)
    assert desk.ledger.by_id(entry["id"])["reversed"] == 1
    for refused in (entry["id"], 999):
        with pytest.raises(NothingThere):
            desk.ledger.reverse(refused)


def test_the_fault_reversed_takes_it_back_by_itself(desk: Desk) -> None:
    desk.put("reversed", seconds=0.05)
    desk.paid("one")
    until(lambda: desk.ledger.report("airtel")["reversals"])
    assert desk.purse() == 20_000_00


# Money nobody asked for, and in the wrong coin.


def test_money_that_somebody_sends_by_himself(desk: Desk) -> None:
    sent = desk.ledger.walk_in(WalkIn("airtel", AIRTEL, 700_00, "CDF", "O123"))
    assert (sent["own_id"], sent["reference"], desk.purse()) == (None, "O123", 19_300_00)
    desk.ledger.movements.reverse_named("airtel", sent["provider_txn_id"])
    assert desk.purse() == 20_000_00
    with pytest.raises(NothingThere):
        desk.ledger.walk_in(WalkIn("airtel", AIRTEL, 90_000_00, "CDF", "O123"))
    asked: list[WalkIn] = []

    def no(one: WalkIn) -> Row:
        asked.append(one)
        raise NothingThere("The merchant does not know this number.")

    desk.ledger.on_walk_in("airtel", no)
    with pytest.raises(NothingThere):
        desk.ledger.walk_in(WalkIn("airtel", AIRTEL, 1_00, "CDF", "O123"))
    assert (len(asked), desk.purse()) == (1, 20_000_00)


def test_another_currency_is_taken(desk: Desk) -> None:
    desk.put("wrong_currency")
    desk.put("wrong_currency", currency="CDF", amount=7_000)
    in_dollars = desk.paid("one", minor=5_000_00)
    assert (in_dollars["minor"], in_dollars["currency"], desk.purse("USD")) == (2_00, "USD", 198_00)
    in_francs = desk.paid("two", minor=3_00, currency="USD")
    assert (in_francs["minor"], in_francs["currency"], desk.purse()) == (7_000_00, "CDF", 13_000_00)


def test_a_phone_in_kenya_holds_shillings(desk: Desk) -> None:
    row = Phones(desk.store).stranger(KENYA)
    assert (row["brand"], row["currency"], row["balance"], network_of(KENYA)) == ("mpesa", "KES", "20000", "63902")
    entry = desk.asked("ke", phone=KENYA, minor=1_250_00, currency="KES")
    assert "1250 KES" in desk.ledger.open_prompts(KENYA)[0]["text"]
    desk.ledger.answer(KENYA, pin="1234")
    assert desk.ledger.by_id(entry["id"])["state"] == "paid"
    assert desk.purse("KES", KENYA) == 18_750_00


def test_money_moves_on_the_business_clock(desk: Desk) -> None:
    desk.paid("one")
    here = desk.clock()
    assert desk.ledger.movements.between("airtel", "CDF", here - 60, here + 60) == []
    assert len(desk.ledger.movements.between("airtel", "CDF", here + 86_340, here + 86_460)) == 1


# Callbacks.


def test_a_callback_is_repeated_until_taken(desk: Desk) -> None:
    desk.takes = [True, False, False]
    desk.paid("one")
    until(lambda: len(desk.posted) == 3)
    desk.takes = [False]
    desk.paid("two")
    until(lambda: len(desk.posted) == 6)
    assert [one["own_id"] for one in desk.posted] == ["one"] * 3 + ["two"] * 3


def test_one_callback_waits_for_the_next(desk: Desk) -> None:
    desk.put("reordered_callbacks")
    desk.paid("one")
    desk.paid("two")
    until(lambda: len(desk.posted) == 2)
    assert [one["own_id"] for one in desk.posted] == ["two", "one"]


def test_a_callback_is_not_held_for_ever(desk: Desk) -> None:
    desk.put("reordered_callbacks", seconds=3600)
    desk.paid("one")
    desk.clock.ahead = 3601
    until(lambda: len(desk.posted) == 1)


@pytest.mark.parametrize(
    ("fault", "same_id"), [("forged_callback", True), ("unknown_reference", False)], ids=["forged", "unknown"]
)
def test_callbacks_that_lie(desk: Desk, fault: str, same_id: bool) -> None:
    desk.put(fault)
    desk.asked("one")
    [claim] = until(lambda: desk.posted)
    assert (claim["state"], claim["own_id"] == "one", claim["plan"]["false"] != "") == ("paid", same_id, True)
    assert desk.ledger.entry("airtel", "one")["state"] == "asked"
    assert desk.purse() == 20_000_00


def test_no_callback_and_two_of_them(desk: Desk) -> None:
    desk.put("lost_callback")
    desk.paid("one")
    desk.put("duplicate_callback")
    desk.paid("two")
    until(lambda: len(desk.posted) == 2)
    assert {one["own_id"] for one in desk.posted} == {"two"}


# Faults.


def test_an_operator_says_what_it_plays(desk: Desk) -> None:
    assert set(WALLET_FAULTS) == set(desk.faults.known["airtel"])
    desk.faults.plays("airtel", ("slow", "refused"))
    desk.faults.plays("airtel", ("slow", "throttled"))
    assert desk.faults.known["airtel"] == ("slow", "refused", "throttled")
    with pytest.raises(UnknownFault):
        desk.put("no_funds")


def test_a_clock_that_is_wrong_stays_wrong(desk: Desk) -> None:
    at: Callable[[], float] = lambda: clock_of(desk.faults, "airtel", 1_000.0)  # noqa: E731
    assert at() == 1_000.0
    desk.put("clock_skew", seconds=600)
    assert [at(), at()] == [1_600.0, 1_600.0]
    desk.faults.clear("airtel")
    assert at() == 1_000.0
