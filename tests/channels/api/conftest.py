"""The API over SQLite, with a token that may do everything."""

from __future__ import annotations

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from tests.channels.api import api_town
from tests.channels.api.api_town import Api


@pytest.fixture
def api(db: Database, clock: FixedClock) -> Api:
    return api_town.build(db, clock)
