"""Selects of the hot path: compiled once, run by the driver's own cursor.

SQLAlchemy stays the source of the statement and of its types, and does its work once per process. Running both selects
of a caller's snapshot through its execution cost 457 us, of which the statements themselves are 145; here it is about
150 us. For everything that is not read on every turn of a session, `read()` and `connect_read()` are right.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Dialect, Select
from sqlalchemy.types import TypeEngine

_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Text:
    """One statement as this database reads it. `order`: names by position; None where the driver takes names."""

    sql: str
    constants: dict[str, Any]
    binds: tuple[tuple[str, _Convert | None], ...]
    order: tuple[str, ...] | None
    row: Callable[[Any], Any]
    results: tuple[tuple[int, _Convert], ...]


class Prepared:
    """A select of one database. Its rows are named tuples with the values that the columns' types promise."""

    def __init__(
        self, statement: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]], dialect: Dialect
    ) -> None:
        """`statement` must not hold lists that are expanded when it runs. Built cheaply: text is made at first use,
        because a dialect knows its server only after the first connection."""
        self._statement = statement
        self._dialect = dialect
        self._text: _Text | None = None

    def rows(self, connection: Any, values: Mapping[str, Any]) -> list[Any]:
        """Run it on a driver's connection and read everything. Raises the driver's own errors."""
        # Two threads may both compile at first: they make the same.
        text = self._text or self._compile()
        bound = dict(text.constants)
        for name, convert in text.binds:
            bound[name] = convert(values[name]) if convert else values[name]
        cursor = connection.cursor()
        try:
            cursor.execute(text.sql, bound if text.order is None else [bound[name] for name in text.order])
            # Everything at once: a statement that is read to its end holds no snapshot open.
            found = cursor.fetchall()
        finally:
            cursor.close()
        rows = []
        for values_of_row in found:
            row = list(values_of_row)
            for position, convert in text.results:
                row[position] = convert(row[position])
            rows.append(text.row(row))
        return rows

    def _compile(self) -> _Text:
        compiled = self._statement.compile(dialect=self._dialect)
        if compiled.literal_execute_params or compiled.post_compile_params or compiled.escaped_bind_names:
            raise ValueError("a statement with lists or odd names cannot be prepared")
        constants: dict[str, Any] = {}
        binds: list[tuple[str, _Convert | None]] = []
        for name, bind in compiled.binds.items():
            convert = bind.type.dialect_impl(self._dialect).bind_processor(self._dialect)
            if bind.required:
                binds.append((name, convert))
            else:
                constants[name] = convert(bind.effective_value) if convert else bind.effective_value
        columns = self._statement.selected_columns
        made = [self._reader(column.type) for column in columns]
        # A name that repeats would hide a column: namedtuple refuses it.
        make_row: Callable[[Any], Any] = namedtuple("Row", [str(column.key) for column in columns])._make  # type: ignore[attr-defined]
        self._text = text = _Text(
            str(compiled),
            constants,
            tuple(binds),
            tuple(compiled.positiontup) if compiled.positiontup is not None else None,
            make_row,
            tuple((position, convert) for position, convert in enumerate(made) if convert),
        )
        return text

    def _reader(self, type_: TypeEngine[Any]) -> _Convert | None:
        """What makes of the driver's value the type's. No type that is prepared here asks for the driver's code."""
        return type_.dialect_impl(self._dialect).result_processor(self._dialect, None)
