"""Suspense: where it may belong, and how two people put it there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.kernel.money import Money
from core.ledger.model import credit, suspense
from core.reconciliation import proposals
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.model import Placed
from tests import town
from tests.core.payments.scripted import BILL
from tests.core.reconciliation.clerk import Clerk, Line
from tests.core.settlement.books import francs


def _wrong(account: str) -> str:
    return account[:4] + str((int(account[4]) + 1) % 10) + account[5:]


def _swapped(account: str) -> str:
    at = next(i for i in range(len(account) - 1) if account[i] != account[i + 1])
    return account[:at] + account[at + 1] + account[at] + account[at + 2 :]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (lambda a: a.replace("0", "Q"), proposals.LOOKALIKE),
        (lambda a: f"FACT {a} MBUYI", proposals.WITHIN),
        (_wrong, proposals.ONE_WRONG),
        (_swapped, proposals.SWAPPED),
        (lambda a: a[:3] + a[4:], proposals.ONE_MISSING),
        (lambda a: a[:3] + "7" + a[3:], proposals.ONE_TOO_MANY),
    ],
    ids=["look-alikes", "within", "one wrong", "swapped", "missing", "too many"],
)
def test_what_the_payer_meant_is_proposed_first(clerk: Clerk, typed: object, why: str) -> None:
    assert callable(typed)
    clerk.take(Line("TX1", ref=typed(clerk.account), payer="24389***000"))
    (item,) = clerk.office.suspense()
    best = item.proposals[0]
    assert (best.contract_id, best.why, best.fits) == (clerk.till.contract_id, why, True)
    assert (item.amount, item.age_days) == (BILL, 0)


def test_people_are_found_by_phone_invoice_number_and_what_they_paid_before(clerk: Clerk) -> None:
    with clerk.db.read() as session:
        invoice = session.scalars(select(InvoiceRow.number)).one()
        customer = session.get_one(ContractRow, clerk.till.contract_id).customer_id
    holder = clerk.till.holder
    clerk.take(
        Line("TX1", ref=invoice, payer=""),
        Line("TX2", ref="?", payer=holder.lstrip("+"), amount="600"),
        Line("TX3", ref="0" + holder[4:], payer="", amount="700"),
        Line("TX4", ref=str(customer), payer="", amount="800"),
        Line("TX5", ref=clerk.account, payer="243899999999", amount="900"),
        Line("TX6", ref="?", payer="243899999999", amount="1000"),
        Line("TX7", ref="?", payer="243899999998", amount="1100"),
    )
    whys = {i.provider_txn_id: [p.why for p in i.proposals] for i in clerk.office.suspense()}
    assert whys == {
        "TX1": [proposals.INVOICE],
        "TX2": [proposals.PHONE],
        "TX3": [proposals.PHONE_TYPED],
        "TX4": [proposals.CUSTOMER],
        "TX6": [proposals.PAID_BEFORE],
        "TX7": [],
    }


def test_two_people_put_it_on_a_contract_once(any_clerk: Clerk) -> None:
    any_clerk.take(Line("TX1", ref="?", payer=""))
    (item,) = any_clerk.office.suspense()
    place, contract_id = any_clerk.office.place, any_clerk.till.contract_id
    with pytest.raises(ReconciliationRefused, match="note"):
        place(item.payment_id, contract_id, "nadine", "")
    for _ in range(2):
        assert place(item.payment_id, contract_id, "nadine", "Her slip") == Placed(item.payment_id, contract_id, False)
    assert any_clerk.till.paid() == francs(0)
    asked = any_clerk.office.suspense_item(item.payment_id)
    assert asked is not None
    assert asked.asked is not None
    assert (asked.asked.by, asked.asked.note) == ("nadine", "Her slip")
    for who in ("paul", "nadine", "paul"):
        assert place(item.payment_id, contract_id, who, "") == Placed(item.payment_id, contract_id, True)
    assert any_clerk.till.paid() == BILL
    assert any_clerk.office.suspense() == []
    assert any_clerk.office.suspense_item(item.payment_id) is None
    assert any_clerk.books.balance(suspense("vodacom")) == francs(0)
    assert any_clerk.payment_with("TX1").contract_id == contract_id
    any_clerk.check()


def test_what_cannot_be_placed_is_refused_in_words(any_clerk: Clerk) -> None:
    any_clerk.take(Line("TX1", ref="?", payer=""))
    (item,) = any_clerk.office.suspense()
    with any_clerk.db.begin() as session:
        dollars = town.home(session, currency="USD", phone="+243815557777").contract.id
        francs_too = town.home(session, phone="+243815557778").contract.id
    place = any_clerk.office.place
    for payment, contract, says in (
        ("nobody", dollars, "no such payment"),
        (item.payment_id, 999, "no such contract"),
        (item.payment_id, dollars, "contract is in USD"),
    ):
        with pytest.raises(ReconciliationRefused, match=says):
            place(payment, contract, "nadine", "note")
    place(item.payment_id, francs_too, "nadine", "note")
    with pytest.raises(ReconciliationRefused, match="nadine wants"):
        place(item.payment_id, any_clerk.till.contract_id, "paul", "no, hers")
    any_clerk.office.withdraw_placing(item.payment_id, "paul")
    any_clerk.office.withdraw_placing(item.payment_id, "paul")
    place(item.payment_id, any_clerk.till.contract_id, "paul", "hers")
    assert place(item.payment_id, any_clerk.till.contract_id, "nadine", "").done
    with pytest.raises(ReconciliationRefused, match="not wait any more"):
        place(item.payment_id, francs_too, "nadine", "note")
    any_clerk.check()


def test_money_that_was_taken_back_waits_no_more(clerk: Clerk) -> None:
    clerk.take(Line("TX1", ref="?", payer=""))
    (item,) = clerk.office.suspense()
    clerk.take(Line("RV", kind="Reversal", orig="TX1"), name="b.csv")
    assert clerk.office.suspense() == []
    assert clerk.office.ageing() == []
    with pytest.raises(ReconciliationRefused, match="not wait any more"):
        clerk.office.place(item.payment_id, clerk.till.contract_id, "nadine", "note")
    clerk.check()


def test_second_people_who_come_at_once_place_it_once(any_clerk: Clerk) -> None:
    any_clerk.take(Line("TX1", ref="?", payer=""))
    (item,) = any_clerk.office.suspense()
    contract_id = any_clerk.till.contract_id
    any_clerk.office.place(item.payment_id, contract_id, "nadine", "note")
    start = threading.Barrier(3)

    def place(who: str) -> bool:
        start.wait()
        return any_clerk.office.place(item.payment_id, contract_id, who, "").done

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(place, ["a", "b", "c"]))
    assert any_clerk.till.paid() == BILL
    any_clerk.check()


def test_pages_and_ages(clerk: Clerk) -> None:
    clerk.take(Line("A", ref="?", payer="", amount="100"), Line("B", ref="?", payer="", amount="200"))
    clerk.clock.advance(days=8)
    clerk.take(Line("C", ref="?", payer="", amount="5", currency="USD"), name="b.csv")
    whole = clerk.office.suspense()
    assert [i.age_days for i in whole] == [8, 8, 0]
    paged = [*clerk.office.suspense(1)]
    while paged[-1] != whole[-1]:
        paged += clerk.office.suspense(1, paged[-1].payment_id)
    assert paged == list(whole)
    assert clerk.office.suspense(wallet="airtel") == []
    assert [(b.currency, b.from_days, b.count, b.minor) for b in clerk.office.ageing()] == [
        ("CDF", 7, 2, 30_000),
        ("USD", 0, 1, 500),
    ]
    assert clerk.books.balance(credit(clerk.till.contract_id)) == Money(0, "CDF")
