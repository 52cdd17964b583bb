"""What holds whatever happens in whatever order: sweeps late and doubled, outages, reversals, hundreds of holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.billing.dunning import EVIDENCE
from core.billing.model import Hold
from core.billing.policy import DEFAULT_POLICY
from core.kernel.clock import EAST, WEST
from tests.core.billing.month import Month, calendar

OFFSETS: dict[str, int] = dict(DEFAULT_POLICY.offsets())
ORDER = list(OFFSETS)
starts = st.integers(0, 364).map(lambda n: date(2026, 1, 1) + timedelta(days=n))


@st.composite
def nights(draw: st.DrawFn) -> tuple[Month, list[datetime]]:
    """A bill and the moments at which a sweep came: doubled, at any hour, after outages of any length."""
    month = Month(draw(starts), zone=draw(st.sampled_from([WEST, EAST])))
    hours = draw(st.lists(st.integers(1, 45 * 24), min_size=1, max_size=40))
    return month, sorted(month.at(month.start, 0) + timedelta(hours=hour) for hour in hours)


@settings(max_examples=100)
@given(nights())
def test_no_order_of_sweeps_and_outages_skips_or_jumps(life: tuple[Month, list[datetime]]) -> None:
    """Each sweep makes the next step at most, on a day of its own, as far from the one before as the policy says."""
    month, moments = life
    for now in moments:
        before = {step.base for _, step in month.made}
        # A sweep that ran before the bill was sent did not know it.
        if now < month.at(month.start, 9):
            continue
        month.sweep(now)
        fresh = [step.base for _, step in month.made if step.base not in before]
        assert len(fresh) <= 1
        if fresh:
            assert before == set(ORDER[: ORDER.index(fresh[0])]), "a step before it was left out"
    first: dict[str, date] = {}
    for day, step in month.made:
        first.setdefault(step.base, day)
    for earlier, later in pairwise([base for base in ORDER if base in first]):
        assert (first[later] - first[earlier]).days >= OFFSETS[later] - OFFSETS[earlier]
        assert (first[later] - month.start).days >= OFFSETS[later]
    days = [day for day, _ in month.made]
    assert len(days) == len(set(days))


@settings(max_examples=60)
@given(starts, st.integers(0, 30), st.data())
def test_a_reversal_at_any_moment_asks_for_all_evidence_again(start: date, after: int, data: st.DataObject) -> None:
    """Nothing that was said in the first cycle carries a cut in the second one."""
    first = Month(start).run(after)
    again = start + timedelta(days=after)
    reopened = replace(first.invoice, cycle=2, cycle_started_on=again, steps=())
    month = Month(start)
    month.facts = replace(month.facts, invoices=(reopened,))
    month.made.clear()
    month.sweep(month.at(again, 10))
    missed = data.draw(st.sets(st.integers(1, 25), max_size=10))
    for n in range(1, 50):
        month.day(again + timedelta(days=n), sweep=n not in missed)
    assert month.cut_at is not None
    assert (month.cut_at.date() - again).days >= OFFSETS["announcement"]
    said = [step.base for _, step in month.made]
    assert list(dict.fromkeys(said)) == ORDER
    assert all(step.cycle == 2 for _, step in month.made)
    assert all(month.invoice.delivered(base) is not None for base in EVIDENCE)


KINDS = ("promise", "pending_payment", "dispute", "medical", "staff", "instalments")
# As many days as all holds that count may last together, one after the other.
LONGEST = sum(most * hours for most, hours in map(DEFAULT_POLICY.hold_limit, KINDS)) // 24


@st.composite
def hiders(draw: st.DrawFn) -> Month:
    """Somebody who puts one hold after another, of any kind and any length, for more than half a year."""
    month = Month(draw(starts))
    month.facts = replace(month.facts, calendar=calendar(month.start, days=LONGEST + 120))
    holds, at = [], month.at(month.start, 9)
    while at < month.at(month.start, 9) + timedelta(days=LONGEST + 60):
        lasts = draw(st.sampled_from([6, 24, 240, 24 * 365]))
        holds.append(Hold(draw(st.sampled_from(KINDS)), at, at + timedelta(hours=lasts)))
        at += timedelta(hours=min(lasts, draw(st.sampled_from([24, 72, 240]))))
    month.facts = replace(month.facts, holds=tuple(holds))
    return month


@settings(max_examples=12)
@given(hiders())
def test_no_row_of_holds_hides_anybody_for_ever(month: Month) -> None:
    # The cycle, the holds, and the days it takes to say again what grew old meanwhile.
    for n in range(1, OFFSETS["announcement"] + LONGEST + 30):
        month.day(month.start + timedelta(days=n))
        if month.cut_at is not None:
            return
    raise AssertionError(f"still not cut {LONGEST} days later")


@settings(max_examples=60)
@given(starts, st.integers(0, 25), st.integers(1, 2_850_000), st.sampled_from([0.0, 0.3]))
def test_a_payment_never_brings_the_cut_nearer_whatever_comes_after(
    start: date, on_day: int, minor: int, share: float
) -> None:
    """Two lives with the same nights, one with a payment in it: the one that paid is cut later, or not at all."""
    paid, unpaid = (Month(start) for _ in range(2))
    for n in range(1, 40):
        day = start + timedelta(days=n)
        if n == on_day:
            paid.pay(minor)
        for month in (paid, unpaid):
            month.day(day, sweep=(n * 7 + on_day) % 10 >= share * 10)
    if paid.cut_at is not None:
        assert unpaid.cut_at is not None
        assert paid.cut_at >= unpaid.cut_at
    assert [step.step for _, step in paid.made] == [step.step for _, step in unpaid.made][: len(paid.made)]
