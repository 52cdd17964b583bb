"""When a customer is reminded, warned and cut: one pure function of what is known.

`evaluate` is asked inside the transaction that moves money, by the nightly sweep, and by the batch that cuts; all three
get the same answer for the same facts. The rules in words: `docs/dunning.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from core.billing.model import (
    BASES,
    Calendar,
    DunnedInvoice,
    DunningFacts,
    DunningVerdict,
    Hold,
    MadeStep,
    StepDue,
    WhyNot,
)
from core.billing.policy import DunningPolicy
from core.kernel.clock import local_date, local_time

# The notices that must have arrived before supply is cut. The announcement is said as well, but is no evidence.
EVIDENCE = ("sent", "reminder", "warning")


@dataclass(frozen=True, slots=True)
class _Plan:
    """One invoice by itself: what is due for it, and what stands against a cut for it."""

    invoice: DunnedInvoice
    heavy: bool
    announced: bool
    warned_from: date
    cut_on: date | None
    step: StepDue | None
    why_not: tuple[WhyNot, ...]


def evaluate(facts: DunningFacts, policy: DunningPolicy, now: datetime) -> DunningVerdict:
    """Say what is due on one contract at business time `now`: steps to make, whether off is due, and why not.

    At most one step per invoice; a step is never skipped, and one that comes late pushes those after it. More paid
    never brings a step, an off or an earlier date.
    """
    plans = [_plan(invoice, facts, policy, now) for invoice in facts.invoices if invoice.balance_minor > 0]
    enough = _threshold(facts, policy)
    today = local_date(now, facts.zone)
    ripe = [plan for plan in plans if plan.heavy and plan.announced]
    ready = [plan for plan in ripe if not plan.why_not]
    off_due, cut_now = enough(ripe), enough(ready) and not facts.supply_off
    carriers = ready if cut_now else ripe if off_due else []
    return DunningVerdict(
        policy_version=policy.version,
        steps=_steps(plans, facts, enough, today, braked=policy.braked),
        off_due=off_due,
        cut_now=cut_now,
        off_invoice_id=carriers[0].invoice.invoice_id if carriers else None,
        overdue_minor=_balance(carriers),
        overdue_total_minor=sum(plan.invoice.total_minor for plan in carriers),
        next_date_that_matters=_next_date(plans, enough),
        why_not=() if cut_now else _why_not(plans, facts, enough, off_due),
    )


def earliest_cut(
    cycle_started_on: date, calendar: Calendar, policy: DunningPolicy, *, not_before: date | None = None
) -> date | None:
    """The first day on which an invoice whose cycle began then can be cut when every step is in time.

    `not_before`: a later day that stands already, by a warning that named it or the end of a promise. For a screen that
    has no room for the whole evaluation; the evaluation may only be later.
    """
    by_the_steps = cycle_started_on + timedelta(days=policy.announcement_after_days)
    return calendar.first_from(max(by_the_steps, not_before or by_the_steps))


def due_days(invoice: DunnedInvoice, policy: DunningPolicy, zone: str, today: date) -> dict[str, date]:
    """Step → the day it is due: its day of the cycle, or later by as much as the step before it came late."""
    days: dict[str, date] = {}
    previous: tuple[date, int] | None = None
    for base, offset in policy.offsets():
        due = invoice.cycle_started_on + timedelta(days=offset)
        if previous is not None:
            due = max(due, previous[0] + timedelta(days=offset - previous[1]))
        made = invoice.made(base)
        done_on = local_date(made[0].made_at, zone) if made else max(due, today)
        days[base], previous = due, (done_on, offset)
    return days


def holds_of(invoice: DunnedInvoice, facts: DunningFacts) -> list[Hold]:
    """The holds that count against the limits of an invoice's present cycle, over or not."""
    midnight = datetime.combine(invoice.cycle_started_on, time(), ZoneInfo(facts.zone))
    return [h for h in facts.holds if h.invoice_id in (None, invoice.invoice_id) and h.until_at > midnight]


def _threshold(facts: DunningFacts, policy: DunningPolicy) -> Callable[[Sequence[_Plan]], bool]:
    floor = policy.floor_minor.get(facts.currency)

    def enough(plans: Sequence[_Plan]) -> bool:
        # A currency nobody set a floor for: cutting for any amount is not what anybody decided.
        return facts.may_be_cut and floor is not None and bool(plans) and _balance(plans) >= floor

    return enough


def _balance(plans: Sequence[_Plan]) -> int:
    return sum(plan.invoice.balance_minor for plan in plans)


