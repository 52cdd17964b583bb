"""What monitoring reads: figures of the books, at the moment it asks."""

from __future__ import annotations

from collections import deque

from core.db import Database
from core.kernel.clock import FixedClock
from core.payments.ports import Accepted, BillPayment, Paid, Unknown
from mwolo.metrics import Metrics
from tests.core.payments.scripted import BILL, Till
from tests.core.settlement.books import francs


def shown(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_figures_of_the_money(db: Database, clock: FixedClock) -> None:
    till = Till(db, clock)
    metrics = Metrics(db, clock)
    attempt_id = till.submitted(Accepted("REF"))
    clock.advance(seconds=90)
    waiting = till.submitted(Accepted("REF2"), payer_phone="+243815559999")
    assert shown(metrics)['mwolo_attempts_oldest_open_seconds{wallet="vodacom"}'] == 90
    till.ask(attempt_id, Paid("T1", BILL))
    till.payments.book_bill("vodacom", BillPayment("T2", francs(900), "nobody"))
    till.wallet.to_query = deque([Unknown("503")])
    for _ in range(5):
        till.payments.query(waiting, by="callback")
    seen = shown(metrics)
    assert seen['mwolo_payments{found_by="query",wallet="vodacom"}'] == 1
    assert seen['mwolo_payments{found_by="bill",wallet="vodacom"}'] == 1
    assert seen['mwolo_suspense_payments{currency="CDF",wallet="vodacom"}'] == 1
    assert seen['mwolo_attempts_oldest_open_seconds{wallet="vodacom"}'] == 0
    assert seen['mwolo_wallet_left_alone{wallet="vodacom"}'] == 1
    clock.advance(minutes=1)
    assert shown(metrics)['mwolo_wallet_left_alone{wallet="vodacom"}'] == 0


def test_a_door_counts_its_outcomes(db: Database, clock: FixedClock) -> None:
    metrics = Metrics(db, clock)
    count = metrics.counter("hooks")
    count("stored")
    count("stored")
    assert shown(metrics)['mwolo_requests_total{door="hooks",outcome="stored"}'] == 2
