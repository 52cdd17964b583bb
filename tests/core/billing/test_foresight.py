"""The dry run: it walks to the day, says what the nights then really do, and writes nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from core.billing.policy_tables import CutStopRow
from core.billing.tables import DunningPolicyRow, HoldRow, ReminderRow
from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.ledger.model import receivable
from core.ledger.queries import account_row
from core.payments.tables import AttemptRow
from core.services.billing import Billing
from core.services.foresight import DayOutOfReach, Foresight, Tally, Told
from core.settlement.foresight import CUT_HOURS, SWEEP_HOUR
from core.supply.tables import RelayCommandRow
from tests import town
from tests.core.settlement.test_sweep_candidates import statements
from workers.schedule import PLANS

CUT_DAY = date(2026, 3, 24)


@pytest.fixture
def billing(any_db: Database, clock: FixedClock) -> Billing:
    return Billing(any_db, clock)


def sent(db: Database, billing: Billing, *, total: Money = town.BILL, heard: bool = True, **about: str) -> town.Home:
    """A home with a bill just sent, whose first text arrived."""
    with db.begin() as session:
        home = town.home(session, **about)
        invoice = town.invoice(session, home.contract, total=total)
        if heard:
            town.heard(session, home.meter, at=town.BEGINNING)
    billing.send_invoice(invoice.id)
    arrive(db)
    return home


def arrive(db: Database) -> None:
    with db.begin() as session:
        for row in session.scalars(select(ReminderRow).where(ReminderRow.delivered_at.is_(None))):
            row.delivered_at, row.evidence = row.leaves_at, "report"


def one(db: Database, clock: FixedClock, home: town.Home, asked: date | datetime) -> Told:
    told = Foresight(db, clock).one(home.contract.id, asked)
    assert told is not None
    return told


def codes(told: Told) -> list[str]:
    return [why.code for why in told.why_not] + [reason.code for reason in told.held]


def test_the_hours_are_those_of_the_schedule() -> None:
    hours = {(plan.name, plan.zone): tuple(at.hour for at in plan.at) for plan in PLANS}
    assert hours["dunning.sweep", WEST] == (SWEEP_HOUR,)
    assert hours["supply.cut", WEST] == hours["supply.cut", EAST] == CUT_HOURS


def test_a_month_is_foreseen_as_it_comes(db: Database, clock: FixedClock) -> None:
    """Asked on the first day about each day: what the sweeps and batches of those days then do is the same."""
    billing = Billing(db, clock)
    home = sent(db, billing)
    asked = {CUT_DAY - timedelta(days=n) for n in range(14)} | {CUT_DAY + timedelta(days=1)}
    foreseen = {day: one(db, clock, home, day) for day in asked}
    clock.advance(hours=-5)
    came: dict[date, tuple[list[str], bool]] = {}
    for _ in range(15):
        clock.advance(days=1)
        today = clock.now().date()
        before = _count(db)
        billing.sweep()
        arrive(db)
        cut = False
        for hours in range(5, 10):
            clock.advance(hours=hours)
            with db.begin() as session:
                town.heard(session, home.meter, at=clock.real_now())
            cut = bool(billing.cut_batch(WEST).cut) or cut
            clock.advance(hours=-hours)
        came[today] = (_steps(db)[before:], cut)
    for day, told in foreseen.items():
        if day > date(2026, 3, 10):
            assert ([step.step for step in told.steps], told.would_cut) == came[day], day
    assert foreseen[CUT_DAY].would_cut
    assert foreseen[CUT_DAY].seen.cut_at == datetime.fromisoformat("2026-03-24T09:00:00+01:00")
    assert foreseen[CUT_DAY + timedelta(days=1)].off_before
    assert [step.step for _, step in foreseen[CUT_DAY].seen.before] == ["reminder", "warning"]


def _steps(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(ReminderRow.step).order_by(ReminderRow.id)))


def _count(db: Database) -> int:
    return len(_steps(db))


def test_nothing_is_written(any_db: Database, clock: FixedClock, billing: Billing) -> None:
    sent(any_db, billing)
    assert [told.would_cut for told in Foresight(any_db, clock).look(CUT_DAY)] == [True]
    assert _steps(any_db) == ["sent"]
    with any_db.read() as session:
        assert session.scalars(select(RelayCommandRow)).all() == []


def test_who_is_not_cut_is_told_why(db: Database, clock: FixedClock) -> None:
    billing = Billing(db, clock)
    small = sent(db, billing, total=Money.units(3_000, "CDF"))
    never = sent(db, billing, protected="health")
    silent = sent(db, billing, heard=False)
    held = sent(db, billing)
    east = sent(db, billing, zone=EAST)
    with db.begin() as session:
        until = clock.now() + timedelta(days=15)
        session.add(
            HoldRow(contract_id=held.contract.id, kind="dispute", from_at=clock.now(), until_at=until, by="test")
        )
    assert codes(one(db, clock, small, CUT_DAY)) == ["below_floor"]
    assert codes(one(db, clock, never, CUT_DAY)) == ["never_cut"]
    assert codes(one(db, clock, silent, CUT_DAY)) == ["meter_silent"]
    assert "hold" in codes(one(db, clock, held, CUT_DAY))
    assert one(db, clock, east, CUT_DAY).would_cut
    assert codes(one(db, clock, small, date(2026, 3, 12))) == ["below_floor"]
    tally = Tally()
    for told in Foresight(db, clock).look(CUT_DAY):
        tally.add(told)
    assert (tally.looked, tally.cut, tally.announced) == (5, 1, 2)
    assert tally.held == {"meter_silent": 1, "hold.dispute": 1}


def test_money_on_its_way_holds_today(db: Database, clock: FixedClock) -> None:
    billing = Billing(db, clock)
    home = sent(db, billing)
    clock.advance(hours=-5)
    for _ in range(14):
        clock.advance(days=1)
        billing.sweep()
        arrive(db)
    clock.advance(hours=4, minutes=30)
    with db.begin() as session:
        town.heard(session, home.meter, at=clock.real_now())
    assert one(db, clock, home, CUT_DAY).would_cut
    with db.begin() as session:
        now = clock.real_now()
        session.add(
            AttemptRow(
                id=new_uuid(), own_ref="E1", wallet="vodacom", brand="mpesa", payer_phone=home.phone,
                asked_by_phone=home.phone, language="fr",
                target_account_id=account_row(session, receivable(home.contract.id), "CDF").id,
                contract_id=home.contract.id, owed_minor=100, owed_currency="CDF", charged_minor=100,
                charged_currency="CDF", state="pending", is_open=True, origin="ussd", created_at=now,
            )
        )  # fmt: skip
    told = one(db, clock, home, CUT_DAY)
    assert not told.would_cut
    assert [(why.code, why.detail) for why in told.why_not] == [("hold", "pending_payment")]


def test_no_more_are_cut_than_an_hour_and_a_day_allow(db: Database, clock: FixedClock) -> None:
    billing = Billing(db, clock)
    with db.begin() as session:
        session.add(
            DunningPolicyRow(
                version=2, valid_from=date(2026, 1, 1), body={"off": {"offs_per_hour": 2, "offs_per_day": 5}}
            )
        )
    for _ in range(7):
        sent(db, billing)
    told = list(Foresight(db, clock).look(CUT_DAY))
    hours = [t.seen.cut_at.astimezone().hour - told[0].seen.cut_at.astimezone().hour for t in told if t.would_cut]  # type: ignore[union-attr]
    assert hours == [0, 0, 1, 1, 2]
    assert codes(told[6]) == ["rate_day"]


def test_a_version_that_begins_on_the_way_counts_from_its_day(db: Database, clock: FixedClock) -> None:
    home = sent(db, Billing(db, clock))
    with db.begin() as session:
        body = {"announcement_after_days": 28}
        session.add(DunningPolicyRow(version=2, valid_from=date(2026, 3, 20), body=body))
    assert not one(db, clock, home, CUT_DAY).would_cut
    assert one(db, clock, home, date(2026, 4, 7)).would_cut


def test_the_brake_and_a_declared_holiday_are_seen(db: Database, clock: FixedClock) -> None:
    home = sent(db, Billing(db, clock))
    with db.begin() as session:
        session.add(CutStopRow(kind="holiday", day=CUT_DAY, reason="mourning", by="t", at=clock.now()))
    told = one(db, clock, home, CUT_DAY)
    assert not told.would_cut
    assert one(db, clock, home, date(2026, 3, 25)).would_cut
    with db.begin() as session:
        session.add(CutStopRow(kind="brake", reason="flood", by="t", at=clock.now()))
    told = one(db, clock, home, date(2026, 3, 25))
    assert codes(told)[0] == "brake"
    assert [step.step for _, step in told.seen.before] == ["reminder"], "nobody is warned of a cut that nobody dates"


def test_a_day_that_is_over_or_too_far_away_is_refused(db: Database, clock: FixedClock) -> None:
    foresight = Foresight(db, clock)
    for asked in (date(2026, 3, 9), clock.now() - timedelta(minutes=1), date(2026, 6, 1)):
        with pytest.raises(DayOutOfReach):
            next(foresight.look(asked))


def test_the_statements_follow_the_groups_and_not_the_contracts(db: Database, clock: FixedClock) -> None:
    billing = Billing(db, clock)
    for _ in range(3):
        sent(db, billing)
    day = date(2026, 3, 17)

    def count() -> int:
        with statements() as seen:
            list(Foresight(db, clock).look(day))
            return seen()

    few = count()
    for _ in range(30):
        sent(db, billing)
    assert count() == few
