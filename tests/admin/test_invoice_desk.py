"""The look-ups of the invoice pages on both databases."""

from __future__ import annotations

from datetime import date, timedelta

from core.billing.tables import BillingRunRow, HoldRow, InvoiceRow
from core.db import Database
from core.desk.invoice_model import STATES, InvoiceFilter
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.services.billing import Billing
from core.services.credit_notes import CreditNotes
from core.services.invoice_desk import InvoiceDesk
from core.services.write_offs import WriteOffs
from tests import town


def test_every_look_up_on_both_databases(any_db: Database, clock: FixedClock) -> None:
    with any_db.begin() as session:
        home = town.home(session)
        run = BillingRunRow(period="2026-03", started_at=clock.now(), started_by="x")
        session.add(run)
        session.flush()
        old = town.invoice(session, home.contract, period="2026-02", tax_minor=350_000)
        new = town.invoice(session, home.contract, period="2026-03", total=Money.units(90_000, "CDF"), state="draft")
        old.run_id = new.run_id = run.id
        old_id, new_id, number = old.id, new.id, old.number
    Billing(any_db, clock).send_invoice(old_id, by="finance")
    CreditNotes(any_db, clock).credit(old_id, Money.units(8_500, "CDF"), reason="x", by="finance")
    with any_db.begin() as session:
        row = session.get_one(InvoiceRow, old_id)
        row.sent_on = date(2026, 3, 1)
        session.add(
            HoldRow(
                contract_id=home.contract.id, invoice_id=old_id, kind="dispute", from_at=clock.now(),
                until_at=clock.now() + timedelta(days=9), by="office",
            )
        )  # fmt: skip
    desk = InvoiceDesk(any_db, clock)
    found = {state: [e.id for e in desk.invoices(InvoiceFilter(state=state)).entries] for state in STATES}
    assert {state for state, ids in found.items() if old_id in ids} == {"partially_paid", "overdue", "disputed"}
    assert found["draft"] == [new_id]
    for text in (number, number[:4], home.account_number):
        assert old_id in [e.id for e in desk.invoices(InvoiceFilter(text=text)).entries]
    assert desk.invoices(InvoiceFilter(text="%")).entries == ()
    first = desk.invoices(InvoiceFilter(agency="AG001", customer_id=home.customer.id), limit=1)
    assert [(s.count, s.total.text, s.due.text) for s in first.sums] == [(2, "118 500 FC", "20 000 FC")]
    assert [e.id for e in desk.invoices(InvoiceFilter(), below=first.older).entries] == [old_id]
    month = desk.month("2026-03", "AG001")
    assert [(j.entry.id, j.change) for j in month.biggest] == [(new_id, 216)]
    assert [(s.count, s.total.text) for s in month.before] == [(1, "28 500 FC")]
    one = desk.invoice(old_id)
    assert one
    assert (one.entry.days_open, one.left.text, one.sent_by) == (9, "20 000 FC", "finance")
    assert [(move.kind, move.amount.text, move.lowers) for move in one.moves] == [("credit_note", "8 500 FC", True)]
    assert desk.invoice(999) is None
    WriteOffs(any_db, clock).write_off(old_id, seen=one.entry.due, reason="x", by="admin")
    again = desk.invoice(old_id)
    assert again
    assert [move.kind for move in again.moves] == ["credit_note", "written_off"]
    assert (again.entry.state, again.entry.due.minor) == ("paid", 0)
