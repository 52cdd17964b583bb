"""One recipe per kind of event: which transfers it writes. `docs/ledger.md` shows them as a table.

A recipe is pure: it reads the event and what `Books` has loaded under the contract's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.kernel.money import Money
from core.ledger.model import (
    Account,
    Transfer,
    agent_float,
    commission_payable,
    credit,
    receivable,
    suspense,
    wallet_clearing,
)
from core.settlement.allocation import OpenInvoice, in_order, place
from core.settlement.events import (
    AgentSale,
    BankMoney,
    CashHandedOver,
    CashTaken,
    CreditApplied,
    CreditNote,
    Event,
    ExchangedMoney,
    FloatBought,
    InvoiceSent,
    OpeningCredit,
    OpeningDebit,
    OperatorPaidOut,
    OperatorReversed,
    PayPaid,
    PayslipClosed,
    PrepaidReturned,
    PrepaidUsed,
    RefundFailed,
    RefundOwed,
    RefundPaid,
    RefundPaidLate,
    RefundReturned,
    SuspensePlaced,
    SuspenseRefundOwed,
    TokenIssued,
    UnplacedMoney,
    WalletMoney,
    WrittenOff,
)


@dataclass(frozen=True, slots=True)
class SentInvoice:
    invoice_id: int
    contract_id: int
    total: Money
    taxes: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Books:
    """What a recipe may know. Loaded by `post` under the contract's lock; empty where the event needs nothing."""

    open_invoices: Sequence[OpenInvoice] = ()
    credit_minor: int = 0
    invoice: SentInvoice | None = None
    payment_transfers: Sequence[Transfer] = field(default_factory=tuple)
    # What the contract's credit has paid on invoices, the newest use first.
    credit_uses: Sequence[OpenInvoice] = ()


REVENUE = Account("revenue")
OPENING = Account("opening")


def _from(account: Account, payment_id: str | None = None) -> Callable[[Account, Money, int | None], Transfer]:
    def transfer(target: Account, amount: Money, invoice_id: int | None) -> Transfer:
        return Transfer(account, target, amount, invoice_id=invoice_id, payment_id=payment_id)

    return transfer


def _invoice_sent(_event: InvoiceSent, books: Books) -> list[Transfer]:
    invoice = books.invoice
    assert invoice is not None
    owed = receivable(invoice.contract_id)
    taxes = [
        Transfer(owed, Account("tax_payable", levy), Money(minor, invoice.total.currency), invoice.invoice_id)
        for levy, minor in invoice.taxes
        if minor > 0
    ]
    net = invoice.total.minor - sum(t.amount.minor for t in taxes)
    transfers = [Transfer(owed, REVENUE, Money(net, invoice.total.currency), invoice.invoice_id)] if net > 0 else []
    transfers += taxes
    used = min(max(books.credit_minor, 0), invoice.total.minor)
    if used > 0:
        transfers.append(
            Transfer(credit(invoice.contract_id), owed, Money(used, invoice.total.currency), invoice.invoice_id)
        )
    return transfers


def _opening_debit(_event: OpeningDebit, books: Books) -> list[Transfer]:
    invoice = books.invoice
    assert invoice is not None
    owed = receivable(invoice.contract_id)
    transfers = [Transfer(owed, OPENING, invoice.total, invoice.invoice_id)]
    used = Money(min(max(books.credit_minor, 0), invoice.total.minor), invoice.total.currency)
    if used:
        transfers.append(Transfer(credit(invoice.contract_id), owed, used, invoice.invoice_id))
    return transfers


def _opening_credit(event: OpeningCredit, books: Books) -> list[Transfer]:
    return place(_from(OPENING), event.contract_id, event.amount, list(books.open_invoices))


def _wallet_money(event: WalletMoney, books: Books) -> list[Transfer]:
    source = _from(wallet_clearing(event.wallet), event.payment_id)
    return place(source, event.contract_id, event.amount, in_order(books.open_invoices, event.invoice_ids))


def _exchanged_money(event: ExchangedMoney, books: Books) -> list[Transfer]:
    exchange = Account("fx_clearing")
    into = Transfer(wallet_clearing(event.wallet), exchange, event.amount, payment_id=event.payment_id)
    source = _from(exchange, event.payment_id)
    return [into, *place(source, event.contract_id, event.worth, in_order(books.open_invoices, event.invoice_ids))]


def _unplaced_money(event: UnplacedMoney, _books: Books) -> list[Transfer]:
    return [Transfer(wallet_clearing(event.wallet), suspense(event.wallet), event.amount, payment_id=event.payment_id)]


def _suspense_placed(event: SuspensePlaced, books: Books) -> list[Transfer]:
    source = _from(suspense(event.wallet), event.payment_id)
    return place(source, event.contract_id, event.amount, in_order(books.open_invoices, event.invoice_ids))


