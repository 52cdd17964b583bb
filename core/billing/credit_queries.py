"""What of an invoice a credit note may still give back."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.billing.run_tables import CreditNoteRow
from core.billing.tables import InvoiceRow
from core.kernel.money import Money
from core.ledger.tables import AccountRow, TransferRow


def left_to_credit(session: Session, invoice: InvoiceRow) -> Money:
    """What no credit note has given back yet, and nobody gave up: what was never paid cannot be given back."""
    credited = session.scalar(
        select(func.coalesce(func.sum(CreditNoteRow.amount_minor), 0)).where(CreditNoteRow.invoice_id == invoice.id)
    )
    given_up = session.scalar(
        select(func.coalesce(func.sum(TransferRow.amount_minor), 0))
        .join(AccountRow, AccountRow.id == TransferRow.debit_account_id)
        .where(TransferRow.invoice_id == invoice.id, AccountRow.code == "write_off")
    )
    return Money(invoice.total_minor - int(credited or 0) - int(given_up or 0), invoice.currency)
