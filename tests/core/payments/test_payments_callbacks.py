"""Callbacks: hints that come early, late, twice, unsigned, unreadable, or about nobody we know."""

from __future__ import annotations

from collections import deque

import pytest

from core.outbox import Dead, Done, OutboxRow, Retry
from core.payments.ports import Accepted, Paid, Pending, StartAnswer, Unknown, WalletAttempt
from core.payments.tables import AttemptRow, CallbackRow, PaymentRow
from tests.core.payments.scripted import BILL, Till

PAID = Paid("TX1", BILL)


def test_a_callback_is_stored_raw_before_anybody_judges_it(till: Till) -> None:
    callback_id = till.callback(b"\x00not even text", path_attempt="x")
    row = till.callback_row(callback_id)
    assert (row.body, row.state, row.attempt_hint, row.source) == (b"\x00not even text", "new", "x", "127.0.0.1")
    (errand,) = [row for row in till.rows(OutboxRow) if row.kind == "callback.settle"]
    assert errand.body == {"callback_id": callback_id}


def test_an_unsigned_claim_is_asked_about(till: Till) -> None:
    attempt_id = till.submitted()
    till.wallet.to_query = deque([Pending()])
    callback = till.callback({"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500})
    # It claims more than the operator says: asked again until it says something, for a day.
    assert isinstance(till.payments.settle(callback), Retry)
    assert till.money() == []
    assert len(till.wallet.queries) == 1
    till.wallet.to_query = deque([PAID])
    assert till.payments.settle(callback) == Done("succeeded")
    assert till.money() == [BILL.minor]


def test_the_last_hint_waits_for_an_operator_that_does_not_answer(till: Till) -> None:
    """A day without a word, nobody asks any more; then a callback comes while the operator is still away."""
    attempt_id = till.submitted()
    till.clock.advance(days=1, minutes=5)
    till.ask(attempt_id, Unknown("down"))
    assert till.attempt(attempt_id).state == "needs_attention"
    callback = till.callback({"attempt": attempt_id, "status": "paid", "txn": "TX1"})
    for _ in range(3):
        assert isinstance(till.payments.settle(callback), Retry)
        till.clock.advance(minutes=1)
    till.wallet.to_query = deque([PAID])
    assert till.payments.settle(callback) == Done("succeeded")
    assert till.money() == [BILL.minor]
    till.clock.advance(days=2)
    assert till.payments.settle(callback) == Done("done")


def test_a_hint_that_is_never_confirmed_ends_on_a_persons_list(till: Till) -> None:
    attempt_id = till.submitted()
    till.wallet.to_query = deque([Unknown("down")])
    callback = till.callback({"attempt": attempt_id, "status": "paid", "txn": "TX1"})
    assert isinstance(till.payments.settle(callback), Retry)
    till.clock.advance(days=1, minutes=1)
    assert till.payments.settle(callback) == Done("the operator gave no word")
    assert till.callback_row(callback).state == "unmatched"


def test_a_signed_claim_is_believed(till: Till) -> None:
    attempt_id = till.submitted()
    body = {"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500, "signed": True}
    assert till.settle(body) == Done("succeeded")
    assert till.money() == [BILL.minor]
    assert till.wallet.queries == []
    assert till.rows(PaymentRow)[0].found_by == "callback"


@pytest.mark.parametrize("key", ["attempt", "own_ref", "ref", "path id", "path ref"])
def test_an_attempt_is_found_by_any_of_its_names(till: Till, key: str) -> None:
    attempt = till.attempt(till.submitted())
    till.wallet.to_query = deque([PAID])
    names = {"attempt": attempt.id, "own_ref": attempt.own_ref, "ref": attempt.provider_ref}
    if key.startswith("path"):
        till.settle({}, path_attempt=attempt.id if key == "path id" else attempt.own_ref)
    else:
        till.settle({key: names[key]})
    assert till.attempt(attempt.id).state == "succeeded"


@pytest.mark.parametrize("answer", [Accepted("REF"), Unknown("timeout"), PAID], ids=lambda a: type(a).__name__)
def test_a_callback_that_overtakes_the_answer(till: Till, answer: StartAnswer) -> None:
    attempt_id = till.begin()
    body = {"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500, "signed": True}

    def overtaken(_: WalletAttempt) -> StartAnswer:
        assert till.settle(body) == Done("succeeded")
        return answer

    till.wallet.to_start = deque([overtaken])
    till.payments.push(attempt_id)
    assert till.attempt(attempt_id).state == "succeeded"
    assert till.money() == [BILL.minor]
    assert till.attempt(attempt_id).next_query_at is None
    till.check()


def test_a_callback_with_an_id_that_is_not_stored_yet_waits_for_it(till: Till) -> None:
    attempt_id = till.begin()
    waiting: list[int] = []

    def overtaken(_: WalletAttempt) -> StartAnswer:
        waiting.append(till.callback({"ref": "REF9", "status": "paid"}))
        outcome = till.payments.settle(waiting[0])
        assert outcome == Retry(60.0, "no attempt has these ids yet", counts=False)
        return Accepted("REF9")

    till.wallet.to_start = deque([overtaken])
    till.payments.push(attempt_id)
    assert till.callback_row(waiting[0]).state == "unmatched"
    till.clock.advance(seconds=60)
    till.wallet.to_query = deque([PAID])
    assert till.payments.settle(waiting[0]) == Done("succeeded")
    row = till.callback_row(waiting[0])
    assert (row.state, row.attempt_id) == ("done", attempt_id)


def test_a_callback_about_nobody_is_kept_after_an_hour_and_moves_nothing(till: Till) -> None:
    callback_id = till.callback({"ref": "THEIRS", "status": "paid", "amount": 5, "signed": True})
    for _ in range(60):
        assert isinstance(till.payments.settle(callback_id), Retry)
        till.clock.advance(seconds=60)
    assert till.payments.settle(callback_id) == Done("no attempt has these ids")
    assert till.callback_row(callback_id).state == "unmatched"
    assert till.money() == []


def test_another_wallets_callback_finds_nothing_here(till: Till) -> None:
    attempt_id = till.submitted()
    till.payments._ctx.wallets["pawapay"] = till.wallet  # type: ignore[index]
    outcome = till.settle({"attempt": attempt_id, "status": "paid", "signed": True, "txn": "X"}, wallet="pawapay")
    assert isinstance(outcome, Retry)
    assert till.attempt(attempt_id).state == "pending"


def test_the_same_bytes_again_change_nothing(till: Till) -> None:
    attempt_id = till.submitted()
    body = {"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500, "signed": True}
    ids = [till.callback(body) for _ in range(5)]
    outcomes = [till.payments.settle(i) for i in ids]
    assert outcomes == [Done("succeeded"), *[Done("duplicate")] * 4]
    assert [row.state for row in till.rows(CallbackRow)] == ["done", *["duplicate"] * 4]
    assert till.payments.settle(ids[0]) == Done("done")
    assert till.money() == [BILL.minor]
    assert len(till.notices("payment.receipt")) == 1


def test_the_same_bytes_for_another_attempt_are_no_duplicate(till: Till) -> None:
    """Where the attempt stands in the path alone, every success has the same bytes."""
    one, two = till.submitted(), till.submitted(payer_phone="+243815552222")
    till.wallet.to_query = deque([PAID, Paid("TX2", BILL)])
    assert till.settle({"status": "paid"}, path_attempt=one) == Done("succeeded")
    assert till.settle({"status": "paid"}, path_attempt=two) == Done("succeeded")
    assert till.money() == [BILL.minor, BILL.minor]


def test_a_signed_failure_after_a_success_is_flagged(till: Till) -> None:
    attempt_id = till.submitted(PAID)
    till.settle({"attempt": attempt_id, "status": "failed", "signed": True})
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.flag) == ("succeeded", "success_then_failure")


def test_a_callback_nobody_can_read_is_kept_and_counted(till: Till) -> None:
    callback_id = till.callback(b"<xml>")
    assert till.payments.settle(callback_id) == Done("not JSON")
    assert till.callback_row(callback_id).state == "malformed"
    assert till.payments.settle(callback_id) == Done("malformed")


def test_a_paid_claim_on_an_attempt_that_was_taken_back_is_money(till: Till) -> None:
    attempt_id = till.begin()
    till.payments.cancel(attempt_id, "customer")
    body = {"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500, "signed": True}
    till.settle(body)
    assert till.attempt(attempt_id).state == "succeeded"
    assert till.money() == [BILL.minor]


def test_what_is_not_there_is_dead(till: Till) -> None:
    assert isinstance(till.payments.settle(99), Dead)
    callback_id = till.callback({}, wallet="gone")
    assert isinstance(till.payments.settle(callback_id), Dead)
    assert till.rows(AttemptRow) == []