def _cash_taken(event: CashTaken, books: Books) -> list[Transfer]:
    source = _from(Account("cash", event.cashier), event.payment_id)
    return place(source, event.contract_id, event.amount, in_order(books.open_invoices, event.invoice_ids))


def _bank_money(event: BankMoney, books: Books) -> list[Transfer]:
    source = _from(Account("bank"), event.payment_id)
    return place(source, event.contract_id, event.amount, in_order(books.open_invoices, event.invoice_ids))


def _credit_applied(event: CreditApplied, books: Books) -> list[Transfer]:
    spend = Money(min(event.amount.minor, max(books.credit_minor, 0)), event.amount.currency)
    placed = place(_from(credit(event.contract_id)), event.contract_id, spend, list(books.open_invoices))
    # What no invoice takes stays where it is: a transfer from credit to credit would be none.
    return [t for t in placed if t.invoice_id is not None]


def _agent_sale(event: AgentSale, books: Books) -> list[Transfer]:
    source = _from(agent_float(event.agent_id), event.payment_id)
    transfers = place(source, event.contract_id, event.amount, in_order(books.open_invoices, event.invoice_ids))
    if event.commission:
        owed = Account("commission_payable", str(event.agent_id))
        transfers.append(Transfer(Account("commission_expense"), owed, event.commission, payment_id=event.payment_id))
    return transfers


def _float_bought(event: FloatBought, _books: Books) -> list[Transfer]:
    target = agent_float(event.agent_id)
    return [Transfer(wallet_clearing(event.wallet), target, event.amount, payment_id=event.payment_id)]


def _cash_handed_over(event: CashHandedOver, _books: Books) -> list[Transfer]:
    return [Transfer(Account("cash", event.cashier), agent_float(event.agent_id), event.amount)]


def _prepaid_used(event: PrepaidUsed | TokenIssued, _books: Books) -> list[Transfer]:
    source = credit(event.contract_id)
    net = event.amount - event.tax if event.tax else event.amount
    transfers = [Transfer(source, REVENUE, net)]
    if event.tax:
        transfers.append(Transfer(source, Account("tax_payable", event.levy), event.tax))
    return transfers


def _prepaid_returned(event: PrepaidReturned, _books: Books) -> list[Transfer]:
    target = credit(event.contract_id)
    net = event.amount - event.tax if event.tax else event.amount
    transfers = [Transfer(REVENUE, target, net)]
    if event.tax:
        transfers.append(Transfer(Account("tax_payable", event.levy), target, event.tax))
    return transfers


def _operator_paid_out(event: OperatorPaidOut, _books: Books) -> list[Transfer]:
    clearing = wallet_clearing(event.wallet)
    net = event.amount - event.fees if event.fees else event.amount
    # Fees alone: what the operator kept for itself before anything was paid out.
    transfers = [Transfer(Account("bank"), clearing, net)] if net else []
    if event.fees:
        transfers.append(Transfer(Account("fees"), clearing, event.fees))
    return transfers


def _refund_owed(event: RefundOwed, _books: Books) -> list[Transfer]:
    return [Transfer(credit(event.contract_id), Account("refund_payable"), event.amount)]


def _suspense_refund_owed(event: SuspenseRefundOwed, _books: Books) -> list[Transfer]:
    # It names the payment, as the credit's refund does not: what still waits of a payment is the sum of its transfers.
    source = suspense(event.wallet)
    return [Transfer(source, Account("refund_payable"), event.amount, payment_id=event.payment_id)]


def _refund_paid(event: RefundPaid, _books: Books) -> list[Transfer]:
    return [Transfer(Account("refund_payable"), wallet_clearing(event.wallet), event.amount)]


def _refund_source(contract_id: int | None, wallet: str, payment_id: str) -> tuple[Account, str | None]:
    return (credit(contract_id), None) if contract_id is not None else (suspense(wallet), payment_id)


def _refund_failed(event: RefundFailed, _books: Books) -> list[Transfer]:
    source, payment_id = _refund_source(event.contract_id, event.wallet, event.payment_id)
    return [Transfer(Account("refund_payable"), source, event.amount, payment_id=payment_id)]


def _refund_paid_late(event: RefundPaidLate, _books: Books) -> list[Transfer]:
    source, payment_id = _refund_source(event.contract_id, event.wallet, event.payment_id)
    return [Transfer(source, wallet_clearing(event.wallet), event.amount, payment_id=payment_id)]


def _refund_returned(event: RefundReturned, _books: Books) -> list[Transfer]:
    source, payment_id = _refund_source(event.contract_id, event.wallet, event.payment_id)
    return [Transfer(wallet_clearing(event.wallet), source, event.amount, payment_id=payment_id)]


def _operator_reversed(event: OperatorReversed, books: Books) -> list[Transfer]:
    transfers = [
        Transfer(t.credit, t.debit, t.amount, invoice_id=t.invoice_id, payment_id=event.payment_id)
        for t in books.payment_transfers
    ]
    return transfers + _credit_made_good(event, books, transfers)


