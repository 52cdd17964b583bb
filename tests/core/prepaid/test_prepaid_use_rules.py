"""What use costs: the same in one piece or in a thousand, to the franc."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from core.kernel.clock import WEST
from core.kernel.money import Money
from core.prepaid.model import Price
from core.prepaid.use_rules import LOW, USED_UP, Mark, charge_days, charge_energy, in_force, level

BEGIN = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
STEP = {"CDF": 100, "USD": 1}


def price(each: int, *, currency: str = "CDF", day: date = date(2026, 1, 1), version: int = 1) -> Price:
    return Price(version, version, "kwh", Money(each, currency), 1_600, "vat", day)


@given(
    uses=st.lists(st.integers(0, 40_000), min_size=1, max_size=30),
    each=st.integers(1, 60_000),
    currency=st.sampled_from(["CDF", "USD"]),
)
def test_many_readings_cost_what_one_costs(uses: list[int], each: int, currency: str) -> None:
    prices = [price(each, currency=currency)]
    mark, charged, wh = Mark(BEGIN, 1_000), 0, 1_000
    for number, used in enumerate(uses, start=1):
        wh += used
        parts, mark = charge_energy(prices, mark, BEGIN + timedelta(hours=number), wh, WEST)
        charged += sum(part.amount.minor for part in parts)
        assert all(part.amount.minor % STEP[currency] == 0 for part in parts)
    exact = Fraction(sum(uses) * each, 1_000)
    assert charged == exact // STEP[currency] * STEP[currency]
    assert Fraction(charged) + Fraction(mark.carry, 1_000) == exact
    assert mark.wh == 1_000 + sum(uses)


@given(
    used=st.integers(0, 200_000),
    each=st.lists(st.integers(1, 50_000), min_size=2, max_size=5),
    hours=st.integers(1, 24 * 40),
)
def test_over_changes_of_price_no_watt_hour_is_lost(used: int, each: list[int], hours: int) -> None:
    prices = [
        price(minor, day=date(2026, 3, 1) + timedelta(days=7 * number), version=number + 1)
        for number, minor in enumerate(each)
    ]
    end = BEGIN + timedelta(hours=hours)
    parts, mark = charge_energy(prices, Mark(BEGIN, 500), end, 500 + used, WEST)
    assert sum(part.after.wh - part.before.wh for part in parts) == used
    naive = sum(Fraction((part.after.wh - part.before.wh) * part.price.each.minor, 1_000) for part in parts)
    assert sum(part.amount.minor for part in parts) + Fraction(mark.carry, 1_000) == naive
    assert (mark.at, mark.wh) == (end, 500 + used)


def test_a_price_counts_from_its_first_day_at_the_place() -> None:
    prices = [price(10_000), price(20_000, day=date(2026, 3, 2), version=2)]
    midnight = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
    parts, mark = charge_energy(prices, Mark(midnight - timedelta(hours=10), 0), midnight + timedelta(hours=30),
                                40_000, WEST)  # fmt: skip
    assert [(part.price.version, part.after.wh - part.before.wh, part.amount.text) for part in parts] == [
        (1, 10_000, "1 000 FC"),
        (2, 30_000, "6 000 FC"),
    ]
    assert mark.carry == 0
    assert sum(part.tax.minor for part in parts) == 13_793 + 82_759


def test_before_the_first_price_nothing_is_charged() -> None:
    prices = [price(10_000, day=date(2026, 3, 2))]
    begin = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)
    parts, mark = charge_energy(prices, Mark(begin, 0), begin + timedelta(hours=24), 24_000, WEST)
    assert [(part.after.wh - part.before.wh, part.amount.text) for part in parts] == [(12_000, "1 200 FC")]
    assert mark.wh == 24_000


def test_a_register_below_the_mark_costs_nothing_until_it_has_caught_up() -> None:
    prices = [price(10_000)]
    parts, mark = charge_energy(prices, Mark(BEGIN, 5_000), BEGIN + timedelta(hours=1), 4_000, WEST)
    assert (parts, mark.wh) == ([], 5_000)
    parts, mark = charge_energy(prices, mark, BEGIN + timedelta(hours=2), 6_000, WEST)
    assert [part.amount.text for part in parts] == ["100 FC"]


@given(spans=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_days_are_charged_once_each_at_the_price_of_the_day(spans: list[int]) -> None:
    prices = [price(100_000), price(150_050, day=date(2026, 3, 10), version=2)]
    start = datetime(2026, 2, 28, 23, 0, tzinfo=UTC)
    mark, charged, day = Mark(start), 0, date(2026, 3, 1)
    for span in spans:
        day += timedelta(days=span)
        parts, mark = charge_days(prices, mark, day, WEST)
        charged += sum(part.amount.minor for part in parts)
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(sum(spans))]
    naive = sum(150_050 if one >= date(2026, 3, 10) else 100_000 for one in days)
    assert charged * 1_000 + mark.carry == naive * 1_000


def test_the_later_version_of_one_first_day_counts() -> None:
    prices = [price(10_000, version=1), price(12_000, version=2)]
    found = in_force(prices, date(2026, 3, 1))
    assert found is not None
    assert found.version == 2
    assert in_force(prices, date(2025, 12, 31)) is None


def test_levels() -> None:
    assert [level(Money.units(n, "CDF"), 200_000) for n in (2_001, 2_000, 1, 0, -5)] == [0, LOW, LOW, USED_UP, USED_UP]
