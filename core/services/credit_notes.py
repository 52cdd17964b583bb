"""Credit notes: an invoice that was sent is corrected downwards, on a numbered paper."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.billing.credit_queries import left_to_credit
from core.billing.credit_rules import divided
from core.billing.numbering import credit_note_number, is_opening
from core.billing.run_tables import CreditNoteRow
from core.billing.tables import InvoiceLineRow, InvoiceRow
from core.customers.tables import ContractRow, SiteRow
from core.db import Database
from core.kernel.clock import Clock, local_date
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger.tables import JournalRow, TransferRow
from core.settlement import post
from core.settlement.credit_use import use_credit
from core.settlement.dunning import lock_contract
from core.settlement.events import CreditNote

# The part of an invoice that is no levy; a levy's code is never this word.
_NET = "net"


class CreditNotes:
    """Owns its transactions. `by` is a staff login."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def credit(self, invoice_id: int, amount: Money, *, reason: str, by: str, seen_left: Money | None = None) -> str:
        """Lower a sent invoice by `amount` (taxes in it); the credit note's number.

        Each levy gets back its share. The open balance comes first; what was paid already is put on other open invoices
        of the contract, and becomes credit where there is none. `seen_left`: what could be credited when the person
        decided; anything else by now is refused, so that a form sent twice writes one note. Raises StateConflict when
        the invoice is not sent, the amount cannot be charged, or all credit notes together, and what was given up of
        it, would be more than the invoice.
        """
        with self._db.begin() as session:
            invoice, contract = self._creditable(session, invoice_id, reason)
            if amount.currency != invoice.currency or not amount.is_chargeable:
                raise StateConflict(f"{amount} cannot be credited on an invoice in {invoice.currency}")
            left = left_to_credit(session, invoice)
            _check_seen(seen_left, left)
            if amount.minor > left.minor:
                raise StateConflict(f"only {left} of invoice {invoice.number} is left")
            parts = shares(session, invoice, amount.minor)
            return write_credit_note(session, invoice, contract, parts, clock=self._clock, reason=reason, by=by)

    def credit_lines(
        self, invoice_id: int, positions: Collection[int], *, reason: str, by: str, seen_left: Money | None = None
    ) -> str:
        """Give back whole lines of a sent invoice; the credit note's number.

        A line that is no levy goes without the levies on it: those are lines of their own. Raises StateConflict as
        `credit` does, for a line that there is not, and for lines of which something was given back before.
        """
        with self._db.begin() as session:
            invoice, contract = self._creditable(session, invoice_id, reason)
            _check_seen(seen_left, left_to_credit(session, invoice))
            parts = line_parts(session, invoice, positions)
            return write_credit_note(session, invoice, contract, parts, clock=self._clock, reason=reason, by=by)

    @staticmethod
    def _creditable(session: Session, invoice_id: int, reason: str) -> tuple[InvoiceRow, ContractRow]:
        if not reason.strip():
            raise StateConflict("a credit note says why")
        invoice, contract = locked_invoice(session, invoice_id)
        if invoice.state != "sent":
            raise StateConflict(f"invoice {invoice.number} is {invoice.state}, not sent")
        return invoice, contract

    def of_invoice(self, invoice_id: int) -> list[CreditNoteRow]:
        """The credit notes of an invoice, oldest first."""
        with self._db.read() as session:
            rows = session.scalars(
                select(CreditNoteRow).where(CreditNoteRow.invoice_id == invoice_id).order_by(CreditNoteRow.id)
            )
            return list(rows)


def line_parts(session: Session, invoice: InvoiceRow, positions: Collection[int]) -> list[tuple[str | None, int]]:
    """(levy or None for the rest, minor units) of whole lines. Raises StateConflict where that cannot be given back."""
    lines = select(InvoiceLineRow).where(InvoiceLineRow.invoice_id == invoice.id)
    chosen = [line for line in session.scalars(lines) if line.position in set(positions)]
    if not chosen or len(chosen) != len(set(positions)):
        raise StateConflict("choose lines of this invoice")
    parts: dict[str, int] = {}
    for line in chosen:
        parts[line.levy or _NET] = parts.get(line.levy or _NET, 0) + line.amount_minor
    taxes, numbers = taxes_of(session, invoice), _numbers(session, invoice)
    whole = {**taxes, _NET: invoice.total_minor - invoice.tax_minor}
    for name, minor in parts.items():
        if minor > whole.get(name, 0) - _given(session, numbers, name):
            raise StateConflict(f"some of these lines of invoice {invoice.number} was given back before")
    if sum(parts.values()) > left_to_credit(session, invoice).minor:
        raise StateConflict(f"some of invoice {invoice.number} was given up: these lines are more than what is left")
    return [(None if name == _NET else name, minor) for name, minor in sorted(parts.items())]


