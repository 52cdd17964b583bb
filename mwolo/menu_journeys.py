"""`docs/journeys.md`: every screen as text, in all six languages beside each other. Generated from the menu itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, zip_longest

from channels.ussd import turns, views
from channels.ussd.menu.engine import Menu
from channels.ussd.menu.fit import PREFIX_SEPTETS, Network, TooLong, cost, fit, words
from channels.ussd.menu.graph import shown
from channels.ussd.menu.screen import line
from channels.ussd.menu.walks import WALKS, Frame, Walk, frames
from core.i18n import LANGUAGES, OWN_NAMES, PROOFREAD

# So wide is a screen here: about what a plain phone shows in a line, and three of them beside each other.
COLUMN = 34
BESIDE = 3
_GAP = "   "
# What is said where no screen can be shown.
DOOR = (turns.NOT_RECORDED, turns.BUSY, turns.NOT_YOURS, turns.OVER, views.WENT_WRONG)

_HEAD = """# Journeys

Every screen of the short code, as an ordinary customer sees it, in every language. Generated from the menu by
`mwolo menu journeys -o docs/journeys.md`; a test fails when this page is older. The number behind a language counts
septets, the four of `CON ` or `END ` with them: every network shows 160. **Draft** means that no named speaker has
signed the language yet ([languages](languages.md)). The same as a picture: [the whole menu](pictures/menu.svg).

A screen stands here once, where it comes up first; a number that is a link leads up to it. ■ ends the call.
"""

Texts = tuple[str, ...]


class _Book:
    """Screens in the order in which they come up, each under its number."""

    def __init__(self) -> None:
        self._numbers: dict[Texts, int] = {}

    def number(self, texts: Texts) -> tuple[int, bool]:
        """The number of a screen, and whether it is new."""
        new = texts not in self._numbers
        return self._numbers.setdefault(texts, len(self._numbers) + 1), new


def journeys(menu: Menu) -> str:
    """The whole page."""
    out, book, seen = [_HEAD], _Book(), set[str]()
    for title, walks in groupby(WALKS, key=lambda walk: walk.journey):
        out.append(f"## {title}\n")
        for walk in walks:
            in_all = list(zip(*(list(frames(menu, walk, code)) for code in LANGUAGES), strict=True))
            seen.update(versions[0].state for versions in in_all)
            out.extend(_walk(walk, in_all, book))
    left = [key for key in menu.keys if key not in seen]
    if left:
        out.append("## Other screens\n")
        out.extend(_other(menu, left, book))
    out.append("## When no screen can be shown\n\nEach of these ends the call.\n")
    for text in DOOR:
        texts = tuple(words(line(text), code, Network()) for code in LANGUAGES)
        number, _new = book.number(texts)
        out.extend(_screen(number, texts))
    return "\n".join(out)


def _walk(walk: Walk, in_all: Sequence[tuple[Frame, ...]], book: _Book) -> Iterator[str]:
    way: list[str] = []
    blocks: list[str] = []
    for versions in in_all:
        texts = tuple(frame.text for frame in versions)
        number, new = book.number(texts)
        typed = f"Dial `{walk.dialled}`" if versions[0].typed is None else f"`{versions[0].typed}`"
        shown_as = f"**{number}**" if new else f"[{number}](#screen-{number})"
        way.append(f"{typed} → {shown_as}{' ■' if versions[0].ended else ''}")
        if new:
            blocks.extend(_screen(number, texts))
    yield f"### {walk.about}\n"
    yield " · ".join(way) + "\n"
    yield from blocks


def _other(menu: Menu, keys: Iterable[str], book: _Book) -> Iterator[str]:
    """Screens that no walk comes by, as the first example caller sees them."""
    for key in keys:
        for _ctx, screen in shown(menu, key):
            try:
                texts = [fit(screen, code, network=Network()).text for code in LANGUAGES]
            except TooLong:
                continue
            number, new = book.number(tuple(texts))
            if new:
                yield f"### {key}\n"
                yield from _screen(number, texts)
            break


def _screen(number: int, texts: Sequence[str]) -> Iterator[str]:
    """One screen in all languages, `BESIDE` of them in a row."""
    yield f"#### Screen {number}\n"
    columns = [[_title(code, text), *_wrapped(text)] for code, text in zip(LANGUAGES, texts, strict=True)]
    rows: list[str] = []
    for first in range(0, len(columns), BESIDE):
        if rows:
            rows.append("")
        for cells in zip_longest(*columns[first : first + BESIDE], fillvalue=""):
            rows.append(_GAP.join(cell.ljust(COLUMN) for cell in cells).rstrip())
    yield "\n".join(["```text", *rows, "```"]) + "\n"


def _title(language: str, text: str) -> str:
    draft = "" if language in PROOFREAD else " (draft)"
    return f"[{OWN_NAMES[language]}{draft} {cost(text) + PREFIX_SEPTETS}]"


def _wrapped(text: str) -> list[str]:
    return [part for row in text.split("\n") for part in textwrap.wrap(row, COLUMN) or [""]]