def _steps(
    plans: Sequence[_Plan],
    facts: DunningFacts,
    enough: Callable[[Sequence[_Plan]], bool],
    today: date,
    *,
    braked: bool,
) -> tuple[StepDue, ...]:
    """The steps that are due and true: nobody is warned of, or told, a cut that what is owed would not bring, or while
    all cuts are stopped and nobody knows until when."""
    threatened = [plan for plan in plans if plan.heavy and plan.warned_from <= today]
    about_to_be = [p for p in plans if p.heavy and (p.announced or (p.step and p.step.base == "announcement"))]
    due: list[StepDue] = []
    for plan in plans:
        step = plan.step
        if step is None:
            continue
        if step.step not in ("sent", "reminder"):
            at_stake = about_to_be if step.base == "announcement" else threatened
            if braked or facts.supply_off or not plan.heavy or not enough(at_stake):
                continue
        due.append(step)
    return tuple(due)


def _next_date(plans: Sequence[_Plan], enough: Callable[[Sequence[_Plan]], bool]) -> date | None:
    dated = sorted(((p.cut_on, p) for p in plans if p.heavy and p.cut_on is not None), key=lambda pair: pair[0])
    for upto, (day, _) in enumerate(dated, start=1):
        if enough([plan for _, plan in dated[:upto]]):
            return day
    return None


def _why_not(
    plans: Sequence[_Plan], facts: DunningFacts, enough: Callable[[Sequence[_Plan]], bool], off_due: bool
) -> tuple[WhyNot, ...]:
    if not plans:
        return ()
    if not facts.may_be_cut:
        return (WhyNot("never_cut"),)
    if off_due and facts.supply_off:
        return (WhyNot("off_already"),)
    heavy = [plan for plan in plans if plan.heavy]
    small = [WhyNot("small_balance", plan.invoice.invoice_id) for plan in plans if not plan.heavy]
    if not heavy:
        return tuple(small)
    if not enough(heavy):
        return (*small, WhyNot("below_floor"))
    reasons = [why for plan in heavy for why in plan.why_not]
    # Those that could be cut for do not reach the floor without those that cannot yet.
    return (*small, *(reasons or [WhyNot("below_floor")]))


def _plan(invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime) -> _Plan:
    today = local_date(now, facts.zone)
    due = due_days(invoice, policy, facts.zone, today)
    announced = bool(invoice.made("announcement"))
    target = _target(invoice, facts, policy, now, due["announcement"])
    blocks = _blocks(invoice, facts, policy, now)
    if announced:
        why_not = [*_against_cut(invoice, facts, policy, now), *blocks]
    else:
        why_not = [*blocks, *_not_announced(invoice, facts, policy, now, target)]
    return _Plan(
        invoice=invoice,
        heavy=invoice.balance_minor * 100 >= policy.percent_of_invoice * invoice.total_minor,
        announced=announced,
        warned_from=due["warning"],
        cut_on=target,
        step=_step(invoice, facts, policy, now, due, target, held=bool(blocks)),
        why_not=tuple(why_not),
    )


def _step(
    invoice: DunnedInvoice,
    facts: DunningFacts,
    policy: DunningPolicy,
    now: datetime,
    due: dict[str, date],
    target: date | None,
    *,
    held: bool,
) -> StepDue | None:
    """The one step of this invoice that is due, whether or not the sum owed is worth it."""
    today = local_date(now, facts.zone)
    if any(local_date(step.made_at, facts.zone) >= today for step in invoice.steps):
        return None
    for base in EVIDENCE:
        if not invoice.made(base):
            return _first(invoice, facts, policy, now, base, due) if due[base] <= today else None
    if target is None:
        return None
    again = _repair(invoice, facts, policy, now, due, target)
    if again is not None:
        return again
    complete = not _missing(invoice) and _fits(invoice, facts, policy, now, target)
    if not complete or held or target != today or _fresh_announcement(invoice, facts, policy, now) is not None:
        return None
    if not invoice.made("announcement"):
        return _first(invoice, facts, policy, now, "announcement", due)
    return _again(invoice, facts, policy, now, "announcement", due)


