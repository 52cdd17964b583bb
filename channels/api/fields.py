"""Kinds of values that many operations share. What a pattern forbids here, the document forbids too."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from core.kernel.money import Money

# What JSON numbers carry without loss; also far inside what the databases hold.
_ID_MAX = 2**53 - 1
_DIGITS = re.compile(r"[0-9]{1,16}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
# Something to see, on one line, in the order it is written: no control characters (one of the databases refuses NUL),
# no other line ends, none that turn the direction of what follows on a paper.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
PLAIN = rf"^[^{_UNSEEN}]*[^{_UNSEEN}\s][^{_UNSEEN}]*$"


def _whole(value: object) -> object:
    """An address spells numbers in plain digits, not in all the ways that a parser understands."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise ValueError("a whole number")
    return value


def _number(value: object) -> object:
    """JSON has one kind of number: `216.0` is the integer 216. Exact, for nothing here comes near 2**53."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _day(value: object) -> object:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("a day as 2026-03-31")
    return date.fromisoformat(value)


def _moment(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise ValueError("a moment with its zone, as 2026-03-31T08:00:00Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment outside the calendar") from None


# The bounds stand first: behind a check of the text they would not reach the document.
Id = Annotated[int, Field(ge=1, le=_ID_MAX), BeforeValidator(_whole)]
Limit = Annotated[int, Field(ge=1, le=100, description="Records a page."), BeforeValidator(_whole)]
Cursor = Annotated[str, Field(max_length=300, pattern=r"^[A-Za-z0-9_-]+$", description="`next` of the page before.")]
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
JSON_INTEGER = BeforeValidator(_number)
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{7,14}$", description="E.164 with the plus.")]
AccountNumber = Annotated[
    str, Field(pattern=r"^[0-9]{10}$", description="What customers type: nine digits and a check digit.")
]
MeterId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,20}$")]
# Words parted by single dots: nothing else can be written into the head of a letter.
Email = Annotated[
    str,
    Field(
        max_length=120,
        pattern=r"^[A-Za-z0-9_%+-]{1,60}(\.[A-Za-z0-9_%+-]{1,60}){0,4}@([A-Za-z0-9-]{1,60}\.){1,4}[A-Za-z]{2,10}$",
    ),
]
Uuid = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", description="A UUID.")
]
Period = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="A month, as 2026-03.")]
City = Annotated[str, Field(min_length=1, max_length=60, pattern=PLAIN)]
CurrencyCode = Literal["CDF", "KES", "USD"]


class Asked(BaseModel):
    """What a program sends: nothing beyond the declared fields is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Asked):
    """No fields at all."""


class ById(Asked):
    id: Id


class PageAsked(Asked):
    limit: Limit = 50
    after: Cursor | None = None


class Amount(BaseModel):
    """Money in whole minor units: 2 850 000 of CDF are 28 500 francs. `text`: as people write it."""

    minor: int
    currency: str
    text: str

    @classmethod
    def of(cls, minor: int, currency: str) -> Amount:
        return cls(minor=minor, currency=currency, text=Money(minor, currency).text)


T = TypeVar("T", bound=BaseModel)


class Listed(BaseModel, Generic[T]):
    """One page. `next`: the cursor of the page that follows; null on the last one."""

    items: list[T]
    next: str | None
