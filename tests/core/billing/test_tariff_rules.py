"""Tariffs against a second, naive calculation: watt-hour by watt-hour, day by day, in fractions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.billing import tariffs
from core.billing.errors import BadTariff, NoTariff
from core.billing.explained import Billed, explain, in_words
from core.billing.labels import label_of
from core.billing.tariff_rules import Charge, Use, charge, tax, total
from core.billing.tariffs import Tariff, Versions
from core.kernel.money import Money

NOVEMBER = date(2026, 11, 1)
BLOCKS = [{"upto_kwh": 50, "per_kwh": "70"}, {"upto_kwh": 150, "per_kwh": "140"}, {"per_kwh": "165.5"}]
VAT = {"code": "vat", "name": "TVA", "percent": "16", "spares_social": True}


def tariff(kind: str = "consumption", *, valid_from: date = date(2024, 1, 1), id: int = 1, **body: Any) -> Tariff:
    currency = body.pop("currency", "CDF")
    return tariffs.read(
        id=id, code="BT", name="Basse tension", kind=kind, currency=currency, valid_from=valid_from, body=body
    )


def naive(versions: list[Tariff], use: Use) -> dict[tuple[int, int], Fraction]:
    """(version, block) → units of the currency: every day at its price, every watt-hour in its block."""
    owed: dict[tuple[int, int], Fraction] = {}
    days = [use.from_on + timedelta(days=n) for n in range(use.days)]
    in_force = [max((v for v in versions if v.valid_from <= day), key=lambda v: v.valid_from) for day in days]
    spent = 0
    for version in dict.fromkeys(in_force):
        mine = in_force.count(version)
        upto = use.wh * (in_force.index(version) + mine) // use.days
        for n in range(upto - spent):
            number = next(
                number
                for number, block in enumerate(version.blocks, start=1)
                if block.upto_wh is None or n < Fraction(block.upto_wh * mine, use.month_days)
            )
            key = (version.id, number)
            owed[key] = owed.get(key, Fraction(0)) + Fraction(version.blocks[number - 1].price_micro, 10**9)
        spent = upto
    return owed


def half_up(units: Fraction, currency: str) -> int:
    step = 100 if currency == "CDF" else 1
    return int((units * 100 / step) + Fraction(1, 2)) * step


@st.composite
def a_case(draw: st.DrawFn) -> tuple[list[Tariff], Use]:
    currency = draw(st.sampled_from(["CDF", "USD"]))
    first = date(2026, 10, 20) + timedelta(days=draw(st.integers(0, 40)))
    use = Use(
        first, first + timedelta(days=draw(st.integers(1, 61))), draw(st.integers(28, 31)), draw(st.integers(0, 900))
    )
    starts = draw(st.lists(st.integers(0, 70), max_size=2, unique=True))
    versions = []
    for number, start in enumerate([-500, *sorted(starts)], start=1):
        limits = sorted(draw(st.sets(st.integers(1, 900), max_size=3)))
        blocks = [tariffs.Block(limit, draw(st.integers(0, 300_000_000))) for limit in [*limits, None]]
        version = tariff(blocks=BLOCKS, currency=currency, valid_from=date(2026, 10, 20) + timedelta(days=start))
        versions.append(replace(version, id=number, blocks=tuple(blocks)))
    return versions, use


@settings(max_examples=80)
@given(a_case())
def test_blocks_are_what_a_naive_count_says(case: tuple[list[Tariff], Use]) -> None:
    versions, use = case
    lines = charge(Versions(tuple(versions)), use)
    slow = {key: half_up(units, versions[0].currency) for key, units in naive(versions, use).items()}
    assert {(c.tariff_id, c.block): c.amount_minor for c in lines} == {k: minor for k, minor in slow.items() if minor}


@settings(max_examples=60)
@given(a_case(), st.integers(0, 10_000), st.integers(0, 50_000_000))
def test_a_total_is_its_lines_and_can_be_charged(
    case: tuple[list[Tariff], Use], basis_points: int, standing: int
) -> None:
    versions, use = case
    levy = tariffs.Levy("vat", "TVA", basis_points)
    lines = charge(Versions(tuple(replace(v, standing_micro=standing, levies=(levy,)) for v in versions)), use)
    assert total(lines) == sum(c.amount_minor for c in lines)
    assert all(Money(c.amount_minor, versions[0].currency).is_chargeable for c in lines)
    net = total(lines) - tax(lines)
    assert tax(lines) == half_up(Fraction(net * basis_points, 1_000_000), versions[0].currency)


@settings(max_examples=60)
@given(a_case(), st.integers(0, 900), st.integers(1, 45), st.integers(-50_000, 50_000))
def test_what_is_explained_adds_up(case: tuple[list[Tariff], Use], wh: int, days: int, by_hand: int) -> None:
    """Also when somebody wrote the invoice before by hand: its total need not be what the tariff says."""
    versions, now = case
    book = Versions(tuple(replace(v, standing_micro=3_000_000_000) for v in versions))
    before = Use(now.from_on - timedelta(days=days), now.from_on, 30, wh)
    was, new = total(charge(book, before)) + by_hand, total(charge(book, now))
    parts = explain(book, Billed(before, was), Billed(now, new))
    assert sum(part["minor"] for part in parts) == new - was
    for language in ("fr", "en"):
        assert len(in_words(parts, versions[0].currency, language)) == len(parts)


def test_a_month_line_by_line() -> None:
    book = Versions((tariff(blocks=BLOCKS, standing="3000", levies=[VAT]),))
    lines = charge(book, Use(NOVEMBER, date(2026, 12, 1), 30, 212_345))
    assert [(c.component, c.quantity, c.price, c.amount_minor) for c in lines] == [
        ("energy", "50 kWh", "70", 350_000),
        ("energy", "100 kWh", "140", 1_400_000),
        ("energy", "62,345 kWh", "165.5", 1_031_800),
        ("standing", "1", "3000", 300_000),
        ("levy", "27 318 FC", "16", 437_100),
    ]
    words = [label_of(c, "en", blocks=3) for c in lines]
    assert words == ["Energy, social block", "Energy, block 2", "Energy, block 3", "Standing charge", "TVA 16 %"]


def test_nine_more_days_and_a_new_price_in_words() -> None:
    old = tariff(blocks=[{"per_kwh": "100"}])
    new = tariff(blocks=[{"per_kwh": "120"}], valid_from=NOVEMBER, id=2)
    book = Versions((old, new))
    before = Use(date(2026, 9, 1), date(2026, 10, 1), 30, 30_000)
    now = Use(date(2026, 10, 1), date(2026, 11, 9), 30, 39_000)
    parts = explain(book, Billed(before, 300_000), Billed(now, total(charge(book, now)), estimated=True))
    assert in_words(parts, "CDF", "en") == [
        "9 more days: +900 FC",
        "New price since 01/11/2026: +160 FC",
        "This reading is an estimate.",
    ]


@pytest.mark.parametrize(
    ("kind", "body", "days", "minor"),
    [
        ("monthly", {"subscription": "6000"}, 30, 600_000),
        ("monthly", {"subscription": "6000"}, 24, 480_000),
        ("flat", {"flat": "15000"}, 30, 1_500_000),
        ("flat", {"flat": "15000"}, 24, 1_500_000),
    ],
)
def test_a_subscription_goes_by_days_and_a_flat_price_does_not(
    kind: str, body: dict[str, Any], days: int, minor: int
) -> None:
    lines = charge(Versions((tariff(kind, **body),)), Use(NOVEMBER, NOVEMBER + timedelta(days=days), 30))
    assert total(lines) == minor


def test_a_cent_of_a_dollar_is_charged_and_a_centime_is_not() -> None:
    use = Use(NOVEMBER, date(2026, 12, 1), 30, 1_500)
    for currency, minor in (("USD", 13), ("CDF", 0)):
        lines = charge(Versions((tariff(blocks=[{"per_kwh": "0.0835"}], currency=currency),)), use)
        assert total(lines) == minor


def test_a_day_before_the_first_version_has_no_price() -> None:
    book = Versions((tariff(blocks=BLOCKS, valid_from=date(2026, 11, 5)),))
    with pytest.raises(NoTariff, match="2026-11-01"):
        charge(book, Use(NOVEMBER, date(2026, 12, 1), 30, 1_000))


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("consumption", {}, "blocks: a tariff of this kind needs it"),
        ("consumption", {"blocks": [{"upto_kwh": 50, "per_kwh": "1"}]}, "the last one"),
        ("consumption", {"blocks": [BLOCKS[0], BLOCKS[0], {"per_kwh": 1}]}, "above"),
        ("consumption", {"blocks": [{"per_kwh": 1.5}]}, "blocks 1: a decimal number"),
        ("consumption", {"blocks": [{"per_kwh": "-1"}]}, "decimal number"),
        ("consumption", {"blocks": [{"per_kwh": "1"}], "flat": "2"}, "flat: a tariff of this kind"),
        ("monthly", {"subscription": "1.0000001"}, "six decimals"),
        ("flat", {"flat": "1", "levies": [{"code": "vat", "name": "TVA", "percent": "101"}]}, "per cent"),
        ("flat", {"flat": "1", "levies": [{"code": "vat", "name": "TVA", "percent": "1", "on": ["x"]}]}, "taken of"),
        ("prepaid", {"unit": "litre"}, "unit"),
        ("weekly", {}, "kind"),
    ],
)  # fmt: skip
def test_a_tariff_that_cannot_be_charged_by_is_refused(kind: str, body: dict[str, Any], words: str) -> None:
    with pytest.raises(BadTariff, match=words):
        tariff(kind, **body)


def test_a_charge_says_its_days_and_version() -> None:
    old, new = (
        tariff("monthly", subscription="3000"),
        tariff("monthly", subscription="6000", valid_from=date(2026, 11, 16), id=2),
    )
    lines = charge(Versions((old, new)), Use(NOVEMBER, date(2026, 12, 1), 30))
    assert lines == [
        Charge("subscription", 150_000, "15/30", "3000", 1, NOVEMBER, date(2026, 11, 16)),
        Charge("subscription", 300_000, "15/30", "6000", 2, date(2026, 11, 16), date(2026, 12, 1)),
    ]
