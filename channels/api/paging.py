"""Cursors: where a page ended, as a text nobody needs to understand. A page never shifts while rows are added."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel

from channels.api.fields import Listed, PageAsked
from channels.api.problems import NOT_FOUND, Refusal
from core.services.register import From, Key, Page, Record

T = TypeVar("T", bound=BaseModel)
L = TypeVar("L", bound=Listed[BaseModel])
_MOMENT = "@"


def where(asked: PageAsked, *, of: str, key: tuple[type, ...] = (int,)) -> From:
    """Where the page begins. `of`: the list; `key`: the types of its order. Raises Refusal for a cursor that this list
    never gave out."""
    if asked.after is None:
        return From(asked.limit)
    return From(asked.limit, _read(asked.after, of, key))


def listed(page: Page, show: Callable[[Record], T], *, of: str) -> dict[str, object]:
    """A page as its answer's fields."""
    return {"items": [show(record) for record in page.items], "next": _write(page.after, of) if page.after else None}


def _write(after: Key, of: str) -> str:
    parts = [_MOMENT + part.astimezone(UTC).isoformat() if isinstance(part, datetime) else part for part in after]
    return base64.urlsafe_b64encode(json.dumps([of, *parts], separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read(cursor: str, of: str, key: tuple[type, ...]) -> Key:
    refusal = Refusal(NOT_FOUND, "This list has no page that begins there.")
    try:
        said = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        name, *parts = said
        values = tuple(_part(part) for part in parts)
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise refusal from None
    if name != of or len(values) != len(key) or not all(map(_fits, values, key)):
        raise refusal
    return values


def _part(part: object) -> object:
    if isinstance(part, str) and part.startswith(_MOMENT):
        moment = datetime.fromisoformat(part[1:])
        if moment.tzinfo is None:
            raise ValueError("a moment without its zone")
        # As the databases take it; what lies outside the calendar there is no moment.
        return moment.astimezone(UTC)
    return part


def _fits(value: object, kind: type) -> bool:
    if kind is int:
        return type(value) is int and 0 <= value < 2**53
    if kind is str:
        return isinstance(value, str) and len(value) <= 40 and "\x00" not in value and value.isprintable()
    return isinstance(value, kind)
