"""Dunning in whole sentences: why not, what a step is, what a policy says. For the console and the command line.

Each sentence is an English msgid and its blanks; whoever shows it translates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any

from core.billing.model import WhyNot
from core.billing.policy import DunningPolicy
from core.i18n import N_, day
from core.kernel.clock import local_time
from core.kernel.money import Money
from core.settlement.dunning import off_policy
from core.supply.rules import HoldReason

Sentence = tuple[str, dict[str, str]]
# Blanks of these sentences that are words themselves, and are translated before they are filled in.
WORDS = frozenset({"kind", "as", "name", "step"})

STEPS: Mapping[str, str] = {
    "sent": N_("bill"),
    "reminder": N_("reminder"),
    "warning": N_("warning"),
    "announcement": N_("announcement of the cut"),
}
HOLDS: Mapping[str, str] = {
    "promise": N_("promise to pay"),
    "pending_payment": N_("money on its way"),
    "dispute": N_("disputed bill"),
    "medical": N_("medical need"),
    "instalments": N_("paid in parts, as agreed"),
    "staff": N_("decision of the office"),
}
PROTECTED: Mapping[str, str] = {
    "health": N_("health centre"),
    "school": N_("school"),
    "water": N_("water pump"),
    "prison": N_("prison"),
    "medical": N_("medical need"),
}
_NOT_DUE: Mapping[str, str] = {
    "sent": N_("The bill still has to be sent."),
    "reminder": N_("The reminder is still to come."),
    "warning": N_("The warning that names the day is still to come."),
}
_UNDELIVERED: Mapping[str, str] = {
    "sent": N_("Nothing proves that the bill arrived; it is said again, in the end by a crew."),
    "reminder": N_("Nothing proves that the reminder arrived; it is said again, in the end by a crew."),
    "warning": N_("Nothing proves that the warning arrived; it is said again, in the end by a crew."),
    "announcement": N_("Nothing proves that the announcement was said."),
}
_WHY: Mapping[str, str] = {
    "not_announced": N_("All evidence is there; the announcement comes on the day itself."),
    "warning_age": N_("The warning will be too old or too young on the next permitted day; it is said again."),
    "warning_too_young": N_("The warning has not been out long enough."),
    "warning_too_old": N_("The warning is too old; it is said again."),
    "later_day_named": N_("The warning named a later day."),
    "announcement_too_old": N_("The announcement is too old; it is said again on the next permitted day."),
    "announcement_too_fresh": N_("It was announced only just now."),
    "disputed": N_("The bill is marked as disputed."),
    "small_balance": N_("Most of the bill is paid: too little is left to cut for."),
    "below_floor": N_("What is overdue does not come to the smallest debt that is cut for."),
    "never_cut": N_("Never cut by itself: a protected place, or nothing that could be switched."),
    "off_already": N_("Supply is off already, or about to be."),
    "brake": N_("All cuts are stopped."),
    "day_of_week": N_("Nobody is cut on this day of the week."),
    "holiday": N_("A public holiday: {name}."),
    "eve_of_holiday": N_("The eve of a public holiday: {name}."),
    "hours": N_("Cuts are made from {from} to {until} o'clock only."),
    "protected": N_("A protected place: {as}."),
    "no_floor": N_("Nobody has set a smallest debt for {currency}."),
    "arrears_too_small": N_("What is overdue does not come to the smallest debt that is cut for."),
    "dispute": N_("Without the disputed part, too little is overdue."),
    "estimated": N_("The bill is an estimate."),
    "reading_jump": N_("A reading of the meter jumped and waits for a person."),
    "meter_silent": N_("The meter has not been heard for {report_age_h} hours."),
    "outage": N_("An outage in the area."),
    "interrupted_supply": N_("Supply was interrupted during {percent} % of the period."),
    "rate_hour": N_("Enough cuts in this agency for this hour: {max}."),
    "rate_day": N_("Enough cuts in this agency for this day: {max}."),
}
_NEVER_HEARD = N_("The meter has never been heard.")
_DECLARED = N_("declared by the utility")
_HELD = N_("Held: {kind}.")
_UNTIL = N_("Until {when}.")
_EARLIEST = N_("The earliest possible day is {when}.")


def why(reason: WhyNot | HoldReason, zone: str) -> list[Sentence]:
    """Why not, in a sentence or two. Blanks that are words themselves (`kind`, `as`, `name`) are msgids."""
    if isinstance(reason, WhyNot):
        return [_why_not(reason), *_until(reason, zone)]
    return [_hold_reason(reason), *_when(_UNTIL, reason.until, zone)]


def code_words(key: str) -> Sentence:
    """What a summary counts: a reason's key (`reason_key`) as a sentence without its particulars."""
    code, _, detail = key.partition(".")
    if code == "hold":
        return _HELD, {"kind": HOLDS.get(detail, detail)}
    if code == "undelivered":
        return N_("Nothing proves that a notice arrived."), {}
    return _SHORT.get(code) or _NOT_DUE.get(code) or _WHY.get(code, code), {}


