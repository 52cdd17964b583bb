"""Wallet requests, questions, and callbacks."""

from __future__ import annotations

from collections.abc import Callable

from core.outbox import Leased, Outcome
from core.services.payments import Payments


def handlers(payments: Payments) -> dict[str, Callable[[Leased], Outcome]]:
    """Queue `push`: one wallet call a row, up to 120 s each. Queue `settle`: callbacks. Running twice is harmless."""

    def push(row: Leased) -> Outcome:
        return payments.push(str(row.body["attempt_id"]))

    def query(row: Leased) -> Outcome:
        return payments.query(str(row.body["attempt_id"]), by=str(row.body.get("by", "query")))

    def settle(row: Leased) -> Outcome:
        return payments.settle(int(row.body["callback_id"]))

    return {"attempt.push": push, "attempt.query": query, "callback.settle": settle}
