"""The queue `bulk`, documents: one PDF a row."""

from __future__ import annotations

from collections.abc import Callable

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, Outcome, Retry
from core.services.documents import DocumentKind, Documents

# A full disk or a busy database mends itself within minutes, or a person does.
_RETRY_S = 30


def handlers(documents: Documents) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice is harmless."""

    def making(kind: DocumentKind, field: str) -> Callable[[Leased], Outcome]:
        def make(row: Leased) -> Outcome:
            subject = row.body.get(field)
            if not isinstance(subject, str | int) or not subject:
                return Dead(f"no {field} in the row")
            try:
                made = documents.make(kind, str(subject))
                if made is None and documents.pdf(kind, str(subject)) is not None:
                    return Done("a draft: drawn whenever it is asked for, and not kept")
            except (NotRecorded, OSError) as error:
                return Retry(_RETRY_S, f"{type(error).__name__}: {error}"[:200])
            return Dead(f"there is no {kind} to make") if made is None else Done(made.storage_key)

        return make

    return {
        "document.receipt": making("receipt", "payment_id"),
        "document.invoice": making("invoice", "invoice_id"),
        "document.payslip": making("payslip", "payslip_id"),
    }
