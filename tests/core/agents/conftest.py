"""A kiosk on both databases."""

from __future__ import annotations

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests.core.agents.kiosk import Kiosk


@pytest.fixture
def kiosk(clean_db: Database, clock: FixedClock) -> Kiosk:
    return Kiosk(clean_db, clock)
