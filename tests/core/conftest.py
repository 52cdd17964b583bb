"""An older name of `any_db`."""

from __future__ import annotations

import pytest

from core.db import Database


@pytest.fixture
def clean_db(any_db: Database) -> Database:
    """An empty database with every table: the same test on SQLite and on PostgreSQL."""
    return any_db
