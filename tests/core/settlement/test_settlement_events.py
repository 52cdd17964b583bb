"""Every kind of event, walked one after another through a world that has everything they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from core.billing.tables import InvoiceRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.errors import BelowFloor, SameKeyOtherContent
from core.ledger.model import Account, agent_float, credit, receivable, suspense, wallet_clearing
from core.ledger.tables import JournalRow, TransferRow
from core.outbox import OutboxRow
from core.settlement import events as e
from core.settlement.recipes import RECIPES
from tests.core.settlement.books import Books, francs


@pytest.fixture
def books(clean_db: Database, clock: FixedClock) -> Books:
    return Books(clean_db, clock)


def invoice_sent(w: Books, c: int) -> e.Event:
    invoice_id = w.invoice(c, francs(100), tax_minor=1600)
    return e.InvoiceSent(key=f"sent:{invoice_id}", invoice_id=invoice_id)


def opening_debit(w: Books, c: int) -> e.Event:
    """Money that came before the old bill did: its credit is used on it."""
    w.pay(c, francs(30))
    return e.OpeningDebit(key="k", invoice_id=w.opening(c, francs(100)))


def opening_credit(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(100))
    return e.OpeningCredit(key="k", contract_id=c, amount=francs(130))


def wallet_money(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(100))
    p = w.payment(francs(150), contract_id=c)
    return e.WalletMoney(key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=francs(150))


def exchanged_money(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(28_000))
    p = w.payment(Money(1000, "USD"), contract_id=c)
    return e.ExchangedMoney(
        key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=Money(1000, "USD"), worth=francs(28_000)
    )


def unplaced_money(w: Books, c: int) -> e.Event:
    p = w.payment(Money(700, "USD"), in_suspense=True)
    return e.UnplacedMoney(key="k", payment_id=p, wallet="vodacom", amount=Money(700, "USD"))


def suspense_placed(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(100))
    p = w.payment(francs(120), in_suspense=True)
    w.post(e.UnplacedMoney(key="before", payment_id=p, wallet="vodacom", amount=francs(120)))
    return e.SuspensePlaced(key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=francs(120))


def cash_taken(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(100))
    p = w.payment(francs(100), wallet="cash", contract_id=c)
    return e.CashTaken(key="k", payment_id=p, cashier="4", contract_id=c, amount=francs(100))


def bank_money(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(100))
    p = w.payment(francs(130), wallet="bank", contract_id=c)
    return e.BankMoney(key="k", payment_id=p, contract_id=c, amount=francs(130))


def credit_applied(w: Books, c: int) -> e.Event:
    # Credit meets an open invoice only when something was corrected: here a paid one is credited.
    first = w.invoice(c, francs(100))
    w.pay(c, francs(100))
    w.invoice(c, francs(80))
    w.post(e.CreditNote(key="note", invoice_id=first, contract_id=c, amount=francs(30)))
    return e.CreditApplied(key="k", contract_id=c, amount=francs(50))


def agent_sale(w: Books, c: int) -> e.Event:
    w.post(e.CashHandedOver(key="filled", cashier="4", agent_id=9, amount=francs(500)))
    w.invoice(c, francs(100))
    p = w.payment(francs(100), wallet="agent", contract_id=c)
    return e.AgentSale(
        key="k", payment_id=p, agent_id=9, contract_id=c, amount=francs(100), commission=Money(200, "CDF")
    )


def float_bought(w: Books, c: int) -> e.Event:
    p = w.payment(francs(500))
    return e.FloatBought(key="k", payment_id=p, wallet="vodacom", agent_id=9, amount=francs(500))


def cash_handed_over(w: Books, c: int) -> e.Event:
    return e.CashHandedOver(key="k", cashier="4", agent_id=9, amount=francs(500))


def prepaid_used(w: Books, c: int) -> e.Event:
    w.pay(c, francs(500))
    return e.PrepaidUsed(key="k", contract_id=c, amount=francs(116), tax=francs(16))


def prepaid_returned(w: Books, c: int) -> e.Event:
    w.pay(c, francs(500))
    w.post(e.PrepaidUsed(key="used", contract_id=c, amount=francs(232), tax=francs(32)))
    return e.PrepaidReturned(key="k", contract_id=c, amount=francs(116), tax=francs(16))


def token_issued(w: Books, c: int) -> e.Event:
    w.pay(c, francs(500))
    return e.TokenIssued(key="k", contract_id=c, amount=francs(116), tax=francs(16))


def operator_paid_out(w: Books, c: int) -> e.Event:
    w.pay(c, francs(500))
    return e.OperatorPaidOut(key="k", wallet="vodacom", amount=francs(500), fees=francs(10))


def refund_owed(w: Books, c: int) -> e.Event:
    w.pay(c, francs(500))
    return e.RefundOwed(key="k", contract_id=c, amount=francs(500))


def refund_paid(w: Books, c: int) -> e.Event:
    w.pay(c, francs(500))
    w.post(e.RefundOwed(key="owed", contract_id=c, amount=francs(500)))
    return e.RefundPaid(key="k", wallet="vodacom", contract_id=c, amount=francs(500))


def suspense_refund_owed(w: Books, c: int) -> e.Event:
    p = w.payment(francs(120), in_suspense=True)
    w.post(e.UnplacedMoney(key="before", payment_id=p, wallet="vodacom", amount=francs(120)))
    return e.SuspenseRefundOwed(key="k", payment_id=p, wallet="vodacom", amount=francs(50))


def refund_failed(w: Books, c: int) -> e.Event:
    p = w.pay(c, francs(500))
    w.post(e.RefundOwed(key="owed", contract_id=c, amount=francs(300)))
    return e.RefundFailed(key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=francs(300))


def refund_paid_late(w: Books, c: int) -> e.Event:
    w.post(refund_failed(w, c))
    w.invoice(c, francs(400))
    p = w.payment(francs(1), contract_id=c)
    return e.RefundPaidLate(key="late", payment_id=p, wallet="vodacom", contract_id=c, amount=francs(300))


def refund_returned(w: Books, c: int) -> e.Event:
    p = w.pay(c, francs(500))
    w.post(e.RefundOwed(key="owed", contract_id=c, amount=francs(300)))
    w.post(e.RefundPaid(key="out", wallet="vodacom", contract_id=c, amount=francs(300)))
    return e.RefundReturned(key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=francs(300))


def operator_reversed(w: Books, c: int) -> e.Event:
    w.invoice(c, francs(100))
    return e.OperatorReversed(key="k", payment_id=w.pay(c, francs(130)), contract_id=c)


def credit_note(w: Books, c: int) -> e.Event:
    invoice_id = w.invoice(c, francs(116), tax_minor=1600)
    w.pay(c, francs(100))
    return e.CreditNote(key="k", invoice_id=invoice_id, contract_id=c, amount=francs(58), tax=francs(8))


def written_off(w: Books, c: int) -> e.Event:
    invoice_id = w.invoice(c, francs(100))
    return e.WrittenOff(key="k", invoice_id=invoice_id, contract_id=c, amount=francs(100))


def payslip_closed(w: Books, c: int) -> e.Event:
    w.post(agent_sale(w, c))
    return e.PayslipClosed(
        key="slip", payslip_id=7, payee="agent:9", currency="CDF", salary_minor=10_000, withheld=(("cnss", 500),),
        employer=(("cnss", 1_300), ("inpp", 300)), deducted_minor=2_000, agent_id=9, commission_minor=150,
        commission_back_minor=50, to_float_minor=1_000,
    )  # fmt: skip


def pay_paid(w: Books, c: int) -> e.Event:
    w.post(payslip_closed(w, c))
    return e.PayPaid(key="paid", payslip_id=7, payee="agent:9", amount=Money(6_600, "CDF"))


# What the books hold when a case is through, in minor units on the side that counts up ("" owner: none).
CASES: dict[type[e.Event], tuple[Callable[[Books, int], e.Event], dict[str, int]]] = {
    e.InvoiceSent: (invoice_sent, {"receivable": 10_000, "revenue": -8_400, "tax_payable": -1_600}),
    e.OpeningDebit: (opening_debit, {"receivable": 7_000, "credit": 0, "opening": -10_000, "revenue": 0}),
    e.OpeningCredit: (opening_credit, {"receivable": 0, "credit": 3_000, "opening": 13_000}),
    e.WalletMoney: (wallet_money, {"receivable": 0, "credit": 5_000, "wallet_clearing": 15_000}),
    e.ExchangedMoney: (exchanged_money, {"receivable": 0, "fx_clearing": 2_800_000}),
    e.UnplacedMoney: (unplaced_money, {"receivable": 0, "credit": 0}),
    e.SuspensePlaced: (suspense_placed, {"receivable": 0, "credit": 2_000, "suspense": 0, "wallet_clearing": 12_000}),
    e.CashTaken: (cash_taken, {"receivable": 0, "cash": 10_000}),
    e.BankMoney: (bank_money, {"receivable": 0, "credit": 3_000, "bank": 13_000}),
    e.CreditApplied: (credit_applied, {"receivable": 5_000, "credit": 0}),
    e.AgentSale: (agent_sale, {"receivable": 0, "agent_float": 40_000, "commission_payable": 200}),
    e.FloatBought: (float_bought, {"agent_float": 50_000, "wallet_clearing": 50_000}),
    e.CashHandedOver: (cash_handed_over, {"agent_float": 50_000, "cash": 50_000}),
    e.PrepaidUsed: (prepaid_used, {"credit": 38_400, "revenue": -10_000, "tax_payable": -1_600}),
    e.PrepaidReturned: (prepaid_returned, {"credit": 38_400, "revenue": -10_000, "tax_payable": -1_600}),
    e.TokenIssued: (token_issued, {"credit": 38_400, "revenue": -10_000, "tax_payable": -1_600}),
    e.OperatorPaidOut: (operator_paid_out, {"wallet_clearing": 0, "bank": 49_000, "fees": 1_000}),
    e.RefundOwed: (refund_owed, {"credit": 0, "refund_payable": -50_000}),
    e.RefundPaid: (refund_paid, {"refund_payable": 0, "wallet_clearing": 0}),
    e.SuspenseRefundOwed: (
        suspense_refund_owed,
        {"suspense": -7_000, "refund_payable": -5_000, "wallet_clearing": 12_000},
    ),
    e.RefundFailed: (refund_failed, {"credit": 50_000, "refund_payable": 0, "wallet_clearing": 50_000}),
    e.RefundPaidLate: (refund_paid_late, {"credit": -20_000, "refund_payable": 0, "wallet_clearing": 20_000}),
    e.RefundReturned: (refund_returned, {"credit": 50_000, "refund_payable": 0, "wallet_clearing": 50_000}),
    e.OperatorReversed: (operator_reversed, {"receivable": 10_000, "credit": 0, "wallet_clearing": 0}),
    e.CreditNote: (credit_note, {"receivable": 0, "credit": 4_200, "revenue": -5_000, "tax_payable": -800}),
    e.WrittenOff: (written_off, {"receivable": 0, "write_off": 10_000}),
    e.PayslipClosed: (
        payslip_closed,
        {
            "payroll_payable": 6_600,
            "payroll_expense": 10_000,
            "payroll_charges": 1_600,
            "payroll_levy": 1_800,
            "payroll_deduction": 2_000,
            "commission_payable": 100,
            "agent_float": 41_000,
        },
    ),
    e.PayPaid: (pay_paid, {"payroll_payable": 0, "bank": -6_600}),
}
_OWNERS = {"wallet_clearing": "vodacom", "suspense": "vodacom", "cash": "4", "agent_float": "9", "tax_payable": "vat"}


def _kinds_below(cls: type[e.Event]) -> set[str]:
    return {kind for below in cls.__subclasses__() for kind in ({below.kind} | _kinds_below(below))}


def test_every_event_has_a_recipe_and_a_case() -> None:
    every = set(e.EVENTS)
    assert set(RECIPES) == every
    assert set(CASES) == every
    # By name: a class with slots is made twice, and both are subclasses.
    assert _kinds_below(e.Event) == {cls.kind for cls in every}
    assert len({cls.kind for cls in every}) == len(every)


@pytest.mark.parametrize("kind", sorted(CASES, key=lambda cls: cls.kind), ids=lambda cls: cls.kind)
def test_each_event_moves_what_it_says_and_once(books: Books, kind: type[e.Event]) -> None:
    build, expected = CASES[kind]
    contract_id = books.contract()
    event = build(books, contract_id)
    assert type(event) is kind
    first = books.post(event)
    books.check()
    owners = {"receivable": str(contract_id), "credit": str(contract_id), "commission_payable": "9"} | _OWNERS
    owners |= {"payroll_payable": "agent:9", "payroll_levy": "cnss"}
    held = {code: books.balance(Account(code, owners.get(code, ""))).minor for code in expected}
    assert held == expected
    count = _rows(books)
    again = books.post(event)
    assert again.repeated
    assert again.journal_id == first.journal_id
    assert _rows(books) == count
    other = replace(event, memo="something else")
    with pytest.raises(SameKeyOtherContent):
        books.post(other)
    assert _rows(books) == count
    books.check()


def _rows(books: Books) -> tuple[int, ...]:
    with books.db.read() as session:
        return tuple(
            session.scalar(select(func.count()).select_from(t)) or 0 for t in (JournalRow, TransferRow, OutboxRow)
        )


def test_a_float_does_not_sell_more_than_it_holds(books: Books) -> None:
    contract_id = books.contract()
    books.post(e.CashHandedOver(key="filled", cashier="4", agent_id=9, amount=francs(50)))
    sale = books.payment(francs(51), wallet="agent", contract_id=contract_id)
    with pytest.raises(BelowFloor):
        books.post(e.AgentSale(key="s", payment_id=sale, agent_id=9, contract_id=contract_id, amount=francs(51)))
    assert books.balance(agent_float(9)) == francs(50)
    assert books.balance(credit(contract_id)) == francs(0)
    books.check()


def test_accounts_of_the_case_table_exist() -> None:
    assert (receivable(1).owner, suspense("x").owner, wallet_clearing("x").owner) == ("1", "x", "x")


def test_a_reversal_opens_what_its_credit_has_paid_since(books: Books) -> None:
    """The rest of a payment became credit, and the credit paid the next invoices: the newest are owed again."""
    c = books.contract()
    first = books.invoice(c, francs(100))
    p = books.payment(francs(250), contract_id=c)
    books.post(e.WalletMoney(key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=francs(250)))
    second, third = books.invoice(c, francs(90)), books.invoice(c, francs(80))
    assert [books.paid(i) for i in (first, second, third)] == [francs(100), francs(90), francs(60)]
    q = books.payment(francs(55), contract_id=c)
    books.post(e.WalletMoney(key="q", payment_id=q, wallet="vodacom", contract_id=c, amount=francs(55)))
    assert books.balance(credit(c)) == francs(35)
    books.post(e.OperatorReversed(key="r", payment_id=p, contract_id=c))
    # 150 of credit are gone: 35 were left, 60 come back from the third, 55 from the second.
    assert books.balance(credit(c)) == francs(0)
    assert [books.paid(i) for i in (first, second, third)] == [francs(0), francs(35), francs(20)]
    assert books.balance(receivable(c)) == francs(100 + 55 + 60)
    with books.db.read() as session:
        cycles = [session.get_one(InvoiceRow, invoice_id).cycle for invoice_id in (first, second, third)]
    assert cycles == [2, 2, 2], "a new warning before anything is cut"
    books.check()


def test_a_reversal_of_exchanged_money_makes_its_credit_good_in_the_contracts_currency(books: Books) -> None:
    c = books.contract()
    p = books.payment(Money(1000, "USD"), contract_id=c)
    books.post(
        e.ExchangedMoney(
            key="k", payment_id=p, wallet="vodacom", contract_id=c, amount=Money(1000, "USD"), worth=francs(28_000)
        )
    )
    later = books.invoice(c, francs(20_000))
    assert books.paid(later) == francs(20_000)
    books.post(e.OperatorReversed(key="r", payment_id=p, contract_id=c))
    assert (books.paid(later), books.balance(credit(c))) == (francs(0), francs(0))
    assert books.balance(wallet_clearing("vodacom"), "USD") == Money(0, "USD")
    books.check()


def test_nobody_is_paid_more_than_is_owed(books: Books) -> None:
    books.post(payslip_closed(books, books.contract()))
    with pytest.raises(StateConflict):
        books.post(e.PayPaid(key="more", payslip_id=7, payee="agent:9", amount=Money(6_601, "CDF")))
    books.check()
