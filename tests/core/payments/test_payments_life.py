"""An attempt's life with a wallet that may say anything, at any time, and a process that may die at any step."""

from __future__ import annotations

from collections import deque

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.ledger.model import credit
from core.outbox import Dead, Done, OutboxRow, Retry
from core.payments.model import BeginRefused, Begun
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
    WalletAttempt,
)
from core.payments.tables import AttemptEventRow, PaymentRow
from tests.core.payments.scripted import BILL, Killed, Till
from tests.core.settlement.books import Books

PAID = Paid("TX1", BILL)


@pytest.mark.parametrize(
    ("answer", "state", "asks_again"),
    [
        (Accepted("REF"), "pending", True),
        (PAID, "succeeded", False),
        (Failed("no_funds", "51"), "failed", False),
        (Failed("other", "99", final=False), "failed", True),
        (NotAccepted("INS-2001", retry_after_s=30), "created", False),
        (NotAccepted("down", posted=False), "created", False),
        (Unknown("timeout"), "unknown", True),
    ],
)
def test_what_an_answer_to_the_request_makes(till: Till, answer: StartAnswer, state: str, asks_again: bool) -> None:
    attempt_id = till.submitted(answer)
    attempt = till.attempt(attempt_id)
    assert attempt.state == state
    assert (attempt.next_query_at is not None) == asks_again
    assert attempt.is_open == (state in ("created", "pending", "unknown"))
    assert till.money() == ([BILL.minor] if answer is PAID else [])
    assert len(till.notices("payment.failed")) == (state == "failed")
    till.check()


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (PAID, "succeeded"),
        (Pending(), "pending"),
        (Failed("cancelled", "17"), "failed"),
        (Unknown("500"), "unknown"),
    ],
)
@pytest.mark.parametrize("before", [Accepted("REF"), Unknown("timeout")], ids=["pending", "unknown"])
def test_what_an_answer_to_a_question_makes(till: Till, before: StartAnswer, answer: QueryAnswer, state: str) -> None:
    attempt_id = till.submitted(before)
    till.clock.advance(seconds=15)
    assert till.ask(attempt_id, answer) == Done(state)
    assert till.attempt(attempt_id).state == state
    assert len(till.wallet.starts) == 1
    till.check()


def test_a_payment_books_a_receipt_for_the_account_and_one_for_the_payer(till: Till) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, PAID)
    assert till.paid() == BILL
    (payment,) = till.rows(PaymentRow)
    assert (payment.attempt_id, payment.provider_txn_id, payment.found_by) == (attempt_id, "TX1", "query")
    (account,) = till.notices("payment.receipt")
    (payer,) = till.notices("payment.receipt_payer")
    assert payment.receipt_number in account
    assert payment.receipt_number in payer
    assert [row.kind for row in till.rows(OutboxRow)].count("document.receipt") == 1


def died_before_the_call(till: Till, attempt_id: str) -> None:
    """Between the claim and the call: the wallet never heard of it."""
    till.wallet.to_start = deque([Killed()])
    with pytest.raises(Killed):
        till.payments.push(attempt_id)
    till.wallet.starts.clear()


def died_after_the_call(till: Till, attempt_id: str) -> None:
    """The wallet has it; the answer was never written down."""
    till.wallet.to_start = deque([Killed()])
    with pytest.raises(Killed):
        till.payments.push(attempt_id)


@pytest.mark.parametrize("died", [died_before_the_call, died_after_the_call])
def test_after_a_crash_the_wallet_is_asked_about_it_never_for_it(any_till: Till, died: object) -> None:
    till = any_till
    attempt_id = till.begin()
    died(till, attempt_id)  # type: ignore[operator]
    known = len(till.wallet.starts)
    assert till.attempt(attempt_id).state == "submitting"
    # The row's lease runs out and it is handed out again, and again.
    for _ in range(3):
        assert isinstance(till.payments.push(attempt_id), Done)
    assert len(till.wallet.starts) == known
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.code) == ("unknown", "cut_off")
    assert till.payments.stage_due_queries() == 1
    if known:
        till.ask(attempt_id, PAID)
        assert till.attempt(attempt_id).state == "succeeded"
        assert till.money() == [BILL.minor]
    else:
        till.ask(attempt_id, NotFound())
        assert till.attempt(attempt_id).state == "unknown"
        till.clock.advance(seconds=120)
        till.ask(attempt_id, NotFound())
        assert till.attempt(attempt_id).state == "failed"
        assert till.money() == []
    till.check()


def test_dying_in_a_question_costs_nothing(till: Till) -> None:
    attempt_id = till.submitted()
    till.wallet.to_query = deque([Killed(), PAID])
    with pytest.raises(Killed):
        till.payments.query(attempt_id)
    till.payments.query(attempt_id)
    till.payments.query(attempt_id)
    assert till.money() == [BILL.minor]


