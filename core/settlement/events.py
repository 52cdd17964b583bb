"""Everything that moves money, as data. `core.settlement.post` is the only reader.

`key` makes an event happen once; the same key with other content is refused. Amounts are positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`actor`: who did it, `system` or a person. `memo`: a sentence for the journal."""

    kind: ClassVar[str] = ""
    key: str
    actor: str = "system"
    memo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSent(Event):
    """An invoice goes out: it is owed from now on. Credit of the contract is used on it at once."""

    kind: ClassVar[str] = "invoice_sent"
    invoice_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningDebit(InvoiceSent):
    """What was owed in the system before this one, as an invoice. It was earned there: revenue hears nothing of it."""

    kind: ClassVar[str] = "opening_debit"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningCredit(Event):
    """What a contract had in credit in the system before this one: on its open invoices first, as money is."""

    kind: ClassVar[str] = "opening_credit"
    contract_id: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletMoney(Event):
    """Money a wallet took for a contract. `invoice_ids`: those chosen, in order; else oldest first."""

    kind: ClassVar[str] = "wallet_money"
    payment_id: str
    wallet: str
    contract_id: int
    amount: Money
    invoice_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangedMoney(Event):
    """Wallet money in another currency than the contract's, under a valid quote: two transfers through fx_clearing."""

    kind: ClassVar[str] = "exchanged_money"
    payment_id: str
    wallet: str
    contract_id: int
    amount: Money
    worth: Money
    invoice_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnplacedMoney(Event):
    """Money nobody can place: unknown reference, wrong currency without a quote."""

    kind: ClassVar[str] = "unplaced_money"
    payment_id: str
    wallet: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensePlaced(Event):
    """Money out of suspense, onto a contract, by a person."""

    kind: ClassVar[str] = "suspense_placed"
    payment_id: str
    wallet: str
    contract_id: int
    amount: Money
    invoice_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CashTaken(Event):
    """Cash over the counter."""

    kind: ClassVar[str] = "cash_taken"
    payment_id: str
    cashier: str
    contract_id: int
    amount: Money
    invoice_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BankMoney(Event):
    """Money on the utility's own bank account, for a contract."""

    kind: ClassVar[str] = "bank_money"
    payment_id: str
    contract_id: int
    amount: Money
    invoice_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditApplied(Event):
    """A contract's credit is put on its open invoices."""

    kind: ClassVar[str] = "credit_applied"
    contract_id: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSale(Event):
    """An agent took cash for a customer: the float goes down, the customer's debt too."""

    kind: ClassVar[str] = "agent_sale"
    payment_id: str
    agent_id: int
    contract_id: int
    amount: Money
    commission: Money | None = None
    invoice_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatBought(Event):
    """An agent bought float by wallet."""

    kind: ClassVar[str] = "float_bought"
    payment_id: str
    wallet: str
    agent_id: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CashHandedOver(Event):
    """An agent handed cash to a cashier: the float goes up."""

    kind: ClassVar[str] = "cash_handed_over"
    cashier: str
    agent_id: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepaidUsed(Event):
    """Prepaid credit turned into energy, as a meter tells."""

    kind: ClassVar[str] = "prepaid_used"
    contract_id: int
    amount: Money
    tax: Money | None = None
    levy: str = "vat"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepaidReturned(Event):
    """Use that was charged and was none: a reading was corrected. Supply that went off for it comes back."""

    kind: ClassVar[str] = "prepaid_returned"
    contract_id: int
    amount: Money
    tax: Money | None = None
    levy: str = "vat"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued(Event):
    """Prepaid credit became tokens for a keypad. Refused without that credit: a token cannot be taken back."""

    kind: ClassVar[str] = "token_issued"
    contract_id: int
    amount: Money
    tax: Money | None = None
    levy: str = "vat"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPaidOut(Event):
    """The operator settled with the bank, less its fees."""

    kind: ClassVar[str] = "operator_paid_out"
    wallet: str
    amount: Money
    fees: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOwed(Event):
    """A refund was approved: credit becomes a debt of ours."""

    kind: ClassVar[str] = "refund_owed"
    contract_id: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspenseRefundOwed(Event):
    """A refund of money that nobody could place was approved: it waits no more, it is a debt of ours."""

    kind: ClassVar[str] = "suspense_refund_owed"
    payment_id: str
    wallet: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPaid(Event):
    """The operator paid the refund out. `contract_id` None: the money came from suspense."""

    kind: ClassVar[str] = "refund_paid"
    wallet: str
    amount: Money
    contract_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed(Event):
    """A refund was surely not paid: the money goes back where it came from, credit or (contract None) suspense."""

    kind: ClassVar[str] = "refund_failed"
    payment_id: str
    wallet: str
    amount: Money
    contract_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPaidLate(Event):
    """A refund that had failed was paid all the same: out of where its money is now, credit or suspense.

    The money has left: credit that was used meanwhile falls below zero. Refused only for a payment that the operator
    took back itself, for its money has left the books with that.
    """

    kind: ClassVar[str] = "refund_paid_late"
    payment_id: str
    wallet: str
    amount: Money
    contract_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReturned(Event):
    """A refund that was booked as paid was not, or came back to us: to where its money was, credit or suspense."""

    kind: ClassVar[str] = "refund_returned"
    payment_id: str
    wallet: str
    amount: Money
    contract_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorReversed(Event):
    """The operator took a payment back: its transfers run the other way, its invoices are open again in a new cycle.

    `contract_id`: the payment's own; None for money that was never on a contract (suspense, an agent's float).
    """

    kind: ClassVar[str] = "operator_reversed"
    payment_id: str
    contract_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote(Event):
    """An invoice is corrected downwards after it was sent. `of_opening`: it is one of what was owed before."""

    kind: ClassVar[str] = "credit_note"
    invoice_id: int
    contract_id: int
    amount: Money
    tax: Money | None = None
    levy: str = "vat"
    of_opening: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOff(Event):
    """A debt given up."""

    kind: ClassVar[str] = "written_off"
    invoice_id: int
    contract_id: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PayslipClosed(Event):
    """Somebody's pay of a month is owed. `payee`: `employee:3` or `agent:2`; `currency` is that of every amount.

    `salary_minor`: base and bonuses. `withheld`, `employer`: (levy, minor units). `deducted_minor`: what was kept by
    agreement (an advance, a fine). An agent's: `commission_minor` is paid with it, `commission_back_minor` and
    `to_float_minor` are taken from it for sales that were taken back and for a float below its limit.
    """

    kind: ClassVar[str] = "payslip_closed"
    payslip_id: int
    payee: str
    currency: str
    salary_minor: int = 0
    withheld: tuple[tuple[str, int], ...] = ()
    employer: tuple[tuple[str, int], ...] = ()
    deducted_minor: int = 0
    agent_id: int | None = None
    commission_minor: int = 0
    commission_back_minor: int = 0
    to_float_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPaid(Event):
    """Pay left the bank. Refused where the payee is not owed as much."""

    kind: ClassVar[str] = "pay_paid"
    payslip_id: int
    payee: str
    amount: Money


EVENTS: tuple[type[Event], ...] = (
    InvoiceSent,
    OpeningDebit,
    OpeningCredit,
    WalletMoney,
    ExchangedMoney,
    UnplacedMoney,
    SuspensePlaced,
    CashTaken,
    BankMoney,
    CreditApplied,
    AgentSale,
    FloatBought,
    CashHandedOver,
    PrepaidUsed,
    PrepaidReturned,
    TokenIssued,
    OperatorPaidOut,
    RefundOwed,
    SuspenseRefundOwed,
    RefundPaid,
    RefundFailed,
    RefundPaidLate,
    RefundReturned,
    OperatorReversed,
    CreditNote,
    WrittenOff,
    PayslipClosed,
    PayPaid,
)
