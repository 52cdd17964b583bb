"""Refunds on their way out, and questions about them."""

from __future__ import annotations

from collections.abc import Callable

from core.outbox import Leased, Outcome
from core.services.refunds import Refunds


def handlers(refunds: Refunds) -> dict[str, Callable[[Leased], Outcome]]:
    """Queue `push`: one wallet call a row. Running twice is harmless."""

    def push(row: Leased) -> Outcome:
        return refunds.push(str(row.body["refund_id"]))

    def query(row: Leased) -> Outcome:
        return refunds.query(str(row.body["refund_id"]), by=str(row.body.get("by", "query")))

    return {"refund.push": push, "refund.query": query}
