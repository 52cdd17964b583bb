"""The services behind the pages of invoices, and a street of customers with invoices in every state."""

from __future__ import annotations

from sqlalchemy.orm import Session

from admin.invoices import InvoiceParts
from core.billing.tables import InvoiceRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.money import Money
from core.services.billing import Billing
from core.services.billing_orders import BillingOrders
from core.services.billing_run import BillingRun
from core.services.counter import Counter
from core.services.credit_notes import CreditNotes
from core.services.hand_invoices import HandInvoices
from core.services.invoice_desk import InvoiceDesk
from core.services.invoice_papers import InvoicePapers
from core.services.register import Register
from core.services.staff import Staff
from core.services.write_offs import WriteOffs
from tests import town


class Papers:
    """Draws nothing: the same few bytes for every invoice."""

    def invoice_pdf(self, invoice_id: int) -> bytes | None:
        return b"%PDF-1.4 an invoice"

    def credit_note_pdf(self, number: str) -> bytes | None:
        return b"%PDF-1.4 a credit note"


def parts(db: Database, clock: Clock, staff: Staff) -> InvoiceParts:
    """As the wiring builds them."""
    billing = Billing(db, clock)
    return InvoiceParts(
        desk=InvoiceDesk(db, clock),
        billing=billing,
        notes=CreditNotes(db, clock),
        write_offs=WriteOffs(db, clock),
        by_hand=HandInvoices(db, clock),
        orders=BillingOrders(db, clock, BillingRun(db, clock, billing), staff.audit),
        papers=InvoicePapers(db, clock, Register(db), Papers()),
        counter=Counter(db, clock, staff.audit),
    )


def street(session: Session, count: int, *, state: str = "draft", period: str = "2026-02") -> list[InvoiceRow]:
    """So many customers of one agency, each with an invoice."""
    homes = [town.home(session, name=f"Client {n}") for n in range(count)]
    return [town.invoice(session, home.contract, state=state, period=period) for home in homes]


def sent(db: Database, clock: Clock, home: town.Home, *, units: int = 28_500, tax: int = 3_500) -> int:
    """An invoice of a contract, sent through the service: what is owed stands in the books."""
    with db.begin() as session:
        row = town.invoice(
            session, home.contract, total=Money.units(units, "CDF"), tax_minor=Money.units(tax, "CDF").minor
        )
        invoice_id = row.id
    Billing(db, clock).send_invoice(invoice_id, by="finance")
    return invoice_id
