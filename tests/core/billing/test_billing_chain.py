"""Whatever readings come or fail to come, month after month: no watt-hour is billed twice, and none is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.billing import tariffs
from core.billing.run_model import LeftOut, Month, Planned, Previous, Registers, Subject, midnight
from core.billing.run_rules import plan
from core.billing.tariffs import Versions
from core.kernel.clock import WEST
from core.readings.model import ESTIMATED, MEASURED, Known

BODY = {"blocks": [{"upto_kwh": 50, "per_kwh": "70"}, {"per_kwh": "140"}], "standing": "3000"}
BOOK = {
    "BT": Versions(
        (
            tariffs.read(
                id=1, code="BT", name="BT", kind="consumption", currency="CDF", valid_from=date(2020, 1, 1), body=BODY
            ),
        )
    )
}
START = date(2026, 1, 1)
SUBJECT = Subject(1, "1", "consumption", "CDF", date(2025, 1, 1), "fr", WEST, meter_id="M1", tariff_code="BT")
DAYS = 240


@st.composite
def a_register(draw: st.DrawFn) -> list[Known]:
    """Readings on some days of eight months, each guessed by a person or measured; the register only grows."""
    days = sorted(draw(st.sets(st.integers(1, DAYS), max_size=14)))
    found, wh = [Known(midnight(START, WEST), 10_000, 10_000)], 10_000
    for day in days:
        wh += draw(st.integers(0, 200_000))
        quality = draw(st.sampled_from([MEASURED, MEASURED, MEASURED, ESTIMATED]))
        found.append(Known(midnight(START + timedelta(days=day), WEST), wh, wh, quality))
    return found


def registers(readings: list[Known], month: Month) -> Registers:
    first, end = midnight(month.first, WEST), midnight(month.after, WEST)
    until = [one for one in readings if one.at <= end]
    return Registers(
        opening=max((one for one in readings if one.at <= first), key=lambda one: one.at, default=None),
        first=min((one for one in readings if one.at >= first), key=lambda one: one.at, default=None),
        closing=max(until, key=lambda one: one.at, default=None),
        history=min(
            (one for one in readings if one.at >= end - timedelta(days=120)), key=lambda one: one.at, default=None
        ),
    )


@settings(max_examples=150)
@given(a_register())
def test_no_watt_hour_is_billed_twice_or_never(readings: list[Known]) -> None:
    month, previous = Month(START), None
    made: list[Planned] = []
    while month.first < START + timedelta(days=DAYS):
        subject = replace(SUBJECT, previous=previous, registers=registers(readings, month))
        result = plan(subject, month, BOOK, over=True)
        if isinstance(result, LeftOut):
            assert result.reason in ("no_reading", "nothing_to_bill")
        else:
            assert result.measure is not None
            made.append(result)
            previous = Previous(
                month, result.use.from_on, result.use.until_on, result.total_minor, result.estimated, result.measure
            )
        month = Month(month.after)
    measures = [one.measure for one in made if one.measure is not None]
    for one, following in pairwise(measures):
        assert (one.until_at, one.until_wh) == (following.from_at, following.from_wh)
    for invoice in made:
        assert invoice.use.wh >= 0
        assert invoice.total_minor == sum(line.amount_minor for line in invoice.charges)
        if invoice.explained is not None:
            assert all(part["minor"] or part["code"] in ("estimated", "after_estimate") for part in invoice.explained)
    if measures:
        billed = sum(one.wh for one in measures)
        assert billed == measures[-1].until_wh - 10_000
        # What the register said last is billed, unless an estimate was ahead of it: never less.
        assert measures[-1].until_wh >= measures[-1].until_measured_wh
