"""Tokens against the library's own decoder: a device takes each of them, in any order, once."""

from __future__ import annotations

import random
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kernel.money import Money
from core.prepaid import rules
from core.prepaid.errors import BadKey
from core.prepaid.model import Price
from core.prepaid.ports import Device as Asked
from meters.registry import TOKEN_MAKERS
from tests.core.prepaid.shop import CODE, KEY, Device

MAKER = TOKEN_MAKERS["openpaygo_token"]


def made(values: list[int], *, count: int, restricted: bool = False) -> list[str]:
    tokens = []
    for value in values:
        one = MAKER.add(Asked(count, restricted, KEY, CODE), value)
        tokens.append(one.token)
        count = one.count
    return tokens


@pytest.mark.parametrize(
    ("count", "restricted", "token", "after"),
    [(1, False, "082162833", 2), (2, False, "211704833", 4), (1, True, "121432234213212", 2)],
)
def test_the_vectors_of_the_specification(count: int, restricted: bool, token: str, after: int) -> None:
    from openpaygo.token_shared import OpenPAYGOTokenShared

    derived = OpenPAYGOTokenShared.generate_starting_code(KEY)
    one = MAKER.add(Asked(count, restricted, KEY, derived), 7)
    assert (one.token, one.count) == (token, after)


@settings(max_examples=60)
@given(
    values=st.lists(st.integers(1, 995), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
    restricted=st.booleans(),
)
def test_a_device_takes_what_it_may_hold_in_any_order_and_once(
    values: list[int], order: random.Random, restricted: bool
) -> None:
    tokens = made(values, count=1, restricted=restricted)
    assert {len(token) for token in tokens} == {15 if restricted else 9}
    shuffled = list(tokens)
    order.shuffle(shuffled)
    device = Device(restricted=restricted)
    assert [device.types(token) for token in shuffled] == ["added"] * len(tokens)
    assert device.units == sum(values)
    assert [device.types(token) for token in shuffled] == ["used"] * len(tokens)
    assert device.units == sum(values)


@settings(max_examples=60)
@given(
    payments=st.lists(st.integers(1, 5_000_000), min_size=1, max_size=6),
    each=st.integers(50_000, 300_000),
    divider=st.integers(1, 16),
    order=st.randoms(use_true_random=False),
)
def test_the_days_on_the_device_are_the_money_that_came(
    payments: list[int], each: int, divider: int, order: random.Random
) -> None:
    """Payment by payment: what is bought is typed, in any order within one; what is left counts with the next."""
    price = Price(1, 1, "day", Money(each, "CDF"), 1_600, "vat", date(2026, 1, 1))
    device, count, credit = Device(divider=divider), 1, 0
    for paid in payments:
        credit += paid
        plan = rules.plan(Money(credit, "CDF"), price, divider=divider, value_max=995, stack_max=8)
        if plan is None:
            continue
        tokens = made(list(plan.values), count=count)
        count += 2 * len(tokens) - count % 2
        order.shuffle(tokens)
        assert [device.types(token) for token in tokens] == ["added"] * len(tokens)
        credit -= plan.amount.minor
    assert device.units * each + credit == sum(payments)
    assert credit < each


def test_another_meters_token_is_wrong() -> None:
    (token,) = made([5], count=1)
    assert Device(key=bytes(16)).types(token) == "wrong"


@pytest.mark.parametrize("value", [0, -1, 996, 998, 999])
def test_values_that_mean_something_else_are_never_made(value: int) -> None:
    with pytest.raises(ValueError, match="no token holds"):
        MAKER.add(Asked(1, False, KEY, CODE), value)


@pytest.mark.parametrize(("secret", "code"), [(b"", CODE), (KEY[:8], CODE), (KEY, 0), (KEY, 10**9)])
def test_what_no_device_has_is_named_and_not_shown(secret: bytes, code: int) -> None:
    with pytest.raises(BadKey) as refused:
        MAKER.add(Asked(1, False, secret, code), 5)
    assert KEY.hex()[:8] not in str(refused.value)
    assert repr(Asked(1, False, KEY, CODE)) == "Device(count=1, restricted=False)"
