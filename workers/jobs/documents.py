"""The queue `bulk`, documents: one receipt a row."""

from __future__ import annotations

from collections.abc import Callable

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, Outcome, Retry
from core.services.documents import Documents

# A full disk or a busy database mends itself within minutes, or a person does.
_RETRY_S = 30


def handlers(documents: Documents) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice is harmless."""

    def receipt(row: Leased) -> Outcome:
        payment_id = row.body.get("payment_id")
        if not isinstance(payment_id, str):
            return Dead("no payment_id in the row")
        try:
            made = documents.make_receipt(payment_id)
        except (NotRecorded, OSError) as error:
            return Retry(_RETRY_S, f"{type(error).__name__}: {error}"[:200])
        if made is None:
            return Dead("no such payment, or it is not placed")
        return Done(made.storage_key)

    return {"document.receipt": receipt}
