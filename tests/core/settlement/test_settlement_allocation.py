"""Where money goes: short, over, chosen, credit that waits, money taken back, money nobody could place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.billing.tables import DunningCycleRow, HoldRow, InvoiceRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.model import Account, agent_float, credit, receivable, suspense, wallet_clearing
from core.notices.tables import NoticeRow
from core.payments.tables import PaymentRow
from core.settlement import events as e
from tests.core.settlement.books import Books, francs


@pytest.fixture
def books(clean_db: Database, clock: FixedClock) -> Books:
    return Books(clean_db, clock)


def test_too_little_leaves_the_rest_owed(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    books.pay(c, francs(60))
    assert books.paid(invoice_id) == francs(60)
    assert books.balance(receivable(c)) == francs(40)
    books.pay(c, francs(40))
    assert books.paid(invoice_id) == francs(100)
    books.check()


def test_too_much_becomes_credit_and_the_next_invoice_uses_it(books: Books) -> None:
    c = books.contract()
    books.invoice(c, francs(100))
    books.pay(c, francs(130))
    assert books.balance(credit(c)) == francs(30)
    second = books.invoice(c, francs(100))
    assert books.paid(second) == francs(30)
    assert books.balance(credit(c)) == francs(0)
    third = books.invoice(c, francs(10))
    assert books.paid(third) == francs(0)
    books.check()


def test_an_invoice_smaller_than_the_credit_is_paid_when_it_is_sent(books: Books) -> None:
    c = books.contract()
    books.pay(c, francs(500))
    first = books.invoice(c, francs(200))
    assert books.paid(first) == francs(200)
    assert books.balance(credit(c)) == francs(300)
    books.check()


def test_the_oldest_is_paid_first(books: Books) -> None:
    c = books.contract()
    old = books.invoice(c, francs(100))
    books.clock.advance(days=30)
    new = books.invoice(c, francs(100))
    books.pay(c, francs(150))
    assert (books.paid(old), books.paid(new)) == (francs(100), francs(50))
    books.check()


def test_what_is_disputed_is_paid_last(books: Books) -> None:
    """Nobody is cut for it meanwhile: money on it would leave the cut for the other where it was."""
    c = books.contract()
    disputed, plain = books.invoice(c, francs(100)), books.invoice(c, francs(100))
    now = books.clock.now()
    with books.db.begin() as session:
        hold = HoldRow(contract_id=c, invoice_id=disputed, kind="dispute", from_at=now, by="test")
        hold.until_at = now + timedelta(days=30)
        session.add(hold)
    books.pay(c, francs(120))
    assert (books.paid(disputed), books.paid(plain)) == (francs(20), francs(100))
    books.clock.advance(days=31)
    third = books.invoice(c, francs(100))
    books.pay(c, francs(90))
    assert (books.paid(disputed), books.paid(third)) == (francs(100), francs(10))
    books.check()


def test_chosen_invoices_are_paid_first_and_in_order(books: Books) -> None:
    c = books.contract()
    invoices = [books.invoice(c, francs(100)) for _ in range(3)]
    books.pay(c, francs(250), chosen=(invoices[2], invoices[1]))
    assert [books.paid(i) for i in invoices] == [francs(50), francs(100), francs(100)]
    books.check()


def test_a_chosen_invoice_that_is_paid_meanwhile_is_passed_over(books: Books) -> None:
    c = books.contract()
    one, two = books.invoice(c, francs(100)), books.invoice(c, francs(100))
    books.pay(c, francs(100), chosen=(two,))
    books.pay(c, francs(120), chosen=(two,))
    assert (books.paid(one), books.paid(two)) == (francs(100), francs(100))
    assert books.balance(credit(c)) == francs(20)
    books.check()


def test_a_reversal_opens_the_invoice_in_a_new_cycle(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    payment = books.pay(c, francs(130))
    books.clock.advance(days=2)
    posted = books.post(e.OperatorReversed(key="taken", payment_id=payment, contract_id=c))
    assert posted.allocated == ((invoice_id, francs(-100)),)
    assert books.balance(receivable(c)) == francs(100)
    assert books.balance(credit(c)) == francs(0)
    assert books.balance(wallet_clearing("vodacom")) == francs(0)
    with books.db.read() as session:
        invoice = session.get_one(InvoiceRow, invoice_id)
        cycles = session.scalars(select(DunningCycleRow).order_by(DunningCycleRow.cycle)).all()
        assert (invoice.paid_minor, invoice.cycle) == (0, 2)
        assert [(row.cycle, row.cause) for row in cycles] == [(1, "sent"), (2, "operator_reversed")]
        assert (cycles[1].started_on - cycles[0].started_on).days == 2
        assert session.get_one(PaymentRow, payment).reversed_at == books.clock.now()
    books.check()


def test_a_payment_is_taken_back_once_whatever_the_key(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    payment = books.pay(c, francs(100))
    books.post(e.OperatorReversed(key="statement", payment_id=payment, contract_id=c))
    books.pay(c, francs(100))
    with pytest.raises(StateConflict):
        books.post(e.OperatorReversed(key="person", payment_id=payment, contract_id=c))
    assert books.paid(invoice_id) == francs(100)
    books.check()


def test_a_reversal_under_the_wrong_contract_is_refused(books: Books) -> None:
    c, other = books.contract(), books.contract(phone="+243815557777")
    payment = books.pay(c, francs(100))
    with pytest.raises(StateConflict):
        books.post(e.OperatorReversed(key="k", payment_id=payment, contract_id=other))
    with pytest.raises(StateConflict):
        books.post(e.OperatorReversed(key="k", payment_id="none", contract_id=c))


def test_credit_that_was_used_meanwhile_is_owed_again_after_a_reversal(books: Books) -> None:
    c = books.contract()
    payment = books.pay(c, francs(100))
    invoice_id = books.invoice(c, francs(80))
    assert books.paid(invoice_id) == francs(80)
    books.post(e.OperatorReversed(key="k", payment_id=payment, contract_id=c))
    # What the credit had paid is open again, not a hole in the credit that nobody collects.
    assert books.balance(credit(c)) == francs(0)
    assert books.paid(invoice_id) == francs(0)
    books.pay(c, francs(80))
    assert books.paid(invoice_id) == francs(80)
    books.check()


def test_a_float_bought_with_money_taken_back_goes_down(books: Books) -> None:
    payment = books.payment(francs(500))
    books.post(e.FloatBought(key="k", payment_id=payment, wallet="vodacom", agent_id=9, amount=francs(500)))
    books.post(e.OperatorReversed(key="back", payment_id=payment))
    assert books.balance(agent_float(9)) == francs(0)
    assert books.balance(wallet_clearing("vodacom")) == francs(0)


def test_suspense_is_placed_in_parts_and_never_beyond(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    payment = books.payment(francs(120), in_suspense=True)
    books.post(e.UnplacedMoney(key="in", payment_id=payment, wallet="vodacom", amount=francs(120)))
    assert books.staged("document.receipt") == []

    def place(key: str, units: int, **other: object) -> None:
        words = {"wallet": "vodacom", "contract_id": c, "amount": francs(units)} | other
        books.post(e.SuspensePlaced(key=key, payment_id=payment, **words))  # type: ignore[arg-type]

    for wrong in ({"wallet": "pawapay"}, {"amount": Money(100, "USD")}, {"amount": francs(121)}):
        with pytest.raises(StateConflict):
            place("wrong", 1, **wrong)
    place("one", 70)
    with books.db.read() as session:
        row = session.get_one(PaymentRow, payment)
        assert (row.in_suspense, row.contract_id) == (True, c)
    other = books.contract(phone="+243815557777")
    with pytest.raises(StateConflict):
        place("elsewhere", 10, contract_id=other)
    with pytest.raises(StateConflict):
        place("too much", 51)
    place("two", 50)
    assert books.balance(suspense("vodacom")) == francs(0)
    assert books.paid(invoice_id) == francs(100)
    assert books.balance(credit(c)) == francs(20)
    with books.db.read() as session:
        assert not session.get_one(PaymentRow, payment).in_suspense
    assert len(books.staged("document.receipt")) == 1
    with pytest.raises(StateConflict):
        place("three", 1)
    books.post(e.OperatorReversed(key="back", payment_id=payment, contract_id=c))
    assert books.balance(wallet_clearing("vodacom")) == francs(0)
    assert books.balance(suspense("vodacom")) == francs(0)
    books.check()


def test_money_of_another_currency_never_touches_a_contract(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    dollars = Money(5000, "USD")
    payment = books.payment(dollars, contract_id=c)
    with pytest.raises(StateConflict, match="is in CDF"):
        books.post(e.WalletMoney(key="k", payment_id=payment, wallet="vodacom", contract_id=c, amount=dollars))
    with pytest.raises(StateConflict, match="is in CDF"):
        books.post(e.CashTaken(key="k", payment_id=payment, cashier="4", contract_id=c, amount=dollars))
    assert books.paid(invoice_id) == francs(0)
    books.check()


def test_an_exchange_keeps_each_currency_at_zero(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(28_500))
    dollars = Money(1000, "USD")
    payment = books.payment(dollars, contract_id=c)
    books.post(
        e.ExchangedMoney(
            key="k", payment_id=payment, wallet="vodacom", contract_id=c, amount=dollars, worth=francs(28_000)
        )
    )
    assert books.paid(invoice_id) == francs(28_000)
    assert books.balance(Account("fx_clearing"), "USD") == Money(-1000, "USD")
    assert books.balance(Account("fx_clearing"), "CDF") == francs(28_000)
    books.check()
    books.post(e.OperatorReversed(key="back", payment_id=payment, contract_id=c))
    assert books.balance(Account("fx_clearing"), "USD") == Money(0, "USD")
    assert books.paid(invoice_id) == francs(0)
    books.check()


def test_an_invoice_is_owed_once_whatever_the_key(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    with pytest.raises(StateConflict):
        books.post(e.InvoiceSent(key="another", invoice_id=invoice_id))
    assert books.balance(receivable(c)) == francs(100)


def test_corrections_stay_within_their_invoice_and_contract(books: Books) -> None:
    c, other = books.contract(), books.contract(phone="+243815557777")
    invoice_id = books.invoice(c, francs(100))
    for wrong in (
        e.CreditNote(key="k", invoice_id=invoice_id, contract_id=other, amount=francs(10)),
        e.CreditNote(key="k", invoice_id=invoice_id, contract_id=c, amount=francs(101)),
        e.CreditNote(key="k", invoice_id=9999, contract_id=c, amount=francs(1)),
        e.WrittenOff(key="k", invoice_id=invoice_id, contract_id=other, amount=francs(10)),
        e.RefundOwed(key="k", contract_id=c, amount=francs(1)),
        e.InvoiceSent(key="k", invoice_id=9999),
        e.CreditApplied(key="k", contract_id=9999, amount=francs(1)),
    ):
        with pytest.raises(StateConflict):
            books.post(wrong)
    books.check()


def test_a_debt_is_given_up_only_as_far_as_it_is_owed(books: Books) -> None:
    c = books.contract()
    invoice_id = books.invoice(c, francs(100))
    books.pay(c, francs(70))
    books.post(e.WrittenOff(key="k", invoice_id=invoice_id, contract_id=c, amount=francs(100)))
    assert books.balance(Account("write_off")) == francs(30)
    assert books.paid(invoice_id) == francs(100)
    books.check()


def test_an_invoice_that_is_not_sent_cannot_be_owed(books: Books) -> None:
    c = books.contract()
    with books.db.begin() as session:
        from core.customers.tables import ContractRow
        from tests import town

        draft = town.invoice(session, session.get_one(ContractRow, c), state="draft").id
    with pytest.raises(StateConflict, match="not sent"):
        books.post(e.InvoiceSent(key="k", invoice_id=draft))


def test_each_receipt_is_staged_once_with_its_paper_and_its_sms(books: Books) -> None:
    c = books.contract()
    books.invoice(c, francs(100))
    payment = books.pay(c, francs(60))
    assert [row.body for row in books.staged("document.receipt")] == [{"payment_id": payment}]
    with books.db.read() as session:
        notices = session.scalars(select(NoticeRow).where(NoticeRow.kind == "payment.receipt")).all()
        assert len(notices) == 1
        assert notices[0].payment_id == payment
        assert "60 FC" in notices[0].body
        assert "40 FC" in notices[0].body
    assert len(books.staged("notice.send")) == 2  # the invoice's own and the receipt
