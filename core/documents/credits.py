"""What a credit note is made of."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.run_tables import CreditNoteRow
from core.billing.tables import InvoiceLineRow, InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, SiteRow
from core.documents.bills import office_of
from core.documents.credit_note import CreditNoteFacts
from core.kernel.money import Money
from core.ledger.tables import JournalRow, TransferRow

# The part that is no levy, in the key under which it was posted.
_NET = "net"


def load_credit_note(session: Session, number: str, *, utility: str) -> tuple[CreditNoteFacts, str] | None:
    """(the facts, the customer's language); None when nobody wrote a note of this number."""
    note = session.scalar(select(CreditNoteRow).where(CreditNoteRow.number == number))
    if note is None:
        return None
    invoice = session.get_one(InvoiceRow, note.invoice_id)
    contract = session.get_one(ContractRow, invoice.contract_id)
    customer = session.get_one(CustomerRow, contract.customer_id)
    site = session.get_one(SiteRow, contract.site_id)
    levies = _levies(session, note, invoice)
    facts = CreditNoteFacts(
        utility=utility,
        number=note.number,
        issued_on=note.issued_on,
        name=customer.name,
        address=[part for part in (site.address, site.commune, site.city) if part],
        account=contract.account_number,
        bill=invoice.number,
        period=invoice.period,
        bill_total=Money(invoice.total_minor, invoice.currency),
        net=Money(note.amount_minor - sum(amount.minor for _, amount in levies), note.currency),
        levies=levies,
        reason=note.reason,
        office=office_of(session.get_one(AgencyRow, site.agency_id)),
    )
    return facts, customer.language


def _levies(session: Session, note: CreditNoteRow, invoice: InvoiceRow) -> list[tuple[str, Money]]:
    """What is given back of each levy, by the name it has on the bill. The ledger knows it by the note's number."""
    start = f"credit:{note.number}:"
    rows = session.execute(
        select(JournalRow.key, TransferRow.amount_minor)
        .join(TransferRow, TransferRow.journal_id == JournalRow.id)
        .where(JournalRow.key.startswith(start, autoescape=True))
        .order_by(JournalRow.key)
    )
    given: dict[str, int] = {}
    for key, minor in rows:
        levy = key.removeprefix(start)
        if levy != _NET:
            given[levy] = given.get(levy, 0) + minor
    lines = session.execute(
        select(InvoiceLineRow.levy, InvoiceLineRow.label)
        .where(InvoiceLineRow.invoice_id == invoice.id, InvoiceLineRow.levy.is_not(None))
        .order_by(InvoiceLineRow.position.desc())
    )
    names: dict[str | None, str] = {row.levy: row.label for row in lines}
    return [
        (names.get(levy) or ("TVA" if levy == "vat" else levy), Money(minor, note.currency))
        for levy, minor in given.items()
    ]
