"""Sessions under several threads and in a shared store; what happens when none can be had."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from channels.wallets.sessions import InProcessStore, SessionNotReady, SessionPool
from core.kernel.clock import FixedClock, SystemClock
from core.kernel.errors import PartnerDown

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Operator:
    def __init__(self) -> None:
        self.made = 0
        self.down = False

    def create(self) -> str:
        if self.down:
            raise PartnerDown("vodacom", "503")
        self.made += 1
        return f"session-{self.made}"


def pool(operator: Operator, clock: FixedClock, store: InProcessStore | None = None) -> SessionPool:
    return SessionPool(
        operator.create,
        clock,
        lifetime_s=3600,
        warmup_s=30,
        store=store,
        sleep=lambda seconds: clock.advance(seconds=seconds),
    )


def test_many_threads_make_one_session() -> None:
    others_wait, made = threading.Semaphore(0), []

    def create() -> str:
        for _ in range(7):
            assert others_wait.acquire(timeout=60)
        made.append(1)
        return "session"

    waiting = threading.local()

    def sleep(seconds: float) -> None:
        if not getattr(waiting, "counted", False):
            waiting.counted = True
            others_wait.release()
        threading.Event().wait(0.005)

    shared = SessionPool(create, SystemClock(), lifetime_s=3600, warmup_s=0, sleep=sleep)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: shared.take().id, range(8)))
    assert (taken, made) == (["session"] * 8, [1])


def test_two_processes_with_one_store_use_one_session() -> None:
    operator, clock, store = Operator(), FixedClock(NOW), InProcessStore()
    assert pool(operator, clock, store).take().id == pool(operator, clock, store).take().id
    assert operator.made == 1


def test_somebody_else_creating_for_too_long_is_told() -> None:
    operator, clock, store = Operator(), FixedClock(NOW), InProcessStore()
    waiting = pool(operator, clock, store)
    with store.creating() as mine, pytest.raises(SessionNotReady) as not_ready:
        waiting.take()
    assert mine
    assert not_ready.value.after_s == 1
    assert operator.made == 0


def test_a_renewal_that_fails_does_not_stop_what_works() -> None:
    operator, clock = Operator(), FixedClock(NOW)
    sessions = pool(operator, clock)
    first = sessions.take()
    operator.down = True
    clock.advance(minutes=57)
    assert sessions.take().id == first.id
    clock.advance(minutes=5)
    with pytest.raises(PartnerDown):
        sessions.take()


def test_a_session_proven_by_somebody_else_is_over_when_refused() -> None:
    operator, clock = Operator(), FixedClock(NOW)
    sessions = pool(operator, clock)
    mine, theirs = sessions.take(), sessions.take()
    sessions.worked(theirs)
    assert sessions.rejected(mine) == 30
    assert operator.made == 2
    assert sessions.take().id == "session-2"


def test_a_session_is_never_shown() -> None:
    assert "session-1" not in repr(pool(Operator(), FixedClock(NOW)).take())
