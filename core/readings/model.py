"""Readings as values. Energy in whole watt-hours, cumulative; times aware and UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

# 1-0:1.8.0, total energy taken: what is billed by.
TOTAL = "1.8.0"
MEASURED, CLOCK_DOUBTFUL, AFTER_OUTAGE, ESTIMATED, EDITED = range(5)
# What a file or a caller may claim (a house was locked, somebody guessed); EDITED is ours to write.
CLAIMED = (MEASURED, CLOCK_DOUBTFUL, AFTER_OUTAGE, ESTIMATED)

Doubt = Literal["goes_back", "jump", "beyond_next", "clock"]


@dataclass(frozen=True, slots=True)
class Point:
    """What a register said at a moment of the meter's own clock."""

    at: datetime
    wh: int
    quality: int = MEASURED


@dataclass(frozen=True, slots=True)
class Known:
    """An accepted reading. `total_wh` has every roll-over in it and never falls."""

    at: datetime
    wh: int
    total_wh: int
    quality: int = MEASURED


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a point: its total, and why a person has to look, if one has to."""

    total_wh: int
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class ReadingView:
    """A reading for a list. `doubt` says why a person has to look."""

    id: int
    meter_id: str
    register: str
    at: datetime
    arrived_at: datetime
    wh: int
    quality: int
    source: str
    state: str
    doubt: str | None
    said_wh: int | None
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class HeldView:
    """A reading that waits for a person, beside the one accepted before it."""

    reading: ReadingView
    account_number: str
    customer: str
    before_at: datetime | None
    before_wh: int | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a held reading was measured against, for the person who decides. Energy in Wh.

    `used`: since the reading before it; `most`: what would have been believed for that time; `highest_day`: of the
    ninety days before. None: nothing is known. `before`, `after`: the readings around it that are believed.
    """

    before: Known | None
    after: Known | None
    used: int | None
    highest_day: int | None
    most: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of points. `repeated`: known already; `unknown`: of a meter that nobody knows."""

    taken: int = 0
    held: int = 0
    repeated: int = 0
    unknown: int = 0

    def __add__(self, other: Taken) -> Taken:
        return Taken(
            self.taken + other.taken,
            self.held + other.held,
            self.repeated + other.repeated,
            self.unknown + other.unknown,
        )


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a file that was not taken, by its number in the file, and why: a msgid and its blanks."""

    number: int
    text: str
    blanks: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str:
        return self.text.format(**self.blanks)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file. The bad lines are the first so many; `bad` counts all of them."""

    lines: int
    result: Taken
    bad: int
    bad_lines: tuple[BadLine, ...]
