"""Debts given up: what is open of an invoice is no longer asked for, and nobody is cut for it."""

from __future__ import annotations

from core.billing.tables import InvoiceRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.services.credit_notes import locked_invoice
from core.settlement import post
from core.settlement.events import WrittenOff


class WriteOffs:
    """Owns its transactions. `by` is a staff login."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def write_off(self, invoice_id: int, *, seen: Money, reason: str, by: str) -> Money:
        """Give up all that is open of a sent invoice; how much that was.

        `seen`: what was open when the person decided. Raises StateConflict when something else is open by now, nothing
        is, or the invoice was not sent.
        """
        if not reason.strip():
            raise StateConflict("a write-off says why")
        with self._db.begin() as session:
            invoice, contract = locked_invoice(session, invoice_id)
            if invoice.state != "sent":
                raise StateConflict(f"invoice {invoice.number} is {invoice.state}, not sent")
            still_open = _open(invoice)
            if not still_open or still_open != seen:
                raise StateConflict(f"{still_open} of invoice {invoice.number} is open, not {seen}")
            post(
                session,
                WrittenOff(
                    # What was paid before makes the key one of this state of the invoice: a second time is a new event.
                    key=f"written_off:{invoice.id}:{invoice.cycle}:{invoice.paid_minor}",
                    actor=by,
                    memo=reason.strip(),
                    invoice_id=invoice.id,
                    contract_id=contract.id,
                    amount=still_open,
                ),
                clock=self._clock,
            )
            return still_open


def _open(invoice: InvoiceRow) -> Money:
    return Money(invoice.total_minor - invoice.paid_minor, invoice.currency)
