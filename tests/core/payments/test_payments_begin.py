"""Committing an attempt: what is refused, what is repeated, what is taken back."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.outbox import Done, OutboxRow, Retry
from core.payments.model import BeginRefused, Begun
from core.payments.ports import Accepted
from core.payments.tables import AttemptInvoiceRow, AttemptRow
from tests import town
from tests.core.payments.scripted import BILL, PAYER, Till
from tests.core.settlement.books import francs


def test_an_attempt_and_its_errand_are_committed_before_anybody_is_called(till: Till) -> None:
    attempt_id = till.begin(invoice_ids=(till.invoice_id,))
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.is_open, attempt.wallet) == ("created", True, "vodacom")
    (errand,) = [row for row in till.rows(OutboxRow) if row.kind == "attempt.push"]
    assert errand.body == {"attempt_id": attempt_id}
    assert (errand.available_at - till.clock.real_now()).total_seconds() == 3
    assert till.wallet.starts == []


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"brand": "airtel"}, "no_wallet"),
        ({"brand": "orange"}, "no_wallet"),
        ({"contract_id": 999}, "contract_closed"),
        ({"amount": Money(2_850_050, "CDF")}, "amount_out_of_range"),
        ({"amount": francs(99)}, "amount_out_of_range"),
        ({"amount": francs(20_000_001)}, "amount_out_of_range"),
        ({"amount": Money(0, "CDF")}, "amount_out_of_range"),
        ({"amount": Money(1000, "USD")}, "no_wallet"),
        ({"invoice_ids": (999,)}, "invoice_not_open"),
    ],
)
def test_what_cannot_be_asked_for_changes_nothing(till: Till, other: dict[str, Any], why: str) -> None:
    before = len(till.rows(OutboxRow))
    assert till.try_begin(**other) == BeginRefused(why)  # type: ignore[arg-type]
    assert till.rows(AttemptRow) == []
    assert len(till.rows(OutboxRow)) == before


def test_invoices_that_are_paid_cancelled_or_anothers_are_refused(till: Till) -> None:
    with till.db.begin() as session:
        other = town.home(session, phone="+243815553333").contract
        theirs = town.invoice(session, other, state="sent").id
        mine = session.get_one(ContractRow, till.contract_id)
        cancelled = town.invoice(session, mine, state="cancelled").id
        paid = town.invoice(session, mine, state="sent")
        paid.paid_minor = paid.total_minor
        full = paid.id
    for invoice_id in (theirs, cancelled, full):
        assert till.try_begin(invoice_ids=(till.invoice_id, invoice_id)) == BeginRefused("invoice_not_open")


def test_a_closed_contract_is_refused(till: Till) -> None:
    with till.db.begin() as session:
        session.get_one(ContractRow, till.contract_id).state = "closed"
    assert till.try_begin() == BeginRefused("contract_closed")


def test_an_invoice_named_twice_is_kept_once(till: Till) -> None:
    attempt_id = till.begin(invoice_ids=(till.invoice_id, till.invoice_id))
    with till.db.read() as session:
        assert session.get(AttemptInvoiceRow, (attempt_id, till.invoice_id)) is not None
        assert session.get_one(InvoiceRow, till.invoice_id).paid_minor == 0


def test_one_open_attempt_per_payer_and_contract(till: Till) -> None:
    attempt_id = till.begin()
    assert till.try_begin(amount=francs(500)) == BeginRefused("already_open", "created")
    till.payments.push(attempt_id)
    assert till.try_begin() == BeginRefused("already_open", "pending")
    assert isinstance(till.try_begin(payer_phone="+243815552222"), Begun)


def test_the_same_turn_gets_the_same_answer(till: Till) -> None:
    first = till.try_begin(turn_key="turn-1", end_text="Premier texte.")
    assert isinstance(first, Begun)
    till.payments.push(first.attempt_id)
    again = till.try_begin(turn_key="turn-1", end_text="Autre texte.")
    assert again == Begun(first.attempt_id, "Premier texte.", repeated=True)
    assert len(till.rows(AttemptRow)) == 1


@pytest.mark.parametrize("round_number", range(5))
def test_one_turn_delivered_twice_at_once_is_one_attempt(any_till: Till, round_number: int) -> None:
    """Both must hear "done": a refusal "already open" would tell the customer that the payment did not begin."""
    together = threading.Barrier(4)

    def confirm(_: int) -> Begun | BeginRefused:
        together.wait()
        while True:
            try:
                return any_till.try_begin(turn_key="turn-1")
            except NotRecorded:
                continue

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(confirm, range(4)))
    assert all(isinstance(answer, Begun) for answer in answers), answers
    assert len({answer.attempt_id for answer in answers if isinstance(answer, Begun)}) == 1
    assert len(any_till.rows(AttemptRow)) == 1
    assert len([row for row in any_till.rows(OutboxRow) if row.kind == "attempt.push"]) == 1


def test_two_turns_at_once_begin_one_attempt(any_till: Till) -> None:
    together = threading.Barrier(4)

    def confirm(n: int) -> Begun | BeginRefused:
        together.wait()
        while True:
            try:
                return any_till.try_begin(turn_key=f"turn-{n}")
            except NotRecorded:
                continue

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(confirm, range(4)))
    assert sorted(type(answer).__name__ for answer in answers) == ["BeginRefused"] * 3 + ["Begun"]


def test_taken_back_before_it_left(till: Till) -> None:
    attempt_id = till.begin()
    assert till.payments.cancel(attempt_id, "customer")
    assert not till.payments.cancel(attempt_id, "customer")
    assert till.payments.push(attempt_id) == Done("already cancelled")
    assert till.payments.query(attempt_id) == Done("nothing to ask: cancelled")
    assert till.wallet.starts == []
    assert isinstance(till.try_begin(), Begun)


def test_too_late_to_take_back(till: Till) -> None:
    attempt_id = till.submitted()
    assert not till.payments.cancel(attempt_id, "customer")
    assert not till.payments.cancel("no such", "customer")
    assert till.attempt(attempt_id).state == "pending"


def test_the_push_waits_for_the_payers_own_session(till: Till) -> None:
    attempt_id = till.begin()
    till.sessions.open.add(PAYER)
    answer = till.payments.push(attempt_id)
    assert answer == Retry(5.0, "the payer's phone has a session open", counts=False)
    assert till.wallet.starts == []
    till.clock.advance(seconds=60)
    till.payments.push(attempt_id)
    assert len(till.wallet.starts) == 1


def test_what_the_operator_is_told(till: Till) -> None:
    attempt_id = till.begin()
    till.wallet.to_start = deque([Accepted("REF")])
    till.payments.push(attempt_id)
    (asked,) = till.wallet.starts
    attempt = till.attempt(attempt_id)
    assert (asked.attempt_id, asked.own_ref, asked.amount) == (attempt.id, attempt.own_ref, BILL)
    assert (asked.payer_phone, asked.brand) == (PAYER, "mpesa")
    assert attempt.provider_ref == "REF"


def test_brands_that_can_be_paid_with(till: Till) -> None:
    assert till.payments.brands() == ("mpesa",)


def test_a_wallet_that_went_away_ends_the_attempt(db: Database, clock: FixedClock) -> None:
    till = Till(db, clock)
    attempt_id = till.begin()
    del till.payments._ctx.wallets["vodacom"]  # type: ignore[attr-defined]
    assert till.payments.push(attempt_id) == Done("the wallet is not configured")
    assert till.attempt(attempt_id).state == "failed"
    assert len(till.notices("payment.failed")) == 1
