"""Damm's scheme on real account numbers: one wrong digit, two swapped neighbours, and what people type instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel import digits

NUMBERS = st.text("0123456789", min_size=1, max_size=12)


@given(NUMBERS)
def test_a_number_with_its_check_digit_is_valid(number: str) -> None:
    assert digits.is_valid(digits.with_check(number))


@given(NUMBERS)
def test_every_single_wrong_digit_is_found(number: str) -> None:
    whole = digits.with_check(number)
    for place, right in enumerate(whole):
        for wrong in "0123456789".replace(right, ""):
            assert not digits.is_valid(whole[:place] + wrong + whole[place + 1 :])


@given(NUMBERS)
def test_every_swap_of_neighbours_is_found(number: str) -> None:
    whole = digits.with_check(number)
    for place in range(len(whole) - 1):
        left, right = whole[place], whole[place + 1]
        if left != right:
            assert not digits.is_valid(whole[:place] + right + left + whole[place + 2 :])


@given(NUMBERS)
def test_reading_back_and_typing_again_gives_the_number(number: str) -> None:
    whole = digits.with_check(number)
    assert digits.normalise(digits.grouped(whole)) == whole
    assert digits.normalise(f" {whole.replace('0', 'O').replace('1', 'l')}-") == whole


@given(st.text(max_size=20))
def test_nonsense_is_refused_and_never_raises(typed: str) -> None:
    plain = digits.normalise(typed)
    assert digits.is_valid(plain) is False or plain.isascii()
    assert digits.is_account_number(plain) in (True, False)


def test_digits_of_other_alphabets_are_folded() -> None:
    assert digits.normalise("٣٤ ५") == "345"


@pytest.mark.parametrize("number", ["", "5", "12a4", "１２３４"])
def test_too_short_or_no_digits_is_invalid(number: str) -> None:
    assert not digits.is_valid(number)


def test_an_account_number_has_ten_digits() -> None:
    assert digits.is_account_number(digits.with_check("100000001"))
    assert not digits.is_account_number(digits.with_check("10000001"))
    assert not digits.is_account_number(digits.with_check("1000000011"))


def test_only_digits_get_a_check_digit() -> None:
    with pytest.raises(ValueError, match="not a digit"):
        digits.check_digit("12x")
