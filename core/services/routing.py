"""Which wallet a telephone number most likely has: the office's own ranges, our table, the library's first guess.

It only proposes. Whoever dials may choose any other wallet, and the operator's answer is the truth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db import Database
from core.i18n import N_
from core.kernel.clock import Clock
from core.payments.errors import BadRange
from core.payments.tables import NumberRangeRow
from core.phone_numbers import COUNTRY_CODE, Brand, first_guess, international, prefix_table

# A copy is read again after so long even if nothing seems to have changed: clocks of two machines may differ.
_OLD_S = 60.0
_SHORTEST, _LONGEST = 2, 9

Audit = Callable[[Session, str, str, str, str], None]


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Numbers that begin with `prefix` (E.164 without the plus). `brand` None: no wallet that we reach.

    `source`: "office" when somebody here wrote it, "shipped" when it comes with the product.
    """

    prefix: str
    operator: str
    brand: str | None
    source: Literal["office", "shipped"]
    changed_by: str | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Copy:
    brands: Mapping[str, str | None]
    mark: tuple[int, datetime | None]
    read_at: float


class Routing:
    """The table of number ranges. `brand_of` answers from memory; somebody calls `refresh` every few seconds."""

    def __init__(self, db: Database, clock: Clock, audit: Audit) -> None:
        """`audit` writes who did what into the caller's transaction: `Staff.audit`."""
        self._db = db
        self._clock = clock
        self._audit = audit
        self._lock = threading.Lock()
        self._copy = _Copy({}, (0, None), float("-inf"))

    def brand_of(self, phone: str) -> str | None:
        """The wallet to propose first for an E.164 number, None when nobody knows one. Memory only."""
        digits, office = international(phone), self._copy.brands
        if office:
            for length in range(_LONGEST, _SHORTEST - 1, -1):
                if digits[:length] in office:
                    return office[digits[:length]]
        return first_guess(phone)

    def ranges(self) -> list[NumberRange]:
        """What the office wrote, and our own table where it wrote nothing; by prefix."""
        found = {
            COUNTRY_CODE + row.digits: NumberRange(COUNTRY_CODE + row.digits, row.operator, row.brand, "shipped")
            for row in prefix_table().values()
        }
        with self._db.read() as session:
            for row in session.scalars(select(NumberRangeRow)):
                found[row.prefix] = NumberRange(
                    row.prefix, row.operator, row.brand, "office", row.changed_by, row.changed_at
                )
        return sorted(found.values(), key=lambda one: one.prefix)

    def set_range(self, prefix: str, operator: str, brand: str | None, by: str) -> None:
        """From now on numbers that begin with `prefix` are `operator`'s, and `brand` is proposed for them.

        Raises BadRange for a prefix, a name or a wallet that cannot be.
        """
        prefix, operator = _prefix(prefix), operator.strip()
        if not 1 <= len(operator) <= 40:
            raise BadRange(N_("Give the operator's name, at most 40 characters."))
        if brand is not None and brand not in get_args(Brand):
            raise BadRange(N_("There is no wallet {brand}."), brand=brand)
        with self._db.begin() as session:
            row = session.get(NumberRangeRow, prefix)
            before = "new" if row is None else f"was {row.operator} {row.brand or '-'}"
            if row is None:
                row = NumberRangeRow(prefix=prefix)
                session.add(row)
            row.operator, row.brand, row.changed_by, row.changed_at = operator, brand, by[:40], self._clock.real_now()
            self._audit(session, by, "number_range.set", prefix, f"{operator} {brand or '-'}, {before}")
        self._load()

    def remove_range(self, prefix: str, by: str) -> None:
        """Back to what the product ships for these numbers. Raises BadRange when the office wrote nothing there."""
        prefix = _prefix(prefix)
        with self._db.begin() as session:
            row = session.get(NumberRangeRow, prefix)
            if row is None:
                raise BadRange(N_("No range of ours begins with {prefix}."), prefix=prefix)
            self._audit(session, by, "number_range.removed", prefix, f"was {row.operator} {row.brand or '-'}")
            session.delete(row)
        self._load()

    def refresh(self) -> None:
        """Look whether the table has changed, and read it again only then, or when our copy is a minute old."""
        kept = self._copy
        if time.monotonic() - kept.read_at < _OLD_S:
            with self._db.read() as session:
                if _mark(session) == kept.mark:
                    return
        self._load()

    def _load(self) -> None:
        with self._lock, self._db.read() as session:
            mark = _mark(session)
            rows: Sequence[NumberRangeRow] = session.scalars(select(NumberRangeRow)).all()
            self._copy = _Copy({row.prefix: row.brand for row in rows}, mark, time.monotonic())


def _mark(session: Session) -> tuple[int, datetime | None]:
    """Differs when a row came, went or changed."""
    count, newest = session.execute(select(func.count(), func.max(NumberRangeRow.changed_at))).one()
    return count, newest


def _prefix(text: str) -> str:
    """A prefix as people write it, with or without the plus. Raises BadRange."""
    digits = text.replace(" ", "").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and _SHORTEST <= len(digits) <= _LONGEST) or digits[0] == "0":
        raise BadRange(N_("A range begins with 2 to 9 digits of the international number, such as 24381."))
    return digits
