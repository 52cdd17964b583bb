"""Every rule that keeps supply on, each by itself and over a whole year hour by hour in both zones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.clock import EAST, WEST
from core.supply.holidays import FIXED, holiday_name
from core.supply.rules import (
    ActiveHold,
    BadPolicy,
    OffFacts,
    OffPolicy,
    may_disconnect,
    next_window,
    window_on,
)

POLICY = OffPolicy()
# Tuesday 10 March 2026, 09:00 in Kinshasa.
NOON = datetime(2026, 3, 10, 9, 0, tzinfo=ZoneInfo(WEST))
OWES = OffFacts(currency="CDF", overdue_minor=2_850_000, invoiced_minor=2_850_000, report_age_h=1)


def codes(facts: OffFacts = OWES, policy: OffPolicy = POLICY, at: datetime = NOON) -> list[str]:
    return [reason.code for reason in may_disconnect(facts, policy, at)]


def test_an_ordinary_debt_on_a_tuesday_morning_may_be_cut() -> None:
    assert codes() == []


@pytest.mark.parametrize("zone", [WEST, EAST])
@pytest.mark.parametrize("year", [2026, 2028])
def test_over_a_year_only_monday_to_thursday_mornings_outside_holidays_and_their_eves(year: int, zone: str) -> None:
    """8,760 hours, against the rule written down a second time and differently."""
    at = datetime(year, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    allowed_hours = 0
    while at.astimezone(ZoneInfo(zone)).year == year:
        local = at.astimezone(ZoneInfo(zone))
        tomorrow = local.date() + timedelta(days=1)
        fine = (
            local.strftime("%a") in ("Mon", "Tue", "Wed", "Thu")
            and local.strftime("%H") in ("08", "09", "10", "11", "12", "13")
            and (local.month, local.day) not in FIXED
            and (tomorrow.month, tomorrow.day) not in FIXED
        )
        found = codes(at=local)
        assert (found == []) == fine, (local, found)
        window = window_on(POLICY, local.date(), zone)
        assert (window is not None and window[0] <= local < window[1]) == fine
        allowed_hours += fine
        at += timedelta(hours=1)
    assert 1000 < allowed_hours < 1260


def test_the_zones_differ_by_an_hour() -> None:
    early = datetime(2026, 3, 10, 6, 30, tzinfo=UTC)
    assert codes(at=early.astimezone(ZoneInfo(EAST))) == []
    assert codes(at=early.astimezone(ZoneInfo(WEST))) == ["hours"]


def test_a_holiday_on_a_sunday_is_taken_on_the_day_before() -> None:
    assert date(2025, 4, 6).weekday() == 6
    assert holiday_name(date(2025, 4, 5)) == FIXED[4, 6]
    assert holiday_name(date(2026, 4, 5)) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"protected": "health"}, "protected"),
        ({"overdue_minor": 499_900}, "arrears_too_small"),
        ({"overdue_minor": 560_000, "invoiced_minor": 2_850_000}, "arrears_too_small"),
        ({"currency": "EUR"}, "no_floor"),
        ({"disputed_minor": 2_500_000}, "dispute"),
        ({"estimated": True}, "estimated"),
        ({"reading_jump": True}, "reading_jump"),
        ({"report_age_h": 48}, "meter_silent"),
        ({"report_age_h": None}, "meter_silent"),
        ({"outage_from": NOON - timedelta(hours=1)}, "outage"),
        ({"outage_from": NOON + timedelta(hours=3)}, "outage"),
        ({"outage_from": NOON - timedelta(hours=9), "outage_until": NOON - timedelta(hours=3)}, "outage"),
        ({"interrupted_percent": 11}, "interrupted_supply"),
        ({"offs_last_hour": 60}, "rate_hour"),
        ({"offs_today": 300}, "rate_day"),
        ({"holds": (ActiveHold("promise", NOON, NOON + timedelta(days=3)),)}, "promise"),
        ({"holds": (ActiveHold("pending_payment", NOON, NOON + timedelta(hours=2)),)}, "pending_payment"),
    ],
)
def test_each_rule_by_itself(change: dict[str, object], expected: str) -> None:
    assert codes(replace(OWES, **change)) == [expected]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"disputed_minor": 1_000_000},  # the undisputed part alone carries it
        {"overdue_minor": 570_000},  # exactly a fifth
        {"report_age_h": None, "has_radio": False},
        {"outage_from": NOON - timedelta(hours=9), "outage_until": NOON - timedelta(hours=4)},
        {"holds": (ActiveHold("promise", NOON - timedelta(days=3), NOON),)},
        {"holds": (ActiveHold("pending_payment", NOON, NOON + timedelta(hours=2), ordinal=3),)},
        {"holds": (ActiveHold("pending_payment", NOON - timedelta(hours=24), NOON + timedelta(days=9)),)},
    ],
)
def test_what_is_no_reason(change: dict[str, object]) -> None:
    assert codes(replace(OWES, **change)) == []  # type: ignore[arg-type]


def test_the_brake_stops_everything_and_a_reason_keeps_its_facts() -> None:
    assert codes(policy=replace(POLICY, brake=True)) == ["brake"]
    (reason,) = may_disconnect(replace(OWES, overdue_minor=1), POLICY, NOON)
    assert reason.as_json() == {
        "code": "arrears_too_small",
        "facts": {"overdue_minor": 1, "needed_minor": 570_000, "currency": "CDF"},
    }


def test_declared_days_count_as_holidays() -> None:
    policy = OffPolicy.from_json({"extra_holidays": ["2026-03-11"]})
    assert codes(policy=policy) == ["eve_of_holiday"]
    assert codes(policy=policy, at=NOON + timedelta(days=1)) == ["holiday"]


def test_the_next_window_is_the_first_that_has_not_ended() -> None:
    before = NOON.replace(hour=3)
    assert next_window(POLICY, before, WEST) == window_on(POLICY, NOON.date(), WEST)
    friday = datetime(2026, 3, 13, 9, 0, tzinfo=ZoneInfo(WEST))
    window = next_window(POLICY, friday, WEST)
    assert window is not None
    assert (window[0].strftime("%a %d %H"), window[1].strftime("%H")) == ("Mon 16 08", "14")
    assert next_window(replace(POLICY, days=()), NOON, WEST) is None


@pytest.mark.parametrize(
    "body",
    [
        {"hours": 3},
        {"from_hour": 14, "until_hour": 8},
        {"from_hour": True},
        {"days": [7]},
        {"days": "Mon"},
        {"floor_minor": 5},
        {"floor_minor": {"CDF": -1}},
        {"hold_limits": {"promise": 3}},
        {"extra_holidays": ["10 March"]},
        {"brake": 1},
    ],
)
def test_a_policy_that_cannot_be_read_says_which_entry(body: dict[str, object]) -> None:
    with pytest.raises(BadPolicy):
        OffPolicy.from_json(body)


@given(
    overdue=st.integers(0, 10_000_000),
    more=st.integers(0, 10_000_000),
    invoiced=st.integers(0, 10_000_000),
    disputed=st.integers(0, 10_000_000),
)
def test_owing_less_never_makes_a_cut_possible(overdue: int, more: int, invoiced: int, disputed: int) -> None:
    disputed = min(disputed, overdue)
    less = replace(OWES, overdue_minor=overdue, invoiced_minor=invoiced, disputed_minor=disputed)
    if codes(replace(less, overdue_minor=overdue + more)):
        assert codes(less)
