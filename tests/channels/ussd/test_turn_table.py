"""The correctness table of turns, on two applications that share one Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from channels.ussd.sessions import connect
from core.db import Database
from core.kernel.clock import FixedClock
from tests.channels.ussd.turn_table import SCENARIOS, World
from tests.channels.ussd.ussd_world import FakePayments, Site, populate

pytestmark = pytest.mark.redis_server
SEVERAL = "500 callers, 20 at once"


@pytest.fixture
def world(
    db: Database, redis_url: str, client: redis.Redis, payments: FakePayments, clock: FixedClock
) -> Iterator[Callable[[int], World]]:
    other = connect(redis_url)
    first = Site(db, client, payments, clock, slow_s=0.03)
    second = Site(db, other, payments, clock, slow_s=0.03)
    with first.serving() as one, second.serving() as two:

        def make(callers: int) -> World:
            return World([one, two], iter(populate(db, callers)), payments.attempts, lambda: client.flushall())

        yield make
    assert first.counts["bug"] == second.counts["bug"] == 0
    other.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_table_holds(name: str, world: Callable[[int], World]) -> None:
    SCENARIOS[name](world(500 if name == SEVERAL else 2))
