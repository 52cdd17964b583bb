"""What the console sees of cases. Moments are aware and UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One case in a list. `customer_id` None: nobody knows whose it is. `body`: what was written, if anything."""

    number: str
    kind: str
    state: str
    source: str
    customer_id: int | None
    customer: str
    account: str | None
    zone: str | None
    invoice: str | None
    phone: str | None
    language: str
    body: str
    reports: int
    assigned_to: str | None
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str | None
    close_reason: str
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseNote:
    """A line of a case's history. `delivery`: how the SMS of an answer stands, None for anything else."""

    at: datetime
    by: str
    kind: str
    text: str
    delivery: str | None = None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One case with its history, oldest first."""

    line: CaseLine
    notes: tuple[CaseNote, ...]


@dataclass(frozen=True, slots=True)
class CaseCounts:
    """Cases that are not closed. `oldest_at`: when the oldest that nobody took was opened."""

    open: int
    taken: int
    answered: int
    oldest_at: datetime | None = None

    @property
    def live(self) -> int:
        return self.open + self.taken + self.answered


@dataclass(frozen=True, slots=True)
class Opened:
    """A report that was taken down. `joined`: it belongs to a case there was. `held_to`: no cut for the disputed
    invoice before this day."""

    number: str
    joined: bool = False
    held_to: date | None = None
