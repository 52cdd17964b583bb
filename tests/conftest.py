"""Fixtures that every test may use. Real parts are looked for, never assumed; `tests/run.py` says which were found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from tests.kept import keep
from tests.realparts import PostgresServer, postgres_server

keep()

# No test may depend on speed: an example that takes long on a busy machine is no failure. CI draws the same examples
# every time, so that a red run means a change; elsewhere each run draws new ones.
hypothesis.settings.register_profile(
    "mwolo",
    deadline=None,
    derandomize=bool(os.environ.get("CI") or os.environ.get("MWOLO_TEST_STRICT")),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("mwolo")


# What the web bears is two seconds; a test on a busy machine waits longer. Tests of giving up bring their own.
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is run in this process sets the logs up for the whole of it: the tests after it would see none."""
    monkeypatch.setattr("mwolo.logs.set_up", lambda *_: None)


@pytest.fixture
def clock() -> FixedClock:
    """Tuesday 10 March 2026, 09:00 in Kinshasa, 10:00 in Lubumbashi."""
    return FixedClock(datetime(2026, 3, 10, 8, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed SQLite file with every table, to be copied: making every table takes too long."""
    path = tmp_path_factory.mktemp("template") / "mwolo.db"
    database = Database(f"sqlite:///{path}")
    metadata.create_all(database.engine)
    database.dispose()
    return path


@pytest.fixture
def db(tmp_path: Path, sqlite_with_tables: Path) -> Iterator[Database]:
    """An empty SQLite database with every table."""
    shutil.copyfile(sqlite_with_tables, tmp_path / "mwolo.db")
    database = Database(f"sqlite:///{tmp_path / 'mwolo.db'}", busy_timeout_s=PATIENCE_S)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own; the test is skipped, loudly, where none can be started."""
    with postgres_server() as server:
        if server is None:
            pytest.skip("no PostgreSQL: neither the machine's nor the wheel's could be started")
        yield server


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: PostgresServer) -> Iterator[Database]:
    """One database for all tests in turn; whoever takes it empties it first."""
    with postgres.new_database() as url:
        database = Database(url, busy_timeout_s=PATIENCE_S)
        metadata.create_all(database.engine)
        yield database
        database.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database with every table: the same test on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("db")
        return
    database: Database = request.getfixturevalue("postgres_with_tables")
    _empty(database)
    yield database
    # No connection of this test may hold a lock, or answer, in the next one.
    database.dispose()


# The same fixture under an older name; a test may choose its database by parametrising it.
clean_db = any_db


# TRUNCATE makes every file of every table and index anew: with a hundred tables that takes a second, deleting a
# few rows from the few tables that have any takes milliseconds. `replica` leaves foreign keys and triggers out.
_EMPTY_POSTGRES = """
DO $$
DECLARE t record;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR t IN SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE 'DELETE FROM ' || quote_ident(t.name);
  END LOOP;
  FOR t IN SELECT sequencename AS name FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
    EXECUTE 'ALTER SEQUENCE ' || quote_ident(t.name) || ' RESTART';
  END LOOP;
END $$
"""


def _empty(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(_EMPTY_POSTGRES)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note_skip(report)
    _note_failure(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report)


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Every skip is noted, of one test or of a whole file, so that a run's end can say what was not proven."""
    target = os.environ.get("MWOLO_TEST_SKIPS")
    if target and report.skipped and isinstance(report.longrepr, tuple):
        with Path(target).open("a", encoding="utf-8") as out:
            out.write(f"{report.longrepr[2]}\n")


def _note_failure(report: pytest.TestReport) -> None:
    """Every failure by its name, so that what waits for other processes can be looked at once more."""
    target = os.environ.get("MWOLO_TEST_FAILED")
    if target and report.failed:
        with Path(target).open("a", encoding="utf-8") as out:
            out.write(f"{report.nodeid}\n")
