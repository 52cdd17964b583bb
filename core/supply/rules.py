"""When supply may be switched off. Pure; on is never asked about here, because on is never held.

The books decide that off is due; these rules stand before the change from on to off and say why not, with the facts.
Source of each rule: Ghana's LI 1651 and LI 1964 and the practice named in `docs/meters.md`; no Congolese text that
fixes them was found, so every number is policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.supply.holidays import holiday_name

Fact = str | int | None


@dataclass(frozen=True, slots=True)
class HoldReason:
    """Why not now. `facts` are what the rule saw; `until`: when it may clear by itself, None when nobody knows."""

    code: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """For the column `hold_reasons` and for a decision that is explained a year later."""
        body: dict[str, Any] = {"code": self.code, "facts": dict(self.facts)}
        if self.until is not None:
            body["until"] = self.until.isoformat()
        return body


@dataclass(frozen=True, slots=True)
class ActiveHold:
    """A hold on the contract: `promise`, `pending_payment`, `dispute`, `medical`, `staff` …

    `ordinal`: it is the n-th of its kind on this invoice, counted from 1; a limit stops anybody from hiding behind one
    unfinished payment a day.
    """

    kind: str
    from_at: datetime
    until_at: datetime
    ordinal: int = 1


@dataclass(frozen=True, slots=True)
class OffFacts:
    """What is known of one contract, its site and its meter when somebody wants it switched off. Money in minor units.

    `overdue_minor`: what is overdue, `disputed_minor` the part of it under dispute, `invoiced_minor` the totals of the
    invoices it comes from. `report_age_h`: whole real hours since the meter was last heard, None when it never was;
    `has_radio` False (a crew switches) makes silence no reason. `offs_last_hour`, `offs_today`: commanded in the same
    area.
    """

    currency: str
    overdue_minor: int
    invoiced_minor: int
    disputed_minor: int = 0
    protected: str | None = None
    estimated: bool = False
    reading_jump: bool = False
    has_radio: bool = True
    report_age_h: int | None = 0
    outage_from: datetime | None = None
    outage_until: datetime | None = None
    interrupted_percent: int = 0
    offs_last_hour: int = 0
    offs_today: int = 0
    holds: tuple[ActiveHold, ...] = ()


class BadPolicy(ValueError):
    """The policy cannot be read. The text is one sentence that names the entry."""


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """The numbers, per utility. Days: Monday 0. Hours are local to the site; `until_hour` itself is too late.

    `hold_limits`: kind → (how many count per invoice, hours each may last); a kind without limits always counts.
    """

    days: tuple[int, ...] = (0, 1, 2, 3)
    from_hour: int = 8
    until_hour: int = 14
    eve_of_holiday: bool = True
    extra_holidays: tuple[date, ...] = ()
    floor_minor: Mapping[str, int] = field(default_factory=lambda: {"CDF": 500_000, "USD": 200})
    percent_of_invoice: int = 20
    silent_after_h: int = 48
    outage_margin_h: int = 4
    interrupted_percent_max: int = 10
    offs_per_hour: int = 60
    offs_per_day: int = 300
    hold_limits: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {"pending_payment": (2, 24)})
    brake: bool = False

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> OffPolicy:
        """The policy as versioned data holds it; what is left out has the default. Raises BadPolicy."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(body) - known)
        if unknown:
            raise BadPolicy(f"The switching policy knows no entry {unknown[0]!r}.")
        values = {name: _READERS[name](name, value) for name, value in body.items()}
        policy = cls(**values)
        if not 0 <= policy.from_hour < policy.until_hour <= 24:
            raise BadPolicy("from_hour and until_hour must lie in one day, the first before the second.")
        return policy


def may_disconnect(facts: OffFacts, policy: OffPolicy, local: datetime) -> list[HoldReason]:
    """Every reason why supply may not be switched off now; empty means it may.

    `local`: aware, in the zone of the site.
    """
    if local.tzinfo is None:
        raise ValueError("local time without a zone")
    found: list[HoldReason] = []
    for rule in _RULES:
        found.extend(rule(facts, policy, local))
    return found


