"""What the use of a prepaid radio meter costs, and when its credit is low. Pure; no float, nothing lost.

What is charged is whole steps of the currency (whole francs, cents). The rest is **carried**: thousandths of a minor
unit that wait for the next charge, so that a hundred small readings cost what one large one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from core.kernel.clock import day_begins, local_date
from core.kernel.money import Money
from core.prepaid.model import Price
from core.prepaid.rules import tax_within

# How a credit stands.
ENOUGH, LOW, USED_UP = 0, 1, 2
_PER_MINOR = 1_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where use is charged: the moment, the register there (kWh), and what is carried on."""

    at: datetime
    wh: int = 0
    carry: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Use at one price, from one mark to the next. `amount` may be nothing: then all of it is carried."""

    price: Price
    before: Mark
    after: Mark
    amount: Money
    tax: Money
    days: int = 0


def in_force(prices: Sequence[Price], day: date) -> Price | None:
    """The version of a day: the newest first day that has come, and of two with one first day the later version."""
    begun = [price for price in prices if price.valid_from <= day]
    return max(begun, key=lambda price: (price.valid_from, price.version), default=None)


def charge_energy(prices: Sequence[Price], mark: Mark, at: datetime, wh: int, zone: str) -> tuple[list[Part], Mark]:
    """What the energy from `mark` to a register of `wh` at `at` costs, and the new mark.

    Over a change of price the energy is spread evenly over the time. Before the first price nothing is charged. A
    register below the mark costs nothing until it has caught up.
    """
    used, span = max(0, wh - mark.wh), max(at - mark.at, timedelta(microseconds=1))
    parts: list[Part] = []
    cuts = _cuts(prices, mark.at, at, zone)
    now = mark
    for begin, end in zip([mark.at, *cuts], [*cuts, at], strict=True):
        # Down from the whole, so that the parts add up whatever is rounded.
        reached = max(mark.wh, wh) if end == at else mark.wh + used * (end - mark.at) // span
        price = in_force(prices, local_date(begin, zone))
        if price is None or reached == now.wh:
            now = Mark(end, reached, now.carry)
            continue
        part = _part(price, now, end, reached, (reached - now.wh) * price.each.minor)
        parts.append(part)
        now = part.after
    return parts, now


def charge_days(prices: Sequence[Price], mark: Mark, until_on: date, zone: str) -> tuple[list[Part], Mark]:
    """What the days from the mark's own up to `until_on` (not among them) cost: each at the price of its day."""
    parts: list[Part] = []
    now, day = mark, local_date(mark.at, zone)
    while day < until_on:
        price = in_force(prices, day)
        last = day + _DAY
        while last < until_on and in_force(prices, last) == price:
            last += _DAY
        end, days = day_begins(last, zone), (last - day).days
        if price is None:
            now = Mark(end, 0, now.carry)
        else:
            part = _part(price, now, end, 0, days * price.each.minor * _PER_MINOR, days)
            parts.append(part)
            now = part.after
        day = last
    return parts, now


def level(held: Money, low_minor: int) -> int:
    """ENOUGH, LOW or USED_UP."""
    if held.minor <= 0:
        return USED_UP
    return LOW if held.minor <= low_minor else ENOUGH


def _part(price: Price, before: Mark, at: datetime, wh: int, thousandths: int, days: int = 0) -> Part:
    """`thousandths` of a minor unit, and what was carried, as whole steps; the rest is carried on."""
    currency = price.each.currency
    step = Money(1, currency).rounded_up().minor
    steps, carry = divmod(before.carry + thousandths, step * _PER_MINOR)
    amount = Money(steps * step, currency)
    return Part(price, before, Mark(at, wh, carry), amount, tax_within(amount, price.tax_basis_points), days)


def _cuts(prices: Sequence[Price], begin: datetime, end: datetime, zone: str) -> list[datetime]:
    """Where another price begins at the place, between two moments."""
    return sorted({at for price in prices if begin < (at := day_begins(price.valid_from, zone)) < end})
