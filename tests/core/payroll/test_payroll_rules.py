"""A payslip computed twice: by the rules, and by a second, naive way that shares nothing with them."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.payroll import rules
from core.payroll.errors import PayrollRefused
from core.payroll.model import Bracket, Contribution, IncomeTax, Item, Line, PayInputs, Rates
from core.payroll.rate_rules import FIRST_RATES, read_rates

FIRST = read_rates(FIRST_RATES["CDF"], "CDF")
percents = st.integers(0, 2_500).map(lambda n: Fraction(n, 100))
amounts = st.integers(1, 90_000).map(lambda n: n * 100)


@st.composite
def some_rates(draw: st.DrawFn) -> Rates:
    levies = tuple(
        Contribution(
            f"levy{n}", f"Levy {n}", draw(st.sampled_from(["employee", "employer"])), draw(percents),
            draw(st.sampled_from(["salary", "commission"])), draw(st.none() | st.integers(0, 10**8)),
        )
        for n in range(draw(st.integers(0, 3)))
    )  # fmt: skip
    bounds = sorted(draw(st.sets(st.integers(1, 5_000_000), max_size=3)))
    brackets = tuple(Bracket(bound * 100, draw(percents)) for bound in bounds)
    tax = IncomeTax(
        "tax", "Tax", (*brackets, Bracket(None, draw(percents))), draw(st.none() | percents),
        draw(st.sampled_from([0, 200_000])), draw(st.sampled_from([Fraction(0), Fraction(2)])), 9,
    )  # fmt: skip
    return Rates("CDF", levies, draw(st.none() | st.just(tax)))


@st.composite
def some_inputs(draw: st.DrawFn) -> PayInputs:
    items = tuple(
        Item(n + 1, draw(st.sampled_from(["bonus", "deduction"])), f"item {n}", draw(amounts), draw(st.booleans()))
        for n in range(draw(st.integers(0, 5)))
    )
    if draw(st.booleans()):
        days = draw(st.integers(0, 31))
        return PayInputs(
            "employee", "CDF", base_minor=draw(st.integers(0, 80_000)) * 100, days=days, of_days=31,
            dependants=draw(st.integers(0, 12)), items=items,
        )  # fmt: skip
    return PayInputs(
        "agent", "CDF", commission_minor=draw(st.integers(-500_000, 5_000_000)),
        float_debt_minor=draw(st.sampled_from([0, 150_000, 7_777_777])), items=items,
    )  # fmt: skip


def francs_of(exact: Decimal) -> int:
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP)) * 100


def dec(fraction: Fraction) -> Decimal:
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


def naive_tax(tax: IncomeTax, base_minor: int, dependants: int) -> int:
    """Each bracket as an additional rate on all that is above its beginning."""
    base, total, before, start = Decimal(base_minor) / 100, Decimal(0), Decimal(0), Decimal(0)
    for bracket in tax.brackets:
        rate = dec(bracket.percent) / 100
        total += (rate - before) * max(Decimal(0), base - start)
        before = rate
        start = Decimal(bracket.upto_minor or 0) / 100
    if tax.cap_percent is not None and total > base * dec(tax.cap_percent) / 100:
        total = base * dec(tax.cap_percent) / 100
    total = total * (100 - dec(tax.relief_percent) * min(dependants, tax.relief_most)) / 100
    found = francs_of(total)
    if found < tax.least_minor:
        found = tax.least_minor
    return 0 if base_minor <= 0 else min(found, base_minor)


def naive(inputs: PayInputs, rates: Rates) -> tuple[int, int, int, int]:
    """(gross, deducted, net, employer) as a clerk with paper would have it."""
    if inputs.kind == "employee":
        own = francs_of(Decimal(inputs.base_minor) / 100 * inputs.days / inputs.of_days)
    else:
        own = inputs.commission_minor - inputs.commission_minor % 100 if inputs.commission_minor > 0 else 0
    gross, counted = own, own
    for item in inputs.items:
        if item.kind == "bonus":
            gross += item.amount_minor
            counted += item.amount_minor if item.taxable else 0
    wanted, employer, contributed = 0, 0, 0
    for levy in rates.contributions:
        if (levy.on == "salary") == (inputs.kind == "employee"):
            base = counted if levy.ceiling_minor is None or counted < levy.ceiling_minor else levy.ceiling_minor
            amount = francs_of(Decimal(base) / 100 * dec(levy.percent) / 100)
            if levy.payer == "employer":
                employer += amount
            else:
                contributed += amount
    wanted += contributed
    if rates.tax is not None and inputs.kind == "employee":
        wanted += naive_tax(rates.tax, counted - contributed, inputs.dependants)
    if inputs.kind == "agent":
        wanted += -inputs.commission_minor // 100 * 100 if inputs.commission_minor < 0 else 0
        wanted += inputs.float_debt_minor // 100 * 100
    wanted += sum(item.amount_minor for item in inputs.items if item.kind == "deduction")
    deducted = wanted if wanted < gross else gross
    return gross, deducted, gross - deducted, employer


@given(some_inputs(), some_rates() | st.just(FIRST))
def test_the_second_computation_agrees(inputs: PayInputs, rates: Rates) -> None:
    lines = rules.compute(inputs, rates)
    sums = rules.totals(lines)
    assert (sums.gross_minor, sums.deducted_minor, sums.net_minor, sums.employer_minor) == naive(inputs, rates)
    assert sums.net_minor >= 0
    assert all(0 <= line.amount_minor <= line.asked_minor and line.amount_minor % 100 == 0 for line in lines)
    short = [line for line in lines if line.amount_minor < line.asked_minor]
    assert not short or sums.net_minor == 0, "nothing is left unpaid while there is pay"
    asked = {item.id: item.amount_minor for item in inputs.items}
    assert {line.item_id: line.asked_minor for line in lines if line.item_id} == asked


@pytest.mark.parametrize(
    ("base", "dependants", "tax"),
    [
        # 3 % of 162 000, 15 % of the rest: 4 860 + 46 950
        (475_000, 0, 51_810),
        (475_000, 3, 48_701),  # 6 % less: 48 701,40
        (475_000, 12, 42_484),  # nine count
        (162_000, 0, 4_860),
        (30_000, 0, 2_000),  # the least
        (1_000, 0, 1_000),  # never more than there is
        (0, 0, 0),
        # 4 860 + 245 700 + 540 000 + 40 % of 36,4 million: more than 30 % of 40 million
        (40_000_000, 0, 12_000_000),
    ],
)
def test_the_first_rates_tax_as_they_are_told(base: int, dependants: int, tax: int) -> None:
    assert FIRST.tax is not None
    assert rules.income_tax(FIRST.tax, base * 100, dependants, 100) == tax * 100


def test_a_salary_by_the_first_rates() -> None:
    inputs = PayInputs("employee", "CDF", base_minor=50_000_000, days=28, of_days=28)
    lines = [(x.side, x.levy or x.kind, x.amount_minor // 100) for x in rules.compute(inputs, FIRST)]
    assert lines == [
        ("earning", "base", 500_000),
        ("deduction", "cnss", 25_000),
        ("deduction", "ipr", 51_810),
        ("employer", "cnss_employer", 65_000),
        ("employer", "inpp", 15_000),
        ("employer", "onem", 1_000),
    ]


def test_commission_below_a_franc_stays_owed_and_dollars_have_cents() -> None:
    assert rules.compute(PayInputs("agent", "CDF", commission_minor=199), None)[0].amount_minor == 100
    assert rules.compute(PayInputs("agent", "USD", commission_minor=199), None)[0].amount_minor == 199
    assert rules.compute(PayInputs("agent", "CDF", commission_minor=99), None) == ()


def test_what_there_is_not_enough_for_says_so() -> None:
    inputs = PayInputs(
        "employee", "CDF", base_minor=100_000, days=30, of_days=30,
        items=(Item(1, "deduction", "Advance", 80_000), Item(2, "deduction", "Fine", 50_000)),
    )  # fmt: skip
    taken = [line for line in rules.compute(inputs, None) if line.side == "deduction"]
    assert [(line.amount_minor, line.asked_minor) for line in taken] == [(80_000, 80_000), (20_000, 50_000)]


def test_an_agent_who_only_owes_gets_no_slip() -> None:
    lines = rules.compute(PayInputs("agent", "CDF", commission_minor=-5_000, float_debt_minor=900), None)
    assert not rules.worth_a_slip(lines)
    assert not rules.worth_a_slip(())
    assert rules.worth_a_slip((Line("deduction", "deduction", 0, 100, "Advance"),)), "it is carried over, and says so"


def test_days_and_months() -> None:
    assert rules.days_employed("2026-02", date(2024, 1, 1), None) == (28, 28)
    assert rules.days_employed("2026-02", date(2026, 2, 15), None) == (14, 28)
    assert rules.days_employed("2026-02", date(2024, 1, 1), date(2026, 2, 1)) == (1, 28)
    assert rules.days_employed("2026-02", date(2026, 3, 1), None) == (0, 28)
    assert (rules.next_period("2026-11"), rules.next_period("2026-12")) == ("2026-12", "2027-01")
    for wrong in ("2026-13", "2026-2", "26-02", "", "2026-02-01", "1999-01"):
        with pytest.raises(PayrollRefused):
            rules.first_and_last(wrong)
    assert [rules.percent_text(Fraction(x)) for x in ("13", "1.5", "0.2", "0.0625")] == ["13", "1,5", "0,2", "0,0625"]


@pytest.mark.parametrize(
    "body",
    [
        {"levies": []},
        {"contributions": [{"code": "x", "name": "X", "payer": "employee", "percent": "5"}]},
        {"contributions": [{"code": "cnss", "name": "X", "payer": "employee", "percent": 5}]},
        {"contributions": [{"code": "cnss", "name": "X", "payer": "nobody", "percent": "5"}]},
        {"contributions": [{"code": "cnss", "name": "", "payer": "employee", "percent": "5"}]},
        {"contributions": [{"code": "cnss", "name": "X", "payer": "employee", "percent": "101"}]},
        {"contributions": [{"code": code, "name": "X", "payer": "employee", "percent": "60"} for code in ("ab", "ac")]},
        {"contributions": [{"code": "ab", "name": "X", "payer": "employee", "percent": "6"}] * 2},
        {"tax": {"code": "ipr", "name": "IPR", "brackets": []}},
        {"tax": {"code": "ipr", "name": "IPR", "brackets": [{"upto": "5", "percent": "1"}]}},
        {"tax": {"code": "ipr", "name": "IPR", "brackets": [{"upto": up, "percent": "1"} for up in ("5", "4", "")]}},
        {"tax": {"code": "ipr", "name": "IPR", "brackets": [{"percent": "2"}], "relief_percent": "20",
         "relief_most": 6}},
        {"tax": {"code": "ipr", "name": "IPR", "brackets": [{"percent": "2"}], "least": "-5"}},
    ],
)  # fmt: skip
def test_rates_that_cannot_be_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(PayrollRefused) as refused:
        read_rates(body, "CDF")
    assert refused.value.code == "rates_invalid"
