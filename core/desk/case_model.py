"""Cases and promises as they stand in a customer's story."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class Reported:
    """A case. `what`: its kind; `body`: what was written, if anything."""

    kind: ClassVar[str] = "reported"
    at: datetime
    account: str
    number: str
    what: str
    state: str
    source: str
    phone: str | None
    invoice: str | None
    body: str
    reports: int
    assigned_to: str | None
    close_reason: str


@dataclass(frozen=True, slots=True)
class Promised:
    """A promise to pay, and what became of it."""

    kind: ClassVar[str] = "reported"
    at: datetime
    account: str
    id: int
    phone: str
    promised_on: date
    amount: Money
    state: str
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str