def _credit_made_good(event: OperatorReversed, books: Books, transfers: Sequence[Transfer]) -> list[Transfer]:
    """Credit that came from the payment may have paid later invoices: the newest of them are open again, until the
    credit is not below zero. A debt that nobody sees would be collected by nobody."""
    if event.contract_id is None:
        return []
    ours, owed = credit(event.contract_id), receivable(event.contract_id)
    taken = sum((t.debit == ours) * t.amount.minor - (t.credit == ours) * t.amount.minor for t in transfers)
    missing, made_good = max(0, taken - max(books.credit_minor, 0)), []
    # An exchanged payment has a leg in another currency: the credit's own is meant.
    currency = next((t.amount.currency for t in transfers if ours in (t.debit, t.credit)), "")
    for use in books.credit_uses:
        back = min(use.balance_minor, missing)
        if back > 0:
            amount = Money(back, currency)
            made_good.append(Transfer(owed, ours, amount, invoice_id=use.invoice_id, payment_id=event.payment_id))
            missing -= back
    return made_good


def _credit_note(event: CreditNote, books: Books) -> list[Transfer]:
    """The invoice's own balance first; what was paid already becomes credit."""
    tax_left = event.tax.minor if event.tax else 0
    balance = next((i.balance_minor for i in books.open_invoices if i.invoice_id == event.invoice_id), 0)
    currency = event.amount.currency
    transfers: list[Transfer] = []
    # What was earned elsewhere is corrected where it was taken over: revenue heard nothing of it.
    net = OPENING if event.of_opening else REVENUE
    for source, minor in ((Account("tax_payable", event.levy), tax_left), (net, event.amount.minor - tax_left)):
        on_invoice = min(minor, balance)
        balance -= on_invoice
        if on_invoice > 0:
            target = receivable(event.contract_id)
            transfers.append(Transfer(source, target, Money(on_invoice, currency), invoice_id=event.invoice_id))
        if minor > on_invoice:
            transfers.append(Transfer(source, credit(event.contract_id), Money(minor - on_invoice, currency)))
    return transfers


def _written_off(event: WrittenOff, books: Books) -> list[Transfer]:
    balance = next((i.balance_minor for i in books.open_invoices if i.invoice_id == event.invoice_id), 0)
    amount = Money(min(balance, event.amount.minor), event.amount.currency)
    target = receivable(event.contract_id)
    return [Transfer(Account("write_off"), target, amount, invoice_id=event.invoice_id)] if amount else []


def _payslip_closed(event: PayslipClosed, _books: Books) -> list[Transfer]:
    """What is left on `payroll_payable` is the net."""
    owed, spent, charges = (
        Account("payroll_payable", event.payee),
        Account("payroll_expense"),
        Account("payroll_charges"),
    )
    moves = [(spent, owed, event.salary_minor)]
    moves += [(owed, Account("payroll_levy", levy), minor) for levy, minor in event.withheld]
    moves += [(owed, Account("payroll_deduction"), event.deducted_minor)]
    moves += [(charges, Account("payroll_levy", levy), minor) for levy, minor in event.employer]
    if event.agent_id is not None:
        commission = commission_payable(event.agent_id)
        moves += [
            (commission, owed, event.commission_minor),
            (owed, commission, event.commission_back_minor),
            (owed, agent_float(event.agent_id), event.to_float_minor),
        ]
    return [Transfer(debit, into, Money(minor, event.currency)) for debit, into, minor in moves if minor]


def _pay_paid(event: PayPaid, _books: Books) -> list[Transfer]:
    return [Transfer(Account("payroll_payable", event.payee), Account("bank"), event.amount)]


# Each recipe takes its own event; `post` hands it the right one.
RECIPES: dict[type[Event], Callable[[Any, Books], list[Transfer]]] = {
    InvoiceSent: _invoice_sent,
    OpeningDebit: _opening_debit,
    OpeningCredit: _opening_credit,
    WalletMoney: _wallet_money,
    ExchangedMoney: _exchanged_money,
    UnplacedMoney: _unplaced_money,
    SuspensePlaced: _suspense_placed,
    CashTaken: _cash_taken,
    BankMoney: _bank_money,
    CreditApplied: _credit_applied,
    AgentSale: _agent_sale,
    FloatBought: _float_bought,
    CashHandedOver: _cash_handed_over,
    PrepaidUsed: _prepaid_used,
    PrepaidReturned: _prepaid_returned,
    TokenIssued: _prepaid_used,
    OperatorPaidOut: _operator_paid_out,
    RefundOwed: _refund_owed,
    SuspenseRefundOwed: _suspense_refund_owed,
    RefundPaid: _refund_paid,
    RefundFailed: _refund_failed,
    RefundPaidLate: _refund_paid_late,
    RefundReturned: _refund_returned,
    OperatorReversed: _operator_reversed,
    CreditNote: _credit_note,
    WrittenOff: _written_off,
    PayslipClosed: _payslip_closed,
    PayPaid: _pay_paid,
}
