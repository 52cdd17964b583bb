"""The pure function: the policy's days, evidence, windows, holds and money; a year of days; properties."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.billing.dunning import EVIDENCE, evaluate
from core.billing.errors import BadPolicy
from core.billing.model import DunnedInvoice, DunningFacts, Hold, MadeStep, StepDue
from core.billing.policy import DEFAULT_POLICY, DunningPolicy
from core.kernel.clock import EAST, WEST
from tests.core.billing.month import Month, arrives_at_once, never_arrives

TUESDAY = date(2026, 3, 10)


def codes(facts: DunningFacts, now: datetime) -> set[str]:
    return {why.code for why in evaluate(facts, DEFAULT_POLICY, now).why_not}


# The calendar.


def test_the_default_policy_day_by_day() -> None:
    month = Month(TUESDAY).run(14)
    assert month.story() == [("sent", 0), ("reminder", 3), ("warning", 7), ("announcement", 14)]
    assert month.made[2][1].cut_on == date(2026, 3, 24)
    assert month.cut_at == month.at(date(2026, 3, 24), 9)


@pytest.mark.parametrize(
    ("start", "renewed", "cut"),
    [
        (date(2026, 3, 13), 14, date(2026, 3, 30)),  # +14 is a Friday
        (date(2026, 3, 14), 14, date(2026, 3, 30)),  # a Saturday
        (date(2026, 3, 15), 13, date(2026, 3, 30)),  # a Sunday: renewed the day before, or Monday would be too soon
    ],
)
def test_a_cut_that_falls_on_a_weekend_waits_and_is_warned_of_again(start: date, renewed: int, cut: date) -> None:
    month = Month(start).run(20)
    assert ("warning.2", renewed) in month.story()
    assert {step.cut_on for _, step in month.made if step.cut_on} == {cut}
    assert month.cut_at is not None
    assert month.cut_at.date() == cut


@pytest.mark.parametrize("zone", [WEST, EAST])
def test_every_day_of_a_year(zone: str) -> None:
    """Whenever an invoice is sent: no cut before +14, none on a forbidden day, none without fresh evidence."""
    day = date(2026, 1, 1)
    while day < date(2027, 1, 1):
        month = Month(day, zone=zone).run(30)
        assert month.cut_at is not None, day
        cut = month.cut_at
        assert 14 <= (cut.date() - day).days <= 21, day
        assert cut.weekday() <= 3
        assert cut.date() in month.facts.calendar.days
        assert 9 <= cut.hour <= 13
        assert all(month.invoice.delivered(base) is not None for base in EVIDENCE)
        warned = month.invoice.delivered("warning")
        assert warned is not None
        assert timedelta(hours=48) <= cut - warned <= timedelta(days=8)
        assert max(step.cut_on for _, step in month.made if step.cut_on) <= cut.date()
        assert month.story()[-1] == ("announcement", (cut.date() - day).days)
        day += timedelta(days=1)


def test_holidays_and_their_eves_are_no_days_for_a_cut() -> None:
    """Sent on 16 April 2026: +14 is Thursday 30 April, the eve of Labour Day; Friday to Sunday follow."""
    month = Month(date(2026, 4, 16)).run(25)
    assert month.cut_at is not None
    assert month.cut_at.date() == date(2026, 5, 4)


# Evidence.


def test_nothing_delivered_never_cut_and_in_the_end_a_crew_goes() -> None:
    month = Month(TUESDAY, arrives=never_arrives).run(60)
    assert month.cut_at is None
    by_crew = [step.step for _, step in month.made if step.channel == "crew"]
    assert by_crew == ["sent.7", "reminder.7"]
    sms = [step for _, step in month.made if step.base == "sent" and step.channel == "sms"]
    assert len(sms) == 1 + DEFAULT_POLICY.repeats_max


def test_crew_notices_open_the_way_to_the_cut() -> None:
    month = Month(TUESDAY, arrives=never_arrives)
    for n in range(1, 60):
        today = TUESDAY + timedelta(days=n)
        for step in month.invoice.steps:
            if step.by_crew and step.delivered_at is None:
                month.deliver(step.step, month.at(today, 7))
        month.day(today)
    assert month.cut_at is not None
    assert [step.step for _, step in month.made if step.channel == "crew"][:3] == ["sent.7", "reminder.7", "warning.7"]


def test_nobody_to_write_to_means_a_crew_from_the_first_day() -> None:
    month = Month(TUESDAY)
    month.facts = replace(month.facts, reachable=False, invoices=(replace(month.invoice, steps=()),))
    (step,) = month.verdict(month.at(TUESDAY, 10)).steps
    assert (step.step, step.channel) == ("sent", "crew")


def test_an_undelivered_warning_is_repeated_before_the_cut_and_the_cut_moves_if_it_must() -> None:
    def lost_once(step: StepDue, leaves_at: datetime) -> datetime | None:
        return None if step.step in ("warning", "warning.2") else leaves_at

    month = Month(TUESDAY, arrives=lost_once).run(25)
    assert [s for s in month.story() if s[0].startswith("warning")] == [
        ("warning", 7),
        ("warning.2", 12),
        ("warning.3", 14),
    ]
    # Warned on Tuesday the 24th at 08:00: Thursday the 26th is the first day with 48 hours between.
    assert month.cut_at == month.at(date(2026, 3, 26), 9)


def test_a_suppressed_notice_goes_by_crew_without_five_vain_repetitions() -> None:
    month = Month(TUESDAY).run(13)
    steps = tuple(replace(s, leaves_at=None, delivered_at=None) if s.step == "sent" else s for s in month.invoice.steps)
    month.facts = replace(month.facts, invoices=(replace(month.invoice, steps=steps),))
    (again,) = month.verdict(month.at(TUESDAY + timedelta(days=14), 5)).steps
    assert (again.step, again.channel) == ("sent.2", "crew")


def test_a_cut_needs_the_announcement_to_have_been_out_for_an_hour() -> None:
    month = Month(TUESDAY).run(13)
    day = date(2026, 3, 24)
    month.sweep(month.at(day, 5))
    assert codes(month.facts, month.at(day, 8)) == {"announcement_too_fresh"}
    assert month.verdict(month.at(day, 9)).cut_now


def test_a_missed_window_is_announced_again() -> None:
    month = Month(TUESDAY).run(13)
    month.sweep(month.at(date(2026, 3, 24), 5))
    for n in range(15, 25):
        month.sweep(month.at(TUESDAY + timedelta(days=n), 5))
    later = [s for s in month.story() if s[1] > 14]
    assert later[0] == ("warning.2", 15)
    assert ("announcement.2", 20) in later  # Monday the 30th: the day that the new warning named


def test_a_late_sweep_never_jumps() -> None:
    month = Month(TUESDAY).run(60, sweeps=lambda day: day >= date(2026, 4, 7))
    days = dict(reversed(month.story()))
    assert days["reminder"] == 28
    assert days["warning"] == 28 + 4
    assert days["announcement"] >= 28 + 4 + 7
    assert month.cut_at is not None


def test_one_step_a_day_however_often_the_sweep_runs() -> None:
    month = Month(TUESDAY)
    for n in range(1, 30):
        for hour in (5, 6, 18):
            month.sweep(month.at(TUESDAY + timedelta(days=n), hour))
    days = [day for day, _ in month.made]
    assert len(days) == len(set(days))


# Money.


def test_below_the_floor_nobody_is_warned() -> None:
    month = Month(TUESDAY, total_minor=450_000).run(30)
    assert month.story() == [("sent", 0), ("reminder", 3)]
    assert month.cut_at is None
    assert codes(month.facts, month.at(date(2026, 4, 8), 9)) == {"below_floor"}


def test_a_remainder_that_is_small_for_its_invoice_cuts_nobody() -> None:
    month = Month(TUESDAY, total_minor=5_000_000).run(13)
    month.pay(4_100_000)  # 9 000 FC left: over the floor, under a fifth of the invoice
    month.run(0)
    month.day(date(2026, 3, 24))
    assert month.cut_at is None
    assert codes(month.facts, month.at(date(2026, 3, 24), 9)) == {"small_balance"}


def test_paying_in_part_below_the_threshold_ends_off_due() -> None:
    month = Month(TUESDAY).run(14)
    assert month.verdict(month.at(date(2026, 4, 2), 9)).off_due
    month.pay(2_400_000)
    verdict = month.verdict(month.at(date(2026, 4, 2), 10))
    assert not verdict.off_due
    assert verdict.next_date_that_matters is None


def test_off_stays_due_when_the_window_closes_and_the_warning_grows_old() -> None:
    """Books decide: a window that closes switches nothing back on."""
    month = Month(TUESDAY).run(40)
    verdict = month.verdict(month.at(date(2026, 4, 19), 22))
    assert verdict.off_due
    assert not verdict.cut_now
    assert [why.code for why in verdict.why_not] == ["off_already"]
    assert month.story()[-1] == ("announcement", 14)  # nobody is warned of what has happened


def test_two_small_invoices_together_reach_the_floor() -> None:
    month = Month(TUESDAY, total_minor=300_000).run(8)
    second = replace(month.invoice, invoice_id=2, number="T-2")
    month.facts = replace(month.facts, invoices=(month.invoice, second))
    due = month.verdict(month.at(TUESDAY + timedelta(days=9), 5)).steps
    assert {(step.invoice_id, step.step) for step in due} == {(1, "warning"), (2, "warning")}


def test_a_reversal_starts_again_with_every_notice() -> None:
    month = Month(TUESDAY).run(14)
    reopened = replace(month.invoice, cycle=2, cycle_started_on=date(2026, 4, 1), steps=())
    month.facts = replace(month.facts, invoices=(reopened,), supply_off=False)
    verdict = month.verdict(month.at(date(2026, 4, 1), 10))
    assert not verdict.off_due
    assert [(step.cycle, step.step) for step in verdict.steps] == [(2, "sent")]
    assert verdict.next_date_that_matters == date(2026, 4, 15)


def test_a_currency_without_a_floor_is_never_cut() -> None:
    month = Month(TUESDAY)
    month.facts = replace(month.facts, currency="KES")
    month.run(30)
    assert month.cut_at is None


def test_a_protected_site_is_reminded_and_never_threatened() -> None:
    month = Month(TUESDAY)
    month.facts = replace(month.facts, may_be_cut=False)
    month.run(30)
    assert month.story() == [("sent", 0), ("reminder", 3)]
    assert month.verdict(month.at(date(2026, 4, 8), 9)).next_date_that_matters is None


# Holds.


def hold(month: Month, kind: str, day: int, hours: int) -> Hold:
    start = month.at(TUESDAY + timedelta(days=day), 0)
    return Hold(kind, start, start + timedelta(hours=hours))


def test_a_promise_holds_the_cut_and_the_announcement() -> None:
    month = Month(TUESDAY).run(12)
    month.facts = replace(month.facts, holds=(hold(month, "promise", 13, 72),))
    month.run(0)
    for n in (13, 14, 15):
        month.day(TUESDAY + timedelta(days=n))
    assert month.cut_at is None
    assert "announcement" not in dict(month.story())
    assert "hold" in codes(month.facts, month.at(date(2026, 3, 24), 9))


def test_nobody_hides_behind_one_unfinished_payment_a_day() -> None:
    """The policy counts two: the third and all after it hold nothing."""
    month = Month(TUESDAY)
    month.facts = replace(month.facts, holds=tuple(hold(month, "pending_payment", n, 24) for n in range(1, 40)))
    month.run(30)
    assert month.cut_at is not None


def test_an_endless_hold_ends_by_its_age() -> None:
    month = Month(TUESDAY)
    month.facts = replace(month.facts, holds=(hold(month, "promise", 10, 24 * 365),))
    month.run(45)
    assert month.cut_at is not None
    assert month.cut_at >= month.at(TUESDAY + timedelta(days=20), 0)


@pytest.mark.parametrize("flag", ["disputed", "estimated"])
def test_a_disputed_or_estimated_bill_is_not_cut_for(flag: str) -> None:
    month = Month(TUESDAY)
    flagged = replace(month.invoice, disputed=flag == "disputed", estimated=flag == "estimated")
    month.facts = replace(month.facts, invoices=(flagged,))
    month.run(30)
    assert month.cut_at is None
    assert flag in codes(month.facts, month.at(date(2026, 3, 24), 9))


# Properties.


@st.composite
def lives(draw: st.DrawFn) -> Month:
    """A customer's weeks with lost notices, missed sweeps, holds and partial payments; stopped anywhere."""
    start = date(2026, 1, 1) + timedelta(days=draw(st.integers(0, 364)))
    chance = random.Random(draw(st.integers(0, 2**32)))
    lost = draw(st.sampled_from([0.0, 0.3, 0.8]))
    month = Month(
        start,
        zone=draw(st.sampled_from([WEST, EAST])),
        total_minor=draw(st.sampled_from([400_000, 600_000, 2_850_000, 60_000_000])),
        arrives=lambda step, at: None if chance.random() < lost else arrives_at_once(step, at),
    )
    if draw(st.booleans()):
        at = month.at(start + timedelta(days=draw(st.integers(0, 25))), 7)
        month.facts = replace(month.facts, holds=(Hold("promise", at, at + timedelta(days=draw(st.integers(1, 20)))),))
    missed = draw(st.sampled_from([0.0, 0.5, 0.9]))
    for n in range(1, draw(st.integers(1, 40)) + 1):
        if chance.random() < 0.05:
            month.pay(chance.randrange(1, month.total_minor))
        month.day(start + timedelta(days=n), sweep=chance.random() >= missed)
    return month


