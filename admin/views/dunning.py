"""Reminders and cuts: who is reminded, warned and cut on a day, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from flask import Blueprint, Response, g, make_response, request

from admin.csv_export import as_csv
from admin.dunning import DunningParts, read_day, reasons, said, step_text
from admin.money import Refusal
from admin.parts import Parts, clock_time, page, say
from core.desk.dunning_words import PROTECTED, code_words
from core.i18n import N_, day
from core.kernel.clock import local_date
from core.kernel.digits import grouped
from core.services.foresight import DayOutOfReach, Tally, Told, reason_key
from core.settlement.foresight import DAYS_AHEAD, SUPPOSED

# Contracts walked through for one page, and lines on it: a page must not cost more than a second or so.
_LOOKED, _SHOWN, _EXPORT_LIMIT = 500, 50, 2_000
_HEAD = [
    N_("Account"), N_("Customer"), N_("Agency"), N_("Due"), N_("Currency"), N_("What happens"), N_("Why not"),
]  # fmt: skip

SIEVES: dict[str, tuple[str, Callable[[Told], bool]]] = {
    "all": (N_("All"), lambda _: True),
    "due": (N_("Something happens"), lambda told: bool(told.steps) or told.would_cut),
    "reminder": (N_("Reminded"), lambda told: _has(told, "sent", "reminder")),
    "warning": (N_("Warned"), lambda told: _has(told, "warning")),
    "announcement": (N_("Announced"), lambda told: _has(told, "announcement")),
    "cut": (N_("Cut"), lambda told: told.would_cut),
    "held": (N_("Held"), lambda told: bool(told.holds)),
    "off": (N_("Off already"), lambda told: told.off_before),
}


@dataclass(slots=True)
class _Found:
    """One page of a look. `after`: where the next one goes on; None when everybody was looked at."""

    tally: Tally = field(default_factory=Tally)
    lines: list[Told] = field(default_factory=list)
    after: int | None = None


def add_pages(admin: Blueprint, parts: Parts, dunning: DunningParts) -> None:
    def asked() -> tuple[date, str, str]:
        """The day, the sieve and the reason that the address asks for."""
        today = local_date(parts.clock.now(), parts.zone)
        wanted = read_day(request.args.get("day", "")) or today
        show = request.args.get("show", "due")
        return wanted, show if show in SIEVES else "due", request.args.get("why", "")[:40]

    @admin.get("/dunning/")
    def dunning_() -> Response:
        on, show, why = asked()
        after = request.args.get("after", "0")
        refusal, found = None, _Found()
        try:
            found = _look(dunning, on, show, why, after=int(after) if after.isdecimal() and len(after) < 12 else 0)
        except DayOutOfReach as error:
            refusal = Refusal(say(error.text, **error.blanks), 400)
        today = local_date(parts.clock.now(), parts.zone)
        body = page(
            "dunning.html", parts, on=on, today=today, last=today + timedelta(days=DAYS_AHEAD), show=show, why=why,
            sieves=SIEVES, found=found, refusal=refusal, first=after in ("", "0"), reasons=reasons,
            step_text=step_text, held=[(key, said(code_words(key)), n) for key, n in found.tally.held.most_common()],
            why_text=said(code_words(why)) if why else "", day=day, supposed=SUPPOSED, what=what,
            brake=dunning.policies.brake(), papers=dunning.desk.papers_ending(), protected_names=PROTECTED,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/dunning.csv")
    def export_dunning() -> Response:
        on, show, why = asked()
        lines: list[Told] = []
        try:
            for told in dunning.foresight.look(on):
                if _wanted(told, show, why):
                    lines.append(told)
                if len(lines) >= _EXPORT_LIMIT:
                    break
        except DayOutOfReach:
            lines = []
        parts.staff.note(g.who.login, "export.dunning", f"{on.isoformat()} {show} {why}".strip(), f"{len(lines)} rows")
        return as_csv("dunning.csv", _HEAD, [_row(told) for told in lines])


def _look(dunning: DunningParts, on: date, show: str, why: str, *, after: int) -> _Found:
    found, last = _Found(), after
    for told in dunning.foresight.look(on, after=after):
        if found.tally.looked >= _LOOKED:
            found.after = found.after or last
            break
        last = told.contract_id
        found.tally.add(told)
        if _wanted(told, show, why) and found.after is None:
            found.lines.append(told)
            if len(found.lines) >= _SHOWN:
                found.after = last
    return found


def _wanted(told: Told, show: str, why: str) -> bool:
    if why:
        return any(reason_key(reason) == why for reason in told.holds)
    return SIEVES[show][1](told)


def _has(told: Told, *bases: str) -> bool:
    return any(step.base in bases for step in told.steps)


def what(told: Told) -> str:
    """What happens to one contract on the day, in words."""
    parts = [step_text(step) for step in told.steps]
    if told.would_cut:
        parts.append(say(N_("cut at {time}"), time=clock_time(told.seen.cut_at, told.zone)))
    return ", ".join(parts)


def _row(told: Told) -> list[object]:
    happens = what(told) or (say(N_("off already")) if told.off_before else "")
    return [
        grouped(told.account), told.customer, told.agency, told.owed.decimal_text(2), told.owed.currency, happens,
        " ".join(reasons(told)),
    ]  # fmt: skip
