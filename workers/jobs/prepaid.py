"""Prepaid contracts: tokens (queue `settle`, one cause a row), and cases of accounts below zero (queue `bulk`)."""

from __future__ import annotations

from collections.abc import Callable

from core.outbox import Dead, Done, Leased, Outcome
from core.services.prepaid import Prepaid


def handlers(prepaid: Prepaid) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice issues nothing twice."""

    def token(row: Leased) -> Outcome:
        contract_id, cause = row.body.get("contract_id"), row.body.get("cause")
        if not isinstance(contract_id, int) or not isinstance(cause, str):
            return Dead("no contract_id or cause in the row")
        payment_id = row.body.get("payment_id")
        return prepaid.issue(contract_id, cause, payment_id if isinstance(payment_id, str) else None)

    def short(row: Leased) -> Outcome:
        return Done(prepaid.open_short_case(int(row.body["contract_id"]), str(row.body["payment_id"])))

    return {"prepaid.token": token, "prepaid.short": short}
