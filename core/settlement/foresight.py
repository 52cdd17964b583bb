"""What dunning would do by a day that has not come: the nights and hours in between, walked one after another.

Nothing is written. What it supposes is said wherever its answers are shown (`SUPPOSED`): nobody pays, promises or
complains; a text that has not left yet arrives when it leaves, one that left without a report never does; a crew hands
nothing over; meters stay as they are heard now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.billing.dunning import EVIDENCE, due_days, evaluate
from core.billing.model import Calendar, DunningFacts, DunningVerdict, MadeStep, StepDue, WhyNot
from core.billing.policy import DunningPolicy
from core.i18n import N_
from core.kernel.clock import WEST, local_date, local_time
from core.supply.rules import HoldReason

SUPPOSED = N_(
    "Supposed: nobody pays or promises until then; texts arrive when they leave; a crew hands nothing over; meters "
    "stay as they are heard now."
)
# When the sweep and the batches that cut run (`workers.schedule.PLANS`; a test compares).
SWEEP_HOUR = 4
CUT_HOURS = (9, 10, 11, 12, 13)
# Farther than a cycle with its longest hold nobody can say anything.
DAYS_AHEAD = 60

# What waits for a day or a sum is no hold; it would only hide those that are held.
_NO_HOLD = frozenset({"not_due_yet", "not_announced", "small_balance", "below_floor", "never_cut", "off_already"})

Guards = Callable[[DunningFacts, DunningVerdict, DunningPolicy, datetime], list[HoldReason]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the walk is walked by. `policy_on`: the version of a day; `calendar`: the permitted days seen from a moment.

    `guards`: the reasons of `may_disconnect`, asked only when the books say yes; who passes them counts as cut.
    """

    policy_on: Callable[[date], DunningPolicy]
    calendar: Callable[[datetime, str], Calendar]
    guards: Guards


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One contract on the day asked about.

    `steps`: those made on that day; `before`: those supposed on the way, with their days. `cut_at`: when supply goes
    off, on that day or before it; None when it does not. `verdict`, `held`: the last answer of that day, of the books
    and of the guards. `facts`: as they would be then.
    """

    facts: DunningFacts
    verdict: DunningVerdict
    day: date
    steps: tuple[StepDue, ...] = ()
    before: tuple[tuple[date, StepDue], ...] = ()
    cut_at: datetime | None = None
    held: tuple[HoldReason, ...] = ()

    @property
    def cut_on_the_day(self) -> bool:
        return self.cut_at is not None and local_date(self.cut_at, self.facts.zone) == self.day

    @property
    def off_before(self) -> bool:
        """Supply is off already when the day comes, really or as supposed."""
        return self.facts.supply_off and not self.cut_on_the_day

    @property
    def holds(self) -> tuple[WhyNot | HoldReason, ...]:
        """What keeps the cut away although its time has come; empty for those whose time has not."""
        if self.facts.supply_off:
            return ()
        return (*(why for why in self.verdict.why_not if why.code not in _NO_HOLD), *self.held)


@dataclass(slots=True)
class _Walk:
    facts: DunningFacts
    rules: Rules
    made: list[tuple[datetime, StepDue]] = field(default_factory=list)
    cut_at: datetime | None = None
    held: tuple[HoldReason, ...] = ()

    def sweep(self, at: datetime) -> None:
        policy = self._see(at)
        for step in evaluate(self.facts, policy, at).steps:
            self.made.append((at, step))
            done = _supposed(step, at, self.facts.zone, policy)
            self.facts = replace(
                self.facts,
                invoices=tuple(
                    replace(i, steps=(*i.steps, done)) if i.invoice_id == step.invoice_id else i
                    for i in self.facts.invoices
                ),
            )

    def batch(self, at: datetime) -> DunningVerdict:
        policy = self._see(at)
        verdict = evaluate(self.facts, policy, at)
        self.held = ()
        if not verdict.cut_now:
            return verdict
        self.held = tuple(self.rules.guards(self.facts, verdict, policy, local_time(at, self.facts.zone)))
        if not self.held:
            self.cut_at = at
            self.facts = replace(self.facts, supply_off=True)
            # The answer of the moment stays; the next one would only say that it is off already.
        return verdict

    def _see(self, at: datetime) -> DunningPolicy:
        self.facts = replace(self.facts, calendar=self.rules.calendar(at, self.facts.zone))
        return self.rules.policy_on(at.date())

    def wakes_on(self, today: date) -> date:
        """The first day on which a step may be due; until then nothing can happen to this contract."""
        policy, days = self.rules.policy_on(today), []
        for invoice in self.facts.invoices:
            waiting = [base for base in EVIDENCE if not invoice.made(base)]
            if not waiting:
                return today
            days.append(due_days(invoice, policy, self.facts.zone, today)[waiting[0]])
        return max(today, min(days, default=date.max))

    @property
    def announced(self) -> bool:
        return any(invoice.made("announcement") for invoice in self.facts.invoices)


def walk(facts: DunningFacts, rules: Rules, *, now: datetime, until: datetime) -> Foreseen:
    """What becomes of one contract between `now` and `until`; at `until` a sweep and a batch are supposed, too."""
    way, zone = _Walk(_on_their_way(facts, now), rules), facts.zone
    day, wakes = local_date(until, zone), way.wakes_on(local_date(now, zone))
    for at, is_sweep in _moments(now, until, zone):
        if local_date(at, zone) < wakes:
            continue
        if is_sweep:
            way.sweep(at)
            wakes = way.wakes_on(local_date(at, zone))
        elif way.announced and way.cut_at is None:
            way.batch(at)
    way.sweep(until)
    verdict = way.batch(until)
    return Foreseen(
        facts=way.facts,
        verdict=verdict,
        day=day,
        steps=tuple(step for at, step in way.made if local_date(at, zone) == day),
        before=tuple((local_date(at, zone), step) for at, step in way.made if local_date(at, zone) < day),
        cut_at=way.cut_at,
        held=way.held,
    )


def last_moment(asked: date | datetime, zone: str, now: datetime) -> datetime:
    """The moment that answers for a day: its last batch; for a moment that moment. Never before `now`."""
    if isinstance(asked, datetime):
        return asked
    return max(now, datetime.combine(asked, time(CUT_HOURS[-1]), ZoneInfo(zone)))


def _moments(now: datetime, until: datetime, zone: str) -> Iterator[tuple[datetime, bool]]:
    """Each sweep and each batch after `now` and before `until`, in order; True for a sweep."""
    day = local_date(now, zone)
    while day <= local_date(until, zone):
        sweep = datetime.combine(day, time(SWEEP_HOUR), ZoneInfo(WEST))
        batches = [datetime.combine(day, time(hour), ZoneInfo(zone)) for hour in CUT_HOURS]
        for at in (sweep, *batches):
            if now < at < until:
                yield at, at is sweep
        day += timedelta(days=1)


def _supposed(step: StepDue, at: datetime, zone: str, policy: DunningPolicy) -> MadeStep:
    if step.channel == "crew":
        return MadeStep(step.step, at, by_crew=True, cut_on=step.cut_on)
    leaves = local_time(at, zone)
    if leaves.hour >= policy.quiet_from_hour:
        leaves = leaves.replace(hour=0, minute=0) + timedelta(days=1)
    if leaves.hour < policy.quiet_until_hour:
        leaves = leaves.replace(hour=policy.quiet_until_hour, minute=0, second=0, microsecond=0)
    return MadeStep(step.step, at, leaves, leaves, cut_on=step.cut_on)


def _on_their_way(facts: DunningFacts, now: datetime) -> DunningFacts:
    """Texts that wait for the end of the night arrive when they leave."""

    def arrived(step: MadeStep) -> MadeStep:
        waits = step.delivered_at is None and step.leaves_at is not None and step.leaves_at > now
        return replace(step, delivered_at=step.leaves_at) if waits else step

    return replace(facts, invoices=tuple(replace(i, steps=tuple(arrived(s) for s in i.steps)) for i in facts.invoices))
