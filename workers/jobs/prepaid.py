"""Tokens of prepaid contracts: queue `settle`, one cause a row."""

from __future__ import annotations

from collections.abc import Callable

from core.outbox import Dead, Leased, Outcome
from core.services.prepaid import Prepaid


def handlers(prepaid: Prepaid) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice issues nothing twice."""

    def token(row: Leased) -> Outcome:
        contract_id, cause = row.body.get("contract_id"), row.body.get("cause")
        if not isinstance(contract_id, int) or not isinstance(cause, str):
            return Dead("no contract_id or cause in the row")
        payment_id = row.body.get("payment_id")
        return prepaid.issue(contract_id, cause, payment_id if isinstance(payment_id, str) else None)

    return {"prepaid.token": token}
