"""What the console is built from, and what every page shares: language, times, words, whose look it wears."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, partial
from importlib import resources
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from flask import g, render_template, request
from markupsafe import Markup

from admin import plain_words, words
from core.i18n import N_, day, translate
from core.kernel.clock import WEST, Clock
from core.kernel.digits import grouped
from core.phone_numbers import NotCongolese, trunk
from core.services.desk import Desk
from core.services.staff import Staff, Who

LANGUAGES = ("fr", "en")
LANGUAGE_COOKIE = "mwolo-language"


class ReceiptSource(Protocol):
    """Where the console gets a receipt's PDF from."""

    def receipt_pdf(self, payment_id: str) -> bytes | None:
        """The PDF, made now if it is not there yet; None when there is no such payment, or no receipt for it."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """`secure`: the console is reached by https only. `utility`: the name in its head. `zone`: times of Today."""

    desk: Desk
    staff: Staff
    receipts: ReceiptSource
    clock: Clock
    secure: bool
    utility: str
    zone: str = WEST


def language() -> str:
    """French, unless the person (or, before log-in, the browser's cookie) chose English."""
    who: Who | None = g.get("who")
    chosen = who.language if who else request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen if chosen in LANGUAGES else LANGUAGES[0]


def say(text: str, /, **blanks: Any) -> str:
    """A sentence in the language of this request."""
    return translate(text, language(), **{name: str(value) for name, value in blanks.items()})


def clock_time(at: datetime | None, zone: str, *, seconds: bool = False) -> str:
    if at is None:
        return ""
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S" if seconds else "%H:%M")


def day_time(at: datetime | None, zone: str) -> str:
    if at is None:
        return ""
    there = at.astimezone(ZoneInfo(zone))
    return f"{day(there.date())} {there.strftime('%H:%M')}"


_WEEKDAYS = (
    N_("Monday {date}"),
    N_("Tuesday {date}"),
    N_("Wednesday {date}"),
    N_("Thursday {date}"),
    N_("Friday {date}"),
    N_("Saturday {date}"),
    N_("Sunday {date}"),
)


def moment(text: str, zone: str) -> str:
    """A moment or a day that was kept as ISO text among facts; as it is when it is neither."""
    try:
        return day_time(datetime.fromisoformat(text), zone) if "T" in text else day(date.fromisoformat(text))
    except ValueError:
        return text


def day_heading(at: datetime, zone: str) -> str:
    there: date = at.astimezone(ZoneInfo(zone)).date()
    return say(_WEEKDAYS[there.weekday()], date=day(there))


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in one unit that people use."""
    if since is None:
        return ""
    seconds = max(0, int((now - since) / timedelta(seconds=1)))
    if seconds < 90:
        return say(N_("{n} s"), n=seconds)
    if seconds < 90 * 60:
        return say(N_("{n} min"), n=seconds // 60)
    if seconds < 48 * 3600:
        return say(N_("{n} h"), n=seconds // 3600)
    return say(N_("{n} days"), n=seconds // 86_400)


def later(at: datetime, begin: datetime) -> str:
    """How long after the first step: `+3 s`. The steps of one thing matter by their distance."""
    seconds = max(0.0, (at - begin).total_seconds())
    if seconds < 1:
        return f"+{seconds:.1f} s".replace(".", ",")
    return f"+{age(begin, at)}"


def phone(number: str | None) -> str:
    """The way people say it: `0812 345 678`; a foreign number as it is."""
    if not number:
        return ""
    try:
        digits = trunk(number)
    except NotCongolese:
        return number
    return f"{digits[:4]} {digits[4:7]} {digits[7:]}"


@cache
def _version(name: str) -> str:
    content = resources.files("admin").joinpath("static", name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:10]


def asset(name: str) -> str:
    """The address of a static file, with its hash, so that a browser may keep it for ever."""
    return f"/admin/static/{name}?v={_version(name)}"


def page(name: str, parts: Parts, **values: Any) -> str:
    """Render a template with what all of them use."""
    return render_template(
        f"admin/{name}",
        _=say,
        asset=asset,
        age=age,
        clock_time=clock_time,
        day_time=day_time,
        day_heading=day_heading,
        grouped=grouped,
        lang=language(),
        later=later,
        may=_may,
        moment=moment,
        phone=phone,
        utility=parts.utility,
        who=g.get("who"),
        words=words,
        outcome_said=partial(plain_words.outcome_said, say),
        task_said=partial(plain_words.task_said, say),
        here=_here(),
        chip=_chip,
        **values,
    )


def _may(permission: str) -> bool:
    from core.staff.rules import Permission

    who: Who | None = g.get("who")
    return who is not None and who.may(Permission(permission))


def _here() -> str:
    """This page's own address, to come back to after a change of language."""
    return request.full_path.rstrip("?") if request.method == "GET" else "/admin/"


def _chip(group: str, value: str | None) -> Markup:
    """A state as a small coloured word. The colour never stands alone: the word says the same."""
    text, tone = words.state(group, value)
    return Markup('<span class="chip {}">{}</span>').format(tone, say(text) if text else value or "–")
