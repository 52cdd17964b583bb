"""How a payslip comes about. Pure: no database, no clock. Amounts are whole minor units."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from math import floor

from core.kernel.money import Money
from core.payroll.errors import PayrollRefused
from core.payroll.model import IncomeTax, Line, PayInputs, Rates, Side, Totals

_PERIOD = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


def first_and_last(period: str) -> tuple[date, date]:
    """The first and the last day of `2026-02`. Raises PayrollRefused period_invalid."""
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise PayrollRefused("period_invalid", period[:10])
    year, month = int(found[1]), int(found[2])
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


def next_period(period: str) -> str:
    first, _ = first_and_last(period)
    return f"{first.year + first.month // 12}-{first.month % 12 + 1:02d}"


def days_employed(period: str, starts_on: date, ends_on: date | None) -> tuple[int, int]:
    """(days of the month somebody was employed, days of the month)."""
    first, last = first_and_last(period)
    begin, end = max(first, starts_on), min(last, ends_on or last)
    return max(0, (end - begin).days + 1), last.day


def step_of(currency: str) -> int:
    """What pay is counted in: whole francs and shillings, cents."""
    return Money(1, currency).rounded_up().minor


def rounded(exact: Fraction, step: int) -> int:
    """To the next step, half up."""
    return floor(exact / step + Fraction(1, 2)) * step


def income_tax(tax: IncomeTax, base_minor: int, dependants: int, step: int) -> int:
    """A month's tax on `base_minor`. Never more than the base."""
    if base_minor <= 0:
        return 0
    exact, lower = Fraction(0), 0
    for bracket in tax.brackets:
        upper = base_minor if bracket.upto_minor is None else min(base_minor, bracket.upto_minor)
        if upper > lower:
            exact += (upper - lower) * bracket.percent / 100
            lower = upper
    if tax.cap_percent is not None:
        exact = min(exact, base_minor * tax.cap_percent / 100)
    exact -= exact * tax.relief_percent * min(dependants, tax.relief_most) / 100
    return min(base_minor, max(rounded(exact, step), tax.least_minor))


def compute(inputs: PayInputs, rates: Rates | None) -> tuple[Line, ...]:
    """The lines of one payslip: what is earned, what is kept from it, what the employer pays besides.

    What is earned is never exceeded: contributions and tax come first, then what an agent owes, then deductions in the
    order they were written; each takes what is left. A line whose `amount_minor` is below its `asked_minor` says so.
    Commission counts in whole steps; what is less stays owed.
    """
    step = step_of(inputs.currency)
    earned = _earned(inputs, step)
    owed = [line for line in earned if line.kind in ("base", "commission")]
    taxable = sum(line.amount_minor for line in owed) + sum(
        item.amount_minor for item in inputs.items if item.kind == "bonus" and item.taxable
    )
    levies = _levies(inputs, rates, taxable, step)
    left = sum(line.amount_minor for line in earned)
    taken: list[Line] = []
    for line in (*(x for x in levies if x.side == "deduction"), *_owing(inputs, step), *_deductions(inputs)):
        amount = min(line.asked_minor, left)
        left -= amount
        taken.append(_with_amount(line, amount))
    return (*earned, *taken, *(x for x in levies if x.side == "employer"))


def totals(lines: Iterable[Line]) -> Totals:
    sums = {"earning": 0, "deduction": 0, "employer": 0}
    for line in lines:
        sums[line.side] += line.amount_minor
    return Totals(sums["earning"], sums["deduction"], sums["employer"])


def worth_a_slip(lines: Iterable[Line]) -> bool:
    """Not where all there is to say is that an agent owes something, and nothing is there to take it from."""
    return any(line.amount_minor > 0 or line.kind not in ("commission_back", "float_debt") for line in lines)


def _earned(inputs: PayInputs, step: int) -> list[Line]:
    lines: list[Line] = []
    if inputs.kind == "employee":
        base = rounded(Fraction(inputs.base_minor * inputs.days, inputs.of_days), step)
        days: dict[str, str | int] = {}
        if inputs.days < inputs.of_days:
            days = {"days": inputs.days, "of_days": inputs.of_days}
        lines.append(Line("earning", "base", base, base, basis=days))
    commission = max(0, inputs.commission_minor) // step * step
    if commission:
        lines.append(Line("earning", "commission", commission, commission))
    for item in inputs.items:
        if item.kind == "bonus":
            lines.append(Line("earning", "bonus", item.amount_minor, item.amount_minor, item.words, "", item.id))
    return lines


def _levies(inputs: PayInputs, rates: Rates | None, taxable: int, step: int) -> list[Line]:
    if rates is None:
        return []
    lines, own = [], 0
    for levy in rates.contributions:
        if levy.on != ("salary" if inputs.kind == "employee" else "commission"):
            continue
        counted = taxable if levy.ceiling_minor is None else min(taxable, levy.ceiling_minor)
        amount = rounded(counted * levy.percent / 100, step)
        if amount <= 0:
            continue
        deducted = levy.payer == "employee"
        own += amount if deducted else 0
        basis: dict[str, str | int] = {"percent": percent_text(levy.percent), "of": counted}
        side: Side = "deduction" if deducted else "employer"
        lines.append(Line(side, "contribution", amount, amount, levy.name, levy.code, basis=basis))
    if rates.tax is not None and inputs.kind == "employee":
        base = max(0, taxable - own)
        amount = income_tax(rates.tax, base, inputs.dependants, step)
        if amount > 0:
            tax = rates.tax
            lines.append(Line("deduction", "tax", amount, amount, tax.name, tax.code, basis={"of": base}))
    return lines


def _owing(inputs: PayInputs, step: int) -> list[Line]:
    """What an agent owes us: commission on sales that were taken back, and a float below its limit."""
    back = max(0, -inputs.commission_minor) // step * step
    debt = inputs.float_debt_minor // step * step
    lines = [Line("deduction", "commission_back", 0, back)] if back else []
    return [*lines, Line("deduction", "float_debt", 0, debt)] if debt else lines


def _deductions(inputs: PayInputs) -> list[Line]:
    return [
        Line(
            "deduction", "deduction", 0, item.amount_minor, item.words, "", item.id,
            {"from": item.carried_from} if item.carried_from else {},
        )
        for item in inputs.items
        if item.kind == "deduction"
    ]  # fmt: skip


def _with_amount(line: Line, amount: int) -> Line:
    return Line(line.side, line.kind, amount, line.asked_minor, line.label, line.levy, line.item_id, line.basis)


def percent_text(percent: Fraction) -> str:
    """`13`, `1,5`, `0,2`: as many decimals as it has, four at most."""
    whole, rest = divmod(round(percent * 10_000), 10_000)
    return f"{whole},{rest:04d}".rstrip("0").rstrip(",")
