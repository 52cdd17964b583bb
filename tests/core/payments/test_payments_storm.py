"""An operator with its own books, and everything between it and us breaking at random. Whatever happens: it is asked
for money once, and what it charged is booked once."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from core.outbox import Done
from core.payments.ports import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    StartAnswer,
    Unknown,
    WalletAttempt,
)
from core.payments.tables import AttemptRow
from tests.core.payments.scripted import BILL, Killed, ScriptedWallet, Till

Fate = Literal["taken", "taken, answer lost", "taken, killed", "killed before", "busy", "no connection", "paid at once"]
Step = tuple[str, object]


class Operator(ScriptedWallet):
    """Keeps its own ledger. `fate` says what becomes of the next request, `deaf` whether questions are answered."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, str] = {}
        self.fate: Fate = "taken"
        self.deaf = False

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        if self.fate in ("killed before", "busy", "no connection"):
            if self.fate == "killed before":
                raise Killed
            return NotAccepted(self.fate, posted=self.fate == "busy")
        assert attempt.attempt_id not in self.known, "asked for the same money twice"
        self.known[attempt.attempt_id] = "paid" if self.fate == "paid at once" else "waiting"
        if self.fate == "taken, killed":
            raise Killed
        if self.fate == "taken, answer lost":
            return Unknown("timeout")
        return self._paid(attempt.attempt_id) if self.fate == "paid at once" else Accepted(f"R{attempt.own_ref}")

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        if self.deaf:
            return Unknown("503")
        truth = self.known.get(attempt.attempt_id)
        if truth is None:
            return NotFound()
        if truth == "paid":
            return self._paid(attempt.attempt_id)
        return Failed("cancelled", "17") if truth == "declined" else Pending()

    def _paid(self, attempt_id: str) -> Paid:
        return Paid(f"TX-{attempt_id}", BILL)

    def decide(self, paid: bool) -> None:
        """The customer types her PIN, or not, on the oldest prompt."""
        waiting = next((key for key, truth in self.known.items() if truth == "waiting"), None)
        if waiting is not None:
            self.known[waiting] = "paid" if paid else "declined"

    def charged(self) -> list[str]:
        return sorted(key for key, truth in self.known.items() if truth == "paid")


FATES = st.sampled_from(
    ["taken", "taken, answer lost", "taken, killed", "killed before", "busy", "no connection", "paid at once"]
)
ASK = st.tuples(st.just("begin"), st.none())
PUSH = st.tuples(st.just("push"), FATES)
STEPS: st.SearchStrategy[Step] = st.one_of(
    ASK,
    PUSH,
    PUSH,
    st.tuples(st.just("decide"), st.booleans()),
    st.tuples(st.just("question"), st.booleans()),
    st.tuples(st.just("callback"), st.booleans()),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([5, 60, 200, 4000])),
)
# Without a beginning that reaches the operator nothing can go wrong.
STORIES = st.tuples(ASK, PUSH, st.lists(STEPS, min_size=5, max_size=20)).map(lambda story: [*story[:2], *story[2]])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A till's database before anything happened, copied for each example."""
    path = tmp_path_factory.mktemp("storm") / "till.db"
    database = Database(f"sqlite:///{path}")
    metadata.create_all(database.engine)
    database.dispose()
    return path


def storm(till: Till, operator: Operator, steps: list[Step]) -> None:
    for what, how in steps:
        attempts = [row.id for row in till.rows(AttemptRow)]
        last = attempts[-1] if attempts else None
        if what == "begin":
            till.try_begin()
        elif what == "wait":
            till.clock.advance(seconds=float(str(how)))
        elif what == "decide":
            operator.decide(bool(how))
        elif last is not None and what == "push":
            operator.fate = how  # type: ignore[assignment]
            # Any attempt's errand may come again, in any order.
            for attempt_id in reversed(attempts):
                with suppress(Killed):
                    till.payments.push(attempt_id)
        elif last is not None and what == "question":
            operator.deaf = bool(how)
            till.payments.query(last)
        elif last is not None and what == "callback":
            signed = {"status": "paid", "txn": f"TX-{last}", "amount": 28_500, "signed": True}
            truth = operator.known.get(last) == "paid"
            till.settle({"attempt": last} | (signed if how and truth else {}))
        elif last is not None and what == "cancel":
            till.payments.cancel(last, "customer")


def heal(till: Till, operator: Operator) -> None:
    """Everything works again; errands come until nothing is open and nobody asks any more."""
    operator.deaf, operator.fate = False, "taken"
    for _ in range(6):
        for row in till.rows(AttemptRow):
            till.payments.push(row.id)
        operator.decide(True)
    for _ in range(80):
        due = [row for row in till.rows(AttemptRow) if row.next_query_at is not None]
        if not due:
            return
        till.clock.advance(
            seconds=max(0.0, (min(r.next_query_at for r in due) - till.clock.real_now()).total_seconds())
        )
        till.payments.stage_due_queries()
        for row in due:
            till.payments.query(row.id)
    raise AssertionError("it never comes to rest")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STORIES)
def test_charged_once_booked_once(template: Path, tmp_path: Path, steps: list[Step]) -> None:
    path = tmp_path / "storm.db"
    for old in tmp_path.glob("storm.db*"):
        old.unlink()
    shutil.copyfile(template, path)
    db = Database(f"sqlite:///{path}")
    operator = Operator()
    till = Till(db, FixedClock(datetime(2026, 3, 10, 8, 0, tzinfo=UTC)), wallet=operator)
    try:
        storm(till, operator, steps)
        till.check()
        heal(till, operator)
        till.check()
        ends = {row.id: row for row in till.rows(AttemptRow)}
        assert not any(row.is_open for row in ends.values())
        assert sorted(key for key, row in ends.items() if row.state == "succeeded") == operator.charged()
        assert till.money() == [BILL.minor] * len(operator.charged())
        assert not any(row.flag for row in ends.values())
        assert all(till.payments.push(key) == Done(f"already {row.state}") for key, row in ends.items())
    finally:
        db.dispose()
