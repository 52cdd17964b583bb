"""Money that came: short, over, twice, late, in another currency, without a number, found by many at once."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.ledger.model import Account, credit, suspense
from core.outbox import OutboxRow
from core.payments.ports import (
    Accepted,
    Paid,
)
from core.payments.tables import AttemptRow, PaymentRow, QuoteRow
from core.settlement.events import SuspensePlaced
from tests.core.payments.scripted import BILL, Start, Till
from tests.core.settlement.books import Books, francs

PAID = Paid("TX1", BILL)


def test_two_transactions_for_one_attempt_are_two_payments(till: Till) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, PAID)
    for _ in range(2):
        till.ask(attempt_id, Paid("TX2", BILL), by="callback")
        till.ask(attempt_id, PAID, by="callback")
    assert till.money() == [BILL.minor, BILL.minor]
    assert till.attempt(attempt_id).flag == "two_transactions"
    assert Books(till.db, till.clock).balance(credit(till.contract_id)) == BILL
    assert {row.attempt_id for row in till.rows(PaymentRow)} == {attempt_id, None}
    till.check()


@pytest.mark.parametrize(
    ("came", "paid", "left_over"),
    [(francs(20_000), francs(20_000), francs(0)), (francs(30_000), BILL, francs(1_500))],
    ids=["less", "more"],
)
def test_what_came_is_booked_not_what_was_asked(till: Till, came: Money, paid: Money, left_over: Money) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, Paid("TX1", came))
    assert till.attempt(attempt_id).flag == "amount"
    assert till.paid() == paid
    assert Books(till.db, till.clock).balance(credit(till.contract_id)) == left_over
    till.check()


def test_a_success_over_nothing_books_nothing_and_calls_a_person(till: Till) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, Paid("TX1", Money(0, "CDF")))
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.flag, attempt.is_open) == ("needs_attention", "amount", False)
    assert till.money() == []
    till.ask(attempt_id, PAID, by="callback")
    assert till.money() == [BILL.minor]


def test_another_currency_waits_in_suspense_until_somebody_places_it(till: Till) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, Paid("TX1", Money(1000, "USD")))
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.flag) == ("succeeded", "currency")
    (payment,) = till.rows(PaymentRow)
    assert payment.in_suspense
    assert till.paid() == francs(0)
    books = Books(till.db, till.clock)
    assert books.balance(suspense("vodacom"), "USD").minor == -1000
    dollars = books.contract(currency="USD", phone="+243815553333")
    books.post(
        SuspensePlaced(
            key="by hand", payment_id=payment.id, wallet="vodacom", contract_id=dollars, amount=Money(1000, "USD")
        )
    )
    assert books.balance(credit(dollars), "USD") == Money(1000, "USD")
    till.check()


@pytest.mark.parametrize(("expires_after_s", "exchanged"), [(600, True), (-1, False)], ids=["valid", "expired"])
def test_a_quote_exchanges_only_while_it_was_valid_when_asked(
    till: Till, expires_after_s: int, exchanged: bool
) -> None:
    attempt_id = till.begin()
    with till.db.begin() as session:
        now = till.clock.real_now()
        quote = QuoteRow(
            from_currency="USD", to_currency="CDF", rate_num=2850, rate_den=1, source="BCC", made_at=now,
            expires_at=now + timedelta(seconds=expires_after_s),
        )  # fmt: skip
        session.add(quote)
        session.flush()
        attempt = session.get_one(AttemptRow, attempt_id)
        attempt.quote_id, attempt.charged_minor, attempt.charged_currency = quote.id, 1000, "USD"
    till.payments.push(attempt_id)
    till.clock.advance(hours=1)
    till.ask(attempt_id, Paid("TX1", Money(1000, "USD")))
    (payment,) = till.rows(PaymentRow)
    assert (payment.amount_minor, payment.currency, payment.in_suspense) == (1000, "USD", not exchanged)
    assert till.paid() == (BILL if exchanged else francs(0))
    books = Books(till.db, till.clock)
    assert books.balance(Account("fx_clearing"), "USD").minor == (-1000 if exchanged else 0)
    till.check()


@pytest.mark.parametrize("txn", [None, "", "-1", "0", "N/A", "null", "None", " n/a "])
def test_a_placeholder_is_no_transaction_and_the_real_number_merges_later(till: Till, txn: str | None) -> None:
    one, two = till.submitted(), till.submitted(payer_phone="+243815552222", amount=francs(500))
    till.ask(one, Paid(txn, BILL))
    till.ask(two, Paid(txn, francs(500)))
    assert till.money() == [50_000, BILL.minor]
    till.ask(one, Paid(txn, BILL), by="callback")
    till.ask(one, Paid("TX9", BILL), by="callback")
    till.ask(one, Paid("TX9", BILL), by="callback")
    assert till.money() == [50_000, BILL.minor]
    assert till.attempt(one).provider_txn_id == "TX9"
    assert till.attempt(one).flag is None
    numbers = sorted((row.attempt_id == one, row.provider_txn_id) for row in till.rows(PaymentRow))
    assert numbers == [(False, None), (True, "TX9")]


def test_a_number_that_comes_late_with_another_amount_is_flagged(till: Till) -> None:
    attempt_id = till.submitted()
    till.ask(attempt_id, Paid(None, None))
    till.ask(attempt_id, Paid("TX1", francs(20_000)), by="callback")
    assert till.attempt(attempt_id).flag == "amount"
    assert till.money() == [BILL.minor]


def test_one_transaction_told_of_two_attempts_is_one_payment(till: Till) -> None:
    one, two = till.submitted(), till.submitted(payer_phone="+243815552222")
    till.ask(one, PAID)
    till.ask(two, PAID)
    assert till.money() == [BILL.minor]
    assert till.attempt(two).flag == "transaction_elsewhere"
    three = till.submitted(payer_phone="+243815553333")
    till.ask(three, Paid(None, BILL))
    till.ask(three, PAID, by="callback")
    assert till.attempt(three).flag == "transaction_elsewhere"
    assert till.money() == [BILL.minor, BILL.minor]
    till.check()


def test_money_for_an_invoice_that_was_paid_meanwhile_becomes_credit(till: Till) -> None:
    one = till.submitted(invoice_ids=(till.invoice_id,))
    two = till.submitted(payer_phone="+243815552222", invoice_ids=(till.invoice_id,))
    till.ask(one, PAID)
    till.ask(two, Paid("TX2", BILL))
    assert till.paid() == BILL
    assert Books(till.db, till.clock).balance(credit(till.contract_id)) == BILL
    till.check()


@pytest.mark.parametrize("first", [Accepted("REF"), PAID], ids=["asked", "answered"])
def test_one_success_found_by_many_at_once_is_one_payment(any_till: Till, first: Start) -> None:
    till = any_till
    attempt_id = till.submitted(first)
    till.wallet.to_query = deque([PAID])
    together = threading.Barrier(2)

    def find(_: int) -> None:
        together.wait()
        for _ in range(25):
            while True:
                try:
                    till.payments.query(attempt_id, by="callback")
                    break
                except NotRecorded:
                    continue

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(find, range(2)))
    assert till.money() == [BILL.minor]
    assert till.paid() == BILL
    assert len(till.notices("payment.receipt")) == 1
    with till.db.read() as session:
        receipts = select(func.count()).where(OutboxRow.kind == "document.receipt")
        assert session.scalar(receipts) == 1
    till.check()


def test_receipt_numbers_that_are_taken_are_passed_over(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.services.payments import book

    made = iter(["R1", "R1", "R2"])
    monkeypatch.setattr(book, "_receipt_number", lambda day: next(made))
    till.ask(till.submitted(), PAID)
    till.ask(till.submitted(payer_phone="+243815552222"), Paid("TX2", BILL))
    assert [row.receipt_number for row in till.rows(PaymentRow)] == ["R1", "R2"]
