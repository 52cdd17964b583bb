"""A utility to bring files to, on SQLite, or on each database."""

from __future__ import annotations

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests.core.imports.world import World


@pytest.fixture
def world(db: Database, clock: FixedClock) -> World:
    return World(db, clock)


@pytest.fixture
def any_world(any_db: Database, clock: FixedClock) -> World:
    return World(any_db, clock)
