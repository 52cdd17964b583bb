"""An invoice's PDF for whoever asks from outside: have it made, follow the job, get it."""

from __future__ import annotations

from typing import Protocol

from core import outbox
from core.billing.tables import InvoiceRow
from core.db import Database
from core.kernel.clock import Clock
from core.services.register import Record, Register

KIND = "document.invoice"


class InvoicePdfs(Protocol):
    def invoice_pdf(self, invoice_id: int) -> bytes | None:
        """None: there is no such invoice, or nothing can be made of it."""
        ...

    def credit_note_pdf(self, number: str) -> bytes | None:
        """None: nobody wrote a credit note of this number."""
        ...


class InvoicePapers:
    """`pdfs`: `Documents`, which makes each document once."""

    def __init__(self, db: Database, clock: Clock, register: Register, pdfs: InvoicePdfs) -> None:
        self._db = db
        self._clock = clock
        self._register = register
        self._pdfs = pdfs

    def request(self, invoice_id: int) -> Record | None:
        """Stage the making of the PDF, once; gives the job. None: there is no such invoice. Raises NotRecorded.

        Asked for again while it waits, it is the same job; after its end it is taken up anew.
        """
        key = f"document.invoice:{invoice_id}"
        with self._db.begin() as session:
            if session.get(InvoiceRow, invoice_id, with_for_update={"key_share": True}) is None:
                return None
            outbox.stage_again(session, kind=KIND, key=key, body={"invoice_id": invoice_id}, clock=self._clock)
        return self._register.job_of(key)

    def pdf(self, invoice_id: int) -> bytes | None:
        """The PDF, made now if it is not there yet. None: there is no such invoice."""
        return self._pdfs.invoice_pdf(invoice_id)

    def credit_note(self, number: str) -> bytes | None:
        """The paper of a credit note, made now if it is not there yet. None: there is no such note."""
        return self._pdfs.credit_note_pdf(number)
