"""Every statement that reaches the reading side's driver, whoever sent it, BEGIN and the like included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import event

from core.db import Database


@contextmanager
def statements_of(db: Database) -> Iterator[list[str]]:
    """What is said to the database by its readers until the block ends."""
    said: list[str] = []

    class Noting(psycopg.Cursor[Any]):
        def execute(self, query: Any, *arguments: Any, **more: Any) -> Any:
            said.append(str(query))
            return super().execute(query, *arguments, **more)

    def taken(connection: Any, *_: object) -> None:
        if db.is_sqlite:
            connection.set_trace_callback(said.append)
        else:
            connection.cursor_factory = Noting

    def given_back(connection: Any, *_: object) -> None:
        if db.is_sqlite:
            connection.set_trace_callback(None)
        else:
            connection.cursor_factory = psycopg.Cursor

    event.listen(db._reader, "checkout", taken)
    event.listen(db._reader, "checkin", given_back)
    try:
        yield said
    finally:
        event.remove(db._reader, "checkout", taken)
        event.remove(db._reader, "checkin", given_back)
