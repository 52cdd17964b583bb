"""Why an invoice differs from the one before: parts that add up to the difference, and their sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from core.billing.tariff_rules import Use, charge, total
from core.billing.tariffs import Versions
from core.i18n import N_, translate
from core.i18n import day as day_text
from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class Billed:
    """An invoice as it is compared: what was billed, and what it came to."""

    use: Use
    total_minor: int
    estimated: bool = False


def explain(versions: Versions, before: Billed, now: Billed) -> list[dict[str, Any]]:
    """The parts of the difference, in order: days, use, price, other. Their `minor` add up to it; all of it.

    Days: as if every day had gone on as before. Use: at the old price. Price: what is left when a version changed. A
    part that came to nothing is not listed.
    """
    old = Versions((replace(versions.on(_last_day(before.use)), valid_from=date.min),))
    as_before = total(charge(old, before.use))
    same_days = replace(now.use, wh=before.use.wh * now.use.days // before.use.days)
    with_days = total(charge(old, same_days))
    with_use = total(charge(old, now.use))
    new = [v for v, _, _ in versions.pieces(now.use.from_on, now.use.until_on) if v.id != old.all[0].id]
    rest = (now.total_minor - with_use) + (as_before - before.total_minor)
    by_days = {"code": "days", "days": now.use.days - before.use.days, "minor": with_days - as_before}
    by_use = {
        "code": "use",
        "wh_a_day": now.use.wh // now.use.days,
        "before": before.use.wh // before.use.days,
        "minor": with_use - with_days,
    }
    parts: list[dict[str, Any]] = [by_days if by_days["days"] else {**by_days, "code": "other"}, by_use]
    if new:
        parts.append({"code": "price", "since": new[0].valid_from.isoformat(), "minor": rest})
    else:
        parts.append({"code": "other", "minor": rest})
    found = [part for part in parts if part["minor"]]
    if now.estimated:
        found.append({"code": "estimated", "minor": 0})
    elif before.estimated:
        found.append({"code": "after_estimate", "minor": 0})
    return found


def in_words(parts: Sequence[Mapping[str, Any]], currency: str, language: str) -> list[str]:
    """One sentence a part, in a customer's language: "9 more days: +4 050 FC". Unknown parts are left out."""
    return [sentence for part in parts if (sentence := _sentence(part, currency, language))]


def _sentence(part: Mapping[str, Any], currency: str, language: str) -> str | None:
    amount = _signed(int(part.get("minor", 0)), currency)
    match part.get("code"):
        case "days":
            return _days(int(part["days"]), amount, language)
        case "use":
            kwh, before = _daily(int(part["wh_a_day"])), _daily(int(part["before"]))
            text = N_("{kwh} kWh a day instead of {before}: {amount}")
            return translate(text, language, kwh=kwh, before=before, amount=amount)
        case "price":
            since = day_text(date.fromisoformat(str(part["since"])))
            return translate(N_("New price since {day}: {amount}"), language, day=since, amount=amount)
        case "other":
            return translate(N_("Other changes: {amount}"), language, amount=amount)
        case "estimated":
            return translate(N_("This reading is an estimate."), language)
        case "after_estimate":
            return translate(N_("The reading before was an estimate."), language)
    return None


def _days(days: int, amount: str, language: str) -> str:
    if days == 1:
        return translate(N_("1 more day: {amount}"), language, amount=amount)
    if days == -1:
        return translate(N_("1 day less: {amount}"), language, amount=amount)
    text = N_("{days} more days: {amount}") if days > 0 else N_("{days} days less: {amount}")
    return translate(text, language, days=str(abs(days)), amount=amount)


def _signed(minor: int, currency: str) -> str:
    return ("+" if minor > 0 else "") + Money(minor, currency).text


def _daily(wh: int) -> str:
    """kWh a day with one decimal, rounded half up."""
    tenths = (wh + 50) // 100
    return f"{tenths // 10},{tenths % 10}"


def _last_day(use: Use) -> date:
    return date.fromordinal(use.until_on.toordinal() - 1)
