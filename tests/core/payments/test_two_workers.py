"""Two workers and one callback at the same instant: one payment, one receipt, whoever is first."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.payments.ports import Accepted, Paid, WalletAttempt
from core.payments.tables import PaymentRow
from core.services.payments import Payments
from tests.core.payments.scripted import BILL, ScriptedWallet, Sessions, Till
from tests.core.settlement.books import francs

ROUNDS = 200
AMOUNT = francs(500)


class Meeting(ScriptedWallet):
    """Holds each question until the other worker asks too, so that both apply the same answer at once.

    A worker that found nothing to ask any more holds nobody up: that is an order of events too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._here: set[int] = set()

    def apart(self) -> None:
        """Before each round."""
        self._here = set()

    def is_here(self, *, until_both: bool = False) -> None:
        """The calling thread asks, or is done."""
        with self._changed:
            here = self._here
            here.add(threading.get_ident())
            self._changed.notify_all()
            if until_both:
                assert self._changed.wait_for(lambda: len(here) == 2, timeout=60)

    def query(self, attempt: WalletAttempt) -> Paid:
        self.is_here(until_both=True)
        return Paid(f"TX{attempt.attempt_id[:8]}", Money(attempt.amount.minor, attempt.amount.currency))


def test_two_workers_and_one_callback_at_the_same_instant(any_db: Database, clock: FixedClock) -> None:
    till = Till(any_db, clock)
    meeting = Meeting()
    workers = [
        Payments(any_db, clock, {"vodacom": meeting}, {"mpesa": ("vodacom",)}, Sessions(), query_scale=1.0)
        for _ in range(2)
    ]
    asked: list[tuple[str, int]] = []
    both_ready = threading.Barrier(2)

    def settle(worker: Payments, callback_id: int) -> None:
        # Two threads of the pool, not twice the same one.
        both_ready.wait(timeout=60)
        worker.settle(callback_id)
        meeting.is_here()

    for number in range(ROUNDS):
        till.wallet.to_start = deque([Accepted(f"REF{number}")])
        attempt_id = till.submitted(payer_phone=f"+24381{number:07d}", amount=AMOUNT)
        asked.append((attempt_id, till.callback({"ref": f"REF{number}", "paid": f"TX{attempt_id[:8]}"})))
    with ThreadPoolExecutor(2) as pool:
        for attempt_id, callback_id in asked:
            meeting.apart()
            both = [pool.submit(settle, worker, callback_id) for worker in workers]
            for done in both:
                done.result(timeout=60)
            assert till.attempt(attempt_id).state == "succeeded"
    payments = till.rows(PaymentRow)
    assert sorted(payment.attempt_id for payment in payments) == sorted(attempt_id for attempt_id, _ in asked)
    assert till.money() == [AMOUNT.minor] * ROUNDS
    assert all(till.callback_row(callback_id).state in ("done", "duplicate") for _, callback_id in asked)
    assert till.paid() == BILL, "the rest is credit"
    receipts = till.notices("payment.receipt_payer")
    assert len(receipts) == ROUNDS
    till.check()
