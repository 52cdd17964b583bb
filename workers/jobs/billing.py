"""The queue `bulk`, billing: one part of an order a row. The row is handed out again until the order has ended."""

from __future__ import annotations

from collections.abc import Callable

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Leased, Outcome, Retry
from core.services.billing_orders import KIND, BillingOrders

_BUSY_AGAIN_S = 5.0


def handlers(orders: BillingOrders) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice bills nothing twice."""

    def carry_on(row: Leased) -> Outcome:
        order_id = row.body.get("order_id")
        if not isinstance(order_id, int):
            return Dead("no order_id in the row")
        try:
            return orders.carry_on(order_id)
        except NotRecorded as error:
            return Retry(_BUSY_AGAIN_S, str(error), counts=False)

    return {KIND: carry_on}
