"""Whose story is told, and which page of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

Rows = TypeVar("Rows", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class Scope:
    """`accounts`: contract id → account number. `phones` are confirmed; `claimed` are links nobody confirmed.

    `ahead`: how far business time stands from real time. Attempts are dated in real time, because their questions to a
    wallet are; everything else in a story is business time. In production there is no difference.
    """

    accounts: Mapping[int, str]
    phones: tuple[str, ...]
    claimed: tuple[str, ...]
    ahead: timedelta = timedelta(0)

    @property
    def contract_ids(self) -> tuple[int, ...]:
        return tuple(self.accounts)

    def account(self, contract_id: int | None) -> str:
        return self.accounts.get(contract_id, "") if contract_id is not None else ""


@dataclass(frozen=True, slots=True)
class Page:
    """`limit` newest entries before a moment."""

    before: datetime | None
    limit: int

    def cut(self, asked: Rows, at: InstrumentedAttribute[Any], back: timedelta = timedelta(0)) -> Rows:
        """`back`: how far the column's time lies behind the story's."""
        if self.before is not None:
            asked = asked.where(at < self.before - back)
        return asked.order_by(at.desc()).limit(self.limit)
