"""The pace of calls to one operator, counted for all processes together."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.retry import Retry

from workers.turnstile import BURST_S, RedisTurnstile


def test_a_burst_passes_and_then_one_waits(redis: Redis) -> None:
    stile = RedisTurnstile(redis)
    # Once an hour or so: the test's own slowness lets nobody through.
    waits = [stile.wait_s("airtel", 1) for _ in range(4)]
    assert waits[:2] == [0.0, 0.0]
    assert all(0 < wait <= 60 for wait in waits[2:])
    assert waits[2] == pytest.approx(waits[3], abs=59), "a refused call takes no place"
    assert stile.wait_s("orange", 1) == 0.0, "each operator has its own"
    redis.flushall()
    assert stile.wait_s("airtel", 1) == 0.0


def test_many_at_once_share_one_count(redis: Redis) -> None:
    per_minute = 120
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(lambda _: RedisTurnstile(redis).wait_s("vodacom", per_minute) == 0, range(60)))
    took = time.monotonic() - began
    assert 1 <= passed <= (BURST_S + took) * per_minute / 60 + 2


def test_without_redis_nobody_is_held_up() -> None:
    nobody = Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    with pytest.raises(RedisGone):
        nobody.ping()
    assert RedisTurnstile(nobody).wait_s("airtel", 1) == 0.0