def _repair(
    invoice: DunnedInvoice,
    facts: DunningFacts,
    policy: DunningPolicy,
    now: datetime,
    due: dict[str, date],
    target: date,
) -> StepDue | None:
    """Say again what did not arrive, or what will be too old by the day of the cut, in time for that day if it can."""
    opens, _ = _window(facts, target)
    in_time = local_date(opens - timedelta(hours=policy.warning_min_age_h), facts.zone)
    held = _held_to(invoice, facts, policy, now) is not None
    # Who promised is left in peace until shortly before the day after it.
    if local_date(now, facts.zone) < (in_time if held else min(due["announcement"], in_time)):
        return None
    missing = _missing(invoice)
    for base in missing:
        step = _again(invoice, facts, policy, now, base, due)
        if step is not None:
            return step
    # The warning comes last: one that is renewed while another notice is missing would only grow old again.
    if missing or _fits(invoice, facts, policy, now, target):
        return None
    return _again(invoice, facts, policy, now, "warning", due)


def _first(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime, base: str, due: dict[str, date]
) -> StepDue:
    channel: Literal["sms", "crew"] = "sms" if facts.reachable else "crew"
    return _due(invoice, facts, policy, now, base, base, due, channel)


def _again(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime, base: str, due: dict[str, date]
) -> StepDue | None:
    """The next repetition of a step, when enough days have passed; by crew when no SMS arrives."""
    made = invoice.made(base)
    last = made[-1]
    if local_date(now, facts.zone) < local_date(last.made_at, facts.zone) + timedelta(days=policy.repeat_after_days):
        return None
    if last.by_crew and last.delivered_at is None:
        return None  # a person has it in hand
    hopeless = last.leaves_at is None or len(made) > policy.repeats_max
    by_crew = last.by_crew or not facts.reachable or hopeless
    return _due(invoice, facts, policy, now, base, f"{base}.{len(made) + 1}", due, "crew" if by_crew else "sms")


def _due(
    invoice: DunnedInvoice,
    facts: DunningFacts,
    policy: DunningPolicy,
    now: datetime,
    base: str,
    step: str,
    due: dict[str, date],
    channel: Literal["sms", "crew"],
) -> StepDue:
    cut_on = _nameable(invoice, facts, policy, now, due["announcement"]) if base == "warning" else None
    return StepDue(invoice.invoice_id, invoice.cycle, step, channel, cut_on)


def _nameable(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime, announce_on: date
) -> date | None:
    """The day a warning that leaves now can name: permitted, not before any day named earlier, and old enough then."""
    leaves = local_time(now, facts.zone)
    if leaves.hour >= policy.quiet_from_hour:
        leaves = leaves.replace(hour=0, minute=0) + timedelta(days=1)
    if leaves.hour < policy.quiet_until_hour:
        leaves = leaves.replace(hour=policy.quiet_until_hour, minute=0, second=0, microsecond=0)
    ready = leaves + timedelta(hours=policy.warning_min_age_h)
    ready_on = ready.date() + timedelta(days=int(ready.hour >= facts.calendar.until_hour))
    held_to = _held_to(invoice, facts, policy, now)
    return facts.calendar.first_from(max(announce_on, ready_on, _named(invoice) or announce_on, held_to or announce_on))


def _named(invoice: DunnedInvoice) -> date | None:
    return max((step.cut_on for step in invoice.steps if step.cut_on is not None), default=None)


def _window(facts: DunningFacts, day: date) -> tuple[datetime, datetime]:
    """The permitted hours of a permitted day."""
    midnight = datetime.combine(day, time(), ZoneInfo(facts.zone))
    return (
        midnight.replace(hour=facts.calendar.from_hour),
        midnight + timedelta(hours=facts.calendar.until_hour),
    )


def _target(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime, announce_on: date
) -> date | None:
    """The first permitted day on which this invoice can still be cut, seen from now."""
    today = local_date(now, facts.zone)
    held_to = _held_to(invoice, facts, policy, now)
    earliest = max(announce_on, _named(invoice) or announce_on, held_to or announce_on, today)
    if earliest == today:
        # Too late today to announce it and keep the lead before the window closes.
        lead = 0 if _fresh_announcement(invoice, facts, policy, now) else policy.announcement_lead_h
        if now + timedelta(hours=lead) >= _window(facts, today)[1]:
            earliest = today + timedelta(days=1)
    return facts.calendar.first_from(earliest)


def _missing(invoice: DunnedInvoice) -> list[str]:
    return [base for base in EVIDENCE[:-1] if invoice.delivered(base) is None]


def _fits(invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime, target: date) -> bool:
    """Whether the last warning that arrived is neither too young nor too old in the window of `target`."""
    arrived = invoice.delivered("warning")
    if arrived is None:
        return False
    opens, closes = _window(facts, target)
    lead = timedelta(hours=policy.announcement_lead_h)
    first = max(opens + lead, now if _fresh_announcement(invoice, facts, policy, now) else now + lead)
    young_until = arrived + timedelta(hours=policy.warning_min_age_h)
    return young_until < closes and first <= arrived + timedelta(days=policy.warning_max_age_days)


