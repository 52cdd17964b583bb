"""Bringing a database to the newest shape, from any older one, empty included."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

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
    with db.engine.begin() as connection:
        if not db.is_sqlite:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        command.upgrade(_config(connection), "head")


def revision_of(db: Database) -> str | None:
    """The revision that the database is at, or None when it is empty."""
    with db.engine.begin() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def drift(db: Database) -> list[str]:
    """What the tables in code have that the migrated database has not, and the other way. Empty is right."""
    with db.engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]
