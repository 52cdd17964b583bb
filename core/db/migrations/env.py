"""Alembic's entry: one connection of ours, both databases."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from core.db.tables import metadata


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    # The transaction is the caller's: SQLite's begins IMMEDIATE, and PostgreSQL's DDL is rolled back whole.
    context.run_migrations()


_run(context.config.attributes["connection"])
