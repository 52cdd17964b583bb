"""What a billing run knows of a contract, and what comes of it. Plain values; energy in Wh, money in minor units."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from core.billing.tariff_rules import Charge, Use
from core.kernel.errors import StateConflict
from core.readings.model import Known

Reason = Literal[
    "no_tariff",
    "wrong_tariff",
    "no_price",
    "no_meter",
    "meter_changed",
    "reading_held",
    "no_reading",
    "month_not_over",
    "billed_later",
    "nothing_to_bill",
]
_PERIOD = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


class BadPeriod(StateConflict):
    """No month, or one that has not begun."""


@dataclass(frozen=True, slots=True)
class Month:
    """The period of an invoice: a calendar month. `after` is the first day of the next one."""

    first: date

    @classmethod
    def read(cls, text: str) -> Month:
        """From `2026-11`. Raises BadPeriod."""
        if not _PERIOD.fullmatch(text):
            raise BadPeriod(f"{text!r} is no month: write it as 2026-11")
        return cls(date.fromisoformat(f"{text}-01"))

    @property
    def text(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def days(self) -> int:
        return calendar.monthrange(self.first.year, self.first.month)[1]

    @property
    def after(self) -> date:
        return self.first + timedelta(days=self.days)


def midnight(day: date, zone: str) -> datetime:
    """When a day begins at a place."""
    return datetime.combine(day, time(), ZoneInfo(zone))


def nearest_day(at: datetime, zone: str) -> date:
    """The day that begins nearest to a moment: a register read at 23:59 closes the day, one read at 10:00 opens it."""
    return (at.astimezone(ZoneInfo(zone)) + timedelta(hours=12)).date()


@dataclass(frozen=True, slots=True)
class Measure:
    """What an invoice is measured by. `until_wh` is billed up to; `until_measured_wh` is what the register said."""

    meter_id: str
    from_at: datetime
    until_at: datetime
    from_wh: int
    until_wh: int
    until_measured_wh: int
    estimated: bool = False

    @property
    def wh(self) -> int:
        return self.until_wh - self.from_wh


@dataclass(frozen=True, slots=True)
class Previous:
    """The invoice before, as a run made it."""

    month: Month
    from_on: date
    until_on: date
    total_minor: int
    estimated: bool
    measure: Measure | None = None


@dataclass(frozen=True, slots=True)
class Registers:
    """Of one meter: the last reading at or before the month, the first in it, the last up to its end, the first of the
    120 days before its end (what an estimate goes on from). `held`: one up to its end waits for a person."""

    opening: Known | None = None
    first: Known | None = None
    closing: Known | None = None
    history: Known | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A contract that is to be billed. `billed_from`: where the first invoice of a later month begins to measure.
    `by_hand`: the month before, where a person wrote its invoice instead of a run."""

    contract_id: int
    account_number: str
    kind: str
    currency: str
    opened_on: date
    language: str
    zone: str
    meter_id: str | None = None
    tariff_code: str | None = None
    previous: Previous | None = None
    registers: Registers = field(default_factory=Registers)
    billed_from: datetime | None = None
    by_hand: Month | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """An invoice as it will be written."""

    subject: Subject
    use: Use
    charges: tuple[Charge, ...]
    blocks: int
    estimated: bool = False
    measure: Measure | None = None
    explained: tuple[dict[str, Any], ...] | None = None

    @property
    def total_minor(self) -> int:
        return sum(one.amount_minor for one in self.charges)

    @property
    def tax_minor(self) -> int:
        return sum(one.amount_minor for one in self.charges if one.levy)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A contract that cannot be billed, and why. A person works through these."""

    contract_id: int
    reason: Reason
    detail: str = ""
