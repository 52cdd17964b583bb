"""The dispatcher hands out; a payment goes from the confirming turn to its receipt through it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.outbox import Done, Leased, OutboxRow, Outcome
from core.payments.ports import Accepted, Paid, Pending, Unknown
from tests.core.payments.scripted import BILL, Killed, Till
from tests.core.settlement.books import francs
from tests.town import BEGINNING
from workers.dispatch import IN_HAND_MAX, Dispatcher, batches
from workers.executor import Executor, InLine, Runner
from workers.jobs import payments as payment_jobs
from workers.schedule import Schedule


class Away:
    """A queue that is not there."""

    asked = 0

    def submit(self, queue: str, rows: list[Leased]) -> bool:
        self.asked += len(rows)
        return False


class Kept:
    """A queue that takes everything and forgets to deliver."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, list[Leased]]] = []

    def submit(self, queue: str, rows: list[Leased]) -> bool:
        self.jobs.append((queue, rows))
        return True


class Engine:
    """A till with a dispatcher; receipts and notices are counted, not sent."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.effects: Counter[str] = Counter()
        counted = dict.fromkeys(("notice.send", "document.receipt", "schedule.run"), self.count)
        handlers = payment_jobs.handlers(till.payments) | counted
        self.runner = Runner(till.db, till.clock, handlers)
        self.schedule = Schedule(till.db, till.clock, ())

    def count(self, row: Leased) -> Outcome:
        self.effects[row.kind] += 1
        return Done()

    def dispatcher(self, executor: Executor | None = None) -> Dispatcher:
        return Dispatcher(
            self.till.db, self.till.clock, executor or InLine(self.runner), self.till.payments, self.schedule
        )

    def pending(self) -> list[str]:
        with self.till.db.read() as session:
            return list(session.scalars(select(OutboxRow.kind).where(OutboxRow.state == "pending")))

    def run_for(self, seconds: float, step: float = 1.0, executor: Executor | None = None) -> None:
        dispatcher = self.dispatcher(executor)
        for _ in range(int(seconds / step)):
            while dispatcher.once():
                pass
            self.till.clock.advance(seconds=step)


@pytest.fixture
def engine(db: Database, clock: FixedClock) -> Engine:
    till = Till(db, clock)
    ready = Engine(till)
    ready.run_for(1)  # the notice of the invoice itself
    ready.effects.clear()
    return ready


def test_from_the_turn_to_the_receipt(engine: Engine) -> None:
    till = engine.till
    till.wallet.to_query = deque([Pending(), Paid("TX1", BILL)])
    attempt_id = till.begin()
    engine.run_for(2)
    assert till.wallet.starts == [], "the prompt must not come before the session is over"
    engine.run_for(3)
    assert len(till.wallet.starts) == 1
    engine.run_for(90)
    assert till.attempt(attempt_id).state == "succeeded"
    assert till.paid() == BILL
    # One for the account's holder, one for who paid, and the paper.
    assert engine.effects == {"notice.send": 2, "document.receipt": 1}
    assert len(till.wallet.queries) == 2
    assert engine.pending() == []
    engine.run_for(30)
    assert engine.effects == {"notice.send": 2, "document.receipt": 1}
    till.check()


def test_a_callback_goes_through_the_settle_queue(engine: Engine) -> None:
    till = engine.till
    attempt_id = till.begin()
    engine.run_for(5)
    for _ in range(3):
        till.callback({"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500, "signed": True})
    engine.run_for(2)
    assert till.attempt(attempt_id).state == "succeeded"
    assert till.wallet.queries == []
    assert till.money() == [BILL.minor]
    assert engine.effects == {"notice.send": 2, "document.receipt": 1}


def test_a_worker_that_dies_in_the_call_costs_a_lease_and_no_second_request(engine: Engine) -> None:
    till = engine.till
    attempt_id = till.begin()
    till.wallet.to_start = deque([Killed()])
    till.wallet.to_query = deque([Paid("TX1", BILL)])
    till.clock.advance(seconds=3)
    with pytest.raises(Killed):
        engine.dispatcher().once()
    engine.run_for(280, step=10)
    assert till.attempt(attempt_id).state == "submitting"
    engine.run_for(60, step=5)
    assert till.attempt(attempt_id).state == "succeeded"
    assert len(till.wallet.starts) == 1
    assert till.money() == [BILL.minor]
    assert engine.pending() == []


def test_a_queue_that_loses_every_job_costs_delay_only(engine: Engine) -> None:
    till = engine.till
    till.wallet.to_start = deque([Accepted("REF")])
    till.wallet.to_query = deque([Paid("TX1", BILL)])
    attempt_id = till.begin()
    lost = Kept()
    engine.run_for(10, executor=lost)
    assert [queue for queue, _ in lost.jobs] == ["push"]
    engine.run_for(400, step=20)
    assert till.attempt(attempt_id).state == "succeeded"
    # The lost job turns up at last: its token is worth nothing any more.
    for _, rows in lost.jobs:
        engine.runner.run({row.id: row.token for row in rows})
    assert len(till.wallet.starts) == 1
    assert engine.effects == {"notice.send": 2, "document.receipt": 1}


def test_a_queue_that_is_away_gets_its_rows_back_and_lets_the_dispatcher_rest(engine: Engine) -> None:
    till = engine.till
    till.begin()
    till.clock.advance(seconds=3)
    away = Away()
    dispatcher = engine.dispatcher(away)
    assert dispatcher.once() == 0, "counted as work, it would spin"
    assert away.asked == 1
    assert dispatcher.once() == 0
    with till.db.read() as session:
        (row,) = session.scalars(select(OutboxRow).where(OutboxRow.kind == "attempt.push"))
        assert (row.attempts, row.lease_token, row.state) == (0, None, "pending")
    engine.run_for(1)
    assert len(till.wallet.starts) == 1


def test_no_more_is_handed_out_than_a_queue_can_hold(engine: Engine) -> None:
    till = engine.till
    for n in range(IN_HAND_MAX["push"] + 5):
        till.begin(payer_phone=f"+24381{n:07d}", amount=francs(500))
    till.clock.advance(seconds=3)
    kept = Kept()
    dispatcher = engine.dispatcher(kept)
    assert dispatcher.once() == IN_HAND_MAX["push"]
    assert dispatcher.once() == 0
    assert all(len(rows) == 1 for _, rows in kept.jobs), "a wallet call never shares a job"


def test_an_idle_dispatcher_takes_no_lock(engine: Engine) -> None:
    """On SQLite a writer elsewhere would make every idle round fail."""
    impatient = Database(str(engine.till.db.url), busy_timeout_s=0.05)
    with engine.till.db.begin() as session:
        session.execute(select(OutboxRow.id))
        dispatcher = Dispatcher(impatient, engine.till.clock, Kept(), engine.till.payments, engine.schedule)
        assert dispatcher.once() == 0
    impatient.dispose()


def test_chores_are_done_every_few_seconds(engine: Engine) -> None:
    done: list[int] = []
    dispatcher = engine.dispatcher()
    dispatcher.chores = (lambda: done.append(1),)
    for _ in range(5):
        dispatcher.once()
        engine.till.clock.advance(seconds=1)
    assert len(done) == 3


def test_an_error_costs_a_pause_never_the_process(engine: Engine) -> None:
    stop = threading.Event()
    rounds: list[int] = []

    def chore() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise NotRecorded("busy")
        if len(rounds) == 2:
            raise RuntimeError("a bug")
        stop.set()

    dispatcher = engine.dispatcher()
    dispatcher.chores, dispatcher.chore_every_s = (chore,), 0.0
    dispatcher.run(stop)
    assert len(rounds) == 3


def test_rows_of_one_kind_share_a_job_where_the_kind_allows() -> None:
    def row(n: int, kind: str) -> Leased:
        return Leased(n, kind, "q", "t", {}, 1, BEGINNING)

    rows = [row(n, "notice.send") for n in range(45)] + [row(n, "attempt.push") for n in range(100, 103)]
    assert sorted(len(batch) for batch in batches(rows)) == [1, 1, 1, 5, 20, 20]


def test_two_dispatchers_hand_out_each_row_once(any_db: Database, clock: FixedClock) -> None:
    till = Till(any_db, clock)
    engine = Engine(till)
    till.wallet.to_start = deque([Unknown("timeout")])
    attempts = [till.begin(payer_phone=f"+24381{n:07d}", amount=francs(500)) for n in range(20)]
    clock.advance(seconds=3)
    together = threading.Barrier(2)

    def dispatch(_: int) -> None:
        dispatcher = engine.dispatcher()
        together.wait()
        while engine.pending():
            try:
                dispatcher.once()
            except NotRecorded:
                continue

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(dispatch, range(2)))
    assert Counter(start.attempt_id for start in till.wallet.starts) == Counter(attempts)
