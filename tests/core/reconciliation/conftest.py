"""The clerk on SQLite, and on both databases."""

from __future__ import annotations

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests.core.reconciliation.clerk import Clerk


@pytest.fixture
def clerk(db: Database, clock: FixedClock) -> Clerk:
    return Clerk(db, clock)


@pytest.fixture
def any_clerk(clean_db: Database, clock: FixedClock) -> Clerk:
    return Clerk(clean_db, clock)
