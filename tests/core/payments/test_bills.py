"""Money that came by our bill number: on the account it names, in suspense, or told twice; booked once."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import with_check
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.outbox import Done, OutboxRow, Retry
from core.payments.ports import Accepted, BillPayment, Failed, Hint, NotAccepted, Paid, RawCallback, Unknown
from core.payments.tables import PaymentRow
from core.services.payments.bills import read_reference
from core.settlement import post
from core.settlement.events import SuspensePlaced
from tests import town
from tests.core.payments.scripted import BILL, Till
from tests.core.settlement.books import francs

PAID_AT = datetime(2026, 3, 10, 7, 59, tzinfo=UTC)


def account_of(till: Till) -> str:
    with till.db.read() as session:
        return session.get_one(ContractRow, till.contract_id).account_number


def bill(reference: str, amount: Money = BILL, txn: str = "SA12ABCDE3") -> BillPayment:
    return BillPayment(txn, amount, reference, "2547 ***** 149", PAID_AT)


def payments(till: Till) -> list[PaymentRow]:
    return list(till.rows(PaymentRow))


@given(st.integers(0, 999_999_999), st.sampled_from(["", "K7", "22"]), st.sampled_from(["", " ", "-"]))
def test_an_account_is_read_however_it_is_typed(number: int, suffix: str, gap: str) -> None:
    account = with_check(f"{number:09d}")
    typed = gap.join([account[:3], account[3:6], account[6:]]) + suffix
    assert read_reference(typed) == (account, suffix)
    assert read_reference(account.replace("0", "O").replace("1", "l") + suffix.lower()) == (account, suffix)
    wrong = account[:-1] + str((int(account[-1]) + 1) % 10)
    assert read_reference(wrong + suffix) == (None, "")


@pytest.mark.parametrize("nonsense", ["", " ", "facture", "12345", "1" * 200, "é", "٣٣٣"])
def test_nonsense_names_no_account(nonsense: str) -> None:
    assert read_reference(nonsense) == (None, "")


def test_a_payer_who_comes_by_himself_pays_his_bill(any_db: Database, clock: FixedClock) -> None:
    till = Till(any_db, clock)
    account = account_of(till)
    typed = f"{account[:3]} {account[3:]}"
    payment_id = till.payments.book_bill("vodacom", bill(typed))
    (payment,) = payments(till)
    assert (payment.id, payment.found_by, payment.reference, payment.attempt_id) == (payment_id, "bill", typed, None)
    assert (payment.payer_phone, payment.paid_at, payment.in_suspense) == ("2547 ***** 149", PAID_AT, False)
    assert till.paid() == BILL
    assert len(till.notices("payment.receipt")) == 1
    assert till.payments.book_bill("vodacom", bill(typed)) == payment_id, "told twice, booked once"
    assert len(payments(till)) == 1
    till.check()


@pytest.mark.parametrize("what", ["unknown reference", "another currency"])
def test_what_nobody_can_place_waits_in_suspense(till: Till, what: str) -> None:
    told = bill("7654321") if what == "unknown reference" else bill(account_of(till), Money.units(20, "USD"))
    till.payments.book_bill("vodacom", told)
    (payment,) = payments(till)
    assert (payment.in_suspense, payment.contract_id, payment.reference) == (True, None, told.reference)
    assert till.paid().minor == 0
    till.check()


def test_a_transaction_over_nothing_is_refused(till: Till) -> None:
    with pytest.raises(StateConflict, match="over nothing"):
        till.payments.book_bill("vodacom", bill(account_of(till), Money(0, "CDF")))


@pytest.mark.parametrize("order", ["callback first", "bill first", "query first", "bill while pending"])
def test_one_money_told_by_callback_query_and_bill_is_one_payment(till: Till, order: str) -> None:
    """A request to a paybill whose bill addresses are registered is told twice, with the same transaction number."""
    attempt_id = till.submitted(Accepted("REF"))
    attempt = till.attempt(attempt_id)
    told = bill(account_of(till) + attempt.own_ref[-2:])
    steps = {
        "callback": lambda: till.ask(attempt_id, Paid(told.provider_txn_id, BILL), by="callback"),
        "query": lambda: till.ask(attempt_id, Paid(None), by="callback"),
        "bill": lambda: till.payments.book_bill("vodacom", told),
    }
    orders = {
        "callback first": ("callback", "bill", "query"),
        "bill first": ("bill", "callback", "query"),
        "query first": ("query", "bill", "callback"),
        "bill while pending": ("bill", "query", "callback"),
    }
    for step in orders[order]:
        steps[step]()
    (payment,) = payments(till)
    assert (payment.attempt_id, payment.provider_txn_id) == (attempt_id, told.provider_txn_id)
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.flag) == ("succeeded", None)
    assert till.paid() == BILL
    assert len(till.notices("payment.receipt")) == 1
    till.check()


def test_the_same_account_typed_by_hand_while_a_request_is_open_is_its_own_money(till: Till) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.payments.book_bill("vodacom", bill(account_of(till), francs(5_000), "OTHER"))
    till.ask(attempt_id, Paid("SA12ABCDE3", BILL))
    assert till.money() == sorted([francs(5_000).minor, BILL.minor])
    till.check()


def test_two_at_once_book_it_once(any_db: Database, clock: FixedClock) -> None:
    till = Till(any_db, clock)
    account = account_of(till)
    for round_ in range(10):
        with ThreadPoolExecutor(2) as pool:
            both = list(
                pool.map(lambda _, n=round_: till.payments.book_bill("vodacom", bill(account, txn=f"T{n}")), range(2))
            )
        assert both[0] == both[1]
    assert len(payments(till)) == 10
    till.check()


def test_who_asks_before_paying_is_stopped_only_for_a_reason(till: Till) -> None:
    account = account_of(till)
    assert till.payments.refuse_bill("vodacom", bill(account)) is None
    assert till.payments.refuse_bill("vodacom", bill(account, Money.units(5, "USD"))) == "amount_refused"
    assert till.payments.refuse_bill("vodacom", bill(with_check("999999999"))) == "unknown_account"
    assert till.payments.refuse_bill("vodacom", bill("nonsense")) == "unknown_account"
    assert payments(till) == []


def test_a_confirmation_at_the_door_is_booked_by_a_worker(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    told = bill(account_of(till))
    monkeypatch.setattr(till.wallet, "read_callback", lambda _raw: told)
    first, second = till.callback({"a": 1}), till.callback({"a": 2})
    till.payments.settle(first)
    till.payments.settle(second)
    assert [till.callback_row(row).state for row in (first, second)] == ["done", "done"]
    assert len(payments(till)) == 1
    monkeypatch.setattr(till.wallet, "read_callback", lambda _raw: bill("x", Money(0, "CDF"), "T0"))
    third = till.callback({"a": 3})
    till.payments.settle(third)
    assert till.callback_row(third).state == "unmatched", "a person's list"


def _says(till: Till, monkeypatch: pytest.MonkeyPatch, hint: Hint) -> None:
    def read(_raw: RawCallback) -> Hint:
        return hint

    monkeypatch.setattr(till.wallet, "read_callback", read)


def test_a_lost_answer_is_asked_about_by_the_id_the_callback_brought(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt_id = till.submitted(Unknown("timeout"))
    other = till.submitted(Accepted("TAKEN"), payer_phone="+243815559999")
    till.wallet.to_query = deque([Paid(None)])
    _says(till, monkeypatch, Hint(provider_ref="ws_CO_1", claim=Paid("SA1", BILL)))
    till.settle({"n": 1}, path_attempt=attempt_id)
    assert till.wallet.queries[-1].provider_ref == "ws_CO_1"
    (payment,) = payments(till)
    assert (payment.attempt_id, payment.provider_txn_id, payment.amount_minor) == (attempt_id, "SA1", BILL.minor)
    assert till.attempt(other).provider_ref == "TAKEN"


@pytest.mark.parametrize("told", [BILL + BILL, francs(9_000), Money.units(10, "USD")])
def test_an_unsigned_callback_changes_no_amount(till: Till, monkeypatch: pytest.MonkeyPatch, told: Money) -> None:
    """The operator confirmed the request it was given. Another amount is told to a person; the statement decides."""
    attempt_id = till.submitted(Accepted("REF"))
    till.wallet.to_query = deque([Paid(None)])
    _says(till, monkeypatch, Hint(provider_ref="REF", claim=Paid("SA1", told)))
    till.settle({"n": 1})
    assert till.money() == [BILL.minor]
    assert till.attempt(attempt_id).flag == ("amount" if told.currency == "CDF" else "currency")


@pytest.mark.parametrize("other", [{"provider_ref": "REF"}, {"provider_ref": "NOT-OURS"}])
def test_an_unsigned_callback_never_makes_a_second_payment(
    till: Till, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.wallet.to_query = deque([Paid(None)])
    _says(till, monkeypatch, Hint(provider_ref="REF", claim=Paid("SA1", BILL)))
    till.settle({"n": 1})
    _says(till, monkeypatch, Hint(claim=Paid("FORGED", BILL), **other))
    till.settle({"n": 2}, path_attempt=attempt_id)
    (payment,) = payments(till)
    assert payment.provider_txn_id == "SA1"
    assert till.attempt(attempt_id).flag == "two_transactions", "a person looks"


def test_something_heard_of_after_not_accepted_stops_the_repeat(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer said "not accepted", and the operator had taken it on after all."""
    attempt_id = till.submitted(NotAccepted("500.003.02"))
    assert till.attempt(attempt_id).state == "created"
    assert not till.payments.cancel(attempt_id, "awa"), "a request left: it cannot be taken back"
    till.wallet.to_query = deque([Unknown("500.001.1001"), Paid("SA1", BILL)])
    _says(till, monkeypatch, Hint(provider_ref="REF1", claim=Paid("SA1", BILL)))
    callback = till.callback({"n": 1}, path_attempt=attempt_id)
    assert isinstance(till.payments.settle(callback), Retry)
    assert till.payments.push(attempt_id) == Done("already unknown")
    assert len(till.wallet.starts) == 1
    till.payments.settle(callback)
    assert till.money() == [BILL.minor]


