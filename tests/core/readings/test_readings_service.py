"""Readings as they come: believed, held, repeated, out of order, from a file; and what a person decides."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import EAST, FixedClock
from core.readings import queries
from core.readings.errors import BadFile, UnknownReading
from core.readings.model import Known, Point, Taken
from core.readings.rules import estimate, highest_day, judge
from core.readings.tables import ReadingRow
from core.services.readings import Readings
from tests import town

MORNING = datetime(2026, 2, 1, 6, 0, tzinfo=UTC)


@pytest.fixture
def home(any_db: Database) -> town.Home:
    with any_db.begin() as session:
        return town.home(session, kind="consumption")


@pytest.fixture
def readings(any_db: Database, clock: FixedClock) -> Readings:
    return Readings(any_db, clock)


def days(*kwh: int, start: datetime = MORNING) -> list[Point]:
    return [Point(start + timedelta(days=n), each * 1000) for n, each in enumerate(kwh)]


def rows(db: Database) -> list[ReadingRow]:
    with db.read() as session:
        return list(session.scalars(select(ReadingRow).order_by(ReadingRow.at)))


def test_a_batch_twice_is_a_batch_once(any_db: Database, readings: Readings, home: town.Home) -> None:
    batch = days(100, 110, 121)
    assert readings.take(home.meter.id, batch, source="mqtt") == Taken(taken=3)
    assert readings.take(home.meter.id, [*batch, *batch], source="mqtt") == Taken(repeated=6)
    assert [(row.wh, row.total_wh, row.state) for row in rows(any_db)] == [
        (100_000, 100_000, "accepted"),
        (110_000, 110_000, "accepted"),
        (121_000, 121_000, "accepted"),
    ]
    assert readings.take("MW99999999", batch, source="mqtt") == Taken(unknown=3)


def test_a_jump_is_held_until_a_person_decides(any_db: Database, readings: Readings, home: town.Home) -> None:
    readings.take(home.meter.id, days(100, 110, 120, 130), source="mqtt")
    later = days(430, 440, start=MORNING + timedelta(days=4))
    assert readings.take(home.meter.id, later, source="mqtt") == Taken(held=2)
    (first, second) = readings.held()
    assert (first.reading.doubt, first.before_wh, first.account_number) == ("jump", 130_000, home.account_number)
    with any_db.read() as session:
        assert queries.jumped(session, home.meter.id)
    readings.accept(first.reading.id, by="jeanne", reason="seen on site")
    # What came after it is believable now, and nobody has to say so again.
    assert readings.held() == []
    assert [row.state for row in rows(any_db)] == ["accepted"] * 6
    assert rows(any_db)[4].by == "jeanne"
    with pytest.raises(UnknownReading):
        readings.accept(second.reading.id, by="jeanne", reason="again")


def test_a_rejected_and_a_corrected_reading(any_db: Database, readings: Readings, home: town.Home) -> None:
    readings.take(home.meter.id, days(100, 110, 910, 130), source="csv")
    (held,) = readings.held()
    assert held.reading.wh == 910_000
    with pytest.raises(UnknownReading, match="says less"):
        readings.accept(held.reading.id, by="jeanne", reason="no")
    readings.correct(held.reading.id, 119_000, by="jeanne", reason="a digit too many")
    row = rows(any_db)[2]
    assert (row.wh, row.said_wh, row.quality, row.state) == (119_000, 910_000, 4, "accepted")
    readings.reject(row.id, by="jeanne", reason="the wrong meter")
    assert rows(any_db)[2].state == "rejected"
    with any_db.read() as session:
        assert not queries.jumped(session, home.meter.id)


def test_a_register_rolls_over_only_where_it_is_known_to(any_db: Database, readings: Readings, home: town.Home) -> None:
    readings.take(home.meter.id, days(99_990, 99_997), source="mqtt")
    assert readings.take(home.meter.id, days(3, start=MORNING + timedelta(days=2)), source="mqtt") == Taken(held=1)
    (held,) = readings.held()
    assert held.reading.doubt == "goes_back"
    readings.reject(held.reading.id, by="jeanne", reason="see its width")
    readings.set_modulus(home.meter.id, 100_000_000)
    assert readings.take(home.meter.id, days(5, start=MORNING + timedelta(days=3)), source="mqtt") == Taken(taken=1)
    assert rows(any_db)[-1].total_wh == 100_005_000


def test_a_register_that_was_changed_goes_on_from_where_it_was(
    any_db: Database, readings: Readings, home: town.Home
) -> None:
    readings.take(home.meter.id, days(500, 510), source="mqtt")
    readings.take(home.meter.id, days(0, 8, start=MORNING + timedelta(days=2)), source="mqtt")
    readings.accept(readings.held()[0].reading.id, by="jeanne", reason="new register")
    assert [row.total_wh for row in rows(any_db)] == [500_000, 510_000, 510_000, 518_000]


def test_any_order_of_arrival_ends_in_the_same_totals(any_db: Database, readings: Readings, home: town.Home) -> None:
    points = days(*range(100, 130, 3))
    random.Random(3).shuffle(points)
    for point in points:
        readings.take(home.meter.id, [point], source="mqtt")
    assert [row.total_wh for row in rows(any_db)] == [wh * 1000 for wh in range(100, 130, 3)]
    assert readings.held() == []


def test_a_meter_whose_clock_is_ahead_is_held(readings: Readings, home: town.Home, clock: FixedClock) -> None:
    ahead = Point(clock.now() + timedelta(minutes=11), 1_000)
    assert readings.take(home.meter.id, [ahead], source="mqtt") == Taken(held=1)
    (held,) = readings.held()
    with pytest.raises(UnknownReading, match="not come"):
        readings.accept(held.reading.id, by="jeanne", reason="no")


def test_a_file_with_every_kind_of_line(any_db: Database, readings: Readings, home: town.Home) -> None:
    with any_db.begin() as session:
        east = town.home(session, kind="consumption", zone=EAST)
    text = (
        "account;meter;at;kwh;quality\n"
        f"{home.account_number};;2026-02-28;1234,5;\n"
        f";{east.meter.id.lower()};2026-02-28;99;3\n"
        f"{home.account_number};;28/02/2026;1;\n"
        "1234567890;;2026-02-28;1;\n"
        ";MW99999999;2026-02-28;1;\n"
        f"{home.account_number};;2026-03-01T10:00+01:00;-5;\n"
        f"{home.account_number};;2026-03-01;5;4\n"
        "\n"
        "too;few\n"
    )
    dry = readings.import_csv(text, by="jeanne", dry_run=True)
    assert rows(any_db) == []
    done = readings.import_csv(text, by="jeanne")
    assert (dry, done.result, done.lines, done.bad) == (done, Taken(taken=2), 8, 6)
    assert tuple((line.number, line.why) for line in done.bad_lines) == (
        (4, "at is no day (2026-11-30) and no moment (2026-11-30T17:00)"),
        (5, "the account number is mistyped"),
        (6, "nobody knows meter or account MW99999999"),
        (7, "the register is no number of kWh with three decimals at most"),
        (8, "quality is one of 0, 1, 2, 3"),
        (10, "2 cells instead of 5"),
    )
    # The end of the day, in Lubumbashi an hour before Kinshasa.
    assert [(row.meter_id, row.at, row.wh, row.quality) for row in rows(any_db)] == [
        (east.meter.id, datetime(2026, 2, 28, 22, tzinfo=UTC), 99_000, 3),
        (home.meter.id, datetime(2026, 2, 28, 23, tzinfo=UTC), 1_234_500, 0),
    ]
    assert readings.import_csv(text, by="jeanne").result == Taken(repeated=2)


@pytest.mark.parametrize("text", ["", "meter,at\nMW1,2026-01-01\n", "meter,at,kwh,colour\n", "meter,at,kwh,wh\n"])
def test_a_file_that_is_none_is_refused(readings: Readings, text: str) -> None:
    with pytest.raises(BadFile):
        readings.import_csv(text, by="jeanne")


def test_a_guess_is_no_measure_of_what_comes() -> None:
    """The rules by themselves: a month's mean is not a day's highest, and an estimate goes on as before."""
    start = Known(MORNING, 0, 0)
    after_a_month = Known(MORNING + timedelta(days=30), 300_000, 300_000)
    assert highest_day((start, after_a_month)) == 10_000
    assert highest_day((start,)) is None
    assert estimate(start, after_a_month, MORNING + timedelta(days=39)) == 390_000
    assert estimate(start, start, MORNING + timedelta(days=3)) is None
    month_later = Point(MORNING + timedelta(days=60), 300_000 + 30 * 50_000)
    seen = judge(month_later, arrived_at=month_later.at, before=after_a_month, after=None, highest_day_wh=10_000)
    assert seen.doubt is None
    more = Point(month_later.at, month_later.wh + 1)
    assert judge(more, arrived_at=more.at, before=after_a_month, after=None, highest_day_wh=10_000).doubt == "jump"


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01", "1968-01-01T00:00"])
def test_a_line_of_no_time_at_all_is_a_bad_line(db: Database, clock: FixedClock, at: str) -> None:
    """The whole file failed on it, or the page of held readings did from then on."""
    with db.begin() as session:
        meter = town.home(session, kind="consumption").meter.id
    text = f"meter,at,kwh\n{meter},2026-02-01T06:00,5\n{meter},{at},6\n"
    done = Readings(db, clock).import_csv(text, by="jeanne")
    assert (done.result, [line.number for line in done.bad_lines]) == (Taken(taken=1), [3])
