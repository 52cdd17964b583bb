"""When an operator is left alone, who notices, and how it comes back."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.outbox import Done, OutboxRow, Retry
from core.payments.circuit import FAILURES_MAX, OPEN_MAX_S, Circuit, after, condition
from core.payments.model import BeginRefused, Offer
from core.payments.ports import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    StartAnswer,
    Unknown,
)
from core.payments.tables import AttemptRow
from core.services.payments import Payments
from core.services.payments.pace import Lanes
from tests.core.payments.scripted import CAN, PAYER, ScriptedWallet, Sessions, Till
from tests.core.settlement.books import francs

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("call", "answer", "seen"),
    [
        ("start", Accepted(), "well"),
        ("start", Paid("T"), "well"),
        ("start", Failed("no_funds", "x"), "well"),
        ("query", Pending(), "well"),
        ("query", NotFound(), "well"),
        ("start", Failed("configuration", "x"), "unclear"),
        ("start", NotAccepted("429"), "unclear"),
        ("start", NotAccepted("session_warming", posted=False), "unclear"),
        ("start", Unknown("timeout"), "unclear"),
        ("start", Unknown("INS-1"), "unclear"),
        ("query", Unknown("left_alone"), "unclear"),
        ("query", Unknown("timeout"), "troubled"),
        ("query", Unknown("503"), "troubled"),
        ("start", Unknown("cut"), "troubled"),
        ("start", Unknown("500"), "troubled"),
        ("start", Unknown("500 ESB000001"), "troubled"),
        ("query", Unknown("502 fault_Server"), "troubled"),
        ("start", Unknown("500.001.1001"), "unclear"),
        ("start", NotAccepted("no_connection", posted=False), "troubled"),
        ("start", NotAccepted("503"), "troubled"),
    ],
)
def test_what_an_answer_tells_about_the_operator(
    call: Literal["start", "query"], answer: StartAnswer | QueryAnswer, seen: str
) -> None:
    assert condition(call, answer) == seen


def test_it_opens_after_some_failures_in_a_row_and_longer_each_time() -> None:
    circuit, now = Circuit(), NOW
    for _ in range(FAILURES_MAX - 1):
        circuit = after(circuit, "troubled", why="500", now=now)
        assert not circuit.is_open(now)
    pauses = []
    for _ in range(8):
        circuit = after(circuit, "troubled", why="500", now=now)
        assert circuit.open_until is not None
        assert circuit.is_open(now)
        pauses.append((circuit.open_until - now).total_seconds())
        assert after(circuit, "troubled", why="cut", now=now) == circuit, "what was under way tells nothing new"
        now = circuit.open_until
        assert not circuit.is_open(now)
    assert pauses[:4] == [30, 60, 120, 240]
    assert pauses[-1] == OPEN_MAX_S
    assert after(circuit, "well", why="", now=now) == Circuit()


def test_one_word_in_between_starts_the_count_anew() -> None:
    circuit = Circuit(failures=FAILURES_MAX - 1)
    circuit = after(circuit, "well", why="", now=NOW)
    assert not after(circuit, "troubled", why="500", now=NOW).is_open(NOW)
    assert after(Circuit(3), "unclear", why="", now=NOW) == Circuit(3)


def _trip(till: Till) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.wallet.to_query = deque([Unknown("503")])
    for _ in range(FAILURES_MAX):
        till.payments.query(attempt_id, by="callback")


def test_while_it_is_open_the_menu_and_new_payments_know(till: Till) -> None:
    _trip(till)
    assert till.payments.offers("CDF") == (Offer("mpesa", "vodacom"),), "not looked at yet"
    till.payments.circuits.refresh()
    assert till.payments.offers("CDF") == (Offer("mpesa", None, down=True),)
    assert till.try_begin(payer_phone="+243815559999") == BeginRefused("wallet_down")
    (state,) = till.payments.circuits.states()
    assert (state.wallet, state.why) == ("vodacom", "503")
    till.clock.advance(seconds=31)
    assert till.payments.offers("CDF") == (Offer("mpesa", "vodacom"),)
    assert not isinstance(till.try_begin(payer_phone="+243815559999"), BeginRefused)


def test_questions_wait_without_using_up_the_schedule_and_a_person_may_ask_anyway(till: Till) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.wallet.to_query = deque([Unknown("503")])
    for _ in range(FAILURES_MAX):
        till.payments.query(attempt_id)
    asked, counted = len(till.wallet.queries), till.attempt(attempt_id).queries
    assert till.payments.query(attempt_id) == Done("the operator is left alone")
    assert (len(till.wallet.queries), till.attempt(attempt_id).queries) == (asked, counted)
    due = till.attempt(attempt_id).next_query_at
    assert due is not None
    assert due > till.clock.real_now() + timedelta(seconds=30)
    till.wallet.to_query = deque([Pending()])
    till.payments.query(attempt_id, by="console")
    assert len(till.wallet.queries) == asked + 1
    till.payments.circuits.refresh()
    assert till.payments.offers("CDF")[0].wallet == "vodacom", "its answer closed the circuit"


def test_a_request_confirmed_just_before_waits_two_minutes_and_ends_with_a_word(till: Till) -> None:
    late = till.begin(payer_phone="+243815559999")
    _trip(till)
    till.wallet.starts.clear()
    waited = 0.0
    while isinstance(outcome := till.payments.push(late), Retry):
        assert not outcome.counts
        waited += outcome.after_s
        till.clock.advance(seconds=outcome.after_s)
        if waited >= 30:
            # The first one after the pause finds it as ill as before.
            till.wallet.to_start = deque([NotAccepted("no_connection", 5, posted=False)])
    assert 60 < waited <= 200
    attempt = till.attempt(late)
    assert (attempt.state, attempt.reason) == ("failed", "busy")
    assert len(till.notices("payment.failed")) == 1


def test_the_second_wallet_of_a_brand_takes_over(db: Database, clock: FixedClock) -> None:
    first, second, kenyan = ScriptedWallet("vodacom"), ScriptedWallet("pawapay"), ScriptedWallet("mpesa_ke")
    till = Till(db, clock, wallet=first)
    till.payments = Payments(
        db,
        clock,
        {"vodacom": first, "pawapay": second, "mpesa_ke": kenyan},
        {"mpesa": ("mpesa_ke", "vodacom", "pawapay")},
        Sessions(),
    )
    kenyan.can = type(CAN)({"KES": 0}, False, "none", (15,), 180)
    assert till.attempt(till.begin()).wallet == "vodacom"
    till.payments.cancel(till.rows(AttemptRow)[0].id, "test")
    _trip(till)
    assert till.attempt(till.begin(payer_phone="+243815559998")).wallet == "pawapay"
    assert till.payments.offers("KES") == (Offer("mpesa", "mpesa_ke"),)
    assert till.payments.offers("USD") == (Offer("mpesa", "vodacom"),)
    assert till.try_begin(amount=francs(500), brand="airtel") == BeginRefused("no_wallet")


class Slow:
    """A turnstile that lets nobody pass for a while."""

    def __init__(self, wait_s: float) -> None:
        self.wait = wait_s
        self.seen: list[tuple[str, int]] = []

    def wait_s(self, wallet: str, per_minute: int) -> float:
        self.seen.append((wallet, per_minute))
        return self.wait


def test_too_many_calls_wait_before_anything_is_claimed(till: Till) -> None:
    stile = Slow(7.5)
    till.payments = Payments(
        till.db, till.clock, {"vodacom": till.wallet}, {"mpesa": ("vodacom",)}, till.sessions, turnstile=stile
    )
    attempt_id = till.begin()
    assert till.payments.push(attempt_id) == Retry(7.5, "the operator is called often enough", counts=False)
    assert till.attempt(attempt_id).state == "created"
    assert till.posts(attempt_id) == []
    assert stile.seen == [("vodacom:start", CAN.calls_per_minute * 3 // 4)]
    stile.wait = 0
    till.payments.push(attempt_id)
    stile.wait = 3
    assert isinstance(till.payments.query(attempt_id), Retry)
    assert (len(till.wallet.starts), len(till.wallet.queries)) == (1, 0)
    assert stile.seen[-1] == ("vodacom", CAN.calls_per_minute), "questions have all the pace that requests leave"


@pytest.mark.parametrize("gone", ["the circuit is open", "the wallet is not configured any more"])
def test_whom_nobody_could_ask_for_a_day_is_given_to_a_person(till: Till, gone: str) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    if gone == "the circuit is open":
        till.wallet.to_query = deque([Unknown("503")])
        for _ in range(FAILURES_MAX):
            till.payments.query(attempt_id)
        till.clock.advance(days=2)
        # Still as ill as before: the first question after the pause opens it again.
        other = till.submitted(Accepted("REF2"), payer_phone="+243815557777")
        for _ in range(FAILURES_MAX):
            till.payments.query(other)
    else:
        till.payments = Payments(till.db, till.clock, {}, {}, Sessions())
        till.clock.advance(days=2)
    till.payments.query(attempt_id)
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.is_open, attempt.next_query_at) == ("needs_attention", False, None)


def test_one_operator_leaves_room_for_the_others() -> None:
    lanes = Lanes(most=3, starts=2)
    with (
        lanes.enter("a", "start") as first,
        lanes.enter("a", "start") as second,
        lanes.enter("a", "start") as third,
        lanes.enter("a", "query") as question,
        lanes.enter("a", "query") as one_more,
        lanes.enter("b", "start") as other,
    ):
        assert (first, second, third, question, one_more, other) == (True, True, False, True, False, True)
    with lanes.enter("a", "start") as again:
        assert again


def test_a_person_who_wants_to_know_gets_a_question_staged(till: Till) -> None:
    attempt_id = till.begin()
    assert not till.payments.ask_soon(attempt_id, "awa"), "nobody was asked for money yet"
    assert not till.payments.ask_soon("nobody", "awa")
    till.payments.push(attempt_id)
    assert till.payments.ask_soon(attempt_id, "awa")
    assert till.payments.ask_soon(attempt_id, "awa"), "twice is no harm"
    rows = [row for row in till.rows(OutboxRow) if row.kind == "attempt.query"]
    assert [row.body for row in rows] == [{"attempt_id": attempt_id, "by": "console"}] * 2
    assert PAYER not in str([row.body for row in rows])
