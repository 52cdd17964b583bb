"""Both databases, copied or emptied between tests instead of made anew: making every table takes too long."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db import Database
from core.db.tables import metadata
from tests.realparts import PostgresServer


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed SQLite file with every table, to be copied."""
    path = tmp_path_factory.mktemp("template") / "mwolo.db"
    database = Database(f"sqlite:///{path}")
    metadata.create_all(database.engine)
    database.dispose()
    return path


@pytest.fixture
def db(tmp_path: Path, sqlite_with_tables: Path) -> Iterator[Database]:
    """An empty SQLite database with every table."""
    shutil.copyfile(sqlite_with_tables, tmp_path / "mwolo.db")
    database = Database(f"sqlite:///{tmp_path / 'mwolo.db'}")
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: PostgresServer) -> Iterator[Database]:
    with postgres.new_database() as url:
        database = Database(url)
        metadata.create_all(database.engine)
        yield database
        database.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def clean_db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database with every table: the same test on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("db")
        return
    database = request.getfixturevalue("postgres_with_tables")
    names = ", ".join(f'"{name}"' for name in metadata.tables)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    yield database