def test_the_answer_of_a_request_that_was_given_up_for_lost_still_counts(till: Till) -> None:
    """The worker stalls in the call, its lease runs out, another hand calls it unknown; then the answer comes."""
    attempt_id = till.begin()

    def slow(_: WalletAttempt) -> StartAnswer:
        assert isinstance(till.payments.push(attempt_id), Done)
        assert till.attempt(attempt_id).state == "unknown"
        return Accepted("REF")

    till.wallet.to_start = deque([slow])
    till.payments.push(attempt_id)
    assert till.attempt(attempt_id).state == "pending"
    assert len(till.wallet.starts) == 1


def test_a_late_not_accepted_never_leaves_an_attempt_that_nobody_pushes(till: Till) -> None:
    attempt_id = till.begin()

    def slow(_: WalletAttempt) -> StartAnswer:
        till.payments.push(attempt_id)
        return NotAccepted("busy")

    till.wallet.to_start = deque([slow])
    till.payments.push(attempt_id)
    attempt = till.attempt(attempt_id)
    assert attempt.state == "unknown"
    assert attempt.next_query_at is not None
    till.clock.advance(seconds=130)
    till.ask(attempt_id, NotFound())
    assert till.attempt(attempt_id).state == "failed"


def test_what_took_nothing_on_may_be_asked_once_more_and_no_oftener(till: Till) -> None:
    attempt_id = till.begin()
    till.wallet.to_start = deque([NotAccepted("INS-2001", retry_after_s=30)])
    assert till.payments.push(attempt_id) == Retry(30.0, "not accepted: INS-2001")
    assert till.payments.push(attempt_id) == Done("failed")
    assert till.posts(attempt_id) == [(1, "notaccepted"), (2, "notaccepted")]
    assert till.payments.push(attempt_id) == Done("already failed")
    assert len(till.wallet.starts) == 2
    assert len({start.attempt_id for start in till.wallet.starts}) == 1
    assert len(till.notices("payment.failed")) == 1


def test_a_second_request_after_not_accepted_may_succeed(till: Till) -> None:
    attempt_id = till.begin()
    till.wallet.to_start = deque([NotAccepted("busy"), Accepted("REF")])
    till.payments.push(attempt_id)
    till.clock.advance(seconds=110)
    till.payments.push(attempt_id)
    till.clock.advance(seconds=15)
    # Two minutes after the first request, a quarter of one after the second: too early for "never heard of it".
    till.ask(attempt_id, NotFound())
    assert till.attempt(attempt_id).state == "pending"
    till.ask(attempt_id, PAID)
    assert till.money() == [BILL.minor]


def test_what_never_left_is_no_request_and_ends_by_its_age(till: Till) -> None:
    """No connection, no session: dozens of tries, none of them a request, and a clear end for the customer."""
    attempt_id = till.begin()
    till.wallet.to_start = deque([NotAccepted("session_warming", retry_after_s=30, posted=False)])
    waits: list[Retry] = []
    while isinstance(outcome := till.payments.push(attempt_id), Retry):
        waits.append(outcome)
        till.clock.advance(seconds=outcome.after_s)
    assert len(waits) > 20
    # An outbox row gives up after twenty hand-outs that count: these must not, or nobody would ever end the attempt.
    assert not any(wait.counts for wait in waits)
    assert till.posts(attempt_id) == []
    assert till.attempt(attempt_id).state == "failed"
    assert len(till.notices("payment.failed")) == 1


def test_an_unknown_outcome_is_asked_about_for_a_day_and_then_given_to_a_person(till: Till) -> None:
    attempt_id = till.submitted(Unknown("timeout"))
    till.wallet.to_query = deque([Unknown("500")])
    for _ in range(60):
        due = till.attempt(attempt_id).next_query_at
        if due is None:
            break
        till.clock.advance(seconds=max(0.0, (due - till.clock.real_now()).total_seconds()))
        assert till.payments.stage_due_queries() == 1
        till.payments.query(attempt_id)
    attempt = till.attempt(attempt_id)
    assert attempt.state == "needs_attention"
    assert 25 < attempt.queries < 45
    assert len(till.wallet.starts) == 1
    assert len(till.notices("payment.pending_long")) == 1
    assert till.notices("payment.failed") == []
    # A success a week later is money all the same.
    till.clock.advance(days=7)
    till.ask(attempt_id, PAID)
    assert till.attempt(attempt_id).state == "succeeded"
    assert till.money() == [BILL.minor]
    till.check()


def test_questions_are_staged_once_each(till: Till) -> None:
    attempt_id = till.submitted()
    assert till.payments.stage_due_queries() == 0
    till.clock.advance(seconds=20)
    assert till.payments.stage_due_queries() == 1
    assert till.payments.stage_due_queries() == 0
    # The queue is stuck: the question is due again, and waits once.
    for _ in range(5):
        till.clock.advance(seconds=400)
        assert till.payments.stage_due_queries() == 1
    assert [row.key for row in till.rows(OutboxRow) if row.kind == "attempt.query"] == [f"query:{attempt_id}:1"]
    assert till.attempt(attempt_id).queries == 0
    till.ask(attempt_id, Unknown("500"))
    assert till.attempt(attempt_id).queries == 1
    till.clock.advance(seconds=4000)
    till.payments.stage_due_queries()
    keys = [row.key for row in till.rows(OutboxRow) if row.kind == "attempt.query"]
    assert keys == [f"query:{attempt_id}:1", f"query:{attempt_id}:2"]


