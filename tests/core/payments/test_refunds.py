"""Refunds from the request to the money on the phone: an operator may say anything, a process may die anywhere."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from core import outbox
from core.db import Database
from core.db.engine import assert_outside_transaction
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.model import Account, credit, suspense
from core.outbox import Dead, Done, OutboxRow, Retry
from core.payments.answers import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RefundAnswer,
    RefundMode,
    RefundQueryAnswer,
    Unknown,
    WalletRefund,
)
from core.payments.refund_model import WORDS, RefundRefused
from core.payments.tables import CircuitRow, PaymentRow, RefundRow
from core.services.refunds import Refunds
from core.settlement import events as e
from tests.core.payments.scripted import CAN, Killed, ScriptedWallet
from tests.core.settlement.books import Books, francs
from workers.jobs import refunds as job

MAKER, CHECKER = "chantal", "dieudonne"
Scripted = RefundAnswer | RefundQueryAnswer | BaseException


class RefundingWallet(ScriptedWallet):
    """Gives money back as scripted; the last answer is given for ever."""

    def __init__(self, mode: RefundMode = "partial") -> None:
        super().__init__(can=replace(CAN, refunds=mode))
        self.refunds: list[WalletRefund] = []
        self.refund_queries: list[WalletRefund] = []
        self.to_refund: deque[Scripted] = deque([Accepted("R-REF")])
        self.to_refund_query: deque[Scripted] = deque([Pending()])

    def refund(self, refund: WalletRefund) -> RefundAnswer:
        assert_outside_transaction()
        self.refunds.append(refund)
        return _next(self.to_refund)  # type: ignore[return-value]

    def query_refund(self, refund: WalletRefund) -> RefundQueryAnswer:
        assert_outside_transaction()
        self.refund_queries.append(refund)
        return _next(self.to_refund_query)  # type: ignore[return-value]


def _next(script: deque[Scripted]) -> object:
    answer = script.popleft() if len(script) > 1 else script[0]
    if isinstance(answer, BaseException):
        raise answer
    return answer


class Counter:
    """A contract with money on its credit, a payment of it, and the service."""

    def __init__(self, db: Database, clock: FixedClock, mode: RefundMode = "partial") -> None:
        self.db, self.clock = db, clock
        self.books = Books(db, clock)
        self.wallet = RefundingWallet(mode)
        self.refunds = Refunds(db, clock, {"vodacom": self.wallet}, callback_bases={"vodacom": "https://us/hooks/s/x"})
        self.contract_id = self.books.contract()
        self.payment_id = self.books.pay(self.contract_id, francs(500))

    def unplaced(self, units: int = 500) -> str:
        payment_id = self.books.payment(francs(units), in_suspense=True)
        self.books.post(
            e.UnplacedMoney(key=f"u:{payment_id}", payment_id=payment_id, wallet="vodacom", amount=francs(units))
        )
        return payment_id

    def request(self, units: int = 500, payment_id: str | None = None) -> str:
        return self.refunds.request(payment_id or self.payment_id, francs(units), "paid twice", MAKER)

    def approved(self, units: int = 500, payment_id: str | None = None) -> str:
        refund_id = self.request(units, payment_id)
        self.refunds.decide(refund_id, approve=True, note="checked", by=CHECKER)
        return refund_id

    def pushed(self, *answers: Scripted, units: int = 500, payment_id: str | None = None) -> str:
        refund_id = self.approved(units, payment_id)
        self.wallet.to_refund = deque(answers)
        self.refunds.push(refund_id)
        return refund_id

    def ask(self, refund_id: str, answer: RefundQueryAnswer, by: str = "query") -> str:
        self.wallet.to_refund_query = deque([answer])
        outcome = self.refunds.query(refund_id, by=by)
        assert isinstance(outcome, Done)
        return outcome.note

    def state(self, refund_id: str) -> str:
        with self.db.read() as session:
            return session.get_one(RefundRow, refund_id).state

    def refunded(self, payment_id: str | None = None) -> int:
        with self.db.read() as session:
            return session.get_one(PaymentRow, payment_id or self.payment_id).refunded_minor // 100

    def held(self) -> dict[str, int]:
        """Francs on the credit, owed back, at the operator, and unplaced."""
        accounts = {
            "credit": credit(self.contract_id),
            "payable": Account("refund_payable"),
            "clearing": Account("wallet_clearing", "vodacom"),
            "suspense": suspense("vodacom"),
        }
        self.books.check()
        signs = {"payable": -1, "suspense": -1}
        return {
            name: signs.get(name, 1) * self.books.balance(account).minor // 100 for name, account in accounts.items()
        }

    def notices(self) -> list[tuple[str, str]]:
        from core.notices.tables import NoticeRow

        with self.db.read() as session:
            rows = session.execute(
                select(NoticeRow.recipient, NoticeRow.body).where(NoticeRow.kind == "payment.refunded")
            )
            return [(recipient, body) for recipient, body in rows]


@pytest.fixture
def counter(db: Database, clock: FixedClock) -> Counter:
    return Counter(db, clock)


@pytest.fixture
def any_counter(any_db: Database, clock: FixedClock) -> Counter:
    return Counter(any_db, clock)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(RefundRefused) as caught:
        act()
    assert str(caught.value) == WORDS[caught.value.code]
    return caught.value.code


def test_asked_for_approved_paid_and_told(any_counter: Counter) -> None:
    c = any_counter
    assert c.refunds.returnable(c.payment_id).max == francs(500)
    refund_id = c.request(200)
    assert (c.refunded(), c.held()["credit"]) == (200, 500)
    c.refunds.decide(refund_id, approve=True, note="checked", by=CHECKER)
    assert c.held() == {"credit": 300, "payable": 200, "clearing": 500, "suspense": 0}
    (errand,) = c.books.staged("refund.push")
    handlers = job.handlers(c.refunds)
    leased = outbox.Leased(errand.id, "refund.push", "push", "t", errand.body, 1, c.clock.real_now())
    assert handlers["refund.push"](leased) == Done("pending")
    (asked,) = c.wallet.refunds
    assert (asked.refund_id, asked.amount, asked.original) == (refund_id, francs(200), francs(500))
    assert asked.callback_url == f"https://us/hooks/s/x/result/{refund_id}"
    assert asked.provider_txn_id is not None
    assert c.ask(refund_id, Paid("RTX", francs(200))) == "paid"
    assert c.held() == {"credit": 300, "payable": 0, "clearing": 300, "suspense": 0}
    ((phone, body),) = c.notices()
    assert phone == "+243815559999"
    assert "200 FC" in body
    view = c.refunds.one(refund_id)
    assert view is not None
    assert (view.state, view.provider_ref, view.provider_txn_id, view.is_open) == ("paid", "R-REF", "RTX", False)
    assert c.refunds.listed(payment_id=c.payment_id) == [view]
    assert c.refunds.listed(open_only=True) == []
    # What is left of the payment may go back too, and no franc more.
    assert c.refunds.returnable(c.payment_id).max == francs(300)
    assert refused(lambda: c.request(301)) == "too_much"
    c.request(300)


def test_money_nobody_could_place_goes_back_from_suspense(any_counter: Counter) -> None:
    c = any_counter
    payment_id = c.unplaced()
    refund_id = c.pushed(Paid("RTX"), units=500, payment_id=payment_id)
    assert c.state(refund_id) == "paid"
    assert c.held() == {"credit": 500, "payable": 0, "clearing": 500, "suspense": 0}
    assert not c.books.in_suspense(payment_id)
    assert len(c.notices()) == 1
    assert c.refunds.returnable(payment_id).why_not == "nothing_waiting"


def test_a_failed_refund_goes_back_where_it_came_from(any_counter: Counter) -> None:
    c = any_counter
    payment_id = c.unplaced()
    for of, units in ((payment_id, 500), (c.payment_id, 400)):
        refund_id = c.pushed(Failed("other", "no"), units=units, payment_id=of)
        assert c.state(refund_id) == "failed"
        assert c.refunded(of) == 0
    assert c.held() == {"credit": 500, "payable": 0, "clearing": 1000, "suspense": 500}
    assert c.books.in_suspense(payment_id)
    assert c.notices() == []
    # Nothing stands in the way of another try.
    c.pushed(Paid("RTX"), units=500)


def test_what_is_left_in_suspense_after_a_part_went_back_may_still_be_placed(counter: Counter) -> None:
    payment_id = counter.unplaced()
    counter.pushed(Paid("RTX"), units=200, payment_id=payment_id)
    counter.books.post(
        e.SuspensePlaced(
            key="p", payment_id=payment_id, wallet="vodacom", contract_id=counter.contract_id, amount=francs(300)
        )
    )
    assert counter.held() == {"credit": 800, "payable": 0, "clearing": 800, "suspense": 0}


def test_why_a_refund_is_refused(counter: Counter, clock: FixedClock) -> None:
    c = counter
    assert refused(lambda: c.refunds.request(c.payment_id, francs(10), " ", MAKER)) == "no_reason"
    assert refused(lambda: c.request(10, "nobody")) == "unknown"
    assert refused(lambda: c.request(0)) == "not_an_amount"
    assert refused(lambda: c.refunds.request(c.payment_id, Money(50, "CDF"), "x", MAKER)) == "not_an_amount"
    assert refused(lambda: c.refunds.request(c.payment_id, Money(500, "USD"), "x", MAKER)) == "other_currency"
    assert refused(lambda: c.request(501)) == "too_much"
    cash = c.books.payment(francs(10), wallet="cash", contract_id=c.contract_id)
    assert refused(lambda: c.request(10, cash)) == "wallet_cannot"
    foreign = c.books.payment(Money(500, "USD"), contract_id=c.contract_id)
    assert refused(lambda: c.refunds.request(foreign, Money(500, "USD"), "x", MAKER)) == "other_currency"
    # Used for an invoice: the money is revenue by now.
    c.books.invoice(c.contract_id, francs(450))
    assert refused(lambda: c.request(51)) == "credit_too_small"
    assert c.refunds.returnable(c.payment_id).max == francs(50)
    c.request(50)
    assert refused(lambda: c.request(50)) == "already_open"
    assert c.refunds.returnable(c.payment_id).why_not == "already_open"
    reversed_one = c.books.pay(c.contract_id, francs(70))
    c.books.post(e.OperatorReversed(key="r", payment_id=reversed_one, contract_id=c.contract_id))
    assert refused(lambda: c.request(70, reversed_one)) == "reversed"


def test_a_wallet_that_gives_back_all_or_nothing(db: Database, clock: FixedClock) -> None:
    c = Counter(db, clock, mode="full")
    assert refused(lambda: c.request(499)) == "full_only"
    assert c.refunds.returnable(c.payment_id).mode == "full"
    c.books.invoice(c.contract_id, francs(1))
    assert c.refunds.returnable(c.payment_id).why_not == "credit_too_small"


def test_nobody_decides_on_what_he_asked_for(any_counter: Counter) -> None:
    c = any_counter
    refund_id = c.request()
    assert refused(lambda: c.refunds.decide(refund_id, approve=True, note="", by=MAKER)) == "same_person"
    with pytest.raises(IntegrityError), c.db.begin() as session:
        session.execute(update(RefundRow).values(decided_by=MAKER))
    assert c.held()["payable"] == 0
    c.refunds.decide(refund_id, approve=False, note="no proof", by=CHECKER)
    assert (c.state(refund_id), c.refunded()) == ("rejected", 0)
    assert refused(lambda: c.refunds.decide(refund_id, approve=True, note="", by=CHECKER)) == "not_waiting"
    assert c.books.staged("refund.push") == []


def test_a_request_taken_back(counter: Counter) -> None:
    refund_id = counter.request()
    counter.refunds.cancel(refund_id, MAKER)
    assert (counter.state(refund_id), counter.refunded()) == ("rejected", 0)
    assert refused(lambda: counter.refunds.cancel(refund_id, MAKER)) == "not_waiting"
    assert counter.refunds.push(refund_id) == Done("already rejected")


def test_the_credit_is_looked_at_again_when_it_is_approved(counter: Counter) -> None:
    refund_id = counter.request()
    counter.books.invoice(counter.contract_id, francs(100))
    approve = lambda: counter.refunds.decide(refund_id, approve=True, note="", by=CHECKER)  # noqa: E731
    assert refused(approve) == "credit_too_small"
    assert counter.state(refund_id) == "requested"


def test_a_payment_given_back_is_not_taken_back_too(counter: Counter) -> None:
    c = counter
    taken = e.OperatorReversed(key="r", payment_id=c.payment_id, contract_id=c.contract_id)
    refund_id = c.request(100)
    with pytest.raises(StateConflict, match="given back"):
        c.books.post(taken)
    c.refunds.decide(refund_id, approve=True, note="", by=CHECKER)
    c.wallet.to_refund = deque([Failed("other", "no")])
    c.refunds.push(refund_id)
    c.books.post(taken)
    assert c.held() == {"credit": 0, "payable": 0, "clearing": 0, "suspense": 0}


def test_paid_after_it_had_failed_is_booked_once_more_and_once(any_counter: Counter) -> None:
    c = any_counter
    refund_id = c.pushed(Failed("other", "no"))
    c.books.invoice(c.contract_id, francs(450))
    assert c.ask(refund_id, Paid("RTX")) == "paid"
    assert c.held() == {"credit": -450, "payable": 0, "clearing": 0, "suspense": 0}
    assert c.refunded() == 500
    assert c.ask(refund_id, Paid("RTX"), by="callback") == "paid"
    assert c.ask(refund_id, Failed("other", "no"), by="callback") == "paid"
    assert c.held()["clearing"] == 0
    assert len(c.notices()) == 1
    view = c.refunds.one(refund_id)
    assert view is not None
    # That is a person's now; the books stay.
    assert (view.state, view.code, view.is_open) == ("needs_attention", "paid_then_failed", True)


def test_paid_late_out_of_suspense_that_was_placed_meanwhile(counter: Counter) -> None:
    c = counter
    payment_id = c.unplaced()
    refund_id = c.pushed(Failed("other", "no"), payment_id=payment_id)
    c.books.post(
        e.SuspensePlaced(
            key="p", payment_id=payment_id, wallet="vodacom", contract_id=c.contract_id, amount=francs(500)
        )
    )
    c.ask(refund_id, Paid("RTX"))
    assert c.held() == {"credit": 500, "payable": 0, "clearing": 500, "suspense": 0}


def test_an_unknown_outcome_is_asked_about_and_never_asked_for_again(any_counter: Counter) -> None:
    c = any_counter
    refund_id = c.pushed(Unknown("timeout"))
    assert c.state(refund_id) == "unknown"
    assert c.held()["payable"] == 500
    for _ in range(40):
        c.clock.advance(hours=1)
        c.refunds.stage_due_queries()
        c.ask(refund_id, Unknown("timeout"))
        c.refunds.push(refund_id)
    assert c.state(refund_id) == "needs_attention"
    assert len(c.wallet.refunds) == 1
    assert refused(c.request) == "too_much"
    # A person heard from the operator.
    act = c.refunds.conclude
    assert refused(lambda: act(refund_id, paid=False, note="by phone", by=MAKER)) == "same_person"
    assert refused(lambda: act(refund_id, paid=False, note="", by=CHECKER)) == "no_reason"
    act(refund_id, paid=False, note="by phone: never paid", by=CHECKER)
    assert (c.state(refund_id), c.held()["credit"], c.refunded()) == ("failed", 500, 0)


def test_never_heard_of_it(counter: Counter) -> None:
    refund_id = counter.pushed(Unknown("timeout"))
    assert counter.ask(refund_id, NotFound()) == "unknown"
    counter.clock.advance(minutes=16)
    assert counter.ask(refund_id, NotFound()) == "failed"
    assert counter.held()["credit"] == 500


def test_one_more_request_after_a_clear_no_and_never_a_third(counter: Counter) -> None:
    c = counter
    refund_id = c.approved()
    c.wallet.to_refund = deque([NotAccepted("down", posted=False), NotAccepted("busy"), NotAccepted("busy")])
    assert c.refunds.push(refund_id) == Retry(5, "not accepted: down", counts=False)
    assert c.refunds.push(refund_id) == Retry(5, "not accepted: busy")
    assert c.refunds.push(refund_id) == Done("failed")
    assert c.refunds.push(refund_id) == Done("already failed")
    assert len(c.wallet.refunds) == 3
    assert c.held()["credit"] == 500


def test_one_that_cannot_leave_for_a_day_is_given_up(counter: Counter) -> None:
    refund_id = counter.approved()
    counter.wallet.to_refund = deque([NotAccepted("down", posted=False)])
    counter.refunds.push(refund_id)
    counter.clock.advance(days=1, seconds=1)
    assert counter.refunds.push(refund_id) == Done("could_not_leave")
    assert counter.held()["credit"] == 500


def test_another_amount_went_out_than_was_asked_for(counter: Counter) -> None:
    refund_id = counter.pushed(Accepted())
    assert counter.ask(refund_id, Paid("RTX", francs(499))) == "needs_attention"
    assert counter.held()["payable"] == 500
    assert counter.notices() == []


def test_a_masked_payer_gets_no_message(counter: Counter) -> None:
    with counter.db.begin() as session:
        session.execute(update(PaymentRow).values(payer_phone="2438***9999"))
    counter.pushed(Paid("RTX"))
    assert counter.notices() == []


def test_killed_before_and_after_the_call(any_counter: Counter) -> None:
    c = any_counter
    refund_id = c.approved()
    c.wallet.to_refund = deque([Killed(), Accepted()])
    with pytest.raises(Killed):
        c.refunds.push(refund_id)
    assert c.state(refund_id) == "submitting"
    # Whoever finds it does not know whether the call left: a question, never a second request.
    assert c.refunds.push(refund_id) == Done("cut off while asking: queried")
    assert len(c.wallet.refunds) == 1
    assert c.refunds.stage_due_queries() == 1
    assert c.ask(refund_id, Paid("RTX")) == "paid"
    assert c.held() == {"credit": 0, "payable": 0, "clearing": 0, "suspense": 0}


def test_nobody_came_back_from_the_call_and_the_errand_died(counter: Counter) -> None:
    c = counter
    refund_id = c.approved()
    c.wallet.to_refund = deque([Killed(), Accepted()])
    with pytest.raises(Killed):
        c.refunds.push(refund_id)
    c.clock.advance(hours=1)
    assert c.refunds.stage_due_queries() == 1
    assert [row.body["refund_id"] for row in c.books.staged("refund.query")] == [refund_id]
    assert c.ask(refund_id, Paid()) == "paid"


def test_an_errand_that_died_before_it_left_gets_a_new_hand(counter: Counter) -> None:
    c = counter
    refund_id = c.approved()
    with c.db.begin() as session:
        session.execute(update(OutboxRow).where(OutboxRow.kind == "refund.push").values(state="dead"))
    c.clock.advance(hours=1)
    assert c.refunds.stage_due_queries() == 1
    (errand,) = c.books.staged("refund.push")
    assert (errand.state, errand.body["refund_id"]) == ("pending", refund_id)


def test_killed_while_writing_down(any_counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    c = any_counter
    refund_id = c.approved()
    c.wallet.to_refund = deque([Paid("RTX")])
    with monkeypatch.context() as patch:
        patch.setattr("core.services.refunds.bookings._tell", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            c.refunds.push(refund_id)
    # Nothing of the record stays: neither the state nor the booking.
    assert (c.state(refund_id), c.held()["payable"]) == ("submitting", 500)
    c.refunds.push(refund_id)
    assert c.ask(refund_id, Paid("RTX")) == "paid"
    assert (len(c.wallet.refunds), c.held()["payable"]) == (1, 0)


def test_a_callback_only_asks(counter: Counter) -> None:
    refund_id = counter.pushed(Accepted())
    counter.wallet.to_refund_query = deque([Paid("RTX")])
    assert counter.refunds.settle_callback(refund_id) == Done("paid")
    assert counter.refunds.settle_callback("nobody") == Dead("there is no such refund")


def together(acts: list[Callable[[], object]]) -> list[object]:
    barrier, results = threading.Barrier(len(acts)), list[object]()

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results.append(act())
        except RefundRefused as why:
            results.append(why.code)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_at_once(any_counter: Counter) -> None:
    c = any_counter
    asked = together([lambda: c.request(300), lambda: c.request(300), lambda: c.request(500)])
    assert sorted(isinstance(r, str) and len(r) == 36 for r in asked) == [False, False, True]
    with c.db.read() as session:
        assert session.scalar(select(func.count()).select_from(RefundRow)) == 1
        refund_id = session.scalars(select(RefundRow.id)).one()
    decide = lambda who: lambda: c.refunds.decide(refund_id, approve=True, note="", by=who)  # noqa: E731
    assert sorted(map(str, together([decide("a"), decide("b"), decide("c")]))) == ["None", "not_waiting", "not_waiting"]
    c.wallet.to_refund = deque([Paid("RTX")])
    c.wallet.to_refund_query = deque([Paid("RTX")])
    push: Callable[[], object] = lambda: c.refunds.push(refund_id)  # noqa: E731
    query: Callable[[], object] = lambda: c.refunds.query(refund_id)  # noqa: E731
    together([push, push, query, query])
    query()
    assert (c.state(refund_id), len(c.wallet.refunds)) == ("paid", 1)
    view = c.refunds.one(refund_id)
    assert view is not None
    assert c.held() == {
        "credit": 500 - view.amount.minor // 100,
        "payable": 0,
        "clearing": 500 - view.amount.minor // 100,
        "suspense": 0,
    }
    assert len(c.notices()) == 1


class Gate:
    """A turnstile that is shut for so many seconds."""

    def __init__(self, shut_s: float) -> None:
        self.shut_s = shut_s

    def wait_s(self, wallet: str, per_minute: int) -> float:
        return self.shut_s


def test_an_operator_that_is_called_often_enough_waits(counter: Counter) -> None:
    c = counter
    gate = Gate(7.0)
    c.refunds = Refunds(c.db, c.clock, {"vodacom": c.wallet}, turnstile=gate)
    refund_id = c.approved()
    assert c.refunds.push(refund_id) == Retry(7.0, "the operator is called often enough", counts=False)
    assert (c.state(refund_id), c.wallet.refunds) == ("approved", [])
    gate.shut_s = 0
    assert c.refunds.push(refund_id) == Done("pending")
    gate.shut_s = 7.0
    assert isinstance(c.refunds.query(refund_id), Retry)
    assert c.wallet.refund_queries == []


def test_an_operator_in_trouble_is_left_alone_but_a_person_may_ask(counter: Counter) -> None:
    c = counter
    refund_id = c.pushed(Accepted(), units=100)
    for _ in range(5):
        assert c.ask(refund_id, Unknown("no_connection")) == "pending"
    outcome = c.refunds.query(refund_id)
    assert isinstance(outcome, Retry)
    assert not outcome.counts
    c.wallet.to_refund_query = deque([Paid("RTX")])
    assert c.refunds.ask_soon(refund_id, CHECKER)
    (errand,) = c.books.staged("refund.query")
    leased = outbox.Leased(errand.id, "refund.query", "push", "t", errand.body, 1, c.clock.real_now())
    assert job.handlers(c.refunds)["refund.query"](leased) == Done("paid")
    assert not c.refunds.ask_soon(c.request(1), CHECKER), "nobody was asked yet"
    # What is approved meanwhile waits until the operator is well again.
    other = c.books.pay(c.contract_id, francs(50))
    waiting = c.approved(50, other)
    c.wallet.to_refund_query = deque([Unknown("no_connection")])
    with c.db.begin() as session:
        session.merge(
            CircuitRow(
                wallet="vodacom",
                failures=5,
                trips=1,
                open_until=c.clock.real_now() + timedelta(minutes=1),
                changed_at=c.clock.real_now(),
                why="no_connection",
            )
        )
    assert isinstance(c.refunds.push(waiting), Retry)
    assert c.state(waiting) == "approved"
    c.clock.advance(minutes=2)
    assert c.refunds.push(waiting) == Done("pending")
