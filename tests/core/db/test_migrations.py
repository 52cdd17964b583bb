"""From an empty database to the newest shape, on both; what the code has is what the migrations make."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect

from core.db import Database
from core.db.tables import metadata
from core.db.upgrade import drift, revision_of, upgrade


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}", busy_timeout_s=30)
        yield database
        database.dispose()
        return
    with request.getfixturevalue("postgres").new_database() as url:
        database = Database(url)
        yield database
        database.dispose()


def test_from_empty_to_the_newest(empty: Database) -> None:
    assert revision_of(empty) is None
    upgrade(empty)
    newest = revision_of(empty)
    assert newest is not None
    assert drift(empty) == []
    made = set(inspect(empty.engine).get_table_names())
    assert set(metadata.tables) <= made
    # Twice is quiet.
    upgrade(empty)
    assert revision_of(empty) == newest


def test_two_processes_that_start_at_once_migrate_once(empty: Database) -> None:
    together = threading.Barrier(2)

    def start(_: int) -> str | None:
        database = Database(empty.url.render_as_string(hide_password=False), busy_timeout_s=30)
        together.wait()
        try:
            upgrade(database)
            return revision_of(database)
        finally:
            database.dispose()

    with ThreadPoolExecutor(2) as pool:
        revisions = set(pool.map(start, range(2)))
    assert len(revisions) == 1
    assert drift(empty) == []
