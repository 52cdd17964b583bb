"""Where arriving money goes: chosen invoices first, then oldest first, the rest to the contract's credit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.kernel.money import Money
from core.ledger.model import Account, Transfer, credit, receivable


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """A sent invoice with a balance, in minor units of the contract's currency."""

    invoice_id: int
    balance_minor: int


def in_order(invoices: Sequence[OpenInvoice], chosen: Sequence[int]) -> list[OpenInvoice]:
    """Those chosen come first, in the customer's order; `invoices` is oldest first already."""
    rank = {invoice_id: i for i, invoice_id in enumerate(chosen)}
    return sorted(invoices, key=lambda invoice: rank.get(invoice.invoice_id, len(rank)))


def place(
    source: Callable[[Account, Money, int | None], Transfer],
    contract_id: int,
    money: Money,
    invoices: list[OpenInvoice],
) -> list[Transfer]:
    """The transfers that put `money` on `invoices` and the rest on the contract's credit.

    `source(target, amount, invoice_id)` makes one transfer from wherever the money comes.
    """
    transfers: list[Transfer] = []
    left = money.minor
    for invoice in invoices:
        part = min(left, invoice.balance_minor)
        if part > 0:
            transfers.append(source(receivable(contract_id), Money(part, money.currency), invoice.invoice_id))
            left -= part
    if left > 0:
        transfers.append(source(credit(contract_id), Money(left, money.currency), None))
    return transfers
