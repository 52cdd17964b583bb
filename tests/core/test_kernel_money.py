"""Amounts: what goes out comes back, nothing is rounded unseen, currencies never mix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.gsm7 import is_gsm7
from core.kernel.money import CURRENCIES, BadAmount, Money, zero

CURRENCY = st.sampled_from(sorted(CURRENCIES))
AMOUNT = st.builds(Money, st.integers(0, 10**15), CURRENCY)


@given(AMOUNT)
def test_two_decimals_come_back_as_they_went_out(money: Money) -> None:
    assert Money.parse(money.decimal_text(2), money.currency) == money


@given(st.integers(0, 10**13), CURRENCY)
def test_whole_units_need_no_decimals(units: int, currency: str) -> None:
    money = Money.units(units, currency)
    assert money.decimal_text(0) == str(units)
    assert Money.parse(str(units), currency) == money


@given(AMOUNT.filter(lambda m: m.minor % 100 != 0))
def test_no_part_of_an_amount_is_dropped_on_the_wire(money: Money) -> None:
    with pytest.raises(BadAmount):
        money.decimal_text(0)


@given(st.text("0123456789.", max_size=60), CURRENCY)
def test_what_is_read_is_exact_or_refused(text: str, currency: str) -> None:
    try:
        money = Money.parse(text, currency)
    except BadAmount:
        return
    whole, _, rest = text.partition(".")
    assert money.minor == int(whole or "0") * 100 + int((rest + "00")[:2])
    assert not rest[2:].strip("0")


@pytest.mark.parametrize(
    "text", ["", "-5", "+5", "1 000", "1,5", "1e3", "NaN", "Infinity", "12.345", ".", "1.2.3", "٣", "9" * 40]
)
def test_texts_that_are_no_amount(text: str) -> None:
    with pytest.raises(BadAmount):
        Money.parse(text, "CDF")


def test_a_long_text_is_not_rounded_into_an_amount() -> None:
    with pytest.raises(BadAmount):
        Money.parse("1234567890123456789012345678.999", "USD")


def test_a_debt_of_ours_is_no_amount_for_a_wire() -> None:
    with pytest.raises(BadAmount):
        Money(-1250, "USD").decimal_text(2)


@given(AMOUNT)
def test_rounding_up_gives_the_next_amount_that_can_be_charged(money: Money) -> None:
    up = money.rounded_up()
    assert up >= money
    assert up.minor - money.minor < 100
    assert up.is_chargeable or not up


@given(AMOUNT)
def test_the_text_is_plain(money: Money) -> None:
    assert is_gsm7(money.text)
    read = money.text.rsplit(" ", 1)[0].replace(" ", "").replace(",", ".")
    assert Money.parse(read, money.currency) == money


@given(AMOUNT, AMOUNT)
def test_sums_and_order_hold_within_one_currency_only(a: Money, b: Money) -> None:
    if a.currency == b.currency:
        assert (a + b) - b == a
        assert (a <= b) == (a.minor <= b.minor)
        assert (a > b) == (a.minor > b.minor)
        return
    for mix in (lambda: a + b, lambda: a - b, lambda: a < b, lambda: a >= b):
        with pytest.raises(BadAmount):
            mix()


@pytest.mark.parametrize("minor", [1.0, True, "5", None])
def test_only_whole_numbers_are_money(minor: object) -> None:
    with pytest.raises(BadAmount):
        Money(minor, "CDF")  # type: ignore[arg-type]


def test_unknown_currencies_are_refused() -> None:
    with pytest.raises(BadAmount):
        Money(1, "EUR")
    with pytest.raises(BadAmount):
        Money.parse("1", "EUR")


def test_how_it_reads() -> None:
    assert Money.units(12_500, "CDF").text == "12 500 FC"
    assert Money(2550, "USD").text == "25,50 USD"
    assert str(Money(-150_50, "CDF")) == "-150,50 FC"
    assert not zero("CDF")
    assert not Money(50, "CDF").is_chargeable
