"""A screen as data: sentences with named blanks, choices, and nothing that is drawn yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

# Keys the engine keeps for itself. `98` and `00` belong to the networks and are never offered.
BACK_KEY = "0"
MORE_KEY = "9"


class Name(str):
    """A blank that may be shortened where a screen is full: people and places. Amounts and numbers never are."""

    __slots__ = ()


Blank = Union[str, Name, "Line"]


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence: an English msgid and its blanks. A blank may be a sentence itself. `optional`: left out where a
    screen is full."""

    text: str
    blanks: Mapping[str, Blank] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """`value` is what the state gets back. `key` None: numbered from 1 on each page."""

    value: str
    label: Line
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """What a state shows. `back`: 0 leads where the customer came from. `whole`: on one page or not at all.

    `warned_contract`: the contract whose amount due and date stand here in words; the customer's answer to this screen
    is evidence that they were read.
    """

    lines: tuple[Line, ...]
    choices: tuple[Choice, ...] = ()
    back: bool = True
    ended: bool = False
    whole: bool = False
    warned_contract: int | None = None


def line(text: str, **blanks: Blank) -> Line:
    return Line(text, blanks)


def plain(text: str) -> Line:
    """Text that is the same in every language: a name, a number."""
    return Line("{words}", {"words": text})
