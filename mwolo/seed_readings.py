"""Registers of the seeded town: what meters of contracts for consumption said at the last ends of months.

They lead up to where a simulated meter begins (`meters/simulator.py`), so that its first report goes on from them.
"""

from __future__ import annotations

import random
import zlib
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from core.billing.run_model import midnight
from core.kernel.clock import local_date
from core.readings.model import MEASURED, TOTAL
from core.readings.tables import ReadingRow
from mwolo.seed_data.plan import Person

_REGISTER_BELOW_WH = 9_000_000
_MONTHS = 3


def register_now(person: Person) -> int:
    """Wh at which the simulated meter of a town begins."""
    return zlib.crc32(person.meter.encode()) % _REGISTER_BELOW_WH


def write_readings(session: Session, person: Person, now: datetime) -> None:
    """The ends of the last months, and yesterday."""
    chance = random.Random(f"mwolo:readings:{person.number}")  # noqa: S311 (a town, not a secret)
    register = register_now(person)
    a_day = min(chance.randrange(1_200, 9_000), register // (31 * (_MONTHS + 2)))
    today = local_date(now, person.city.zone)
    for day in sorted({*_ends(today), today - timedelta(days=1)}):
        back = (today - day).days
        wh = register - a_day * back
        at = midnight(day, person.city.zone)
        session.add(
            ReadingRow(
                meter_id=person.meter,
                register=TOTAL,
                at=at,
                arrived_at=at,
                wh=wh,
                total_wh=wh,
                quality=MEASURED,
                source="csv",
                state="accepted",
            )
        )


def _ends(today: date) -> list[date]:
    """The first days of this month and of those before: each ends the month before it."""
    first = today.replace(day=1)
    found = [first]
    for _ in range(_MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        found.append(first)
    return found
