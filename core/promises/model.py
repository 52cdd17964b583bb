"""What the console sees of promises to pay. Moments are aware and UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class PromiseLine:
    """One promise. `due`: what the contract owes now; `ended_by`: a staff login, `payment`, or `sweep`."""

    id: int
    customer_id: int
    customer: str
    contract_id: int
    account: str
    zone: str
    state: str
    promised_on: date
    amount: Money
    due: Money
    phone: str
    made_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str


@dataclass(frozen=True, slots=True)
class PromiseCounts:
    """How many of each there are; `broken` and `kept` over the last ninety days."""

    open: int
    kept: int
    broken: int
