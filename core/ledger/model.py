"""The chart of accounts, and a transfer before it is written. `docs/ledger.md` keeps the table of recipes."""

from __future__ import annotations

from dataclasses import dataclass

from core.kernel.money import Money
from core.ledger.errors import UnknownAccount


@dataclass(frozen=True, slots=True)
class AccountKind:
    """`owner`: what owns an account of this code, '' where it stands alone.

    `cached`: a balance is kept on the row, because something with an owner or a floor is decided by it
    or a turn shows it, where nothing may be summed up; `sign` says
    which side counts up (+1 debits, -1 credits).
    """

    code: str
    owner: str
    cached: bool = False
    sign: int = 1


CHART = {
    kind.code: kind
    for kind in (
        AccountKind("receivable", "contract", cached=True, sign=1),
        AccountKind("credit", "contract", cached=True, sign=-1),
        AccountKind("wallet_clearing", "wallet"),
        AccountKind("bank", ""),
        AccountKind("cash", "cashier"),
        AccountKind("agent_float", "agent", cached=True, sign=-1),
        AccountKind("commission_payable", "agent", cached=True, sign=-1),
        AccountKind("commission_expense", ""),
        AccountKind("revenue", ""),
        AccountKind("tax_payable", "levy"),
        AccountKind("fees", ""),
        AccountKind("suspense", "wallet"),
        AccountKind("refund_payable", ""),
        AccountKind("fx_clearing", ""),
        AccountKind("opening", ""),
        AccountKind("rounding", ""),
        AccountKind("write_off", ""),
        AccountKind("payroll_payable", "payee", sign=-1),
        AccountKind("payroll_expense", ""),
        AccountKind("payroll_charges", ""),
        AccountKind("payroll_levy", "levy", sign=-1),
        AccountKind("payroll_deduction", "", sign=-1),
    )
}


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """A place in the books: a code of the chart and its owner. The currency comes with the money."""

    code: str
    owner: str = ""

    def __post_init__(self) -> None:
        kind = CHART.get(self.code)
        if kind is None:
            raise UnknownAccount(self.code)
        if bool(kind.owner) != bool(self.owner):
            raise UnknownAccount(f"{self.code} {'needs' if kind.owner else 'has no'} owner")


def receivable(contract_id: int) -> Account:
    return Account("receivable", str(contract_id))


def credit(contract_id: int) -> Account:
    return Account("credit", str(contract_id))


def wallet_clearing(wallet: str) -> Account:
    return Account("wallet_clearing", wallet)


def suspense(wallet: str) -> Account:
    return Account("suspense", wallet)


def agent_float(agent_id: int) -> Account:
    return Account("agent_float", str(agent_id))


def commission_payable(agent_id: int) -> Account:
    return Account("commission_payable", str(agent_id))


@dataclass(frozen=True, slots=True)
class Transfer:
    """From `credit` to `debit`. `invoice_id` makes it an allocation, `payment_id` says which money it was."""

    debit: Account
    credit: Account
    amount: Money
    invoice_id: int | None = None
    payment_id: str | None = None
