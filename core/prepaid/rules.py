"""What a credit buys, and how long it lasts. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.kernel.money import Money
from core.prepaid.model import Plan, Price

_WHOLE = 10_000


def plan(credit: Money, price: Price, *, divider: int, value_max: int, stack_max: int) -> Plan | None:
    """Whole units for as much of `credit` as they cost; None when it does not reach for one.

    `divider`: steps of the device in one unit; a token holds `value_max` steps and a device takes `stack_max` tokens in
    any order, so a credit that is worth more stays in part. Every part is a whole number of units.
    """
    per_token = value_max // divider
    affordable = max(credit.minor, 0) // price.each.minor
    quantity = min(affordable, most_at_once(divider=divider, value_max=value_max, stack_max=stack_max))
    if quantity <= 0:
        return None
    full, rest = divmod(quantity, per_token)
    parts = [per_token] * full + ([rest] if rest else [])
    amount = Money(quantity * price.each.minor, credit.currency)
    values = tuple(part * divider for part in parts)
    return Plan(quantity, values, amount, tax_within(amount, price.tax_basis_points), affordable > quantity)


def most_at_once(*, divider: int, value_max: int, stack_max: int) -> int:
    """The most units that are issued at once."""
    return value_max // divider * stack_max


def recent(before: str, new: str, *, keep: int) -> str:
    """The last `keep` tokens of two texts, oldest first."""
    return " ".join([*before.split(), *new.split()][-keep:])


def tax_within(amount: Money, basis_points: int) -> Money:
    """The tax that an amount with tax holds, rounded half up to the minor unit."""
    whole = _WHOLE + basis_points
    return Money((2 * amount.minor * basis_points + whole) // (2 * whole), amount.currency)


def paid_until(before: datetime | None, now: datetime, days: int) -> datetime:
    """Until when it lasts after `days` more: they are added to what is left, or to now where nothing is."""
    return max(before or now, now) + timedelta(days=days)
