"""The till on both databases, and the quick one on SQLite."""

from __future__ import annotations

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests.core.payments.scripted import Till


@pytest.fixture
def till(db: Database, clock: FixedClock) -> Till:
    return Till(db, clock)


@pytest.fixture
def any_till(clean_db: Database, clock: FixedClock) -> Till:
    return Till(clean_db, clock)