@settings(max_examples=150, deadline=None)
@given(lives())
def test_a_step_is_never_skipped_and_keeps_its_distance(month: Month) -> None:
    first = {step.step: day for day, step in month.made if "." not in step.step}
    order: list[str] = [base for base, _ in DEFAULT_POLICY.offsets()]
    assert list(first) == order[: len(first)]
    offsets: dict[str, int] = dict(DEFAULT_POLICY.offsets())
    for earlier, later in zip(order, list(first)[1:], strict=False):
        assert (first[later] - first[earlier]).days >= offsets[later] - offsets[earlier]
        assert (first[later] - month.start).days >= offsets[later]
    for base in order:
        same = [day for day, step in month.made if step.base == base]
        assert all((b - a).days >= DEFAULT_POLICY.repeat_after_days for a, b in pairwise(same))


@settings(max_examples=150, deadline=None)
@given(lives())
def test_a_cut_always_has_its_evidence(month: Month) -> None:
    if month.cut_at is None:
        return
    cut = month.cut_at
    known = [s for s in month.invoice.steps if s.delivered_at is not None and s.delivered_at <= cut]
    assert {s.base for s in known} >= set(EVIDENCE)
    warned = max(s.delivered_at for s in known if s.base == "warning" and s.delivered_at is not None)
    assert timedelta(hours=48) <= cut - warned <= timedelta(days=8)
    assert cut.date() >= month.start + timedelta(days=14)
    assert all(step.cut_on is None or step.cut_on <= cut.date() for day, step in month.made if day <= cut.date())


