"""A database with so many rows of everything: what is there is copied, whole neighbourhoods at a time.

A copy gets its own keys, and what pointed at the original points at the copy: a copied invoice belongs to the copied
contract. Tables that nobody filled get a row of plain values first, where their constraints allow it. Works on SQLite.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from core.db import Database
from core.db.base import UtcDateTime
from core.db.tables import metadata

# Who may look, and what counts by itself: one of each.
ALONE = frozenset({"staff_user", "staff_session", "audit_log", "api_token", "number_series", "lease", "business_clock"})
_STEP = 1_000_000
_LISTED = re.compile(r"(\w+) IN \(([^)]*)\)")
_AT = datetime(2026, 3, 10, 7, tzinfo=UTC)


def fill_empty(db: Database) -> None:
    """One plain row in every table that has none and takes one."""
    with db.engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name in ALONE or connection.execute(select(table).limit(1)).first() is not None:
                continue
            try:
                with connection.begin_nested():
                    connection.execute(insert(table), _plain_row(connection, table))
            except (IntegrityError, LookupError):
                continue


def multiply(db: Database, times: int, *, already: int = 1) -> None:
    """So many times what there is. `already`: how many of each there are from an earlier call."""
    assert db.is_sqlite
    with db.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                for table in metadata.sorted_tables:
                    if table.name not in ALONE:
                        _copy(connection, table, range(already, already * times, already))
        finally:
            raw.execute("PRAGMA foreign_keys=ON")


def _copy(connection: Connection, table: Table, numbers: Sequence[int]) -> None:
    rows = [dict(row._mapping) for row in connection.execute(select(table))]
    own = _own_columns(table)
    copies = [
        {name: _other(value, number) if name in own else value for name, value in row.items()}
        for number in numbers
        for row in rows
    ]
    if copies:
        # What may stand only once stays alone.
        connection.execute(insert(table).prefix_with("OR IGNORE"), copies)


def _own_columns(table: Table) -> set[str]:
    """The columns that must differ in a copy, or point at the copy of something else."""
    own = {column.name for column in table.columns if column.foreign_keys}
    own |= {column.name for column in table.primary_key if not isinstance(column.type, UtcDateTime | Date)}
    together: list[list[Column[Any]]] = [list(c.columns) for c in table.constraints if isinstance(c, UniqueConstraint)]
    together += [list(i.columns) for i in table.indexes if isinstance(i, Index) and i.unique]
    for columns in together:
        if not own & {column.name for column in columns}:
            counted = [column.name for column in columns if isinstance(column.type, Integer)]
            texts = [column for column in columns if isinstance(column.type, String)]
            texts.sort(key=lambda column: getattr(column.type, "length", 0) or 0)
            own |= {(counted + [column.name for column in reversed(texts)] + [columns[0].name])[0]}
    return own


def _other(value: Any, number: int) -> Any:
    """Another value of the same shape, always the same one: digits for digits, letters for letters."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value + number * _STEP
    if not isinstance(value, str):
        return value
    if value.isdigit() and len(value) <= 9:
        return str(int(value) + number * _STEP)
    noise = hashlib.sha256(f"{number}:{value}".encode()).digest() * (len(value) // 32 + 1)
    return "".join(_like(letter, byte) for letter, byte in zip(value, noise, strict=False))


def _like(letter: str, byte: int) -> str:
    for alphabet in (string.digits, "abcdef", "ABCDEF", string.ascii_lowercase, string.ascii_uppercase):
        if letter in alphabet:
            return alphabet[byte % len(alphabet)]
    return letter


def _plain_row(connection: Connection, table: Table) -> dict[str, Any]:
    """Raises LookupError where a row needs another that is not there, or a shape that only its writer knows."""
    allowed = {
        name: values.split(",")[0].strip(" '")
        for check in table.constraints
        if isinstance(check, CheckConstraint)
        for name, values in _LISTED.findall(str(check.sqltext))
    }
    row: dict[str, Any] = {}
    for column in table.columns:
        key = next(iter(column.foreign_keys), None)
        if key is not None:
            row[column.name] = connection.scalar(select(key.column).limit(1))
            if row[column.name] is None and not column.nullable:
                raise LookupError(column)
        elif not (column.primary_key and isinstance(column.type, Integer) and len(table.primary_key) == 1):
            row[column.name] = allowed.get(column.name) or _plain(column)
    return row


def _plain(column: Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return _AT
    if isinstance(kind, Date):
        return date(2026, 3, 10)
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, JSON):
        if column.nullable:
            return None
        raise LookupError(column)
    if isinstance(kind, LargeBinary):
        return b"x"
    if isinstance(kind, String):
        return ("CDF" if column.name == "currency" else "vodacom" if column.name == "wallet" else column.name)[
            : kind.length or 40
        ]
    return 1
