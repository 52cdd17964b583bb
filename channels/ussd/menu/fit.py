"""From a screen as data to the text on a phone: translated, folded into GSM-7, counted in septets, paged.

A screen that is too long first shortens names, then drops optional lines, then is paged. An amount, a choice and a
confirmation are never cut; what cannot be shown whole raises TooLong, and a test renders everything to prove that it
never happens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from channels.ussd.menu.screen import BACK_KEY, MORE_KEY, Blank, Choice, Line, Name, Screen
from core.i18n import N_, translate
from core.kernel import gsm7

# The smallest that any network is known to show, and whether "CON " counts is not: so it does.
BUDGET_SEPTETS = 160
PREFIX_SEPTETS = 4
# Names get so much room, then less and less. Three letters and a stop still tell two people apart.
_NAME_ROOM = (80, 40, 24, 14, 8, 4)
# On a list that is paged anyway.
_LISTED_ROOM = 24
# 7 and 8 are shortcuts; a list never offers them.
ITEMS_PER_PAGE = 6

BACK = "<back>"
MORE = "<more>"
_BACK_LABEL = N_("Back")
_MORE_LABEL = N_("More")

# Every character of one septet: most texts are made of nothing else, and need no second look.
_PLAIN = re.compile("[" + re.escape("".join(c for c in map(chr, range(0x3C0)) if gsm7.septets(c) == 1)) + "]*")


class TooLong(ValueError):
    """A screen that cannot be shown whole: a bug in its texts."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a network can show. `budget` in septets, with the prefix and the navigation."""

    budget: int = BUDGET_SEPTETS
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The text of one page without the gateway's prefix, and what each key on it stands for.

    `elsewhere`: keys that stand on another page of the same screen and mean the same on all of them.
    """

    text: str
    keys: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)


def fit(screen: Screen, language: str, *, network: Network, page: int = 0) -> Page:
    """Page number `page` of `screen` (the last one where there are fewer). Raises TooLong."""
    budget = network.budget - PREFIX_SEPTETS
    for room in _rooms(screen):
        drawn = _draw(screen, language, network, room, with_optional=True)
        whole = _whole(screen, *drawn, language, network)
        if cost(whole.text) <= budget:
            return whole
    drawn = _draw(screen, language, network, _NAME_ROOM[-1], with_optional=False)
    whole = _whole(screen, *drawn, language, network)
    if cost(whole.text) <= budget:
        return whole
    if screen.whole or screen.ended:
        raise TooLong(f"{cost(whole.text)} septets where {budget} fit: {whole.text!r}")
    drawn = _draw(screen, language, network, _LISTED_ROOM, with_optional=True)
    pages = list(_pages(screen, *drawn, language, network, budget))
    return pages[min(page, len(pages) - 1)]


def _rooms(screen: Screen) -> Iterator[int]:
    """How much room names may take, from most to least; without those that shorten nothing."""
    yield _NAME_ROOM[0]
    longest = max((n for x in (*screen.lines, *(c.label for c in screen.choices)) for n in _names(x)), default=0)
    yield from (room for room in _NAME_ROOM[1:] if room < longest)


def _names(sentence: Line) -> Iterator[int]:
    for blank in sentence.blanks.values():
        if isinstance(blank, Line):
            yield from _names(blank)
        elif isinstance(blank, Name):
            yield len(blank)


def cost(text: str) -> int:
    """Septets of a text that was folded."""
    if _PLAIN.fullmatch(text):
        return len(text)
    counted = gsm7.septets(text)
    if counted is None:
        raise TooLong(f"outside the alphabet: {text!r}")
    return counted


def words(sentence: Line, language: str, network: Network, room: int = _NAME_ROOM[0]) -> str:
    """One sentence as the phone shows it."""
    text = _fill(sentence, language, room)
    if _PLAIN.fullmatch(text) and (text.isascii() or not network.ascii_only):
        return text
    return gsm7.ascii_only(text) if network.ascii_only else gsm7.fold(text)


def _fill(sentence: Line, language: str, room: int) -> str:
    if not sentence.blanks:
        return translate(sentence.text, language)
    return translate(sentence.text, language, **{k: _blank(v, language, room) for k, v in sentence.blanks.items()})


def _blank(value: Blank, language: str, room: int) -> str:
    if isinstance(value, Line):
        return _fill(value, language, room)
    if isinstance(value, Name) and len(value) > room:
        return value[: room - 1].rstrip() + "."
    return value


def _draw(
    screen: Screen, language: str, network: Network, room: int, *, with_optional: bool
) -> tuple[list[str], list[tuple[Choice, str]]]:
    lines = [words(x, language, network, room) for x in screen.lines if with_optional or not x.optional]
    choices = [(c, words(c.label, language, network, room)) for c in screen.choices]
    return lines, choices


def _whole(
    screen: Screen, lines: list[str], choices: list[tuple[Choice, str]], language: str, network: Network
) -> Page:
    """Everything on one page, if there are not more items than keys."""
    keys: dict[str, str] = {}
    out = list(lines)
    for number, (choice, label) in enumerate(choices, start=1):
        key = choice.key or str(number)
        keys[key] = choice.value
        out.append(f"{key}. {label}")
        if choice.key is None and number > ITEMS_PER_PAGE:
            # As if it did not fit: the next page has keys again.
            return Page("x" * (network.budget + 1))
    if screen.back and not screen.ended:
        keys[BACK_KEY] = BACK
        out.append(_navigation(BACK_KEY, _BACK_LABEL, language, network))
    return Page("\n".join(out), keys)


def _pages(
    screen: Screen, lines: list[str], choices: list[tuple[Choice, str]], language: str, network: Network, budget: int
) -> Iterator[Page]:
    back = _navigation(BACK_KEY, _BACK_LABEL, language, network)
    more = _navigation(MORE_KEY, _MORE_LABEL, language, network)
    waiting: list[tuple[Choice | None, str]] = [*((None, text) for text in lines), *choices]
    # Numbers that are the same whatever else is shown: people know them by heart, and our texts name them.
    known = {c.key: c.value for c, _ in choices if c.key is not None and c.key != BACK_KEY}
    first = True
    while waiting:
        tail = [back] if screen.back or not first else []
        taken, keys = _take(waiting, budget, tail, more)
        if len(taken) == len(waiting):
            waiting = []
        else:
            # On a later page 0 leads back: what stood on it here cannot move there. Better no offer than a wrong key.
            waiting = [w for w in waiting[len(taken) :] if w[0] is None or w[0].key != BACK_KEY]
            tail = [more, *tail]
            keys[MORE_KEY] = MORE
        if screen.back or not first:
            keys[BACK_KEY] = BACK
        yield Page("\n".join([*taken, *tail]), keys, {k: v for k, v in known.items() if k not in keys})
        first = False


def _take(
    waiting: list[tuple[Choice | None, str]], budget: int, tail: list[str], more: str
) -> tuple[list[str], dict[str, str]]:
    """As many lines and choices as one page holds; at least one."""
    taken: list[str] = []
    keys: dict[str, str] = {}
    for i, (choice, label) in enumerate(waiting):
        text, key = label, ""
        if choice is not None:
            key = choice.key or str(len(keys) + 1)
            text = f"{key}. {label}"
        ending = tail if i == len(waiting) - 1 else [more, *tail]
        if cost("\n".join([*taken, text, *ending])) > budget or len(keys) >= ITEMS_PER_PAGE:
            break
        taken.append(text)
        if choice is not None:
            keys[key] = choice.value
    if not taken:
        raise TooLong(f"one line alone is too long: {waiting[0][1]!r}")
    return taken, keys


def _navigation(key: str, label: str, language: str, network: Network) -> str:
    return f"{key}. {words(Line(label), language, network)}"
