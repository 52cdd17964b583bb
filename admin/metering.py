"""What the pages about tariffs, readings and meters are built from and share: services, refusals, numbers as typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from flask import g

from admin import words
from admin.money import Refusal
from admin.parts import Parts, say
from core.billing.tariffs import price_text
from core.i18n import N_
from core.kernel.errors import NotRecorded, Refused, StateConflict
from core.kernel.money import Money
from core.services.meter_desk import MeterDesk
from core.services.prepaid import Prepaid
from core.services.readings import Readings
from core.services.tariffs import Tariffs

T = TypeVar("T")
PAGE = 50
CSV_MAX = 2_000


@dataclass(frozen=True, slots=True)
class MeteringParts:
    """The services behind /admin/tariffs, /admin/readings and /admin/meters."""

    tariffs: Tariffs
    prepaid: Prepaid
    readings: Readings
    meters: MeterDesk


def act(parts: Parts, what: str, subject: str, detail: str, do: Callable[[], T]) -> T | Refusal:
    """Do something that changes prices, readings or supply, with its entry in the audit log.

    The entry is written first: an act without one must not exist. One that was refused gets a second entry.
    """
    try:
        parts.staff.note(g.who.login, what, subject[:120], detail[:1000])
        return do()
    except NotRecorded:
        return Refusal(say(N_("The system is busy. Nothing was recorded. Wait a few seconds and try again.")), 503)
    except Refused as error:
        _note_refused(parts, what, subject, str(error))
        blanks = {name: _entry(value) if name == "entry" else value for name, value in error.blanks.items()}
        return Refusal(say(error.text, **blanks), 409)
    except StateConflict as error:
        _note_refused(parts, what, subject, str(error))
        return Refusal(say(N_("It is not in a state that allows this any more. Load the page again.")), 409)


def _entry(value: str) -> str:
    """An entry of a tariff as the form calls it: `levies 2 percent` is the second tax or levy."""
    name, _, rest = value.partition(" ")
    return f"{say(words.name('entry', name))} {rest.removesuffix(' percent')}".rstrip()


def _note_refused(parts: Parts, what: str, subject: str, why: str) -> None:
    """The second entry. It may be lost when the database is busy: the first one then says more than was done."""
    try:
        parts.staff.note(g.who.login, f"{what}.refused", subject[:120], why[:1000])
    except NotRecorded:
        return


def by() -> str:
    """The login behind this request, as services keep it."""
    login: str = g.who.login
    return login[:80]


def typed_number(text: str) -> str:
    """A number as people type it (`1 234,5`), as a plain decimal text (`1234.5`)."""
    return "".join(text.split()).replace("\u202f", "").replace(",", ".")


def typed_wh(text: str) -> int | None:
    """kWh as people type them, in Wh; None when that is no register."""
    try:
        wh = Decimal(typed_number(text)) * 1000
    except InvalidOperation:
        return None
    return int(wh) if wh.is_finite() and wh == wh.to_integral_value() and 0 <= wh < 10**15 else None


def price(micro: int, currency: str) -> str:
    """A price in millionths of a unit as people read it: `1 250,5 FC`."""
    whole, _, rest = price_text(micro).partition(".")
    sign = Money(0, currency).text.partition(" ")[2]
    return f"{int(whole):,}".replace(",", "\u00a0") + (f",{rest}" if rest else "") + f"\u00a0{sign}"


def kwh(wh: int | None) -> str:
    """Wh as kWh with a decimal comma and no idle zeros: `1 234,5`."""
    if wh is None:
        return "–"
    whole, rest = divmod(abs(wh), 1000)
    tail = f",{rest:03d}".rstrip("0") if rest else ""
    return f"{'-' if wh < 0 else ''}{whole:,}".replace(",", "\u00a0") + tail
