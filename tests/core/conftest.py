"""Both databases, emptied between tests instead of made anew: a PostgreSQL database takes a second to make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db import Database
from core.db.tables import metadata
from tests.realparts import PostgresServer


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: PostgresServer) -> Iterator[Database]:
    with postgres.new_database() as url:
        database = Database(url)
        metadata.create_all(database.engine)
        yield database
        database.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def clean_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with every table: the same test on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'mwolo.db'}")
        metadata.create_all(database.engine)
        yield database
        database.dispose()
        return
    database = request.getfixturevalue("postgres_with_tables")
    names = ", ".join(f'"{name}"' for name in metadata.tables)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    yield database
