"""How far a reading can be believed, and what is guessed where there is none. Pure.

Source of the rules and of the factor: meters of this kind report cumulative registers, so that a lost message costs
resolution and no money; a jump of more than five times the highest day of ninety is looked at by a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from core.readings.model import Judged, Known, Point

JUMP_FACTOR = 5
HISTORY = timedelta(days=90)
# A household that was away would be held for switching its lights on: below so much a day nothing is a jump.
JUMP_FLOOR_WH_A_DAY = 20_000
# Where nothing is known yet: three phases of 100 A for a whole day. More than that went through no meter of a house.
FIRST_MAX_WH_A_DAY = 1_656_000
CLOCK_OFF = timedelta(minutes=10)
# A clock that lost its battery begins again decades ago.
CLOCK_BEGINS = datetime(2020, 1, 1, tzinfo=UTC)
# What any clock can say that counts from 1970. Beyond, days before and after a reading leave the calendar.
MOMENTS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_DAY = timedelta(days=1)


def judge(
    point: Point,
    *,
    arrived_at: datetime,
    before: Known | None,
    after: Known | None,
    highest_day_wh: int | None,
    modulus_wh: int | None = None,
) -> Judged:
    """Believe a point, or say why a person has to look. What is held is neither billed nor cut for.

    `before`, `after`: the accepted readings around it. `highest_day_wh`: the highest day of the ninety before; None
    where no day is known. `modulus_wh`: where the register begins again at nothing, if it is known to.
    """
    if not CLOCK_BEGINS <= point.at <= arrived_at + CLOCK_OFF:
        return Judged(point.wh, "clock")
    if before is None:
        beyond = after is not None and point.wh > after.total_wh
        return Judged(point.wh, "beyond_next" if beyond else None)
    used = point.wh - before.wh
    if used < 0:
        if modulus_wh is None or point.wh >= modulus_wh or before.wh >= modulus_wh:
            return Judged(point.wh, "goes_back")
        used += modulus_wh
    total = before.total_wh + used
    if after is not None and total > after.total_wh:
        return Judged(max(total, point.wh), "beyond_next")
    if used > jump_limit(point.at - before.at, highest_day_wh):
        return Judged(total, "jump")
    return Judged(total)


def jump_limit(span: timedelta, highest_day_wh: int | None) -> int:
    """The most that a meter may count in a span and still be believed, in Wh. Less than a day counts as one."""
    usual = None if highest_day_wh is None else max(JUMP_FACTOR * highest_day_wh, JUMP_FLOOR_WH_A_DAY)
    return (FIRST_MAX_WH_A_DAY if usual is None else usual) * max(span, _DAY) // _DAY


def highest_day(days: Sequence[Known]) -> int | None:
    """The highest use of a day among the last readings of days, oldest first, in Wh. None below two readings.

    A gap of several days counts with its mean: one number for a month is no day of thirty times its use.
    """
    highest: int | None = None
    for earlier, later in pairwise(days):
        span = max(later.at - earlier.at, _DAY)
        used = (later.total_wh - earlier.total_wh) * _DAY // span
        highest = used if highest is None else max(highest, used)
    return highest


def estimate(first: Known, last: Known, at: datetime) -> int | None:
    """What a register probably says at `at`: on from `last` as between the two. None where they are no day apart."""
    span = last.at - first.at
    if span < _DAY or at <= last.at:
        return None
    return last.total_wh + (last.total_wh - first.total_wh) * (at - last.at) // span
