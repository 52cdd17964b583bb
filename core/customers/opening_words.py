"""Opening hours in words, in every language: `Lun-Ven 8h-12h, 13h-16h; Sam 8h-12h`."""

from __future__ import annotations

from core.customers.opening import Spans, Week, runs
from core.i18n import N_, translate

WEEKDAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))
# A full hour, and one with minutes.
FULL_HOUR = N_("{hour}:00")
HOUR = N_("{hour}:{minute}")


def clock_words(minute: int) -> tuple[str, dict[str, str]]:
    """A time of the day as (msgid, blanks): `8:30` in English, `8h30` in French."""
    hour, rest = divmod(minute, 60)
    if rest == 0:
        return FULL_HOUR, {"hour": str(hour)}
    return HOUR, {"hour": str(hour), "minute": f"{rest:02d}"}


def spoken_time(minute: int, language: str) -> str:
    text, blanks = clock_words(minute)
    return translate(text, language, **blanks)


def spoken_spans(spans: Spans, language: str) -> str:
    """`8h-12h, 13h-16h`; nothing for a closed day."""
    return ", ".join(f"{spoken_time(s.opens, language)}-{spoken_time(s.closes, language)}" for s in spans)


def spoken_week(week: Week, language: str) -> str:
    """The whole week on one line; days on which nobody is there are left out."""
    said = []
    for first, last, spans in runs(week):
        days = translate(WEEKDAYS[first], language)
        if last > first:
            days = f"{days}-{translate(WEEKDAYS[last], language)}"
        said.append(f"{days} {spoken_spans(spans, language)}")
    return "; ".join(said)