def test_money_in_suspense_whose_request_is_found_pays_its_bill(till: Till) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.payments.book_bill("vodacom", bill("nobody"))
    assert payments(till)[0].in_suspense
    till.ask(attempt_id, Paid("SA12ABCDE3", BILL))
    (payment,) = payments(till)
    assert (payment.in_suspense, payment.attempt_id, payment.contract_id) == (False, attempt_id, till.contract_id)
    assert (till.paid(), till.attempt(attempt_id).flag) == (BILL, None)
    assert len(till.notices("payment.receipt_payer")) == 1
    till.check()


def test_money_on_another_account_whose_request_is_found_is_for_a_person(db: Database, clock: FixedClock) -> None:
    till = Till(db, clock)
    attempt_id = till.submitted(Accepted("REF"))
    with db.begin() as session:
        other = town.home(session, phone="+243815553333").contract.account_number
    till.payments.book_bill("vodacom", bill(other))
    till.ask(attempt_id, Paid("SA12ABCDE3", BILL))
    assert till.attempt(attempt_id).flag == "transaction_elsewhere"
    assert till.money() == [BILL.minor]


def test_a_success_stands_even_where_its_suspense_cannot_be_placed(db: Database, clock: FixedClock) -> None:
    """A part was placed on another account, a part waits: the attempt has its success, a person the rest."""
    till = Till(db, clock)
    attempt_id = till.submitted(Accepted("REF"))
    payment_id = till.payments.book_bill("vodacom", bill("nobody"))
    assert payment_id is not None
    with db.begin() as session:
        other = town.home(session, phone="+243815553333").contract.id
        placed = SuspensePlaced(
            key="part", payment_id=payment_id, wallet="vodacom", contract_id=other, amount=francs(500)
        )
        post(session, placed, clock=clock)
    till.ask(attempt_id, Paid("SA12ABCDE3", BILL))
    attempt = till.attempt(attempt_id)
    assert (attempt.state, attempt.is_open, attempt.flag) == ("succeeded", False, "transaction_elsewhere")
    (payment,) = payments(till)
    assert (payment.in_suspense, payment.contract_id) == (True, other)
    till.check()


