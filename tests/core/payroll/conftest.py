from __future__ import annotations

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests.core.payroll.payday import Payday


@pytest.fixture
def payday(db: Database, clock: FixedClock) -> Payday:
    """On SQLite."""
    return Payday(db, clock)


@pytest.fixture
def any_payday(any_db: Database, clock: FixedClock) -> Payday:
    """On SQLite and on PostgreSQL."""
    return Payday(any_db, clock)
