"""When a text may leave: quiet hours in both zones, caps, opt-out, expiry, the ladder of delivery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.clock import EAST, WEST
from core.notices import rules
from core.notices.texts import KINDS

REMINDER, RECEIPT, FAILED = KINDS["dunning.reminder"], KINDS["payment.receipt"], KINDS["payment.failed"]
moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis puts the zone in
zones = st.sampled_from([WEST, EAST])


def at(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize("zone", [WEST, EAST])
@pytest.mark.parametrize(
    ("asked", "leaves"),
    [
        ("2026-03-10 07:59:59", "2026-03-10 08:00:00"),
        ("2026-03-10 08:00:00", "2026-03-10 08:00:00"),
        ("2026-03-10 19:59:59", "2026-03-10 19:59:59"),
        ("2026-03-10 20:00:00", "2026-03-11 08:00:00"),
        ("2026-03-10 23:30:00", "2026-03-11 08:00:00"),
        ("2026-03-11 00:30:00", "2026-03-11 08:00:00"),
        ("2026-12-31 22:00:00", "2027-01-01 08:00:00"),
    ],
)
def test_a_reminder_waits_for_the_morning_of_its_site(zone: str, asked: str, leaves: str) -> None:
    assert rules.earliest(REMINDER, at(asked, zone), zone) == at(leaves, zone)


def test_the_two_zones_do_not_go_to_bed_together() -> None:
    """19:30 in Kinshasa is 20:30 in Lubumbashi."""
    moment = at("2026-03-10 19:30:00", WEST)
    assert rules.earliest(REMINDER, moment, WEST) == moment
    assert rules.earliest(REMINDER, moment, EAST) == at("2026-03-11 08:00:00", EAST)


@given(moments, zones)
def test_what_must_not_wait_never_waits(moment: datetime, zone: str) -> None:
    for kind in KINDS.values():
        if not kind.quiet:
            assert rules.earliest(kind, moment, zone) == moment
    assert not RECEIPT.quiet
    assert not KINDS["supply.on"].quiet


@given(moments, zones)
def test_a_quiet_text_leaves_by_day_and_within_twelve_hours(moment: datetime, zone: str) -> None:
    leaves = rules.earliest(REMINDER, moment, zone)
    assert moment <= leaves <= moment + timedelta(hours=12)
    assert not rules.in_quiet_hours(leaves, zone)


@given(moments, zones, st.integers(0, 40))
def test_the_cap_moves_legal_texts_and_keeps_the_day_under_it(moment: datetime, zone: str, count: int) -> None:
    planned: list[datetime] = []
    for _ in range(count):
        plan = rules.plan(REMINDER, moment, zone, opted_out=False, planned=tuple(planned))
        assert isinstance(plan, rules.Times)
        assert not rules.in_quiet_hours(plan.not_before, zone)
        assert plan.expires_at == plan.not_before + REMINDER.ttl
        planned.append(plan.not_before)
    assert REMINDER.daily_cap is not None
    for moment_planned in planned:
        starts, ends = rules.local_day(moment_planned, zone)
        assert sum(starts <= one < ends for one in planned) <= REMINDER.daily_cap


def test_over_its_cap_a_stale_text_is_dropped() -> None:
    now = at("2026-03-10 12:00:00", WEST)
    assert FAILED.daily_cap is not None
    plan = rules.plan(FAILED, now, WEST, opted_out=False, planned=(now,) * FAILED.daily_cap)
    assert plan == rules.Suppressed("daily cap")


def test_opting_out_stops_what_is_only_kind() -> None:
    now = at("2026-03-10 12:00:00", WEST)
    stopped = {
        name
        for name, kind in KINDS.items()
        if isinstance(rules.plan(kind, now, WEST, opted_out=True, planned=()), rules.Suppressed)
    }
    assert stopped == {"invoice.sent", "dunning.reminder"}


@pytest.mark.parametrize("body", ["STOP", "stop", " Arrêt ", "ARRET svp", "arrêter!", "Stop.", "UNSUBSCRIBE"])
def test_the_words_that_stop_us(body: str) -> None:
    assert rules.is_stop(body)


@pytest.mark.parametrize("body", ["", "   ", "SOLDE", "ne pas stop", "stopover", "?", "à"])
def test_words_that_do_not(body: str) -> None:
    assert not rules.is_stop(body)


reports = st.lists(st.sampled_from(["sent", "failed", "delivered"]), max_size=8)


@given(reports, st.randoms())
def test_delivery_only_moves_forward_and_order_does_not_matter(said: list[rules.DeliveryState], random: object) -> None:
    def end(order: list[rules.DeliveryState]) -> str:
        state, height = "sending", -1
        for report in order:
            state = rules.further(state, report)
            ladder = rules._LADDER[state]
            assert ladder >= height
            height = ladder
        return state

    shuffled = list(said)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert end(said) == end(shuffled)
    assert end(said) == end([*said, *said])


@pytest.mark.parametrize("state", ["expired", "suppressed"])
def test_what_never_left_stays_so(state: str) -> None:
    assert rules.further(state, "delivered") == state
