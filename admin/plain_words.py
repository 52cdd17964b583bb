"""What processes wrote down about their work, in the reader's language: outcomes of runs, tasks for a crew.

They are kept in English, because a process has no reader. What is not known here is shown as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from admin import words
from core.i18n import N_

# What runs count, in `workers/jobs/schedule.py`: "looked at 5, charged 2", "0 settled", "vodacom 12 new".
COUNTED: Mapping[str, str] = {
    "looked at": N_("looked at: {n}"),
    "steps": N_("notices: {n}"),
    "given back": N_("lit again: {n}"),
    "promises reminded": N_("promises reminded of: {n}"),
    "broken": N_("broken: {n}"),
    "kept": N_("kept: {n}"),
    "papers ended": N_("protections ended: {n}"),
    "charged": N_("charged: {n}"),
    "corrected": N_("corrected: {n}"),
    "told": N_("told: {n}"),
    "cut": N_("cut: {n}"),
    "held": N_("held: {n}"),
    "no price": N_("without a price: {n}"),
    "settled": N_("settled: {n}"),
    "expired": N_("expired: {n}"),
    "sent again": N_("sent again: {n}"),
    "tickets": N_("tasks for crews: {n}"),
    "differences": N_("differences in the books: {n}"),
    "deeds of turns forgotten": N_("old turns forgotten: {n}"),
}
WHOLE: Mapping[str, str] = {
    "first start: nothing was missed": N_("first start: nothing was missed"),
    "nothing to fetch": N_("nothing to fetch"),
}
Say = Callable[..., str]
_COUNT_LAST = re.compile(r"([a-z ]+) (\d+)")
_COUNT_FIRST = re.compile(r"(\d+) ([a-z ]+)")
_FETCHED = re.compile(r"(\w+) (\d+) new")

# What `core/supply` and `core/settlement/dunning.py` ask a crew to do.
_SWITCH = re.compile(r"Switch supply (on|off) \((\w+)\)\.")
_STUCK = re.compile(r"Wanted (on|off); reports (on|off), relay (\w+), (\S+) V\.")
_HAND_OVER = re.compile(r"Hand over the (\w+) notice of invoice (\d+)\.(?: It names the day (\S+)\.)?")
SWITCHES: Mapping[str, str] = {
    "on": N_("Switch supply on by hand: {why}."),
    "off": N_("Switch supply off by hand: {why}."),
}


def outcome_said(say: Say, outcome: str) -> str:
    """What a run by the clock came to. `say` translates for the reader."""
    if outcome in WHOLE:
        return say(WHOLE[outcome])
    return ", ".join(_counted(say, part) for part in re.split(r"[,;] ", outcome))


def _counted(say: Say, part: str) -> str:
    if found := _FETCHED.fullmatch(part):
        return say(N_("{wallet}: new lines {n}"), wallet=say(words.name("wallet", found[1])), n=found[2])
    if found := _COUNT_LAST.fullmatch(part):
        name, number = found.groups()
    elif found := _COUNT_FIRST.fullmatch(part):
        number, name = found.groups()
    else:
        return part
    return say(COUNTED[name], n=number) if name in COUNTED else part


def task_said(say: Say, detail: str) -> str:
    """What a crew is asked to do. `say` translates for the reader."""
    if found := _SWITCH.fullmatch(detail):
        return say(SWITCHES[found[1]], why=say(words.name("cause", found[2])))
    if found := _STUCK.fullmatch(detail):
        return say(
            N_("Wanted {wanted}; the meter reports {reported}, {volts} V behind it."),
            wanted=_supply(say, found[1]), reported=_supply(say, found[2]), volts=found[4],
        )  # fmt: skip
    if found := _HAND_OVER.fullmatch(detail):
        text = say(
            N_("Hand over on paper: {notice}, invoice {number}."),
            notice=say(words.step(found[1])[0]), number=found[2],
        )  # fmt: skip
        return f"{text} {say(N_('It names the day {day}.'), day=found[3])}" if found[3] else text
    return detail


def _supply(say: Say, state: str) -> str:
    text, _ = words.state("supply", state)
    return say(text)
