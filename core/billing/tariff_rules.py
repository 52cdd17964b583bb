"""What a span of days and its energy cost. Pure; every line is rounded by itself, so that a total is its lines' sum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from core.billing.tariffs import MICRO, Levy, Tariff, Versions, price_text
from core.kernel.money import Money

_WHOLE_BP = 10_000


@dataclass(frozen=True, slots=True)
class Use:
    """What is billed: the days from `from_on` up to `until_on` (not among them), and the energy used in them.

    `month_days`: the days of the month that is billed. What a tariff says of a month (the limits of its blocks, its
    standing charge) is taken for as many of them as there are.
    """

    from_on: date
    until_on: date
    month_days: int
    wh: int = 0

    @property
    def days(self) -> int:
        return (self.until_on - self.from_on).days


@dataclass(frozen=True, slots=True)
class Charge:
    """One line: what, how much of it, at which price, from which version. `amount_minor` in whole francs for CDF.

    `price`: per kWh, per month, or the rate of a levy in per cent. `name`: what a levy is called.
    """

    component: str
    amount_minor: int
    quantity: str
    price: str
    tariff_id: int
    from_on: date
    until_on: date
    block: int | None = None
    levy: str | None = None
    name: str = ""


def charge(versions: Versions, use: Use) -> list[Charge]:
    """The lines of an invoice. Lines of nothing are left out. Raises NoTariff when a day has no version.

    Energy over a change of price is spread evenly over the days: each day at the price of its day.
    """
    charges: list[Charge] = []
    rates: dict[tuple[Levy, int, date, date], None] = {}
    pieces = versions.pieces(use.from_on, use.until_on)
    if pieces and pieces[0][0].kind == "flat":
        # A flat price is for the month, however many of its days there are: the one of its first day.
        pieces = [(pieces[0][0], use.from_on, use.until_on)]
    gone = 0
    for tariff, first, after in pieces:
        upto = use.wh * (after - use.from_on).days // use.days
        charges += _net(tariff, first, after, upto - gone, use.month_days)
        gone = upto
        rates.update({(levy, tariff.id, first, after): None for levy in tariff.levies})
    return [c for c in [*charges, *_levies(charges, rates, pieces)] if c.amount_minor > 0]


def total(charges: Sequence[Charge]) -> int:
    """The sum of the lines, in minor units."""
    return sum(one.amount_minor for one in charges)


def tax(charges: Sequence[Charge]) -> int:
    """What of the total is taxes and levies."""
    return sum(one.amount_minor for one in charges if one.levy)


def block_limits(tariff: Tariff, days: int, month_days: int) -> list[int | None]:
    """Where the blocks end for so many days, in Wh: their share of the month's limits, rounded up for the customer."""
    return [None if b.upto_wh is None else -(-b.upto_wh * days // month_days) for b in tariff.blocks]


def rounded(numerator: int, denominator: int, currency: str) -> int:
    """Units of the currency as minor units, half up to what can be charged: whole francs, cents."""
    step, unit = _steps(currency)
    return (2 * numerator * unit + step * denominator) // (2 * step * denominator) * step


@cache
def _steps(currency: str) -> tuple[int, int]:
    """(the smallest amount that can be charged, one unit), in minor units."""
    return Money(1, currency).rounded_up().minor, Money.units(1, currency).minor


def kwh_text(wh: int) -> str:
    """`12,345 kWh`, without idle zeros."""
    whole, rest = divmod(wh, 1000)
    tail = f",{rest:03d}".rstrip("0") if rest else ""
    return f"{whole}{tail} kWh"


def _net(tariff: Tariff, first: date, after: date, wh: int, month_days: int) -> list[Charge]:
    days = (after - first).days
    charges = _energy(tariff, first, after, wh, month_days)
    for component, micro, share in (
        ("standing", tariff.standing_micro, (days, month_days)),
        ("subscription", tariff.subscription_micro, (days, month_days)),
        ("flat", tariff.flat_micro, (1, 1)),
    ):
        if micro:
            amount = rounded(micro * share[0], MICRO * share[1], tariff.currency)
            quantity = "1" if share[0] == share[1] else f"{share[0]}/{share[1]}"
            charges.append(Charge(component, amount, quantity, price_text(micro), tariff.id, first, after))
    return charges


def _energy(tariff: Tariff, first: date, after: date, wh: int, month_days: int) -> list[Charge]:
    charges = []
    below = 0
    limits = block_limits(tariff, (after - first).days, month_days)
    for number, (block, limit) in enumerate(zip(tariff.blocks, limits, strict=True), start=1):
        top = wh if limit is None else min(wh, limit)
        part = max(0, top - below)
        below = max(below, top)
        if part:
            amount = rounded(part * block.price_micro, MICRO * 1000, tariff.currency)
            price = price_text(block.price_micro)
            charges.append(Charge("energy", amount, kwh_text(part), price, tariff.id, first, after, block=number))
    return charges


def _levies(
    charges: Sequence[Charge],
    rates: dict[tuple[Levy, int, date, date], None],
    pieces: Sequence[tuple[Tariff, date, date]],
) -> list[Charge]:
    """One line per levy and rate: a levy that did not change with the price is one line over all pieces."""
    bases: dict[Levy, int] = defaultdict(int)
    spans: dict[Levy, tuple[int, date, date]] = {}
    for levy, tariff_id, first, after in rates:
        mine = [c for c in charges if (c.tariff_id, c.from_on, c.until_on) == (tariff_id, first, after)]
        bases[levy] += sum(
            c.amount_minor for c in mine if c.component in levy.on and not (levy.spares_social and c.block == 1)
        )
        began = spans.get(levy, (tariff_id, first, after))[1]
        spans[levy] = (tariff_id, began, after)
    currency = pieces[0][0].currency if pieces else "CDF"
    _, unit = _steps(currency)
    return [
        Charge(
            "levy",
            rounded(base * levy.basis_points, unit * _WHOLE_BP, currency),
            Money(base, currency).text,
            price_text(levy.basis_points * MICRO // 100),
            *spans[levy],
            levy=levy.code,
            name=levy.name,
        )
        for levy, base in bases.items()
    ]
