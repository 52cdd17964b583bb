"""A real server that speaks the Redis protocol: the machine's, else the wheel's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from channels.ussd.sessions import connect
from core.db import Database
from core.kernel.clock import FixedClock
from tests.channels.ussd.ussd_world import FakePayments, Site
from tests.realparts import redis_server


@pytest.fixture(autouse=True)
def _aggregators_are_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a request waits for the first one's answer; on a busy machine longer than a real aggregator would."""
    monkeypatch.setattr("channels.ussd.turns.WAIT_S", 60.0)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis."""
    made = connect(redis_url, timeout_s=30)
    made.flushall()
    yield made
    made.close()


@pytest.fixture
def payments() -> FakePayments:
    return FakePayments()


@pytest.fixture
def site(db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock) -> Site:
    """One application over the test's own database and Redis."""
    return Site(db, client, payments, clock)