def window_on(policy: OffPolicy, day: date, zone: str) -> tuple[datetime, datetime] | None:
    """The permitted hours of a local day as aware local times, or None on a day without any."""
    if _day_reasons(policy, day):
        return None
    start = datetime.combine(day, time(policy.from_hour), ZoneInfo(zone))
    return start, start + timedelta(hours=policy.until_hour - policy.from_hour)


def next_window(policy: OffPolicy, after: datetime, zone: str) -> tuple[datetime, datetime] | None:
    """The first permitted hours that end after `after`, looking a year ahead; None when the policy never permits."""
    day = after.astimezone(ZoneInfo(zone)).date()
    for ahead in range(366):
        window = window_on(policy, day + timedelta(days=ahead), zone)
        if window is not None and window[1] > after:
            return window
    return None


Rule = Callable[[OffFacts, OffPolicy, datetime], list[HoldReason]]


def _day_reasons(policy: OffPolicy, day: date) -> list[HoldReason]:
    reasons: list[HoldReason] = []
    if day.weekday() not in policy.days:
        reasons.append(HoldReason("day_of_week", {"weekday": day.weekday()}))
    holiday = _holiday(policy, day)
    if holiday is not None:
        reasons.append(HoldReason("holiday", {"day": day.isoformat(), "name": holiday}))
    tomorrow = day + timedelta(days=1)
    eve = _holiday(policy, tomorrow)
    if policy.eve_of_holiday and eve is not None:
        reasons.append(HoldReason("eve_of_holiday", {"day": tomorrow.isoformat(), "name": eve}))
    return reasons


def _holiday(policy: OffPolicy, day: date) -> str | None:
    return "declared" if day in policy.extra_holidays else holiday_name(day)


def _brake(_facts: OffFacts, policy: OffPolicy, _local: datetime) -> list[HoldReason]:
    return [HoldReason("brake")] if policy.brake else []


def _day(_facts: OffFacts, policy: OffPolicy, local: datetime) -> list[HoldReason]:
    return _day_reasons(policy, local.date())


def _hours(_facts: OffFacts, policy: OffPolicy, local: datetime) -> list[HoldReason]:
    if policy.from_hour <= local.hour < policy.until_hour:
        return []
    return [HoldReason("hours", {"at": local.strftime("%H:%M"), "from": policy.from_hour, "until": policy.until_hour})]


def _protected(facts: OffFacts, _policy: OffPolicy, _local: datetime) -> list[HoldReason]:
    return [HoldReason("protected", {"as": facts.protected})] if facts.protected else []