@settings(max_examples=200, deadline=None)
@given(lives(), st.integers(0, 60_000_000), st.integers(0, 15 * 24))
def test_a_payment_never_makes_anything_worse(month: Month, minor: int, later_h: int) -> None:
    """More paid: no step and no off that was not due, no date that comes earlier. And the answer is repeatable."""
    now = month.at(month.start, 9) + timedelta(hours=later_h)
    before = month.verdict(now)
    assert before == month.verdict(now)
    month.pay(minor)
    after = month.verdict(now)
    assert set(after.steps) <= set(before.steps)
    assert after.off_due <= before.off_due
    assert after.cut_now <= before.cut_now
    if after.next_date_that_matters is not None:
        assert before.next_date_that_matters is not None
        assert after.next_date_that_matters >= before.next_date_that_matters


@st.composite
def crowds(draw: st.DrawFn) -> tuple[DunningFacts, datetime]:
    """Several invoices at different stages, some partly paid."""
    base = Month(date(2026, 1, 1) + timedelta(days=draw(st.integers(0, 364))))
    invoices = []
    for number in range(1, draw(st.integers(2, 4)) + 1):
        total = draw(st.integers(1, 40)) * 100_000
        age = draw(st.integers(0, 20))
        steps = tuple(
            MadeStep(name, base.at(base.start, 5) + timedelta(days=day), at, at, cut_on=None)
            for name, day in DEFAULT_POLICY.offsets()
            if day <= age
            for at in [base.at(base.start, 8) + timedelta(days=day)]
        )
        paid = draw(st.integers(0, total))
        invoices.append(DunnedInvoice(number, f"T-{number}", total, paid, 1, base.start, steps))
    return replace(base.facts, invoices=tuple(invoices)), base.at(
        base.start + timedelta(days=draw(st.integers(0, 25))), 9
    )