_SHORT: Mapping[str, str] = {
    "holiday": N_("A public holiday."),
    "eve_of_holiday": N_("The eve of a public holiday."),
    "hours": N_("Not at this hour."),
    "protected": N_("A protected place."),
    "no_floor": N_("Nobody has set a smallest debt for the currency."),
    "meter_silent": N_("The meter has not been heard for too long."),
    "interrupted_supply": N_("Supply was interrupted too often."),
    "rate_hour": N_("Enough cuts in the agency for an hour."),
    "rate_day": N_("Enough cuts in the agency for the day."),
}


def _why_not(reason: WhyNot) -> Sentence:
    if reason.code == "not_due_yet":
        return _NOT_DUE.get(reason.detail, _NOT_DUE["warning"]), {}
    if reason.code == "undelivered":
        return _UNDELIVERED.get(reason.detail, _UNDELIVERED["warning"]), {}
    if reason.code == "hold":
        return _HELD, {"kind": HOLDS.get(reason.detail, reason.detail)}
    return _WHY.get(reason.code, reason.code), {}


def _until(reason: WhyNot, zone: str) -> list[Sentence]:
    if reason.code in ("not_due_yet", "not_announced", "warning_age", "later_day_named"):
        return _when(_EARLIEST, reason.until, zone)
    return _when(_UNTIL, reason.until, zone)


def _when(text: str, until: datetime | date | None, zone: str) -> list[Sentence]:
    if until is None:
        return []
    if isinstance(until, datetime):
        there = local_time(until, zone)
        return [(text, {"when": f"{day(there.date())} {there.strftime('%H:%M')}"})]
    return [(text, {"when": day(until)})]


def _hold_reason(reason: HoldReason) -> Sentence:
    facts = {name: str(value) for name, value in reason.facts.items()}
    if reason.code == "meter_silent" and reason.facts.get("report_age_h") is None:
        return _NEVER_HEARD, {}
    if reason.code in ("holiday", "eve_of_holiday") and facts.get("name") == "declared":
        facts["name"] = _DECLARED
    if reason.code == "protected":
        facts["as"] = PROTECTED.get(facts.get("as", ""), facts.get("as", ""))
    text = _WHY.get(reason.code)
    if text is None:
        return (_HELD, {"kind": HOLDS[reason.code]}) if reason.code in HOLDS else (reason.code, {})
    return text, facts


# What a policy says.

_WEEKDAYS = (
    N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"),
)  # fmt: skip

FIELDS: Mapping[str, str] = {
    "reminder_after_days": N_("Reminder, days after the bill"),
    "warning_after_days": N_("Warning, days after the bill"),
    "announcement_after_days": N_("Cut at the earliest, days after the bill"),
    "warning_min_age_h": N_("The warning is at least so many hours old"),
    "warning_max_age_days": N_("The warning is at most so many days old"),
    "repeat_after_days": N_("A notice is said again after so many days"),
    "repeats_max": N_("Said again by SMS at most so often, then by a crew"),
    "announcement_lead_h": N_("Hours between the announcement and the cut"),
    "announcement_max_age_h": N_("An announcement counts for so many hours"),
    "quiet_from_hour": N_("No notice leaves from this hour on"),
    "quiet_until_hour": N_("No notice leaves before this hour"),
    "percent_of_invoice": N_("A bill counts when at least so much of it is unpaid, in per cent"),
    "floor_minor": N_("Smallest debt that is cut for"),
    "hold_limits": N_("Holds: how many count, and how long each"),
    "promise_days": N_("Days that a promise to pay may take"),
    "promise_pause_days": N_("Days without a promise after one that was broken"),
    "days": N_("Days on which cuts are made"),
    "from_hour": N_("Cuts from this hour on"),
    "until_hour": N_("Cuts before this hour"),
    "eve_of_holiday": N_("No cut on the eve of a public holiday"),
    "extra_holidays": N_("Days without cuts besides the public holidays"),
    "silent_after_h": N_("A meter that was not heard for so many hours is not switched off"),
    "outage_margin_h": N_("Hours around an outage without cuts"),
    "interrupted_percent_max": N_("No cut where supply was interrupted for more than so much of the time, in per cent"),
    "offs_per_hour": N_("Cuts in an agency in an hour at most"),
    "offs_per_day": N_("Cuts in an agency on a day at most"),
    "brake": N_("All cuts are stopped"),
}
# What stands in the dunning part of a version, although the switching rules have a field of the same name.
_SHARED = frozenset({"floor_minor", "percent_of_invoice", "hold_limits"})
_ANY = N_("any other")
_YES, _NO, _NONE = N_("yes"), N_("no"), N_("none")
_PAIR = N_("{kind}: {n}, {days} days each")


