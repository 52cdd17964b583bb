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
    """Holds each question until the other worker asks too, so that both apply the same answer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.together = threading.Barrier(2)

    def query(self, attempt: WalletAttempt) -> Paid:
        try:
            self.together.wait(timeout=2)
        except threading.BrokenBarrierError:
            # The other one found nothing to ask any more: that is an order of events too.
            self.together.reset()
        return Paid(f"TX{attempt.attempt_id[:8]}", Money(attempt.amount.minor, attempt.amount.currency))


def test_two_workers_and_one_callback_at_the_same_instant(any_db: Database, clock: FixedClock) -> None:
    till = Till(any_db, clock)
    meeting = Meeting()
    workers = [
        Payments(any_db, clock, {"vodacom": meeting}, {"mpesa": ("vodacom",)}, Sessions(), query_scale=1.0)
        for _ in range(2)
    ]
    asked: list[tuple[str, int]] = []
    for number in range(ROUNDS):
        till.wallet.to_start = deque([Accepted(f"REF{number}")])
        attempt_id = till.submitted(payer_phone=f"+24381{number:07d}", amount=AMOUNT)
        asked.append((attempt_id, till.callback({"ref": f"REF{number}", "paid": f"TX{attempt_id[:8]}"})))
    with ThreadPoolExecutor(2) as pool:
        for attempt_id, callback_id in asked:
            both = [pool.submit(worker.settle, callback_id) for worker in workers]
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