def _check_seen(seen: Money | None, left: Money) -> None:
    if seen is not None and seen != left:
        raise StateConflict(f"{left} is left to be credited, not {seen}")


def _numbers(session: Session, invoice: InvoiceRow) -> list[str]:
    return list(session.scalars(select(CreditNoteRow.number).where(CreditNoteRow.invoice_id == invoice.id)))


def taxes_of(session: Session, invoice: InvoiceRow) -> dict[str, int]:
    """levy → what of the invoice is this levy, in minor units; as VAT where the lines do not say."""
    taxes: dict[str, int] = {}
    lines = select(InvoiceLineRow).where(InvoiceLineRow.invoice_id == invoice.id, InvoiceLineRow.levy.is_not(None))
    for line in session.scalars(lines):
        taxes[str(line.levy)] = taxes.get(str(line.levy), 0) + line.amount_minor
    if sum(taxes.values()) != invoice.tax_minor:
        taxes = {"vat": invoice.tax_minor}
    return taxes


def shares(session: Session, invoice: InvoiceRow, minor: int) -> list[tuple[str | None, int]]:
    """(levy or None for the rest, its part of `minor`): together `minor`, and never more than is left of each."""
    taxes = taxes_of(session, invoice)
    numbers = _numbers(session, invoice)
    parts = {**taxes, _NET: invoice.total_minor - invoice.tax_minor}
    left = {name: part - _given(session, numbers, name) for name, part in parts.items()}
    found = divided(minor, parts=parts, left=left, step=Money(1, invoice.currency).rounded_up().minor)
    return [(None if name == _NET else name, part) for name, part in sorted(found.items()) if part > 0]


def _given(session: Session, numbers: list[str], name: str) -> int:
    """What these notes gave back of one levy or of the rest, in minor units."""
    keys = [_key(number, name) for number in numbers]
    found = (
        select(func.coalesce(func.sum(TransferRow.amount_minor), 0))
        .join(JournalRow, JournalRow.id == TransferRow.journal_id)
        .where(JournalRow.key.in_(keys))
    )
    return int(session.scalar(found) or 0)


def _key(number: str, name: str) -> str:
    return f"credit:{number}:{name}"


def write_credit_note(
    session: Session,
    invoice: InvoiceRow,
    contract: ContractRow,
    parts: list[tuple[str | None, int]],
    *,
    clock: Clock,
    reason: str,
    by: str,
) -> str:
    """Write the paper and post it, one event for each levy, in the caller's transaction. Returns its number."""
    zone = session.scalars(select(SiteRow.time_zone).where(SiteRow.id == contract.site_id)).one()
    today = local_date(clock.now(), zone)
    number = credit_note_number(session, contract, today.year)
    session.add(
        CreditNoteRow(
            number=number,
            invoice_id=invoice.id,
            currency=invoice.currency,
            amount_minor=sum(part for _, part in parts),
            tax_minor=sum(part for levy, part in parts if levy),
            reason=reason,
            issued_on=today,
            issued_at=clock.now(),
            issued_by=by,
        )
    )
    session.flush()
    for levy, part in parts:
        amount = Money(part, invoice.currency)
        note = CreditNote(
            key=_key(number, levy or _NET),
            actor=by,
            memo=reason,
            invoice_id=invoice.id,
            contract_id=contract.id,
            amount=amount,
            tax=amount if levy else None,
            levy=levy or "vat",
            of_opening=is_opening(invoice.number),
        )
        post(session, note, clock=clock)
    use_credit(session, contract.id, key=f"credit:{number}:used", actor=by, memo=reason, clock=clock)
    session.refresh(invoice)
    return number


def locked_invoice(session: Session, invoice_id: int) -> tuple[InvoiceRow, ContractRow]:
    """An invoice and its contract, the contract's row locked first. Raises StateConflict where there is none."""
    contract_id = session.scalar(select(InvoiceRow.contract_id).where(InvoiceRow.id == invoice_id))
    if contract_id is None:
        raise StateConflict(f"there is no invoice {invoice_id}")
    lock_contract(session, contract_id)
    invoice = session.get_one(InvoiceRow, invoice_id, with_for_update={"key_share": True}, populate_existing=True)
    return invoice, session.get_one(ContractRow, contract_id, populate_existing=True)
