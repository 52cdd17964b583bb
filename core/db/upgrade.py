"""Bringing a database to the newest shape, from any older one, empty included."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from core.db.engine import Database
from core.db.tables import metadata

_FOLDER = Path(__file__).parent / "migrations"
# Two processes may start at once; on PostgreSQL this lock lets one migrate while the other waits.
_ADVISORY_LOCK = 7_310_001


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def upgrade(db: Database) -> None:
    """Run every migration that is missing, in one transaction."""
    if db.is_sqlite:
        _upgrade_sqlite(db)
        return
    with db.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        command.upgrade(_config(connection), "head")


def _upgrade_sqlite(db: Database) -> None:
    """SQLite changes a column by making the table anew: the old one is dropped while others still point at it.

    So foreign keys are asked at the end, all of them, and the triggers that went with the old table come back.
    """
    with db.engine.connect() as connection:
        # Inside a transaction this word would be ignored.
        _foreign_keys(connection, on=False)
        try:
            with connection.begin():
                before = _triggers(connection)
                command.upgrade(_config(connection), "head")
                for name in sorted(before.keys() - _triggers(connection).keys()):
                    table, statement = before[name]
                    if inspect(connection).has_table(table):
                        connection.exec_driver_sql(statement)
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise RuntimeError(f"the migration leaves a row of {broken[0]} that points at no {broken[2]}")
        finally:
            _foreign_keys(connection, on=True)


def _foreign_keys(connection: Connection, *, on: bool) -> None:
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")


def _triggers(connection: Connection) -> dict[str, tuple[str, str]]:
    """name → (table, the statement that made it)."""
    rows = connection.exec_driver_sql("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {name: (table, statement) for name, table, statement in rows}


def revision_of(db: Database) -> str | None:
    """The revision that the database is at, or None when it is empty."""
    with db.engine.begin() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def drift(db: Database) -> list[str]:
    """What the tables in code have that the migrated database has not, and the other way. Empty is right."""
    with db.engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]