def test_money_claimed_for_an_earlier_request_is_on_a_persons_list(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt_id = till.submitted(Accepted("REF2"))
    till.wallet.to_query = deque([Failed("cancelled", "1032", final=False)])
    _says(till, monkeypatch, Hint(provider_ref="REF1", claim=Paid("SA1", BILL)))
    callback = till.callback({"n": 1}, path_attempt=attempt_id)
    till.payments.settle(callback)
    assert till.callback_row(callback).state == "unmatched"
    assert (till.attempt(attempt_id).state, till.attempt(attempt_id).flag) == ("failed", "two_transactions")
    assert till.money() == []


def test_a_bill_without_reference_beside_a_payment_without_number_is_for_a_person(till: Till) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.ask(attempt_id, Paid(None))
    with pytest.raises(StateConflict, match="names no account"):
        till.payments.book_bill("vodacom", replace(bill(""), paid_at=None))
    assert till.money() == [BILL.minor]
    till.payments.book_bill("vodacom", replace(bill("", francs(700)), paid_at=None))
    assert len(till.money()) == 2, "another amount is other money"


def test_a_report_days_later_finds_the_request_by_the_time_of_the_money(till: Till) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.ask(attempt_id, Paid(None))
    suffix = till.attempt(attempt_id).own_ref[-2:]
    till.clock.advance(days=4)
    till.payments.book_bill("vodacom", bill(account_of(till) + suffix), found_by="statement")
    (payment,) = payments(till)
    assert (payment.attempt_id, payment.provider_txn_id) == (attempt_id, "SA12ABCDE3")


def test_the_same_transaction_with_another_amount_is_for_a_person(till: Till) -> None:
    till.payments.book_bill("vodacom", bill(account_of(till)))
    with pytest.raises(StateConflict, match="another amount"):
        till.payments.book_bill("vodacom", bill(account_of(till), francs(1)))


def test_more_than_a_wallet_carries_is_placed_by_people(till: Till) -> None:
    till.wallet.can = replace(till.wallet.can, limits={"CDF": (None, BILL.minor)})
    till.payments.book_bill("vodacom", bill(account_of(till), BILL + BILL))
    (payment,) = payments(till)
    assert payment.in_suspense


def test_a_callback_waits_while_the_operator_is_left_alone(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt_id = till.submitted(Accepted("REF"))
    till.wallet.to_query = deque([Unknown("503")])
    for _ in range(5):
        till.payments.query(attempt_id, by="callback")
    asked = len(till.wallet.queries)
    _says(till, monkeypatch, Hint(provider_ref="REF", claim=Paid("SA1", BILL)))
    callback = till.callback({"n": 1})
    assert isinstance(till.payments.settle(callback), Retry)
    assert len(till.wallet.queries) == asked
    till.clock.advance(seconds=61)
    till.wallet.to_query = deque([Paid("SA1", BILL)])
    till.payments.settle(callback)
    assert till.money() == [BILL.minor]
    assert [row.kind for row in till.rows(OutboxRow)].count("callback.settle") == 1