def _fresh_announcement(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime
) -> MadeStep | None:
    """The announcement under which supply may still be cut today; None when it must be said (again)."""
    made = invoice.made("announcement")
    if not made:
        return None
    said = made[-1].leaves_at or made[-1].delivered_at
    if said is None:
        return made[-1] if made[-1].by_crew else None
    opens, _ = _window(facts, local_date(now, facts.zone))
    return made[-1] if max(now, opens) <= said + timedelta(hours=policy.announcement_max_age_h) else None


def _blocks(invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime) -> list[WhyNot]:
    """What holds this invoice now: flags of the bill, the brake, and holds within their limits in number and age."""
    found = [
        WhyNot(code, invoice.invoice_id)
        for code, flag in (("disputed", invoice.disputed), ("estimated", invoice.estimated))
        if flag
    ]
    if policy.braked:
        found.append(WhyNot("brake", invoice.invoice_id))
    standing = _standing(invoice, facts, policy, now)
    return [*found, *(WhyNot("hold", invoice.invoice_id, kind, until) for kind, until in standing)]


def _standing(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime
) -> list[tuple[str, datetime]]:
    """The holds of this invoice that count now, within their limits in number and age: kind and end."""
    found: list[tuple[str, datetime]] = []
    counted: dict[str, int] = {}
    for hold in sorted(holds_of(invoice, facts), key=lambda h: (h.from_at, h.until_at)):
        counted[hold.kind] = counted.get(hold.kind, 0) + 1
        most, hours = policy.hold_limit(hold.kind)
        until = min(hold.until_at, hold.from_at + timedelta(hours=hours))
        if counted[hold.kind] <= most and hold.from_at <= now < until:
            found.append((hold.kind, until))
    return found


def _held_to(invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime) -> date | None:
    """The first day on which no hold of now stands in the way any more; None when none does.

    Money on its way is left out: it ends at any moment, and a day that was built on it would then come nearer.
    """
    ends = [until for kind, until in _standing(invoice, facts, policy, now) if kind != "pending_payment"]
    if not ends:
        return None
    last = local_time(max(ends), facts.zone)
    return last.date() + timedelta(days=int(last.hour >= facts.calendar.until_hour))


def _not_announced(
    invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime, target: date | None
) -> list[WhyNot]:
    number = invoice.invoice_id
    waiting = [base for base in EVIDENCE if not invoice.made(base)]
    if waiting:
        return [WhyNot("not_due_yet", number, waiting[0], target)]
    found = [WhyNot("undelivered", number, base) for base in EVIDENCE if invoice.delivered(base) is None]
    if not found and target is not None and not _fits(invoice, facts, policy, now, target):
        found.append(WhyNot("warning_age", number, until=target))
    return found or [WhyNot("not_announced", number, until=target)]


def _against_cut(invoice: DunnedInvoice, facts: DunningFacts, policy: DunningPolicy, now: datetime) -> list[WhyNot]:
    """What is missing, at this moment, of the evidence for an invoice whose cut was announced."""
    number = invoice.invoice_id
    found = [WhyNot("undelivered", number, base) for base in EVIDENCE if invoice.delivered(base) is None]
    arrived = invoice.delivered("warning")
    if arrived is not None:
        old_enough = arrived + timedelta(hours=policy.warning_min_age_h)
        if now < old_enough:
            found.append(WhyNot("warning_too_young", number, until=old_enough))
        if now > arrived + timedelta(days=policy.warning_max_age_days):
            found.append(WhyNot("warning_too_old", number))
    named = _named(invoice)
    if named is not None and local_date(now, facts.zone) < named:
        found.append(WhyNot("later_day_named", number, until=named))
    announcement = _fresh_announcement(invoice, facts, policy, now)
    if announcement is None:
        found.append(WhyNot("announcement_too_old", number))
        return found
    said = announcement.leaves_at or announcement.delivered_at
    if said is None:
        found.append(WhyNot("undelivered", number, "announcement"))
    elif now < said + timedelta(hours=policy.announcement_lead_h):
        found.append(WhyNot("announcement_too_fresh", number, until=said + timedelta(hours=policy.announcement_lead_h)))
    return found


assert (*EVIDENCE, "announcement") == BASES
