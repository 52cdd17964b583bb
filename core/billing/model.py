"""What dunning knows of a contract, and what it answers. Plain values; money in minor units of the contract."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

Base = Literal["sent", "reminder", "warning", "announcement"]
BASES: tuple[Base, ...] = ("sent", "reminder", "warning", "announcement")


@dataclass(frozen=True, slots=True)
class MadeStep:
    """A step that was due and done in the invoice's present cycle.

    `step` is a base or a repetition (`warning.2`). `leaves_at`: when its notice may leave (quiet hours), None when it
    never will (opted out). `delivered_at`: by report, a screen shown, or a crew's word. `cut_on`: the day a warning
    named; supply is never cut before it.
    """

    step: str
    made_at: datetime
    leaves_at: datetime | None = None
    delivered_at: datetime | None = None
    by_crew: bool = False
    cut_on: date | None = None

    @property
    def base(self) -> str:
        return self.step.partition(".")[0]


@dataclass(frozen=True, slots=True)
class DunnedInvoice:
    """A sent invoice with its present cycle: when that began, and the steps made in it, oldest first."""

    invoice_id: int
    number: str
    total_minor: int
    paid_minor: int
    cycle: int
    cycle_started_on: date
    steps: tuple[MadeStep, ...] = ()
    disputed: bool = False
    estimated: bool = False

    @property
    def balance_minor(self) -> int:
        return self.total_minor - self.paid_minor

    def made(self, base: str) -> tuple[MadeStep, ...]:
        """The steps of one base in the order they were made: the first, then its repetitions."""
        return tuple(step for step in self.steps if step.base == base)

    def delivered(self, base: str) -> datetime | None:
        """When a step of this base was last delivered; None when none was."""
        return max((s.delivered_at for s in self.made(base) if s.delivered_at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason not to cut for a while. `invoice_id` None: it holds for all of the contract."""

    kind: str
    from_at: datetime
    until_at: datetime
    invoice_id: int | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days on which supply may be cut, ascending and some weeks ahead, and the hours, local to the site.

    `until_hour` itself is too late.
    """

    days: tuple[date, ...]
    from_hour: int = 8
    until_hour: int = 14

    def first_from(self, day: date) -> date | None:
        """The first permitted day at or after `day`; None when the calendar knows none."""
        at = bisect_left(self.days, day)
        return self.days[at] if at < len(self.days) else None


@dataclass(frozen=True, slots=True)
class DunningFacts:
    """All that dunning looks at. `may_be_cut` False: a protected site, or no meter that could be switched.

    `reachable` False: no confirmed phone to write to; its steps go by crew. `supply_off`: it was cut already (or is
    being cut): nobody is warned of what has happened.
    """

    contract_id: int
    currency: str
    zone: str
    calendar: Calendar
    invoices: tuple[DunnedInvoice, ...] = ()
    holds: tuple[Hold, ...] = ()
    may_be_cut: bool = True
    reachable: bool = True
    supply_off: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the decision that is explained a year later. Of the calendar, the days that can have mattered."""
        return {
            "currency": self.currency,
            "zone": self.zone,
            "may_be_cut": self.may_be_cut,
            "reachable": self.reachable,
            "supply_off": self.supply_off,
            "window": [self.calendar.from_hour, self.calendar.until_hour],
            "permitted_days": [day.isoformat() for day in self.calendar.days[:10]],
            "invoices": [_invoice_json(invoice) for invoice in self.invoices],
            "holds": [_plain(hold, ("kind", "invoice_id", "from_at", "until_at")) for hold in self.holds],
        }


@dataclass(frozen=True, slots=True)
class StepDue:
    """A step to be made now. `channel` crew: by hand, because no SMS arrives. `cut_on`: what a warning names."""

    invoice_id: int
    cycle: int
    step: str
    channel: Literal["sms", "crew"] = "sms"
    cut_on: date | None = None

    @property
    def base(self) -> str:
        return self.step.partition(".")[0]


@dataclass(frozen=True, slots=True)
class WhyNot:
    """A reason against off, or against off now. `until`: when it may clear by itself."""

    code: str
    invoice_id: int | None = None
    detail: str = ""
    until: datetime | date | None = None

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code}
        if self.invoice_id is not None:
            body["invoice_id"] = self.invoice_id
        if self.detail:
            body["detail"] = self.detail
        if self.until is not None:
            body["until"] = self.until.isoformat()
        return body


@dataclass(frozen=True, slots=True)
class DunningVerdict:
    """The answer, explained by `why_not`.

    `off_due`: what the books say; supply that is off stays off while it holds, and comes on when it ends. `cut_now`:
    the evidence and the holds also allow the change from on to off at this moment (the guards of supply still stand
    before it). `overdue_minor`, `overdue_total_minor`: balance and totals of the invoices that carry it.
    `next_date_that_matters`: the first day on which supply can be cut for what is owed now; None when it cannot.
    """

    policy_version: int
    steps: tuple[StepDue, ...] = ()
    off_due: bool = False
    cut_now: bool = False
    off_invoice_id: int | None = None
    overdue_minor: int = 0
    overdue_total_minor: int = 0
    next_date_that_matters: date | None = None
    why_not: tuple[WhyNot, ...] = field(default=())


def _invoice_json(invoice: DunnedInvoice) -> dict[str, Any]:
    plain = ("invoice_id", "number", "total_minor", "paid_minor", "cycle", "cycle_started_on", "disputed", "estimated")
    steps = ("step", "made_at", "leaves_at", "delivered_at", "by_crew", "cut_on")
    return {**_plain(invoice, plain), "steps": [_plain(step, steps) for step in invoice.steps]}


def _plain(value: object, names: tuple[str, ...]) -> Mapping[str, Any]:
    found = {name: getattr(value, name) for name in names}
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in found.items() if v is not None}
