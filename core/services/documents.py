"""Documents: made once, kept, given out; and the proof that anybody may ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, cast, get_args

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.db import Database
from core.db.engine import assert_outside_transaction
from core.documents import queries
from core.documents.bills import load_invoice
from core.documents.credit_note import render_credit_note
from core.documents.credits import load_credit_note
from core.documents.invoice import InvoiceFacts, render_invoice
from core.documents.payslip import PayslipFacts, render_payslip
from core.documents.receipt import render_receipt
from core.documents.store import DocumentMissing, DocumentStore
from core.documents.tables import DocumentRow
from core.kernel.clock import Clock, local_date
from core.kernel.digits import grouped, is_account_number, normalise
from core.kernel.ids import verification_code
from core.kernel.money import Money
from core.notices.ports import Attachment

_log = structlog.get_logger("documents")

DocumentKind = Literal["receipt", "invoice", "payslip", "credit_note"]
# The facts of a payslip and the payee's language; None when there is no such payslip.
PayslipSource = Callable[[Session, str], tuple[PayslipFacts, str] | None]


@dataclass(frozen=True, slots=True)
class Made:
    """Where a document lies, and the hash its bytes must have."""

    storage_key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What anybody may know of a receipt: never a name, never a phone."""

    amount: Money
    paid_on: date
    account_masked: str
    receipt_number: str
    reversed_on: date | None


@dataclass(frozen=True, slots=True)
class VerifiedBill:
    """What anybody may know of a bill. `cancelled`: it is not to be paid any more."""

    amount: Money
    issued_on: date
    account_masked: str
    number: str
    cancelled: bool


@dataclass(frozen=True, slots=True)
class NotFound:
    """`mistyped`: the code cannot be one of ours, its check digit is wrong. Otherwise nobody ever got this code."""

    mistyped: bool


