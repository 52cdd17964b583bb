"""What a text is and how a kind of notice is handled. The texts themselves: `texts` and `answers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from string import Formatter
from typing import Literal

# True lengths, or the segment test lies: 123 million francs, an account read back in threes, the longest code we lease.
_AMOUNT = "123 456 789 FC"
_ACCOUNT = "123 456 789 0"
_CODE = "*123*45#"
_DAY = "24/03/2026"
_RECEIPT = "R-2026-00012345"
_VERIFICATION = "123 456 789 0"
_BRAND = "Orange Money"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence or two. `example` has a worst-case value for each blank; `segments_max` is a promise."""

    key: str
    body: str
    example: Mapping[str, str]
    segments_max: int = 1

    @property
    def blanks(self) -> frozenset[str]:
        return blanks_of(self.body)


@dataclass(frozen=True, slots=True)
class Kind:
    """How notices of one kind are handled. The first of `texts` whose blanks are all given is taken.

    `priority`: 1 goes before 5. `quiet`: waits while it is night at the site. `ttl`: worthless afterwards, counted
    from the moment it may go. `optional`: somebody who opted out gets none. `repeats`: how often it is sent again when
    nobody knows whether it went; 0 where a duplicate would alarm. `daily_cap`: so many a day to one number.
    `owed`: says that an invoice is open, so it is not sent any more once that invoice is paid.
    """

    name: str
    texts: tuple[Text, ...]
    priority: int
    quiet: bool
    ttl: timedelta
    optional: bool = False
    repeats: int = 0
    daily_cap: int | None = None
    over_cap: Literal["tomorrow", "never"] = "tomorrow"
    owed: bool = False
    by_reason: Mapping[str, Text] = field(default_factory=dict)

    def all_texts(self) -> tuple[Text, ...]:
        return (*self.by_reason.values(), *self.texts)


def blanks_of(body: str) -> frozenset[str]:
    """The named blanks of a sentence."""
    return frozenset(name for _, name, _, _ in Formatter().parse(body) if name)


# A worst case for each blank, unless a text brings its own.
EXAMPLES: Mapping[str, str] = {
    "amount": _AMOUNT,
    "due": _AMOUNT,
    "credit": _AMOUNT,
    "account": _ACCOUNT,
    "meter": "MW2400054612",
    "code": _CODE,
    "cut_date": _DAY,
    "day": _DAY,
    "period": "02/2026",
    "receipt": _RECEIPT,
    "verification": _VERIFICATION,
    "brand": _BRAND,
    "reason": "the request was refused",
}


def text_of(key: str, body: str, segments_max: int = 1, /, **own: str) -> Text:
    """A text with the usual worst cases for its blanks. `own`: those of blanks that only this text has."""
    known = {**EXAMPLES, **own}
    return Text(key, body, {name: known[name] for name in sorted(blanks_of(body))}, segments_max)