def test_a_question_whose_errand_was_given_up_is_taken_up_anew(till: Till) -> None:
    till.submitted()
    till.clock.advance(seconds=20)
    till.payments.stage_due_queries()
    with till.db.begin() as session:
        row = session.scalars(select(OutboxRow).where(OutboxRow.kind == "attempt.query")).one()
        row.state, row.attempts = "dead", 12
    till.clock.advance(seconds=400)
    till.payments.stage_due_queries()
    row = next(row for row in till.rows(OutboxRow) if row.kind == "attempt.query")
    assert (row.state, row.attempts) == ("pending", 0)


def test_never_heard_of_it_does_not_end_what_was_accepted(till: Till) -> None:
    """The prompt may still be on the phone: a second attempt now would be paid twice."""
    attempt_id = till.submitted(Accepted("REF"))
    till.clock.advance(seconds=150)
    till.ask(attempt_id, NotFound())
    assert till.attempt(attempt_id).is_open
    assert isinstance(till.try_begin(), BeginRefused)
    assert till.notices("payment.failed") == []


def test_a_prompt_that_is_gone_frees_the_customer_and_a_late_success_is_taken(till: Till) -> None:
    first = till.submitted()
    till.clock.advance(seconds=200)
    till.ask(first, Pending())
    attempt = till.attempt(first)
    assert (attempt.state, attempt.is_open, attempt.reason) == ("expired", False, "prompt_expired")
    assert attempt.next_query_at is not None
    assert len(till.notices("payment.pending_long")) == 1
    second = till.begin()
    till.payments.push(second)
    till.ask(second, Paid("TX2", BILL))
    till.ask(first, PAID)
    assert till.attempt(first).state == "succeeded"
    assert till.money() == [BILL.minor, BILL.minor]
    assert till.paid() == BILL
    books = Books(till.db, till.clock)
    assert books.balance(credit(till.contract_id)) == BILL
    till.check()


def test_an_expired_attempt_that_failed_after_all_is_told(till: Till) -> None:
    attempt_id = till.submitted()
    till.clock.advance(seconds=200)
    till.ask(attempt_id, Pending())
    till.ask(attempt_id, Failed("cancelled", "17"))
    assert till.attempt(attempt_id).state == "failed"
    assert len(till.notices("payment.failed")) == 1


@pytest.mark.parametrize("final", [True, False])
def test_a_success_after_a_failure_is_taken(till: Till, final: bool) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, Failed("no_funds", "51", final=final))
    assert till.attempt(attempt_id).state == "failed"
    till.clock.advance(hours=3)
    till.ask(attempt_id, PAID, by="callback")
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.is_open) == ("succeeded", False)
    assert till.paid() == BILL
    assert len(till.notices("payment.receipt")) == 1
    with till.db.read() as session:
        ways = session.execute(
            select(AttemptEventRow.from_state, AttemptEventRow.to_state).order_by(AttemptEventRow.id)
        )
        assert list(ways)[-1] == ("failed", "succeeded")


def test_a_failure_after_a_success_changes_nothing_and_is_flagged(till: Till) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, PAID)
    till.ask(attempt_id, Failed("no_funds", "51"), by="callback")
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.flag) == ("succeeded", "success_then_failure")
    assert till.money() == [BILL.minor]
    assert till.notices("payment.failed") == []
    till.check()


def test_what_nobody_knows_is_dead_at_once(till: Till) -> None:
    assert isinstance(till.payments.push("none"), Dead)
    assert isinstance(till.payments.query("none"), Dead)


def test_schedules_shrink_in_the_sandbox_and_mean_the_same(db: Database, clock: FixedClock) -> None:
    till = Till(db, clock, scale=0.1)
    attempt_id = till.submitted()
    wait = till.attempt(attempt_id).next_query_at
    assert wait is not None
    assert 1.2 <= (wait - clock.real_now()).total_seconds() <= 1.8
    clock.advance(seconds=18)
    till.ask(attempt_id, Pending())
    assert till.attempt(attempt_id).state == "expired"
    assert isinstance(till.try_begin(), Begun)
    assert isinstance(till.try_begin(), BeginRefused)


def test_an_attempt_whose_errand_died_is_ended_by_somebody(till: Till) -> None:
    """Never carried: it fails and the payer may try anew. Perhaps asked: it is questioned, never asked again."""
    forgotten = till.begin()
    asked = till.begin(payer_phone="+243820000077", asked_by_phone="+243820000077")
    till.wallet.to_start = deque([Killed()])
    with pytest.raises(Killed):
        till.payments.push(asked)
    assert till.payments.rescue_stuck() == 0
    till.clock.advance(hours=2)
    assert till.payments.rescue_stuck() == 2
    assert till.attempt(forgotten).state == "failed"
    assert till.attempt(asked).state == "unknown"
    assert till.attempt(asked).next_query_at == till.clock.real_now()
    assert till.payments.rescue_stuck() == 0
    assert len(till.wallet.starts) == 1
