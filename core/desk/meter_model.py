"""Meters as the console shows them. `heard_at` is real time; everything else is business time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from core.desk.model import Crew, Switched
from core.kernel.money import Money

# Ways in which a meter may need somebody.
ODD = ("out_of_step", "silent", "task")


@dataclass(frozen=True, slots=True)
class MeterSieve:
    """Which meters are listed. Empty: all. `odd`: one of ODD. `q`: how a meter's number begins."""

    control: str = ""
    wanted: str = ""
    reported: str = ""
    odd: str = ""
    q: str = ""


@dataclass(frozen=True, slots=True)
class MeterLine:
    """One meter. `wanted` None: nobody ever commanded it; `reported` None: it was never heard."""

    id: str
    control: str
    account: str
    customer_id: int | None
    customer: str
    place: str
    zone: str
    wanted: str | None
    reason: str
    reported: str | None
    online: bool
    heard_at: datetime | None
    in_step: bool


@dataclass(frozen=True, slots=True)
class Issued:
    """Tokens of one top-up. `tokens` as they may be shown to this reader."""

    at: datetime
    unit: str
    quantity: int
    amount: Money
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """Prepaid use that was charged. `wh` for a price per kWh, `days` for one per day."""

    from_at: datetime
    until_at: datetime
    unit: str
    wh: int
    days: int
    amount: Money
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter with everything that is known of it. `raw`: its own document, as it came."""

    line: MeterLine
    installed_on: date
    has_key: bool
    key_version: int
    contract_kind: str | None
    wanted_version: int | None
    wanted_by: str
    wanted_at: datetime | None
    reported_version: int | None
    relay: str
    raw: Mapping[str, Any]
    commands: tuple[Switched, ...]
    tasks: tuple[Crew, ...]
    issued: tuple[Issued, ...]
    used: tuple[Used, ...]
    charged_until: datetime | None
    credit: Money | None
