"""Which days a promise to pay may name, and when there can be none. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from core.billing.dunning import holds_of
from core.billing.model import DunningFacts
from core.billing.policy import DunningPolicy
from core.kernel.clock import local_date

HOLD = "promise"

Refusal = Literal["nothing_due", "already_open", "supply_off", "broken_lately", "too_often", "day_not_offered"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no promise. `until`: the day from which one may be made again, or that of the open one."""

    code: Refusal
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The newest promise of a contract. `ended_at`: when it was found kept or broken, or was cancelled."""

    state: str
    promised_on: date
    ended_at: datetime | None = None


def end_of(day: date, zone: str) -> datetime:
    """The moment a promised day is over at the site: what is paid on the day itself keeps the promise."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def promise_days(policy: DunningPolicy, now: datetime, zone: str) -> tuple[date, ...]:
    """The days a promise made now may name, nearest first: those of the policy to whose end its hold can reach."""
    most, hours = policy.hold_limit(HOLD)
    today = local_date(now, zone)
    last = now + timedelta(hours=hours)
    days = (today + timedelta(days=n) for n in sorted(set(policy.promise_days)) if n > 0)
    return tuple(day for day in days if most > 0 and end_of(day, zone) <= last)


def refusal(
    facts: DunningFacts, earlier: Earlier | None, policy: DunningPolicy, now: datetime, day: date
) -> Refused | None:
    """Why nobody can promise to pay by `day`; None when it can be promised.

    It would switch nothing on, so there is none while supply is off; and one that no hold could follow would be a word
    without worth.
    """
    today = local_date(now, facts.zone)
    if not any(invoice.balance_minor > 0 for invoice in facts.invoices):
        return Refused("nothing_due")
    if earlier is not None and earlier.state == "open" and earlier.promised_on >= today:
        return Refused("already_open", earlier.promised_on)
    if facts.supply_off:
        return Refused("supply_off")
    again_on = _again_on(earlier, policy, facts.zone)
    if again_on is not None and today < again_on:
        return Refused("broken_lately", again_on)
    most, _ = policy.hold_limit(HOLD)
    for invoice in facts.invoices:
        made = sum(hold.kind == HOLD for hold in holds_of(invoice, facts))
        if invoice.balance_minor > 0 and made >= most:
            return Refused("too_often")
    if day not in promise_days(policy, now, facts.zone):
        return Refused("day_not_offered")
    return None


def _again_on(earlier: Earlier | None, policy: DunningPolicy, zone: str) -> date | None:
    """The day from which a contract may promise again after a broken promise. One whose day is over is broken, whether
    or not the sweep has come by."""
    if earlier is None or earlier.state not in ("open", "broken"):
        return None
    return earlier.promised_on + timedelta(days=policy.promise_pause_days)
