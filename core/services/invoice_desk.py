"""The invoice desk: what the pages of invoices and billing months look up. Reads only; every list ends somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from core.billing.credit_queries import left_to_credit
from core.billing.queries import policy_on
from core.billing.tables import InvoiceRow
from core.db import Database
from core.desk import counter, invoice_months, invoice_one, invoices, placing
from core.desk.invoice_model import (
    DeclaredView,
    InvoiceFilter,
    InvoicePage,
    InvoiceView,
    LeftOutView,
    MonthView,
    RunView,
)
from core.desk.money_model import ContractBrief
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.payments.tables import PaymentRow
from core.services.credit_notes import line_parts

PAGE = 50
# So many of a selection are added up: more would take a person's patience, and a month's work has a page of its own.
COUNTED = 20_000
_WAITING = 50


@dataclass(frozen=True, slots=True)
class CreditPreview:
    """What a credit note of `amount` would do. `to_credit`: what was paid already and becomes credit."""

    amount: Money
    left: Money
    due_before: Money
    due_after: Money
    to_credit: Money
    credit_before: Money


class InvoiceDesk:
    """Look-ups over invoices, billing months and money at the counter."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def invoices(
        self, wanted: InvoiceFilter, *, below: int | None = None, limit: int = PAGE, with_sums: bool = True
    ) -> InvoicePage:
        """The newest first, below an id. At most six statements, however many there are."""
        now, today = self._now()
        with self._db.read() as session:
            overdue_days = policy_on(session, today).reminder_after_days
            found = invoices.entries(
                session, wanted, now=now, today=today, overdue_days=overdue_days, below=below, limit=limit + 1
            )
            overdue_on = today - timedelta(days=overdue_days)
            most = COUNTED + 1 if with_sums else 0
            sums, counted = invoices.sums(session, wanted, now=now, overdue_on=overdue_on, limit=most)
        shown = found[:limit]
        older = shown[-1].id if len(found) > limit else None
        return InvoicePage(shown, older, sums, min(counted, COUNTED), more=counted > COUNTED)

    def agencies(self) -> tuple[tuple[str, str], ...]:
        """(code, name), by name."""
        with self._db.read() as session:
            return invoices.agency_codes(session)

    def invoice(self, invoice_id: int) -> InvoiceView | None:
        """One invoice with all that is known of it; None when there is none."""
        now, today = self._now()
        with self._db.read() as session:
            overdue_days = policy_on(session, today).reminder_after_days
            return invoice_one.invoice(session, invoice_id, now=now, today=today, overdue_days=overdue_days)

    def credit_preview(
        self, invoice_id: int, *, amount: Money | None, positions: tuple[int, ...]
    ) -> CreditPreview | None:
        """What a credit note would do: of an amount, or of whole lines. None where the invoice is not sent.

        Raises StateConflict as `CreditNotes` does for lines that cannot be given back.
        """
        with self._db.read() as session:
            row = session.get(InvoiceRow, invoice_id)
            if row is None or row.state != "sent":
                return None
            left = left_to_credit(session, row)
            if positions:
                amount = Money(sum(minor for _, minor in line_parts(session, row, positions)), row.currency)
            amount = amount or left
            due = Money(row.total_minor - row.paid_minor, row.currency)
            on_invoice = min(amount.minor, due.minor)
            return CreditPreview(
                amount=amount,
                left=left,
                due_before=due,
                due_after=Money(due.minor - on_invoice, row.currency),
                to_credit=Money(amount.minor - on_invoice, row.currency),
                credit_before=ledger.balance(session, credit(row.contract_id), row.currency),
            )

    def months(self, *, limit: int = PAGE) -> tuple[RunView, ...]:
        """The newest runs, of any month."""
        with self._db.read() as session:
            return invoice_months.months(session, limit=limit)

    def month(self, period: str, agency: str | None) -> MonthView:
        """How far a month is. Raises BadPeriod."""
        now, today = self._now()
        with self._db.read() as session:
            overdue_days = policy_on(session, today).reminder_after_days
            return invoice_months.month(session, period, agency, now=now, today=today, overdue_days=overdue_days)

    def left_out(
        self, period: str, agency: str | None, *, reason: str = "", after: int = 0, limit: int = PAGE
    ) -> tuple[LeftOutView, ...]:
        """Who a run could not bill, by contract."""
        with self._db.read() as session:
            return invoice_months.left_out(session, period, agency, reason=reason, after=after, limit=limit)

    def contract(self, account: str) -> ContractBrief | None:
        """`account`: digits only."""
        with self._db.read() as session:
            return placing.contract_by_account(session, account)

    def contract_by_id(self, contract_id: int) -> ContractBrief | None:
        with self._db.read() as session:
            return placing.contract_by_id(session, contract_id)

    def receipt_of(self, payment_id: str) -> str | None:
        """The receipt number of a payment that is booked; None while it is not."""
        with self._db.read() as session:
            return session.scalar(select(PaymentRow.receipt_number).where(PaymentRow.id == payment_id))

    def declared(self, payment_id: str = "") -> tuple[DeclaredView, ...]:
        """Money that waits for a second person, the oldest first; or that one alone, confirmed or not."""
        with self._db.read() as session:
            return counter.declared(session, payment_id, limit=_WAITING)

    def _now(self) -> tuple[datetime, date]:
        now = self._clock.now()
        return now, local_date(now, WEST)