def _arrears(facts: OffFacts, policy: OffPolicy, _local: datetime) -> list[HoldReason]:
    floor = policy.floor_minor.get(facts.currency)
    if floor is None:
        # A currency nobody set a floor for: cutting for any amount is not what anybody decided.
        return [HoldReason("no_floor", {"currency": facts.currency})]
    share = -(-facts.invoiced_minor * policy.percent_of_invoice // 100)
    needed = max(floor, share, 1)
    seen: dict[str, Fact] = {
        "overdue_minor": facts.overdue_minor,
        "needed_minor": needed,
        "currency": facts.currency,
    }
    if facts.overdue_minor < needed:
        return [HoldReason("arrears_too_small", seen)]
    # The undisputed part alone may carry the cut: a dispute is no reason to leave the rest unpaid.
    if facts.disputed_minor > 0 and facts.overdue_minor - facts.disputed_minor < needed:
        return [HoldReason("dispute", {**seen, "disputed_minor": facts.disputed_minor})]
    return []


def _measured(facts: OffFacts, policy: OffPolicy, _local: datetime) -> list[HoldReason]:
    reasons: list[HoldReason] = []
    if facts.estimated:
        reasons.append(HoldReason("estimated"))
    if facts.reading_jump:
        reasons.append(HoldReason("reading_jump"))
    if facts.has_radio and (facts.report_age_h is None or facts.report_age_h >= policy.silent_after_h):
        reasons.append(HoldReason("meter_silent", {"report_age_h": facts.report_age_h}))
    return reasons


def _outage(facts: OffFacts, policy: OffPolicy, local: datetime) -> list[HoldReason]:
    reasons: list[HoldReason] = []
    margin = timedelta(hours=policy.outage_margin_h)
    begun = facts.outage_from is not None and local >= facts.outage_from - margin
    over = facts.outage_until is not None and local >= facts.outage_until + margin
    if begun and not over:
        until = facts.outage_until + margin if facts.outage_until else None
        reasons.append(HoldReason("outage", until=until))
    if facts.interrupted_percent > policy.interrupted_percent_max:
        reasons.append(HoldReason("interrupted_supply", {"percent": facts.interrupted_percent}))
    return reasons


def _rate(facts: OffFacts, policy: OffPolicy, _local: datetime) -> list[HoldReason]:
    reasons: list[HoldReason] = []
    if facts.offs_last_hour >= policy.offs_per_hour:
        reasons.append(HoldReason("rate_hour", {"offs": facts.offs_last_hour, "max": policy.offs_per_hour}))
    if facts.offs_today >= policy.offs_per_day:
        reasons.append(HoldReason("rate_day", {"offs": facts.offs_today, "max": policy.offs_per_day}))
    return reasons


def _holds(facts: OffFacts, policy: OffPolicy, local: datetime) -> list[HoldReason]:
    reasons: list[HoldReason] = []
    for hold in facts.holds:
        until = hold.until_at
        limit = policy.hold_limits.get(hold.kind)
        if limit is not None:
            most, hours = limit
            if hold.ordinal > most:
                continue
            until = min(until, hold.from_at + timedelta(hours=hours))
        if hold.from_at <= local < until:
            reasons.append(HoldReason(hold.kind, {"ordinal": hold.ordinal}, until))
    return reasons


_RULES: tuple[Rule, ...] = (_brake, _day, _hours, _protected, _arrears, _holds, _measured, _outage, _rate)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadPolicy(f"{name} must be a whole number, 0 or more, not {value!r}.")
    return value


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadPolicy(f"{name} must be true or false, not {value!r}.")
    return value


def _weekdays(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or any(_whole(name, day) > 6 for day in value):
        raise BadPolicy(f"{name} must be a list of days, Monday 0 to Sunday 6, not {value!r}.")
    return tuple(value)


def _dates(name: str, value: Any) -> tuple[date, ...]:
    try:
        return tuple(date.fromisoformat(day) for day in value)
    except (TypeError, ValueError) as error:
        raise BadPolicy(f"{name} must be a list of days like 2026-03-10, not {value!r}.") from error


def _amounts(name: str, value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise BadPolicy(f"{name} must give an amount for each currency, not {value!r}.")
    return {str(currency): _whole(f"{name}.{currency}", amount) for currency, amount in value.items()}


def _limits(name: str, value: Any) -> dict[str, tuple[int, int]]:
    if not isinstance(value, Mapping):
        raise BadPolicy(f"{name} must give two numbers for each kind of hold, not {value!r}.")
    limits: dict[str, tuple[int, int]] = {}
    for kind, pair in value.items():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise BadPolicy(f"{name}.{kind} must be two numbers: how many, and hours each.")
        limits[str(kind)] = (_whole(f"{name}.{kind}", pair[0]), _whole(f"{name}.{kind}", pair[1]))
    return limits


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "days": _weekdays,
    "from_hour": _whole,
    "until_hour": _whole,
    "eve_of_holiday": _switch,
    "extra_holidays": _dates,
    "floor_minor": _amounts,
    "percent_of_invoice": _whole,
    "silent_after_h": _whole,
    "outage_margin_h": _whole,
    "interrupted_percent_max": _whole,
    "offs_per_hour": _whole,
    "offs_per_day": _whole,
    "hold_limits": _limits,
    "brake": _switch,
}
