"""A customer's month played against the pure function: sweeps, notices that arrive or do not, batches, payments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.billing.dunning import evaluate
from core.billing.model import Calendar, DunnedInvoice, DunningFacts, DunningVerdict, MadeStep, StepDue
from core.billing.policy import DEFAULT_POLICY, DunningPolicy
from core.kernel.clock import WEST
from core.supply.rules import OffPolicy, window_on

Arrives = Callable[[StepDue, datetime], datetime | None]


def arrives_at_once(_step: StepDue, leaves_at: datetime) -> datetime | None:
    return leaves_at


def never_arrives(_step: StepDue, _leaves_at: datetime) -> datetime | None:
    return None


def calendar(start: date, zone: str = WEST, days: int = 120) -> Calendar:
    policy = OffPolicy()
    ahead = (start + timedelta(days=n) for n in range(days))
    return Calendar(tuple(day for day in ahead if window_on(policy, day, zone) is not None))


@dataclass
class Month:
    """One contract with one invoice of 28 500 FC, sent on `start` at 09:00. What happened stands in the lists."""

    start: date
    zone: str = WEST
    policy: DunningPolicy = DEFAULT_POLICY
    arrives: Arrives = arrives_at_once
    total_minor: int = 2_850_000
    facts: DunningFacts = field(init=False)
    made: list[tuple[date, StepDue]] = field(default_factory=list)
    cut_at: datetime | None = None

    def __post_init__(self) -> None:
        invoice = DunnedInvoice(1, "T-1", self.total_minor, 0, 1, self.start)
        self.facts = DunningFacts(1, "CDF", self.zone, calendar(self.start, self.zone), (invoice,))
        self.sweep(self.at(self.start, 9))

    def at(self, day: date, hour: int, minute: int = 0) -> datetime:
        return datetime.combine(day, time(hour, minute), ZoneInfo(self.zone))

    @property
    def invoice(self) -> DunnedInvoice:
        return self.facts.invoices[0]

    def verdict(self, now: datetime) -> DunningVerdict:
        return evaluate(self.facts, self.policy, now)

    def sweep(self, now: datetime) -> None:
        for step in self.verdict(now).steps:
            leaves = now if now.hour >= 8 else now.replace(hour=8, minute=0)
            crew = step.channel == "crew"
            arrived = None if crew else self.arrives(step, leaves)
            made = MadeStep(step.step, now, None if crew else leaves, arrived, by_crew=crew, cut_on=step.cut_on)
            self.made.append((now.date(), step))
            self._change(steps=(*self.invoice.steps, made))

    def pay(self, minor: int) -> None:
        self._change(paid_minor=min(self.invoice.total_minor, self.invoice.paid_minor + minor))

    def deliver(self, step: str, at: datetime) -> None:
        steps = tuple(replace(s, delivered_at=at) if s.step == step else s for s in self.invoice.steps)
        self._change(steps=steps)

    def day(self, day: date, *, sweep: bool = True) -> None:
        """One day: the sweep at 05:00, then the batches of the window, hour by hour."""
        if sweep:
            self.sweep(self.at(day, 5))
        if day not in self.facts.calendar.days:
            return
        for hour in range(8, 14):
            now = self.at(day, hour)
            if self.cut_at is None and self.verdict(now).cut_now:
                self.cut_at = now
                self.facts = replace(self.facts, supply_off=True)

    def run(self, days: int, *, sweeps: Callable[[date], bool] = lambda _day: True) -> Month:
        for n in range(1, days + 1):
            today = self.start + timedelta(days=n)
            self.day(today, sweep=sweeps(today))
        return self

    def story(self) -> list[tuple[str, int]]:
        """(step, day of the cycle on which it was made)."""
        return [(step.step, (day - self.start).days) for day, step in self.made]

    def _change(self, **changes: object) -> None:
        invoice = replace(self.invoice, **changes)  # type: ignore[arg-type]
        self.facts = replace(self.facts, invoices=(invoice, *self.facts.invoices[1:]))
