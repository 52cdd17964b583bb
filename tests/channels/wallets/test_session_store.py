"""Sessions shared through a real Redis: one creator for everybody, sealed, and what an outage costs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
import structlog.testing
from redis.backoff import NoBackoff
from redis.retry import Retry

from channels.wallets.session_store import RedisSessionStore
from channels.wallets.sessions import Fresh, Session, SessionPool, SessionStore
from core.kernel.clock import FixedClock, SystemClock
from core.sealing import Sealer
from tests.realparts import free_port, redis_server

pytestmark = pytest.mark.redis_server

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "wallets:sessions:mpesa_ke"
SEALER = Sealer("a secret key of the tests")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_server() as made:
        yield made


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    made = redis.Redis.from_url(url)
    made.flushall()
    yield made
    made.close()


@pytest.fixture
def store(client: redis.Redis) -> RedisSessionStore:
    return RedisSessionStore(client, SEALER, "mpesa_ke")


class Operator:
    """Where a new token ends the one before."""

    def __init__(self, lifetime_s: int = 3599) -> None:
        self.made = 0
        self._lifetime_s = lifetime_s
        self.meanwhile: Callable[[], None] = lambda: None

    def create(self) -> Fresh:
        self.made += 1
        self.meanwhile()
        return Fresh(f"token-{self.made}", self._lifetime_s)


def pool(operator: Operator, clock: FixedClock, store: SessionStore, *, single: bool = True) -> SessionPool:
    return SessionPool(
        operator.create,
        clock,
        lifetime_s=3600,
        warmup_s=0,
        single=single,
        store=store,
        sleep=lambda seconds: clock.advance(seconds=seconds),
    )


def test_what_is_kept_comes_back_and_is_sealed(store: RedisSessionStore, client: redis.Redis) -> None:
    kept = (
        Session("secret-token", NOW, NOW + timedelta(seconds=30), proven=True, lifetime_s=180),
        Session("b", NOW, NOW),
    )
    store.update(lambda _: kept)
    assert RedisSessionStore(client, SEALER, "mpesa_ke").load() == kept
    raw = client.get(KEY)
    assert isinstance(raw, bytes)
    assert b"secret-token" not in raw
    assert 0 < client.ttl(KEY) <= 24 * 3600


def test_another_application_has_its_own(store: RedisSessionStore, client: redis.Redis) -> None:
    store.update(lambda _: (Session("a", NOW, NOW),))
    assert RedisSessionStore(client, SEALER, "airtel").load() == ()


def test_many_threads_of_many_pools_make_one(client: redis.Redis) -> None:
    operator, others_wait = Operator(), threading.Semaphore(0)
    waiting = threading.local()

    def sleep(_: float) -> None:
        if not getattr(waiting, "counted", False):
            waiting.counted = True
            others_wait.release()
        threading.Event().wait(0.005)

    def meanwhile() -> None:
        for _ in range(7):
            assert others_wait.acquire(timeout=30)

    operator.meanwhile = meanwhile

    def taker(_: int) -> str:
        own = RedisSessionStore(client, SEALER, "mpesa_ke")
        shared = SessionPool(
            operator.create, SystemClock(), lifetime_s=3600, warmup_s=0, single=True, store=own, sleep=sleep
        )
        return shared.take().id

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(taker, range(8))) == ["token-1"] * 8
    assert operator.made == 1


_PROCESS = """
import sys, redis
from channels.wallets.session_store import RedisSessionStore
from channels.wallets.sessions import Fresh, SessionPool
from core.kernel.clock import SystemClock
from core.sealing import Sealer

client = redis.Redis.from_url(sys.argv[1])
def create():
    made = client.incr("made")
    client.blpop(["go_on"], timeout=60)
    return Fresh(f"token-{made}", 3599)
