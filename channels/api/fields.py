"""Kinds of values that many operations share. What a pattern forbids here, the document forbids too."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from core.kernel.money import Money

# What JSON numbers carry without loss; also far inside what the databases hold.
_ID_MAX = 2**53 - 1
_DIGITS = re.compile(r"[0-9]{1,16}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
# No control characters: they have no place in a name, and one of the databases refuses NUL.
PLAIN = r"^[^\x00-\x1f\x7f]*$"


def _strictly(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    """Texts of an address must be written as the document says, not in all the ways that a parser understands."""

    def check(value: object) -> object:
        if isinstance(value, str) and pattern.fullmatch(value) is None:
            raise ValueError(what)
        return value

    return BeforeValidator(check)


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment outside the calendar") from None


Id = Annotated[int, _strictly(_DIGITS, "a whole number"), Field(ge=1, le=_ID_MAX)]
Limit = Annotated[int, _strictly(_DIGITS, "a whole number"), Field(ge=1, le=100, description="Records a page.")]
Cursor = Annotated[str, Field(max_length=300, pattern=r"^[A-Za-z0-9_-]+$", description="`next` of the page before.")]
Day = Annotated[date, _strictly(_DAY, "a day as 2026-03-31")]
Moment = Annotated[
    datetime,
    _strictly(_MOMENT, "a moment with its zone, as 2026-03-31T08:00:00Z"),
    AfterValidator(_utc),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{7,14}$", description="E.164 with the plus.")]
AccountNumber = Annotated[
    str, Field(pattern=r"^[0-9]{10}$", description="What customers type: nine digits and a check digit.")
]
MeterId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,20}$")]
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
