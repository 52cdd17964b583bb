"""`mwolo sweep`: dunning by hand, or only looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import TextIO

import click

from core.billing.model import WhyNot
from core.csv_files import written
from core.desk.dunning_words import STEPS, WORDS, Sentence, code_words, why
from core.i18n import N_, day, translate
from core.kernel.clock import WEST, local_time
from core.kernel.digits import grouped
from core.services.foresight import Tally, Told
from core.settings import BadSetting
from core.settlement.foresight import SUPPOSED
from core.supply.rules import HoldReason
from mwolo.wiring import Wiring

_HEAD = (
    N_("Account"), N_("Customer"), N_("Agency"), N_("Due"), N_("Currency"), N_("What happens"), N_("Why not"),
)  # fmt: skip
_CUT = N_("cut at {time}")
_OFF = N_("off already")
_STEP = N_("{step} by SMS")
_BY_CREW = N_("{step} by crew")
_NAMES = N_("{step}, names {day}")
_NOTHING = N_("nothing")


def sweep(at: str | None, *, dry_run: bool, language: str = "en", as_csv: bool = False) -> None:
    """Print who, what and why not; without `dry_run`, do what is due."""
    wiring = Wiring.from_environment()
    if not dry_run:
        if at is not None or as_csv:
            raise BadSetting("--at and --csv need --dry-run: a sweep acts on what is true now.")
        done = wiring.billing.sweep()
        click.echo(f"Looked at {done.looked_at} contracts, made {done.steps} steps, gave {done.given_back} back.")
        return
    asked, tally = _asked(at) if at else None, Tally()
    told = _counted(wiring.foresight.look(asked), tally)
    if as_csv:
        write_csv(told, sys.stdout, language)
        # The table alone goes to the file; what it supposes and adds up to is for the person.
        summary(tally, asked or wiring.clock.now(), language, err=True)
        return
    for one in told:
        name = f"{grouped(one.account)}  {one.customer:<26.26}  {one.owed.text:>14}"
        click.echo(f"{name}  {what(one, language)}. {reasons(one, language)}".rstrip())
    summary(tally, asked or wiring.clock.now(), language)


def write_csv(told: Iterable[Told], out: TextIO, language: str) -> None:
    """A line for each contract as it comes, so that any number of them costs no memory."""

    def rows() -> Iterator[list[str]]:
        yield [translate(name, language) for name in _HEAD]
        for one in told:
            yield [
                grouped(one.account), one.customer, one.agency, one.owed.decimal_text(2), one.owed.currency,
                what(one, language), reasons(one, language),
            ]  # fmt: skip

    for line in written(rows(), ";" if language == "fr" else ","):
        out.write(line)


def what(one: Told, language: str) -> str:
    """What happens to one contract on the day, in words."""
    parts = []
    for step in one.steps:
        base = translate(STEPS[step.base], language)
        if step.cut_on is not None:
            base = translate(_NAMES, language, step=base, day=day(step.cut_on))
        parts.append(translate(_BY_CREW if step.channel == "crew" else _STEP, language, step=base))
    if one.would_cut and one.seen.cut_at is not None:
        there = local_time(one.seen.cut_at, one.zone)
        parts.append(translate(_CUT, language, time=there.strftime("%H:%M")))
    if one.off_before:
        parts.append(translate(_OFF, language))
    return ", ".join(parts) or translate(_NOTHING, language)


def reasons(one: Told, language: str) -> str:
    """Why supply is not cut on the day, in sentences; each is said once."""
    if one.would_cut:
        return ""
    against: tuple[WhyNot | HoldReason, ...] = (*one.why_not, *one.held)
    found = [said(sentence, language) for reason in against for sentence in why(reason, one.zone)]
    return " ".join(dict.fromkeys(found))


def said(sentence: Sentence, language: str) -> str:
    text, blanks = sentence
    words = {name: translate(value, language) if name in WORDS and value else value for name, value in blanks.items()}
    return translate(text, language, **words)


def summary(tally: Tally, asked: date | datetime, language: str, *, err: bool = False) -> None:
    """How many of each sort, why the held are held, and what all of it supposes."""

    def line(text: str, **blanks: str) -> None:
        click.echo(translate(text, language, **blanks), err=err)

    there = local_time(asked, WEST) if isinstance(asked, datetime) else None
    on = f"{day(there.date())} {there.strftime('%H:%M')}" if there else day(asked)
    click.echo("", err=err)
    line(N_("{day}: {n} contracts with something open."), day=on, n=str(tally.looked))
    line(
        N_("Reminded {a}, warned {b}, announced {c}, cut {d}; off before that {e}; by crew {f}."),
        a=str(tally.reminded), b=str(tally.warned), c=str(tally.announced), d=str(tally.cut),
        e=str(tally.off_before), f=str(tally.by_crew),
    )  # fmt: skip
    for key, count in tally.held.most_common():
        click.echo(f"  {count:>7}  {said(code_words(key), language)}", err=err)
    line(SUPPOSED)


def _counted(told: Iterable[Told], tally: Tally) -> Iterator[Told]:
    for one in told:
        tally.add(one)
        yield one


def _asked(text: str) -> date | datetime:
    try:
        if len(text) == len("2026-03-24"):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"--at {text} is no day: write it as 2026-03-24, or 2026-03-24T09:00:00+01:00.") from None
    if moment.tzinfo is None:
        raise BadSetting(f"--at {text} needs its zone, as in 2026-03-24T09:00:00+01:00.")
    return moment
