"""Prices, plans and what came of them, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from core.kernel.money import Money

Unit = Literal["day", "kwh"]


@dataclass(frozen=True, slots=True)
class Price:
    """One version of what a unit costs, tax included, from its first day on."""

    id: int
    version: int
    unit: Unit
    each: Money
    tax_basis_points: int
    levy: str
    valid_from: date


@dataclass(frozen=True, slots=True)
class Plan:
    """What a credit buys now. `values`: one a token, in steps of the device. `amount`: what is used of the credit, of
    which `tax` goes to the levy; the rest stays as credit. `is_capped`: it buys more than one device takes at once."""

    quantity: int
    values: tuple[int, ...]
    amount: Money
    tax: Money
    is_capped: bool = False


@dataclass(frozen=True, slots=True)
class Issue:
    """Tokens that were issued for one cause, in the order in which they are best typed. Business time."""

    id: int
    cause: str
    contract_id: int
    meter_id: str
    payment_id: str | None
    unit: Unit
    quantity: int
    amount: Money
    tax: Money
    tokens: tuple[str, ...]
    issued_at: datetime

    def __repr__(self) -> str:
        # A token is worth money to whoever reads it first: it has no place in a log.
        return f"Issue(id={self.id}, contract_id={self.contract_id}, quantity={self.quantity})"


@dataclass(frozen=True, slots=True)
class Short:
    """A prepaid account that is below zero: an operator took money back whose tokens had left."""

    contract_id: int
    account_number: str
    name: str
    missing: Money
    last_issue_at: datetime | None
