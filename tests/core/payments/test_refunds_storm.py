"""Random lives of refunds, people, workers and operator taking turns: what was paid out is what the books say."""

from __future__ import annotations

import random
from collections import Counter as Tally
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.model import Account
from core.payments.answers import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RefundAnswer,
    RefundQueryAnswer,
    Unknown,
    WalletRefund,
)
from core.payments.refund_model import RefundRefused
from core.payments.refund_rules import OPEN, contradicted
from core.payments.tables import PaymentRow, RefundRow
from core.settlement import events as e
from tests.core.payments.scripted import Killed
from tests.core.payments.test_refunds import CHECKER, Counter
from tests.core.settlement.books import francs


@dataclass
class Operator:
    """Pays a refund out at most once, and tells about it as it pleases. `paid`: the truth."""

    chance: random.Random
    asked: Tally[str] = field(default_factory=Tally)
    paid: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def refund(self, wanted: WalletRefund) -> RefundAnswer:
        roll = self.chance.random()
        if roll < 0.2:
            return NotAccepted("busy") if roll < 0.1 else NotAccepted("no_connection", posted=False)
        self.asked[wanted.refund_id] += 1
        if roll < 0.3:
            raise Killed
        if roll < 0.45:
            self.refused.add(wanted.refund_id)
            return Failed("other", "no")
        if roll < 0.85:
            self.paid[wanted.refund_id] = wanted.amount.minor
        return self.chance.choice([Accepted("R"), Unknown("timeout"), Unknown("500")])

    def query(self, wanted: WalletRefund) -> RefundQueryAnswer:
        if self.chance.random() < 0.4:
            return self.chance.choice([Unknown("timeout"), Pending()])
        if wanted.refund_id in self.paid:
            return Paid(f"T{wanted.refund_id}", Money(self.paid[wanted.refund_id], "CDF"))
        if wanted.refund_id in self.refused and self.chance.random() < 0.2:
            # It said no, and pays after all.
            self.paid[wanted.refund_id] = wanted.amount.minor
        return Failed("other", "no") if wanted.refund_id in self.refused else NotFound()


class Storm:
    def __init__(self, db: Database, clock: FixedClock, seed: int) -> None:
        self.chance = random.Random(seed)
        self.counter = Counter(db, clock)
        self.operator = Operator(self.chance)
        self.counter.wallet.refund = self.operator.refund  # type: ignore[method-assign]
        self.counter.wallet.query_refund = self.operator.query  # type: ignore[method-assign]
        self.came = deque([self.counter.payment_id])
        self.order: list[str] = []

    def step(self) -> None:
        c, refunds = self.counter, self.rows()
        some = self.chance.choice(refunds).id if refunds else ""
        match self.chance.randrange(12):
            case 0:
                self.came.append(c.books.pay(c.contract_id, francs(self.chance.randint(1, 400))))
            case 1:
                self.came.append(c.unplaced(self.chance.randint(1, 400)))
            case 2 if self.chance.random() < 0.3:
                c.books.invoice(c.contract_id, francs(self.chance.randint(1, 150)))
            case 3:
                one = self.chance.choice(list(self.came))
                taken = e.OperatorReversed(key=f"r:{one}", payment_id=one, contract_id=self.payment(one).contract_id)
                self.try_it(lambda: c.books.post(taken), 0.1)
            case 4 | 5:
                wanted, of = self.chance.randint(1, 90), self.chance.choice(list(self.came))
                self.try_it(lambda: self.order.append(c.request(wanted, of)))
            case 6 | 7:
                approve = self.chance.random() < 0.85
                for row in refunds:
                    if row.state == "requested":
                        self.try_it(lambda row=row: c.refunds.decide(row.id, approve=approve, note="", by=CHECKER))
            case 8 | 9:
                for row in refunds:
                    self.try_it(lambda row=row: c.refunds.push(row.id))
            case 10:
                self.try_it(lambda: c.refunds.query(some))
            case _:
                c.clock.advance(minutes=self.chance.choice([1, 20, 600]))
                self.try_it(c.refunds.stage_due_queries)

    def try_it(self, act: object, chance: float = 1.0) -> None:
        if self.chance.random() < chance:
            with suppress(RefundRefused, StateConflict, Killed):
                act()  # type: ignore[operator]

    def rows(self) -> list[RefundRow]:
        with self.counter.db.read() as session:
            return sorted(session.scalars(select(RefundRow)), key=lambda row: self.order.index(row.id))

    def payment(self, payment_id: str) -> PaymentRow:
        with self.counter.db.read() as session:
            return session.get_one(PaymentRow, payment_id)

    def check(self) -> None:
        """After each step: the books hold, nothing is given back twice, and each state has its money."""
        c, rows = self.counter, self.rows()
        c.books.check()
        owed = sum(r.amount_minor for r in rows if r.state in OPEN and r.state != "requested")
        assert c.books.balance(Account("refund_payable")) == Money(-owed, "CDF")
        for one in self.came:
            counted = sum(r.amount_minor for r in rows if r.payment_id == one and r.state in {*OPEN, "paid"})
            assert self.payment(one).refunded_minor == counted
        for r in rows:
            if r.state == "paid":
                assert self.operator.paid[r.id] == r.amount_minor
            assert r.state not in ("requested", "rejected") or self.operator.asked[r.id] == 0
        # Requests that were turned away are not counted: of all others there is one.
        assert all(times == 1 for times in self.operator.asked.values())

    def left_with_its_payment(self, row: RefundRow) -> bool:
        """Paid late, after the operator had taken the payment back: the money left the books with that, once."""
        taken_back = self.payment(row.payment_id).reversed_at is not None
        return row.state == "failed" and row.id in self.operator.paid and taken_back

    def end(self) -> None:
        """Everybody is asked until everything is known; then the operator's truth is ours."""
        self.counter.clock.advance(minutes=20)
        for _ in range(60):
            open_ones = [row for row in self.rows() if row.state in OPEN and row.state != "requested"]
            known = {row.id for row in self.rows() if row.state == "paid" or self.left_with_its_payment(row)}
            at_odds = [row for row in self.rows() if contradicted(row.state, row.code)]
            if not open_ones and not at_odds and known == set(self.operator.paid):
                break
            for row in self.rows():
                if row.state == "needs_attention" or contradicted(row.state, row.code):
                    # A person telephones, and is told the truth.
                    paid = row.id in self.operator.paid
                    self.counter.refunds.conclude(row.id, paid=paid, note="by phone", by=CHECKER)
                self.try_it(lambda row=row: self.counter.refunds.push(row.id))
                self.try_it(lambda row=row: self.counter.refunds.query(row.id, by="console"))
            self.counter.clock.advance(hours=2)
        self.check()
        assert not open_ones
        waiting = self.counter.refunds.listed(open_only=True)
        assert {view.state for view in waiting} <= {"requested"}
        assert known == set(self.operator.paid)
        assert len(known) >= 3, "a storm in which little was paid proves little"


@pytest.mark.parametrize("seed", range(5))
def test_a_storm(db: Database, clock: FixedClock, seed: int) -> None:
    storm = Storm(db, clock, seed)
    for _ in range(120):
        storm.step()
        storm.check()
    storm.end()


def test_a_storm_on_either_database(any_db: Database, clock: FixedClock) -> None:
    storm = Storm(any_db, clock, 7)
    for _ in range(120):
        storm.step()
    storm.check()
    storm.end()
