"""What a credit buys, in whole units; and how long it lasts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.money import Money
from core.prepaid import rules
from core.prepaid.model import Price

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


def price(minor: int, basis_points: int = 1_600) -> Price:
    return Price(1, 1, "day", Money(minor, "CDF"), basis_points, "vat", date(2026, 1, 1))


@given(
    credit=st.integers(-10_000, 10_000_000_000),
    each=st.integers(1, 1_000_000),
    tax=st.integers(0, 10_000),
    divider=st.integers(1, 255),
)
def test_a_plan_uses_whole_units_and_never_more_than_the_credit(credit: int, each: int, tax: int, divider: int) -> None:
    plan = rules.plan(Money(credit, "CDF"), price(each, tax), divider=divider, value_max=995, stack_max=8)
    if plan is None:
        assert credit < each
        return
    assert plan.amount.minor == plan.quantity * each <= credit
    assert sum(plan.values) == plan.quantity * divider
    assert len(plan.values) <= 8
    assert all(0 < value <= 995 and value % divider == 0 for value in plan.values)
    assert 0 <= plan.tax.minor < plan.amount.minor
    # What is left over buys no unit, unless the tokens were as many as a device takes.
    assert credit - plan.amount.minor < each or len(plan.values) == 8


@pytest.mark.parametrize(
    ("amount", "basis_points", "tax"), [(11_600, 1_600, 1_600), (150_000, 1_600, 20_690), (100, 0, 0), (3, 10_000, 2)]
)
def test_tax_within_an_amount_is_rounded_half_up(amount: int, basis_points: int, tax: int) -> None:
    assert rules.tax_within(Money(amount, "CDF"), basis_points).minor == tax


def test_days_are_added_to_what_is_left_or_to_now() -> None:
    assert rules.paid_until(None, NOW, 3) == NOW + timedelta(days=3)
    assert rules.paid_until(NOW + timedelta(days=2), NOW, 3) == NOW + timedelta(days=5)
    assert rules.paid_until(NOW - timedelta(days=2), NOW, 3) == NOW + timedelta(days=3)
