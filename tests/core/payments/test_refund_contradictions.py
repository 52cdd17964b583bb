"""What an operator says of a refund may speak against itself, or against the books: then a person ends it, once."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.ledger.model import Account
from core.outbox import Leased
from core.payments.ports import Accepted, Failed, Paid, RawCallback, RefundHint, RefundQueryAnswer
from core.payments.refund_model import RefundView
from core.services.payments import Payments
from core.settlement import events as e
from tests.core.payments.scripted import Sessions
from tests.core.payments.test_refunds import CHECKER, MAKER, Counter, refused
from tests.core.settlement.books import francs
from workers.jobs import refunds as job

AS_BEFORE = {"credit": 500, "payable": 0, "clearing": 500, "suspense": 0}
GONE = {"credit": 0, "payable": 0, "clearing": 0, "suspense": 0}


@pytest.fixture
def counter(any_db: Database, clock: FixedClock) -> Counter:
    return Counter(any_db, clock)


def seen(c: Counter, refund_id: str) -> RefundView:
    """The refund as the console has it: on the list of those that somebody still has to end."""
    (view,) = c.refunds.listed(open_only=True)
    assert view == c.refunds.one(refund_id)
    assert (view.is_open, view.at_odds) == (True, True)
    return view


def take_back(c: Counter) -> None:
    c.books.post(e.OperatorReversed(key="r", payment_id=c.payment_id, contract_id=c.contract_id))


def test_taken_back_and_then_paid_late_leaves_the_books_once(counter: Counter) -> None:
    c = counter
    refund_id = c.pushed(Failed("other", "no"))
    take_back(c)
    assert c.ask(refund_id, Paid("RTX")) == "failed"
    view = seen(c, refund_id)
    assert (view.state, view.code, view.provider_txn_id) == ("needs_attention", "reversed", "RTX")
    assert (c.held(), c.notices()) == (GONE, [])
    # Whatever the person finds out: the money left with the reversal, and no second time.
    c.refunds.conclude(refund_id, paid=True, note="it was this refund", by=CHECKER)
    assert (c.held(), c.state(refund_id)) == (GONE, "failed")
    assert c.refunds.listed(open_only=True) == []


def test_the_door_refuses_it_whoever_comes(counter: Counter) -> None:
    c = counter
    take_back(c)
    late = e.RefundPaidLate(
        key="late", payment_id=c.payment_id, wallet="vodacom", amount=francs(500), contract_id=c.contract_id
    )
    with pytest.raises(StateConflict, match="taken back"):
        c.books.post(late)
    assert c.held() == GONE


def test_taken_back_and_paid_late_at_the_same_moment(counter: Counter) -> None:
    c = counter
    refund_id = c.pushed(Failed("other", "no"))
    c.wallet.to_refund_query = deque([Paid("RTX")])
    barrier, refusals = threading.Barrier(2), list[StateConflict]()

    def run(act: object) -> None:
        barrier.wait()
        try:
            act()  # type: ignore[operator]
        except StateConflict as refusal:
            refusals.append(refusal)

    acts = (lambda: take_back(c), lambda: c.refunds.query(refund_id))
    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One of them came first; the other was refused, or found it out.
    assert c.held() == GONE
    c.refunds.query(refund_id)
    assert c.held() == GONE


@pytest.mark.parametrize("paid", [True, False])
def test_failed_and_then_paid_with_another_amount(counter: Counter, paid: bool) -> None:
    c = counter
    refund_id = c.pushed(Failed("other", "no"))
    assert c.ask(refund_id, Paid("RTX", francs(400))) == "failed"
    view = seen(c, refund_id)
    assert (view.state, view.code, view.next_query_at) == ("needs_attention", "amount", None)
    assert c.held() == AS_BEFORE
    # Money may have left: nothing more goes back before that is known, and only a person ends it.
    assert c.refunds.returnable(c.payment_id).why_not == "already_open"
    assert refused(c.request) == "already_open"
    assert c.ask(refund_id, Paid("RTX", francs(500)), by="console") == "failed"
    assert c.ask(refund_id, Failed("other", "no"), by="console") == "failed"
    assert c.held() == AS_BEFORE
    assert refused(lambda: c.refunds.conclude(refund_id, paid=paid, note="x", by=MAKER)) == "same_person"
    c.refunds.conclude(refund_id, paid=paid, note="by phone", by=CHECKER)
    assert (c.held(), c.refunded()) == ((GONE, 500) if paid else (AS_BEFORE, 0))
    assert c.refunds.listed(open_only=True) == []
    if not paid:
        c.request()


def test_a_request_made_meanwhile_is_not_approved_over_it(counter: Counter) -> None:
    c = counter
    first = c.pushed(Failed("other", "no"))
    second = c.request()
    c.ask(first, Paid("RTX", francs(400)))
    assert refused(lambda: c.refunds.decide(second, approve=True, note="", by=CHECKER)) == "already_open"
    c.refunds.conclude(first, paid=False, note="by phone", by=CHECKER)
    c.refunds.decide(second, approve=True, note="", by=CHECKER)
    assert c.held()["payable"] == 500


@pytest.mark.parametrize("answer", [Failed("other", "no"), Paid("RTX", francs(400))])
def test_paid_and_then_something_else(counter: Counter, answer: RefundQueryAnswer) -> None:
    c = counter
    refund_id = c.pushed(Paid("RTX"))
    assert c.ask(refund_id, answer, by="callback") == "paid"
    view = seen(c, refund_id)
    assert (view.state, view.code) == ("needs_attention", "amount" if isinstance(answer, Paid) else "paid_then_failed")
    assert (c.held(), c.refunded()) == (GONE, 500)
    c.refunds.conclude(refund_id, paid=True, note="by phone: it was", by=CHECKER)
    assert (c.held(), c.state(refund_id), c.refunds.listed(open_only=True)) == (GONE, "paid", [])
    assert refused(lambda: c.refunds.conclude(refund_id, paid=True, note="x", by=CHECKER)) == "not_waiting"


def test_paid_in_the_books_and_not_in_truth(counter: Counter) -> None:
    c = counter
    placed = c.unplaced()
    for refund_id in (c.pushed(Paid("R1"), units=300), c.pushed(Paid("R2"), units=200, payment_id=placed)):
        c.ask(refund_id, Failed("other", "no"), by="callback")
        c.refunds.conclude(refund_id, paid=False, note="by phone: it came back", by=CHECKER)
        assert c.state(refund_id) == "failed"
    assert c.held() == {"credit": 500, "payable": 0, "clearing": 1000, "suspense": 500}
    assert (c.refunded(), c.refunded(placed)) == (0, 0)
    assert c.books.in_suspense(placed)
    # And so on, as often as the operator changes its mind: each time the books follow once.
    first = c.refunds.listed(payment_id=c.payment_id)[0].refund_id
    for _ in range(2):
        assert c.ask(first, Paid("R1"), by="console") == "paid"
        assert c.held()["clearing"] == 700
        c.ask(first, Failed("other", "no"), by="callback")
        c.refunds.conclude(first, paid=False, note="no", by=CHECKER)
        assert c.held()["clearing"] == 1000
    c.books.check()
    assert c.books.balance(Account("refund_payable")) == francs(0)


def test_another_amount_while_it_was_open_is_not_undone_by_the_next_word(counter: Counter) -> None:
    c = counter
    refund_id = c.pushed(Accepted())
    assert c.ask(refund_id, Paid("RTX", francs(400))) == "needs_attention"
    assert c.ask(refund_id, Failed("other", "no"), by="console") == "needs_attention"
    assert seen(c, refund_id).code == "amount"
    assert c.held()["payable"] == 500


def test_the_errand_of_a_callback_asks_about_a_paid_refund_too(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = counter
    refund_id = c.pushed(Paid("RTX"))
    c.wallet.to_refund_query = deque([Failed("other", "no")])
    monkeypatch.setattr(c.wallet, "read_callback", lambda _raw: RefundHint(refund_id))
    payments = Payments(c.db, c.clock, {"vodacom": c.wallet}, {"mpesa": ("vodacom",)}, open_sessions=Sessions())
    now = c.clock.real_now()
    payments.store("vodacom", RawCallback("result", b"{}", {}, "POST", "/", "us", None, now), "1.2.3.4")
    (callback,) = c.books.staged("callback.settle")
    payments.settle(int(callback.body["callback_id"]))
    (errand,) = c.books.staged("refund.query")
    leased = Leased(errand.id, "refund.query", "push", "t", errand.body, 1, c.clock.real_now())
    job.handlers(c.refunds)["refund.query"](leased)
    assert seen(c, refund_id).code == "paid_then_failed"