@dataclass(frozen=True, slots=True)
class _Drawn:
    """`keep` False: a draft, which may change and is drawn anew each time."""

    key: str
    content: bytes
    code: str | None = None
    keep: bool = True

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Documents:
    """`verify_base_url`: the public address of the product, without a slash at its end. `short_code`: what is dialled.

    A document is named by its kind and the id of what it is about: a payment, an invoice, a payslip; a credit note by
    its number.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        store: DocumentStore,
        *,
        verify_base_url: str,
        utility: str = "Mwolo",
        short_code: str = "*123#",
        payslips: PayslipSource | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._store = store
        self._verify_url = verify_base_url.rstrip("/") + "/verify/"
        self._utility = utility
        self._short_code = short_code
        self._payslips = payslips

    def make(self, kind: DocumentKind, subject: str) -> Made | None:
        """Make a PDF, once. None when there is nothing to make it of: no such thing, money that is not placed, a draft.

        A crash after any step costs the work again and nothing else: files are named after their content, and the row
        that is written first wins.
        """
        with self._db.read() as session:
            found = queries.find_document(session, kind, subject)
            if found is not None:
                return Made(found.storage_key, found.sha256)
        drawn = self._draw(kind, subject, None)
        return self._record(kind, subject, drawn) if drawn is not None and drawn.keep else None

    def pdf(self, kind: DocumentKind, subject: str) -> bytes | None:
        """The PDF, made now if it is not there yet. A draft, or a bill that was cancelled, is marked as such and not
        kept. None when there is no such thing."""
        if kind == "invoice":
            with self._db.read() as session:
                marked = queries.is_marked(session, subject)
            if marked:
                drawn = self._draw(kind, subject, None)
                return drawn.content if drawn else None
        made = self.make(kind, subject)
        if made is None:
            drawn = self._draw(kind, subject, None)
            return drawn.content if drawn is not None and not drawn.keep else None
        try:
            content = self._store.get(made.storage_key)
        except DocumentMissing:
            content = b""
        if hashlib.sha256(content).hexdigest() == made.sha256:
            return content
        # The books are the truth; a file that was lost or altered is made again from them.
        _log.error("documents.lost_or_altered", kind=kind, subject=subject, key=made.storage_key)
        with self._db.read() as session:
            found = queries.find_document(session, kind, subject)
            code = found.code if found else None
        again = self._draw(kind, subject, code)
        if again is None:
            return None
        self._replace(kind, subject, again)
        return again.content

    def make_receipt(self, payment_id: str) -> Made | None:
        """As `make`; None as well while the payment is not placed."""
        return self.make("receipt", payment_id)

    def receipt_pdf(self, payment_id: str) -> bytes | None:
        return self.pdf("receipt", payment_id)

    def invoice_pdf(self, invoice_id: int) -> bytes | None:
        return self.pdf("invoice", str(invoice_id))

    def credit_note_pdf(self, number: str) -> bytes | None:
        return self.pdf("credit_note", number)

    def payslip_pdf(self, payslip_id: str) -> bytes | None:
        return self.pdf("payslip", payslip_id)

    def called(self, kind: DocumentKind, typed: str) -> Attachment | None:
        """A document by what people call it: its number, its code, or the id. None when there is none."""
        with self._db.read() as session:
            subject = queries.subject_of(session, kind, typed.strip()[:64])
        return self.paper(kind, subject) if subject else None

    def paper(self, kind: str, subject: str) -> Attachment | None:
        """A document as it goes out with an e-mail; None when there is none to send."""
        if kind not in get_args(DocumentKind):
            return None
        content = self.pdf(cast(DocumentKind, kind), subject)
        if content is None:
            return None
        with self._db.read() as session:
            found = queries.find_document(session, kind, subject)
        # The store's own name, without the hash of its content.
        name = found.storage_key.rpartition("/")[2].rpartition("-")[0] if found else "draft"
        return Attachment(f"{kind.replace('_', '-')}-{name}.pdf", content)

    def verify(self, typed: str) -> Verified | VerifiedBill | NotFound:
        """What stands behind a verification code, as somebody typed it."""
        code = normalise(typed[:40])
        # The codes have the length and the check digit of account numbers.
        if not is_account_number(code):
            return NotFound(mistyped=True)
        with self._db.read() as session:
            proof = queries.find_proof(session, code)
            if proof is None:
                bill = queries.find_bill(session, code)
                return NotFound(mistyped=False) if bill is None else _verified_bill(bill)
            payment = proof.payment
            return Verified(
                amount=Money(payment.amount_minor, payment.currency),
                paid_on=local_date(payment.received_at, proof.zone),
                account_masked=_masked_account(proof.account),
                receipt_number=payment.receipt_number,
                reversed_on=local_date(payment.reversed_at, proof.zone) if payment.reversed_at else None,
            )

    # -- drawing; nothing is locked meanwhile

    def _draw(self, kind: DocumentKind, subject: str, code: str | None) -> _Drawn | None:
        """`code`: the bill's own, when it was made before."""
        match kind:
            case "receipt":
                return self._receipt(subject)
            case "invoice":
                return self._invoice(subject, code)
            case "payslip":
                return self._payslip(subject)
            case "credit_note":
                return self._credit_note(subject)

    def _receipt(self, payment_id: str) -> _Drawn | None:
        with self._db.read() as session:
            loaded = queries.load_receipt(session, payment_id, utility=self._utility, verify_url=self._verify_url)
        if loaded is None:
            return None
        month = local_date(loaded.facts.at, loaded.facts.zone)
        return _drawn("receipt", f"{month:%Y/%m}", loaded.facts.number, render_receipt(loaded.facts, loaded.language))

    def _invoice(self, invoice_id: str, code: str | None) -> _Drawn | None:
        with self._db.read() as session:
            code = code or queries.unused_code(session, verification_code)
            loaded = load_invoice(
                session,
                int(invoice_id) if invoice_id.isdecimal() else 0,
                utility=self._utility,
                short_code=self._short_code,
                verify_url=self._verify_url,
                code=code,
            )
        if loaded is None:
            return None
        facts, language = loaded
        if facts.mark:
            facts, code = _without_code(facts), None
        drawn = _drawn("invoice", f"{facts.issued_on:%Y/%m}", facts.number or "draft", render_invoice(facts, language))
        return replace(drawn, code=code, keep=not facts.mark)

    def _payslip(self, payslip_id: str) -> _Drawn | None:
        if self._payslips is None:
            return None
        with self._db.read() as session:
            loaded = self._payslips(session, payslip_id)
        if loaded is None:
            return None
        facts, language = loaded
        facts = replace(facts, utility=self._utility)
        drawn = _drawn("payslip", facts.period.replace("-", "/"), facts.number, render_payslip(facts, language))
        return replace(drawn, keep=facts.closed_on is not None)

    def _credit_note(self, number: str) -> _Drawn | None:
        with self._db.read() as session:
            loaded = load_credit_note(session, number, utility=self._utility)
        if loaded is None:
            return None
        facts, language = loaded
        return _drawn("credit_note", f"{facts.issued_on:%Y/%m}", facts.number, render_credit_note(facts, language))

    # -- keeping

    def _record(self, kind: DocumentKind, subject: str, drawn: _Drawn) -> Made:
        assert_outside_transaction()
        self._store.put(drawn.key, drawn.content)
        try:
            with self._db.begin() as session:
                found = queries.find_document(session, kind, subject)
                if found is None:
                    found = DocumentRow(
                        kind=kind,
                        subject=subject,
                        code=drawn.code,
                        storage_key=drawn.key,
                        sha256=drawn.sha256,
                        size=len(drawn.content),
                        made_at=self._clock.now(),
                    )
                    session.add(found)
                return Made(found.storage_key, found.sha256)
        except IntegrityError:
            # Somebody else made it in the same instant (PostgreSQL lets two look first): theirs counts.
            with self._db.read() as session:
                found = queries.find_document(session, kind, subject)
                if found is None:
                    raise
                return Made(found.storage_key, found.sha256)

    def _replace(self, kind: DocumentKind, subject: str, drawn: _Drawn) -> None:
        assert_outside_transaction()
        self._store.put(drawn.key, drawn.content)
        with self._db.begin() as session:
            row = queries.find_document(session, kind, subject)
            if row is not None:
                row.storage_key, row.sha256 = drawn.key, drawn.sha256
                row.size, row.made_at = len(drawn.content), self._clock.now()


def _drawn(kind: DocumentKind, month: str, number: str, content: bytes) -> _Drawn:
    """Named after its month, its number and its content."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in number.lower()).strip("-") or kind
    return _Drawn(f"{kind}/{month}/{name}-{hashlib.sha256(content).hexdigest()[:12]}.pdf", content)


def _without_code(facts: InvoiceFacts) -> InvoiceFacts:
    """What is no bill (yet, or any more) has nothing that anybody could check."""
    return replace(facts, code="")


def _verified_bill(bill: queries.Bill) -> VerifiedBill:
    invoice = bill.invoice
    return VerifiedBill(
        amount=Money(invoice.total_minor, invoice.currency),
        issued_on=invoice.issued_on,
        account_masked=_masked_account(bill.account),
        number=invoice.number,
        cancelled=invoice.state == "cancelled",
    )


def _masked_account(account: str) -> str:
    """`*** *** 001 8`: enough to recognise one's own, too little to pay it or look it up."""
    return grouped("*" * (len(account) - 4) + account[-4:]) if account else ""
