"""Scripts over kept connections: each caller gets her own reply, whatever became of a connection before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TooSlow

from channels.ussd.scripts import Script, Scripts
from channels.ussd.sessions import connect
from tests.realparts import redis_server

ECHO = Script("return {KEYS[1], ARGV[1]}", keys=1)
COUNT = Script("return redis.call('INCR', KEYS[1])", keys=1)
WRONG = Script("return redis.call('INCR', KEYS[1], 'too', 'many')", keys=1)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A server of its own: these tests count connections, and others' may go at any moment."""
    with redis_server() as url:
        yield url


def connections(client: redis.Redis) -> list[str]:
    """Ids of what others than `client` itself have open."""
    mine = str(client.client_id())
    return [one["id"] for one in client.client_list() if one["id"] != mine]


@pytest.fixture
def scripts(client: redis.Redis, redis_url: str) -> Scripts:
    """On a client of its own, that a test may disturb."""
    return Scripts(connect(redis_url))


@pytest.mark.parametrize("value", ["", "*", "a b", "é ɔ\r\n$3", "x" * 20_000, b"\x00\xff\r\n", 7, -1])
def test_values_arrive_as_they_are(scripts: Scripts, value: str | bytes | int) -> None:
    octets = value if isinstance(value, bytes) else str(value).encode()
    assert scripts.run(ECHO, "key", value) == [b"key", octets]


def test_an_emptied_server_learns_a_script_again(scripts: Scripts, client: redis.Redis) -> None:
    for _ in range(2):
        client.script_flush()
        assert scripts.run(ECHO, "key", "a") == [b"key", b"a"]


def test_a_refusal_of_the_server_leaves_the_connection(scripts: Scripts, client: redis.Redis) -> None:
    scripts.run(ECHO, "key", "a")
    before = connections(client)
    with pytest.raises(ResponseError):
        scripts.run(WRONG, "key")
    assert scripts.run(ECHO, "key", "b") == [b"key", b"b"]
    assert connections(client) == before


def test_a_connection_that_was_closed_while_idle_is_made_again(scripts: Scripts, client: redis.Redis) -> None:
    assert scripts.run(COUNT, "n") == 1
    for number in (2, 3):
        for one in connections(client):
            client.client_kill_filter(_id=one)
        assert scripts.run(COUNT, "n") == number


def test_a_reply_that_came_too_late_answers_nobody_else(client: redis.Redis, redis_url: str) -> None:
    scripts = Scripts(connect(redis_url, timeout_s=1.0))
    scripts.run(ECHO, "key", "first")
    client.client_pause(60_000, all=False)
    try:
        with pytest.raises(TooSlow):
            scripts.run(ECHO, "key", "late")
    finally:
        client.client_unpause()
    for number in range(3):
        assert scripts.run(ECHO, "key", number) == [b"key", b"%d" % number]


def test_threads_get_their_own_replies_over_few_connections(scripts: Scripts, client: redis.Redis) -> None:
    """A pool per wave: threads come and go, as under a server that makes one per request."""

    def ask(number: int) -> bool:
        return bool(scripts.run(ECHO, "key", number) == [b"key", b"%d" % number])

    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(ask, range(200)))
    assert 1 <= len(connections(client)) <= 4


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_its_own_connection(scripts: Scripts, client: redis.Redis) -> None:
    scripts.run(ECHO, "key", "before")
    before = connections(client)
    child = os.fork()
    if child == 0:
        ours = False
        try:
            ours = scripts.run(ECHO, "key", "child") == [b"key", b"child"] and len(connections(client)) > len(before)
        finally:
            os._exit(0 if ours else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert scripts.run(ECHO, "key", "after") == [b"key", b"after"]
    assert set(before) <= set(connections(client)), "the child closed its parent's connection"


def test_no_server_is_an_error_each_time() -> None:
    gone = Scripts(connect("redis://127.0.0.1:1/0"))
    for _ in range(2):
        with pytest.raises(Lost):
            gone.run(ECHO, "key", "a")
