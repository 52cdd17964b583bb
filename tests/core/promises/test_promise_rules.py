"""The pure rules: which days are offered, what refuses a promise, and that none ever brings an off nearer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.billing.dunning import earliest_cut, evaluate
from core.billing.model import DunnedInvoice, DunningFacts, Hold, MadeStep
from core.billing.policy import DEFAULT_POLICY, DunningPolicy
from core.kernel.clock import EAST, WEST
from core.promises.rules import Earlier, end_of, promise_days, refusal
from tests.core.billing.month import Month, calendar

TUESDAY = date(2026, 3, 10)
MORNING = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
LONGER = replace(DEFAULT_POLICY, hold_limits={**DEFAULT_POLICY.hold_limits, "promise": (2, 15 * 24)})


def facts(**changes: object) -> DunningFacts:
    owed = DunnedInvoice(1, "T-1", 2_850_000, 0, 1, TUESDAY)
    return replace(DunningFacts(1, "CDF", WEST, calendar(TUESDAY), (owed,)), **changes)  # type: ignore[arg-type]


def promised(made: datetime, day: date, zone: str = WEST) -> Hold:
    return Hold("promise", made, end_of(day, zone))


def test_days_are_those_of_the_policy_to_whose_end_the_hold_reaches() -> None:
    assert promise_days(DEFAULT_POLICY, MORNING, WEST) == (date(2026, 3, 13), date(2026, 3, 17))
    assert promise_days(LONGER, MORNING, WEST)[-1] == date(2026, 3, 24)
    none = replace(DEFAULT_POLICY, hold_limits={**DEFAULT_POLICY.hold_limits, "promise": (0, 240)})
    assert promise_days(none, MORNING, WEST) == ()


def test_days_are_counted_at_the_site() -> None:
    late = datetime(2026, 3, 10, 22, 30, tzinfo=UTC)
    assert promise_days(DEFAULT_POLICY, late, WEST)[0] == date(2026, 3, 13)
    assert promise_days(DEFAULT_POLICY, late, EAST)[0] == date(2026, 3, 14)
    assert end_of(date(2026, 3, 13), EAST) == datetime(2026, 3, 13, 22, 0, tzinfo=UTC)


def test_the_policy_keeps_its_days() -> None:
    body = {**DEFAULT_POLICY.as_json(), "promise_days": [5], "promise_pause_days": 10}
    read = DunningPolicy.from_json(2, body)
    assert (read.promise_days, read.promise_pause_days) == ((5,), 10)
    assert DunningPolicy.from_json(2, read.as_json()) == read


@pytest.mark.parametrize(
    ("seen", "earlier", "code", "until"),
    [
        (facts(), None, None, None),
        (facts(invoices=()), None, "nothing_due", None),
        (facts(), Earlier("open", date(2026, 3, 12)), "already_open", date(2026, 3, 12)),
        (facts(supply_off=True), None, "supply_off", None),
        (facts(), Earlier("broken", date(2026, 3, 1)), "broken_lately", date(2026, 3, 31)),
        (facts(), Earlier("open", date(2026, 3, 9)), "broken_lately", date(2026, 4, 8)),
        (facts(), Earlier("broken", date(2026, 2, 8)), None, None),
        (facts(), Earlier("kept", date(2026, 3, 9)), None, None),
    ],
)
def test_what_refuses_a_promise(
    seen: DunningFacts, earlier: Earlier | None, code: str | None, until: date | None
) -> None:
    refused = refusal(seen, earlier, DEFAULT_POLICY, MORNING, date(2026, 3, 13))
    assert (refused and refused.code) == code
    assert (refused and refused.until) == until


def test_a_day_that_was_not_offered_is_refused() -> None:
    refused = refusal(facts(), None, DEFAULT_POLICY, MORNING, date(2026, 3, 14))
    assert refused is not None
    assert refused.code == "day_not_offered"


def test_no_more_promises_than_holds_that_count() -> None:
    twice = (promised(MORNING, TUESDAY), promised(MORNING, date(2026, 3, 11)))
    refused = refusal(facts(holds=twice), None, DEFAULT_POLICY, MORNING, date(2026, 3, 13))
    assert refused is not None
    assert refused.code == "too_often"
    before_the_bill = (promised(MORNING - timedelta(days=9), date(2026, 3, 5)),) * 2
    assert refusal(facts(holds=before_the_bill), None, DEFAULT_POLICY, MORNING, date(2026, 3, 13)) is None


def test_a_promise_keeps_the_cut_away_until_its_day_is_over() -> None:
    month = Month(TUESDAY).run(13)
    made = month.at(date(2026, 3, 23), 18)
    month.facts = replace(month.facts, holds=(promised(made, date(2026, 3, 30)),))
    verdict = month.verdict(made)
    assert ("hold", "promise") in {(why.code, why.detail) for why in verdict.why_not}
    assert verdict.next_date_that_matters == date(2026, 3, 31)
    for n in range(14, 30):
        month.day(TUESDAY + timedelta(days=n))
    # The warning was renewed in time and named the day after the promise.
    assert ("warning.2", 19) in month.story()
    assert month.cut_at == month.at(date(2026, 3, 31), 9)
    assert max(step.cut_on for _, step in month.made if step.cut_on) == date(2026, 3, 31)


def test_money_on_its_way_builds_no_day() -> None:
    month = Month(TUESDAY).run(13)
    now = month.at(date(2026, 3, 23), 18)
    plain = month.verdict(now).next_date_that_matters
    month.facts = replace(month.facts, holds=(Hold("pending_payment", now, now + timedelta(hours=24)),))
    assert month.verdict(now).next_date_that_matters == plain


def test_a_screen_names_no_day_within_a_promise() -> None:
    days = calendar(TUESDAY)
    assert earliest_cut(TUESDAY, days, DEFAULT_POLICY) == date(2026, 3, 24)
    assert earliest_cut(TUESDAY, days, DEFAULT_POLICY, not_before=date(2026, 3, 27)) == date(2026, 3, 30)
    assert earliest_cut(TUESDAY, days, DEFAULT_POLICY, not_before=date(2026, 3, 12)) == date(2026, 3, 24)


_DAYS = st.integers(min_value=1, max_value=25)


@settings(max_examples=40)
@given(made_on=_DAYS, length=st.sampled_from([3, 7, 9]), paid=st.integers(0, 2_400_000), paid_on=_DAYS)
def test_a_promise_never_brings_an_off_nearer_and_holds_for_days_only(
    made_on: int, length: int, paid: int, paid_on: int
) -> None:
    plain, with_promise = Month(TUESDAY), Month(TUESDAY)
    made = plain.at(TUESDAY + timedelta(days=made_on), 18)
    day = TUESDAY + timedelta(days=made_on + length)
    for n in range(1, 50):
        for month in (plain, with_promise):
            if n == paid_on:
                month.pay(paid)
            month.day(TUESDAY + timedelta(days=n))
        if n == made_on and with_promise.cut_at is None:
            with_promise.facts = replace(with_promise.facts, holds=(promised(made, day),))
    assert (plain.cut_at is None) == (with_promise.cut_at is None)
    if plain.cut_at is None or with_promise.cut_at is None:
        return
    assert with_promise.cut_at >= plain.cut_at
    if with_promise.facts.holds:
        assert with_promise.cut_at.date() > day
    # However made, it ends: a week and a weekend after the promised day at the latest.
    assert with_promise.cut_at.date() <= max(plain.cut_at.date(), day + timedelta(days=8))


@settings(max_examples=60)
@given(
    steps=st.lists(st.sampled_from(["reminder", "warning", "warning.2", "announcement"]), unique=True, max_size=4),
    on=_DAYS,
    holds=st.lists(st.tuples(_DAYS, st.integers(1, 20)), min_size=1, max_size=5),
)
def test_holds_only_ever_add_reasons(steps: list[str], on: int, holds: list[tuple[int, int]]) -> None:
    start = datetime(2026, 3, 10, 8, tzinfo=UTC)
    made = tuple(
        MadeStep(step, at, at, at, cut_on=date(2026, 3, 24) if step.startswith("warning") else None)
        for n, step in enumerate(["sent", *sorted(steps)])
        for at in [start + timedelta(days=4 * n)]
    )
    free = facts(invoices=(DunnedInvoice(1, "T-1", 2_850_000, 0, 1, TUESDAY, made),))
    begun = [(start + timedelta(days=first), length) for first, length in holds]
    held = replace(free, holds=tuple(Hold("promise", at, at + timedelta(days=length)) for at, length in begun))
    now = start + timedelta(days=on)
    one, other = evaluate(held, DEFAULT_POLICY, now), evaluate(free, DEFAULT_POLICY, now)
    assert not one.cut_now or other.cut_now
    assert one.off_due == other.off_due
    assert one.next_date_that_matters is not None
    assert other.next_date_that_matters is not None
    assert one.next_date_that_matters >= other.next_date_that_matters
    most, hours = DEFAULT_POLICY.hold_limit("promise")
    for why in one.why_not:
        if why.code == "hold":
            assert isinstance(why.until, datetime)
            assert why.until <= now + timedelta(hours=hours)
    longest = (one.next_date_that_matters - other.next_date_that_matters).days
    assert longest <= most * hours // 24 + 7
