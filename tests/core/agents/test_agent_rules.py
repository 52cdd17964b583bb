"""What is pure about agents: commission, limits, codes and PINs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.agents import rules
from core.agents.errors import AgentRefused
from core.agents.model import CommissionRule
from core.agents.rules import SaleFacts
from core.kernel.digits import is_account_number, is_valid
from core.kernel.money import Money, zero
from tests.core.settlement.books import francs

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
USUAL = francs(5_000)


def rule(
    points: int,
    *,
    version: int = 1,
    agent_id: int | None = None,
    least: int = 0,
    most: int | None = None,
    starts: datetime = AT,
    ends: datetime | None = None,
) -> CommissionRule:
    return CommissionRule(version, version, agent_id, "CDF", points, least, most, starts, ends)


some_rule = st.builds(
    lambda points, least, spread: rule(points, least=least, most=None if spread is None else least + spread),
    st.integers(0, 10_000),
    st.integers(0, 100_000),
    st.none() | st.integers(0, 10_000_000),
)
some_amount = st.integers(1, 10**12).map(lambda minor: Money(minor, "CDF"))


@given(some_rule, some_amount)
def test_commission_stays_within_its_bounds_and_the_amount(one: CommissionRule, amount: Money) -> None:
    earned = rules.commission_for([one], amount, AT).minor
    assert 0 <= earned <= amount.minor
    assert earned >= min(one.min_minor, amount.minor)
    assert one.max_minor is None or earned <= one.max_minor


@given(some_rule, some_amount, some_amount)
def test_more_money_never_earns_less(one: CommissionRule, amount: Money, more: Money) -> None:
    assert rules.commission_for([one], amount, AT) <= rules.commission_for([one], amount + more, AT)


@given(st.integers(0, 10_000), some_amount)
def test_the_share_is_rounded_half_up(points: int, amount: Money) -> None:
    exact_tenths_of_thousandths = amount.minor * points
    earned = rules.commission_for([rule(points)], amount, AT).minor
    assert -5_000 < exact_tenths_of_thousandths - earned * 10_000 + 1 <= 5_000


@given(some_rule, st.lists(some_amount, min_size=1, max_size=12))
def test_a_day_of_small_sales_earns_what_one_large_sale_earns(one: CommissionRule, parts: list[Money]) -> None:
    sold = given_out = zero("CDF")
    for part in parts:
        given_out += rules.commission_now([one], part, AT, sold_before=sold, given_before=given_out)
        sold += part
    assert given_out == rules.commission_for([one], sold, AT)


def test_half_a_centime_goes_up() -> None:
    assert rules.commission_for([rule(50)], Money(100, "CDF"), AT).minor == 1
    assert rules.commission_for([rule(49)], Money(100, "CDF"), AT).minor == 0


def test_which_rule_counts() -> None:
    general, newer = rule(100), rule(150, version=2, starts=AT + timedelta(days=1))
    own = rule(300, version=3, agent_id=7, ends=AT + timedelta(days=2))

    def pick(at: datetime, *known: CommissionRule) -> CommissionRule | None:
        return rules.rule_in_force(known, "CDF", at)

    assert pick(AT, general, newer) is general
    assert pick(AT + timedelta(days=1), general, newer) is newer, "from its first moment on"
    assert pick(AT, general, own, newer) is own
    assert pick(AT + timedelta(days=2), general, own, newer) is newer, "its end is outside"
    assert pick(AT - timedelta(seconds=1), general) is None
    assert rules.rule_in_force([general], "USD", AT) is None
    assert rules.commission_for([], francs(1_000), AT) == zero("CDF")


FACTS = SaleFacts(
    active=True,
    must_change_pin=False,
    limits=rules.default_limits("CDF"),
    balance=francs(1_000_000),
    credit_limit=francs(0),
    sold_today=francs(0),
    sim_changed_at=None,
    sold_since_sim=francs(0),
    contract_currency="CDF",
    contract_active=True,
    same_at=None,
)


def refusal(facts: SaleFacts, amount: Money = USUAL, *, again: bool = False) -> AgentRefused | None:
    try:
        rules.check_sale(facts, amount, now=AT, real_now=AT, again=again)
    except AgentRefused as refused:
        return refused
    return None


def test_a_sale_that_may_be() -> None:
    assert refusal(FACTS) is None


@pytest.mark.parametrize(
    ("facts", "amount"),
    [
        (FACTS, francs(100)),
        (FACTS, francs(500_000)),
        (replace(FACTS, sold_today=francs(2_995_000)), francs(5_000)),
        (replace(FACTS, balance=francs(5_000)), francs(5_000)),
        (replace(FACTS, balance=francs(-1_000), credit_limit=francs(6_000)), francs(5_000)),
    ],
)
def test_every_bound_may_be_reached(facts: SaleFacts, amount: Money) -> None:
    assert refusal(facts, amount) is None


@pytest.mark.parametrize(
    ("facts", "amount", "code"),
    [
        (replace(FACTS, active=False), francs(5_000), "not_active"),
        (replace(FACTS, must_change_pin=True), francs(5_000), "pin_must_change"),
        (replace(FACTS, contract_currency=None), francs(5_000), "account_unknown"),
        (replace(FACTS, contract_active=False), francs(5_000), "account_closed"),
        (replace(FACTS, contract_currency="USD"), francs(5_000), "currency_differs"),
        (FACTS, Money(5_000, "USD"), "currency_differs"),
        (FACTS, francs(99), "below_limit"),
        (FACTS, francs(0), "below_limit"),
        (FACTS, Money(500_050, "CDF"), "amount_not_whole"),
        (FACTS, francs(500_001), "above_limit"),
        (replace(FACTS, sold_today=francs(2_996_000)), francs(5_000), "day_limit"),
        (replace(FACTS, balance=francs(4_999)), francs(5_000), "float_short"),
        (replace(FACTS, balance=francs(-9_000)), francs(5_000), "float_short"),
        (replace(FACTS, same_at=AT - timedelta(seconds=299)), francs(5_000), "sold_just_now"),
    ],
)
def test_sales_that_may_not_be(facts: SaleFacts, amount: Money, code: str) -> None:
    refused = refusal(facts, amount)
    assert refused is not None
    assert refused.code == code


def test_refusals_say_what_would_do() -> None:
    day = refusal(replace(FACTS, sold_today=francs(2_996_000)))
    assert day is not None
    assert day.amount == francs(4_000)
    short = refusal(replace(FACTS, balance=francs(-2_000), credit_limit=francs(5_000)))
    assert short is not None
    assert short.amount == francs(3_000)


def test_the_same_sale_may_be_wanted_and_is_forgotten_after_five_minutes() -> None:
    twice = replace(FACTS, same_at=AT - timedelta(seconds=10))
    assert refusal(twice, again=True) is None
    assert refusal(replace(FACTS, same_at=AT - rules.SAME_SALE)) is None


def test_large_sales_wait_a_day_after_another_sim() -> None:
    swapped = replace(FACTS, sim_changed_at=AT - timedelta(hours=23))
    assert refusal(swapped, francs(199_999)) is None
    held = refusal(swapped, francs(200_000))
    assert held is not None
    assert (held.code, held.until) == ("sim_hold", AT + timedelta(hours=1))
    assert refusal(replace(FACTS, sim_changed_at=AT - timedelta(hours=24)), francs(200_000)) is None


@pytest.mark.parametrize(
    ("sold", "amount", "left"), [(150_000, 50_000, 50_000), (0, 200_000, 200_000), (250_000, 100, 0)]
)
def test_many_sales_after_another_sim_count_as_one(sold: int, amount: int, left: int) -> None:
    facts = replace(FACTS, sim_changed_at=AT - timedelta(hours=1), sold_since_sim=francs(sold))
    held = refusal(facts, francs(amount))
    assert held is not None
    assert (held.code, held.amount) == ("sim_hold", francs(left))
    if left > 0:
        assert refusal(facts, francs(left - 100)) is None


@pytest.mark.parametrize("currency", sorted(rules.FIRST_RULES))
def test_the_first_rules_give_small_sales_no_more_than_their_share(currency: str) -> None:
    least, most = rules.FIRST_RULES[currency]
    first = CommissionRule(1, 1, None, currency, rules.FIRST_BASIS_POINTS, least, most, AT, None)
    for amount in (Money(rules._LEAST[currency], currency), Money.units(1_000, currency)):
        share = amount.minor * rules.FIRST_BASIS_POINTS // 10_000
        assert rules.commission_for([first], amount, AT).minor == min(share, most)


@given(st.integers(0, 10**7 - 1))
def test_a_code_has_a_check_digit_and_is_no_account_number(drawn: int) -> None:
    code = rules.new_code(lambda _below: drawn)
    assert len(code) == rules.CODE_LENGTH
    assert is_valid(code)
    assert not is_account_number(code)
    assert len(rules.with_code(rules.CODE_BLANK, code)) == len(rules.CODE_BLANK)


@pytest.mark.parametrize(
    "pin",
    [
        "0000", "7777", "1234", "4321", "7890", "2468", "1212", "123123", "1987", "2004", "151999", "2580", "123",
        "1234567", "12a4", "", "7001",
    ],
)  # fmt: skip
def test_weak_pins(pin: str) -> None:
    assert rules.is_weak_pin(pin, "+243815557001")


@pytest.mark.parametrize("pin", ["4821", "7350", "90417", "482163"])
def test_pins_that_will_do(pin: str) -> None:
    assert not rules.is_weak_pin(pin, "+243815557001")


def test_most_pins_will_do_and_a_made_one_always_does() -> None:
    weak = sum(rules.is_weak_pin(f"{n:04d}") for n in range(10_000))
    assert weak < 400
    drawn = iter([0, 123_456, 482_163])
    assert rules.new_pin(lambda _below: next(drawn), "+243815557001") == "482163"


def test_waits_grow() -> None:
    waits = [rules.pin_pause(failures).total_seconds() for failures in range(12)]
    assert waits == [0, 0, 15, 60, 300, 3600, 7200, 14_400, 28_800, 57_600, 86_400, 86_400]
