"""Prepaid use under all that readings do: late, doubled, guessed, corrected, refused; and several workers at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import event, select

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.prepaid.tables import PrepaidUseRow
from core.readings.model import ESTIMATED, Point
from core.readings.tables import ReadingRow
from core.services.prepaid_use import PrepaidUse
from core.services.readings import Readings
from tests import town
from tests.core.prepaid.test_prepaid_use import KWH, SETTINGS, House, opened


def naive(house: House) -> int:
    """What the use from the first to the newest measured register costs, in one piece, in whole francs."""
    with house.db.read() as session:
        rows = session.scalars(
            select(ReadingRow)
            .where(ReadingRow.state == "accepted", ReadingRow.quality != ESTIMATED)
            .order_by(ReadingRow.at)
        ).all()
    return (rows[-1].total_wh - rows[0].total_wh) * KWH.minor // 1_000 // 100 * 100


@pytest.mark.parametrize("seed", range(4))
def test_whatever_readings_do_the_sum_is_that_of_one_piece(db: Database, clock: FixedClock, seed: int) -> None:
    chance = random.Random(seed)
    house, readings = opened(db, clock), Readings(db, clock)
    house.reads()
    house.pays(9_000)
    house.use.charge(house.id)
    for _ in range(25):
        clock.advance(minutes=chance.randint(20, 300))
        match chance.randint(0, 6):
            case 0:  # late: between two that are known already
                earlier = clock.now() - timedelta(minutes=chance.randint(1, 19))
                readings.take(house.home.meter.id, [Point(earlier, house.wh)], source="mqtt")
                house.reads(chance.randint(0, 300) / 1_000)
            case 1:  # a guess, too high
                guess = Point(clock.now(), house.wh + 9_000, ESTIMATED)
                readings.take(house.home.meter.id, [guess], source="csv")
            case 2 | 3:  # the newest is corrected downwards, or refused
                newest = readings.of_meter(house.home.meter.id, limit=1)[0]
                try:
                    if chance.random() < 0.5:
                        readings.reject(newest.id, by="office", reason="another meter")
                    else:
                        readings.correct(newest.id, max(0, newest.wh - 40), by="office", reason="misread")
                except StateConflict:
                    pass
                house.wh = max(house.wh, newest.wh)
            case _:
                house.reads(chance.randint(0, 900) / 1_000)
                house.reads()
        if chance.random() < 0.6:
            house.use.charge(house.id)
    house.use.charge(house.id)
    assert house.charged() == naive(house)
    assert house.held == 900_000 - house.charged()
    kept = [row for row in house.uses() if row.undone_at is None]
    assert sum(row.amount_minor for row in kept) == house.charged()
    assert all(a.until_wh <= b.from_wh and a.until_at <= b.from_at for a, b in pairwise(kept))


def test_workers_at_the_same_moment_charge_once(any_db: Database, clock: FixedClock) -> None:
    house = opened(any_db, clock)
    house.reads()
    house.pays(9_000)
    house.use.charge(house.id)
    clock.advance(hours=3)
    house.reads(7)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: PrepaidUse(any_db, clock, SETTINGS).charge(house.id), range(4)))
    assert house.charged() == 7 * KWH.minor
    with any_db.read() as session:
        assert len(session.scalars(select(PrepaidUseRow)).all()) == 1


def test_a_run_with_nothing_to_do_asks_the_same_however_many_there_are(db: Database, clock: FixedClock) -> None:
    house, readings, counts = opened(db, clock), Readings(db, clock), []
    house.pays(9_000)
    for _ in range(2):
        for _ in range(3):
            with db.begin() as session:
                home = town.home(session, kind="prepaid")
            House(db, clock, home).pays(9_000)
            readings.take(home.meter.id, [Point(clock.now(), 5_000)], source="mqtt")
        house.reads()
        house.use.run()
        statements: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object, into: list[str] = statements) -> None:
            into.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        done = house.use.run()
        event.remove(db.engine, "before_cursor_execute", note)
        assert (done.charged, done.told) == (0, 0)
        counts.append(len(statements))
    assert counts[0] == counts[1]