def in_sentences(policy: DunningPolicy) -> list[Sentence]:
    """What a version means for a customer, in the order in which it meets her."""
    off = off_policy(policy)
    return [
        (
            N_("A reminder {a} days after the bill, a warning that names the day {b} days after it."),
            {"a": str(policy.reminder_after_days), "b": str(policy.warning_after_days)},
        ),
        (
            N_("Supply is cut {n} days after the bill at the earliest, {h} h after it was announced."),
            {"n": str(policy.announcement_after_days), "h": str(policy.announcement_lead_h)},
        ),
        (
            N_(
                "Before that, bill, reminder and warning have arrived, the warning at least {h} hours and at most "
                "{d} days ago."
            ),
            {"h": str(policy.warning_min_age_h), "d": str(policy.warning_max_age_days)},
        ),
        (
            N_("What did not arrive is said again every {d} days, {n} times by SMS, then by a crew."),
            {"d": str(policy.repeat_after_days), "n": str(policy.repeats_max)},
        ),
        (
            N_("Nobody is cut for less than {floor}, nor for a bill of which less than {p} % is unpaid."),
            {"floor": _floors(policy.floor_minor), "p": str(policy.percent_of_invoice)},
        ),
        (
            N_("Cuts are made from {from} to {until} o'clock, never on a public holiday."),
            {"from": str(off.from_hour), "until": str(off.until_hour)},
        ),
        (
            N_(
                "In an agency at most {h} cuts in an hour and {d} on a day; none where a meter is silent for {s} hours."
            ),
            {"h": str(off.offs_per_hour), "d": str(off.offs_per_day), "s": str(off.silent_after_h)},
        ),
    ]


def values(policy: DunningPolicy) -> dict[str, Any]:
    """Every number of a version, the switching rules among them, by the names of FIELDS."""
    off = off_policy(policy)
    body = policy.as_json()
    del body["off"]
    return body | {f.name: getattr(off, f.name) for f in fields(off) if f.name not in _SHARED}


def changed(before: DunningPolicy, after: DunningPolicy) -> list[tuple[str, Any, Any]]:
    """(field, before, after) for each number that differs."""
    old, new = values(before), values(after)
    return [(name, old[name], new[name]) for name in FIELDS if _plain(old[name]) != _plain(new[name])]


def value_sentences(name: str, value: Any) -> list[Sentence]:
    """One value of a policy for the eye: words where it is more than a number."""
    if isinstance(value, bool):
        return [(_YES if value else _NO, {})]
    if name == "days":
        return [(_WEEKDAYS[number], {}) for number in value] or [(_NONE, {})]
    if name == "floor_minor":
        return [("{text}", {"text": _floors(value)})] if value else [(_NONE, {})]
    if name == "hold_limits":
        return [
            (
                _PAIR,
                {"kind": HOLDS.get(kind, _ANY if kind == "*" else kind), "n": str(n), "days": f"{hours / 24:g}"},
            )
            for kind, (n, hours) in value.items()
        ]
    if isinstance(value, list | tuple):
        texts = [day(one) if isinstance(one, date) else str(one) for one in value]
        return [("{text}", {"text": ", ".join(texts)})] if texts else [(_NONE, {})]
    return [("{text}", {"text": str(value)})]


def _floors(floor_minor: Mapping[str, int]) -> str:
    return ", ".join(Money(minor, currency).text for currency, minor in sorted(floor_minor.items()))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
