"""No refund stays on nobody's list: whatever becomes of its errands, of the wallet, of the operator."""

from __future__ import annotations

from collections import deque
from datetime import timedelta

import pytest
from sqlalchemy import update

from core.db import Database
from core.kernel.clock import FixedClock
from core.outbox import Done, OutboxRow, Retry
from core.payments.answers import Accepted, NotAccepted, Paid, Pending, Unknown
from core.payments.tables import CircuitRow, RefundRow
from core.services.refunds import Refunds
from tests.core.payments.scripted import Killed
from tests.core.payments.test_refunds import CHECKER, Counter
from tests.core.settlement.books import francs


@pytest.fixture
def counter(any_db: Database, clock: FixedClock) -> Counter:
    return Counter(any_db, clock)


def all_errands_die(c: Counter) -> None:
    with c.db.begin() as session:
        session.execute(update(OutboxRow).values(state="dead"))


def left_alone_for(c: Counter, days: int) -> None:
    now = c.clock.real_now()
    with c.db.begin() as session:
        session.merge(
            CircuitRow(
                wallet="vodacom", failures=5, trips=9, open_until=now + timedelta(days=days), changed_at=now, why="cut"
            )
        )


def shown(c: Counter, refund_id: str) -> tuple[str, str | None]:
    view = c.refunds.one(refund_id)
    assert view is not None
    return view.state, view.code


def test_one_that_never_left_fails_and_its_money_goes_back(counter: Counter) -> None:
    c = counter
    refund_id = c.approved()
    left_alone_for(c, days=9)
    assert isinstance(c.refunds.push(refund_id), Retry)
    c.clock.advance(hours=20)
    assert c.refunds.rescue_stuck() == 0
    c.clock.advance(days=2)
    assert isinstance(c.refunds.push(refund_id), Retry), "its own errand would wait for ever"
    assert c.refunds.rescue_stuck() == 1
    assert shown(c, refund_id) == ("failed", "could_not_leave")
    assert (c.held()["credit"], c.held()["payable"], c.refunded()) == (500, 0, 0)
    assert c.refunds.rescue_stuck() == 0
    assert c.refunds.push(refund_id) == Done("already failed")
    assert c.wallet.refunds == []


def test_one_that_was_turned_away_never_left_either(counter: Counter) -> None:
    c = counter
    refund_id = c.pushed(NotAccepted("busy"))
    assert c.state(refund_id) == "approved"
    all_errands_die(c)
    c.clock.advance(days=2)
    assert c.refunds.rescue_stuck() == 1
    assert (c.state(refund_id), c.held()["credit"]) == ("failed", 500)


def test_one_that_was_cut_off_while_asking_is_asked_about(counter: Counter) -> None:
    c = counter
    refund_id = c.approved()
    c.wallet.to_refund = deque([Killed(), Accepted()])
    with pytest.raises(Killed):
        c.refunds.push(refund_id)
    all_errands_die(c)
    c.clock.advance(minutes=10)
    assert c.refunds.rescue_stuck() == 0
    c.clock.advance(hours=1)
    assert c.refunds.rescue_stuck() == 1
    assert shown(c, refund_id) == ("unknown", "cut_off")
    assert c.refunds.stage_due_queries() == 1
    assert c.ask(refund_id, Paid("RTX")) == "paid"
    assert len(c.wallet.refunds) == 1


@pytest.mark.parametrize("answer", [Accepted("R"), Unknown("timeout")])
def test_one_whose_questions_die_is_a_persons_after_a_day(counter: Counter, answer: Accepted | Unknown) -> None:
    c = counter
    refund_id = c.pushed(answer)
    left_alone_for(c, days=9)
    for _ in range(12):
        c.clock.advance(hours=4)
        c.refunds.stage_due_queries()
        assert isinstance(c.refunds.query(refund_id), Retry)
        all_errands_die(c)
    assert c.refunds.rescue_stuck() == 1
    view = c.refunds.one(refund_id)
    assert view is not None
    assert (view.state, view.is_open, view.next_query_at) == ("needs_attention", True, None)
    assert c.held()["payable"] == 500
    c.refunds.conclude(refund_id, paid=True, note="by phone", by=CHECKER)
    assert c.held()["clearing"] == 0


def test_one_without_a_next_step_gets_one(counter: Counter) -> None:
    c = counter
    refund_id = c.pushed(Accepted())
    with c.db.begin() as session:
        session.execute(update(RefundRow).values(next_query_at=None))
    assert c.refunds.stage_due_queries() == 0
    assert c.refunds.rescue_stuck() == 1
    assert c.refunds.stage_due_queries() == 1
    assert c.ask(refund_id, Pending()) == "pending"
    assert c.refunds.rescue_stuck() == 0


def test_a_wallet_taken_out_of_the_configuration(counter: Counter) -> None:
    c = counter
    asked = c.pushed(Accepted(), units=100)
    c.refunds = Refunds(c.db, c.clock, {})
    for _ in range(20):
        c.refunds.stage_due_queries()
        assert c.refunds.query(asked) == Done("pending")
        c.clock.advance(hours=1)
    c.clock.advance(hours=5)
    assert c.refunds.query(asked) == Done("needs_attention")
    assert shown(c, asked) == ("needs_attention", "wallet_gone")
    # It comes back: a person may ask, and the answer counts.
    c.refunds = Refunds(c.db, c.clock, {"vodacom": c.wallet})
    assert c.ask(asked, Paid("RTX", francs(100)), by="console") == "paid"
    assert c.held()["clearing"] == 400


def test_one_that_waits_to_leave_by_a_wallet_that_is_gone_has_failed(counter: Counter) -> None:
    c = counter
    refund_id = c.approved()
    c.refunds = Refunds(c.db, c.clock, {})
    assert c.refunds.push(refund_id) == Done("wallet_cannot")
    assert (c.state(refund_id), c.held()["credit"]) == ("failed", 500)