store = RedisSessionStore(client, Sealer("a secret key of the tests"), "mpesa_ke")
client.incr("started")
print(SessionPool(create, SystemClock(), lifetime_s=3600, warmup_s=0, single=True, store=store).take().id)
"""


def test_several_processes_make_one(url: str, client: redis.Redis) -> None:
    command = [sys.executable, "-c", _PROCESS, url]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for _ in range(3000):
        if int(client.get("started") or 0) == 3 and client.exists(f"{KEY}:creator"):
            break
        threading.Event().wait(0.02)
    client.rpush("go_on", "1")
    answers = [taker.communicate(timeout=60)[0].strip() for taker in takers]
    assert (answers, client.get("made")) == (["token-1"] * 3, b"1")


def test_updates_of_many_threads_are_all_kept(client: redis.Redis) -> None:
    def add(number: int) -> None:
        own = RedisSessionStore(client, SEALER, "mpesa_ke")
        own.update(lambda kept: (*kept, Session(str(number), NOW, NOW)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    kept = RedisSessionStore(client, SEALER, "mpesa_ke").load()
    assert sorted(int(s.id) for s in kept) == list(range(40))


def test_one_may_create_at_a_time(store: RedisSessionStore, client: redis.Redis) -> None:
    other = RedisSessionStore(client, SEALER, "mpesa_ke")
    with store.creating() as mine:
        with other.creating() as theirs:
            assert (mine, theirs) == (True, False)
        assert client.exists(f"{KEY}:creator")
    with other.creating() as theirs:
        assert theirs


def test_who_held_it_too_long_does_not_free_the_next(client: redis.Redis) -> None:
    slow = RedisSessionStore(client, SEALER, "mpesa_ke", lock_s=60)
    other = RedisSessionStore(client, SEALER, "mpesa_ke", lock_s=60)
    held = slow.creating()
    assert held.__enter__()
    assert 0 < client.ttl(f"{KEY}:creator") <= 60
    client.delete(f"{KEY}:creator")  # its time is over
    with other.creating() as mine:
        assert mine
        held.__exit__(None, None, None)
        assert client.exists(f"{KEY}:creator")


def test_a_refused_one_gives_way_to_the_newer_that_ended_it(store: RedisSessionStore, client: redis.Redis) -> None:
    operator, clock = Operator(), FixedClock(NOW)
    mine = pool(operator, clock, store)
    theirs = pool(operator, clock, RedisSessionStore(client, SEALER, "mpesa_ke"))
    old = mine.take()
    clock.advance(minutes=55)
    newer = theirs.take()
    assert (newer.id, operator.made) == ("token-2", 2)
    # Even when that one is itself near its end: the next `take` renews, and does not do it twice.
    mine.rejected(old)
    assert operator.made == 2
    assert mine.take().id == "token-2"


def test_many_who_were_refused_make_one_new_one(store: RedisSessionStore) -> None:
    operator, clock = Operator(), FixedClock(NOW)
    takers = [pool(operator, clock, store) for _ in range(5)]
    dead = [taker.take() for taker in takers]
    for taker, session in zip(takers, dead, strict=True):
        taker.rejected(session)
    assert (operator.made, {taker.take().id for taker in takers}) == (2, {"token-2"})


def test_a_renewal_hands_out_the_new_one_at_once(store: RedisSessionStore) -> None:
    operator, clock = Operator(), FixedClock(NOW)
    shared = pool(operator, clock, store)
    shared.worked(shared.take())
    clock.advance(minutes=55)
    assert shared.take().id == "token-2"
    assert len(store.load()) == 1


def test_who_was_slow_does_not_put_an_older_one_back(store: RedisSessionStore) -> None:
    operator, clock = Operator(), FixedClock(NOW)
    newer = Session("newer", NOW + timedelta(seconds=5), NOW + timedelta(seconds=5))
    operator.meanwhile = lambda: store.update(lambda _: (newer,))
    clock.advance(seconds=1)
    pool(operator, clock, store).prepare()
    assert store.load() == (newer,)


@pytest.mark.parametrize(("lifetime_s", "still", "over"), [(180, 160, 171), (20, 9, 16), (1, 0, 1)])
def test_the_operator_says_how_long_it_lives(store: RedisSessionStore, lifetime_s: int, still: int, over: int) -> None:
    operator, clock = Operator(lifetime_s), FixedClock(NOW)
    shared = pool(operator, clock, store, single=False)
    shared.take()
    clock.advance(seconds=still)
    assert shared.take().id == "token-1"
    clock.advance(seconds=over - still)
    assert shared.take().id == "token-2"


def test_an_emptied_redis_costs_one_more(store: RedisSessionStore, client: redis.Redis) -> None:
    operator, clock = Operator(), FixedClock(NOW)
    shared = pool(operator, clock, store)
    shared.take()
    client.flushall()
    assert (shared.take().id, operator.made) == ("token-2", 2)


def test_another_secret_key_finds_nothing_and_writes_over(store: RedisSessionStore, client: redis.Redis) -> None:
    other = RedisSessionStore(client, Sealer("another"), "mpesa_ke")
    other.update(lambda _: (Session("theirs", NOW, NOW),))
    with structlog.testing.capture_logs() as logs:
        assert (store.load(), store.load()) == ((), ())
    assert [line["event"] for line in logs] == ["sessions_unreadable"]
    store.update(lambda kept: (*kept, Session("ours", NOW, NOW)))
    assert [s.id for s in store.load()] == ["ours"]


def test_without_redis_a_process_goes_on_with_what_it_last_saw() -> None:
    operator, clock = Operator(), FixedClock(NOW)
    port = free_port()
    away = redis.Redis(port=port, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0))
    store = RedisSessionStore(away, SEALER, "mpesa_ke")
    shared = pool(operator, clock, store)
    with structlog.testing.capture_logs() as logs:
        assert {shared.take().id for _ in range(3)} == {"token-1"}
        shared.rejected(shared.take())
        assert shared.take().id == "token-2"
    assert [line["event"] for line in logs] == ["session_store_away"]
    assert "token" not in repr(logs)


def test_a_redis_that_goes_leaves_the_token_with_everybody(client: redis.Redis) -> None:
    operator, clock = Operator(), FixedClock(NOW)
    store = RedisSessionStore(client, SEALER, "mpesa_ke", try_again_s=0.0)
    shared = pool(operator, clock, store)
    shared.take()
    with structlog.testing.capture_logs() as logs:
        answer = client.execute_command
        client.execute_command = _away  # type: ignore[method-assign]
        assert (shared.take().id, operator.made) == ("token-1", 1)
        client.execute_command = answer  # type: ignore[method-assign]
        shared.take()
    assert [line["event"] for line in logs] == ["session_store_away", "session_store_back"]


def _away(*args: object, **options: object) -> object:
    raise redis.ConnectionError("away")


def test_proven_is_kept(store: RedisSessionStore) -> None:
    shared = pool(Operator(), FixedClock(NOW), store)
    taken = shared.take()
    shared.worked(taken)
    assert store.load() == (replace(taken, proven=True),)


def test_a_redis_that_is_away_is_not_tried_by_every_payment() -> None:
    tried: list[object] = []

    def answer(*args: object, **options: object) -> object:
        tried.append(args)
        raise redis.ConnectionError("away")

    away = redis.Redis(port=free_port())
    away.execute_command = answer  # type: ignore[method-assign]
    store = RedisSessionStore(away, SEALER, "mpesa_ke", try_again_s=3600.0)
    shared = pool(Operator(), FixedClock(NOW), store)
    assert {shared.take().id for _ in range(5)} == {"token-1"}
    assert len(tried) == 1
