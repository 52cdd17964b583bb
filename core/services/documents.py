"""Documents: made once, kept, given out; and the proof that anybody may ask for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import structlog
from sqlalchemy.exc import IntegrityError

from core.db import Database
from core.db.engine import assert_outside_transaction
from core.documents import queries
from core.documents.receipt import render_receipt
from core.documents.store import DocumentMissing, DocumentStore
from core.documents.tables import DocumentRow
from core.kernel.clock import Clock, local_date
from core.kernel.digits import grouped, is_account_number, normalise
from core.kernel.money import Money

_log = structlog.get_logger("documents")
_RECEIPT = "receipt"


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
class NotFound:
    """`mistyped`: the code cannot be one of ours, its check digit is wrong. Otherwise nobody ever got this code."""

    mistyped: bool


class Documents:
    """`verify_base_url`: the public address of the product, without a slash at its end."""

    def __init__(
        self, db: Database, clock: Clock, store: DocumentStore, *, verify_base_url: str, utility: str = "Mwolo"
    ) -> None:
        self._db = db
        self._clock = clock
        self._store = store
        self._verify_url = verify_base_url.rstrip("/") + "/verify/"
        self._utility = utility

    def make_receipt(self, payment_id: str) -> Made | None:
        """Make the PDF of a payment's receipt, once. None when there is no such payment, or it is not placed yet.

        A crash after any step costs the work again and nothing else: files are named after their content, and the row
        that is written first wins.
        """
        with self._db.read() as session:
            found = queries.find_document(session, _RECEIPT, payment_id)
            if found is not None:
                return Made(found.storage_key, found.sha256)
        content = self._render(payment_id)
        return None if content is None else self._record(payment_id, *content)

    def receipt_pdf(self, payment_id: str) -> bytes | None:
        """The PDF, made now if it is not there yet. None as for `make_receipt`."""
        made = self.make_receipt(payment_id)
        if made is None:
            return None
        try:
            content = self._store.get(made.storage_key)
        except DocumentMissing:
            content = b""
        if hashlib.sha256(content).hexdigest() == made.sha256:
            return content
        # The books are the truth; a file that was lost or altered is made again from them.
        _log.error("documents.lost_or_altered", payment_id=payment_id, key=made.storage_key)
        again = self._render(payment_id)
        if again is None:
            return None
        self._replace(payment_id, *again)
        return again[1]

    def verify(self, typed: str) -> Verified | NotFound:
        """What stands behind a verification code, as somebody typed it."""
        code = normalise(typed[:40])
        # The codes have the length and the check digit of account numbers.
        if not is_account_number(code):
            return NotFound(mistyped=True)
        with self._db.read() as session:
            proof = queries.find_proof(session, code)
            if proof is None:
                return NotFound(mistyped=False)
            payment = proof.payment
            return Verified(
                amount=Money(payment.amount_minor, payment.currency),
                paid_on=local_date(payment.received_at, proof.zone),
                account_masked=_masked_account(proof.account),
                receipt_number=payment.receipt_number,
                reversed_on=local_date(payment.reversed_at, proof.zone) if payment.reversed_at else None,
            )

    def _render(self, payment_id: str) -> tuple[str, bytes] | None:
        """(storage key, PDF). Nothing is locked while it is drawn."""
        with self._db.read() as session:
            loaded = queries.load_receipt(session, payment_id, utility=self._utility, verify_url=self._verify_url)
        if loaded is None:
            return None
        content = render_receipt(loaded.facts, loaded.language)
        month = local_date(loaded.facts.at, loaded.facts.zone)
        name = "".join(c if c.isalnum() else "-" for c in loaded.facts.number.lower()).strip("-")
        return f"receipt/{month:%Y/%m}/{name}-{hashlib.sha256(content).hexdigest()[:12]}.pdf", content

    def _record(self, payment_id: str, key: str, content: bytes) -> Made:
        assert_outside_transaction()
        self._store.put(key, content)
        try:
            with self._db.begin() as session:
                found = queries.find_document(session, _RECEIPT, payment_id)
                if found is None:
                    found = DocumentRow(
                        kind=_RECEIPT,
                        subject=payment_id,
                        storage_key=key,
                        sha256=hashlib.sha256(content).hexdigest(),
                        size=len(content),
                        made_at=self._clock.now(),
                    )
                    session.add(found)
                return Made(found.storage_key, found.sha256)
        except IntegrityError:
            # Somebody else made it in the same instant (PostgreSQL lets two look first): theirs counts.
            with self._db.read() as session:
                found = queries.find_document(session, _RECEIPT, payment_id)
                if found is None:
                    raise
                return Made(found.storage_key, found.sha256)

    def _replace(self, payment_id: str, key: str, content: bytes) -> None:
        assert_outside_transaction()
        self._store.put(key, content)
        with self._db.begin() as session:
            row = queries.find_document(session, _RECEIPT, payment_id)
            if row is not None:
                row.storage_key, row.sha256 = key, hashlib.sha256(content).hexdigest()
                row.size, row.made_at = len(content), self._clock.now()


def _masked_account(account: str) -> str:
    """`*** *** 001 8`: enough to recognise one's own, too little to pay it or look it up."""
    return grouped("*" * (len(account) - 4) + account[-4:]) if account else ""