@settings(max_examples=300, deadline=None)
@given(crowds(), st.data())
def test_paying_any_invoice_never_makes_the_others_worse(
    crowd: tuple[DunningFacts, datetime], data: st.DataObject
) -> None:
    facts, now = crowd
    before = evaluate(facts, DEFAULT_POLICY, now)
    chosen = data.draw(st.integers(0, len(facts.invoices) - 1))
    invoice = facts.invoices[chosen]
    paid = data.draw(st.integers(invoice.paid_minor, invoice.total_minor))
    invoices = (*facts.invoices[:chosen], replace(invoice, paid_minor=paid), *facts.invoices[chosen + 1 :])
    after = evaluate(replace(facts, invoices=invoices), DEFAULT_POLICY, now)
    assert set(after.steps) <= set(before.steps)
    assert after.off_due <= before.off_due
    assert after.cut_now <= before.cut_now
    if after.next_date_that_matters is not None:
        assert before.next_date_that_matters is not None
        assert after.next_date_that_matters >= before.next_date_that_matters


# The policy as data.


def test_the_policy_survives_its_json() -> None:
    policy = replace(DEFAULT_POLICY, version=7, floor_minor={"CDF": 1}, off={"from_hour": 9})
    assert DunningPolicy.from_json(7, policy.as_json()) == policy


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"reminder_days": 3}, "reminder_days"),
        ({"reminder_after_days": 9}, "follow each other"),
        ({"repeats_max": -1}, "repeats_max"),
        ({"floor_minor": {"CDF": "5000"}}, "floor_minor.CDF"),
        ({"hold_limits": {"promise": [1]}}, "hold_limits.promise"),
        ({"warning_min_age_h": 200}, "warning_min_age_h"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_name(body: dict[str, object], named: str) -> None:
    with pytest.raises(BadPolicy, match=named):
        DunningPolicy.from_json(1, body)


def test_longer_notice_is_a_matter_of_data() -> None:
    """The regulator may ask for 28 days from demand: a new version, no new code."""
    patient = replace(DEFAULT_POLICY, reminder_after_days=7, warning_after_days=21, announcement_after_days=28)
    month = Month(TUESDAY, policy=patient).run(40)
    assert month.story() == [("sent", 0), ("reminder", 7), ("warning", 21), ("announcement", 28)]
    assert month.cut_at == month.at(date(2026, 4, 7), 9)
