"""What a receipt is made of, where the documents lie, and what a code stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow, SiteRow
from core.documents.receipt import Placed, ReceiptFacts
from core.documents.tables import DocumentRow
from core.kernel.clock import WEST
from core.kernel.digits import normalise
from core.kernel.money import Money
from core.ledger.tables import AccountRow, TransferRow
from core.payments.tables import AttemptRow, PaymentRow
from core.phone_numbers import masked

BRANDS = {"mpesa": "M-Pesa", "airtel": "Airtel Money", "orange": "Orange Money"}


@dataclass(frozen=True, slots=True)
class Loaded:
    facts: ReceiptFacts
    language: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a verification code stands for."""

    payment: PaymentRow
    account: str
    zone: str


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill that a verification code stands for."""

    invoice: InvoiceRow
    account: str


def find_document(session: Session, kind: str, subject: str) -> DocumentRow | None:
    return session.scalar(select(DocumentRow).where(DocumentRow.kind == kind, DocumentRow.subject == subject))


def subject_of(session: Session, kind: str, typed: str) -> str | None:
    """The id behind what a person calls a document by: an invoice's or a receipt's number or code, a payment's id."""
    digits = normalise(typed)
    if kind == "credit_note":
        return typed.upper()
    if kind == "receipt":
        names = (PaymentRow.receipt_number == typed.upper(), PaymentRow.verification_code == digits)
        return session.scalar(select(PaymentRow.id).where(or_(PaymentRow.id == typed, *names)).limit(1))
    if kind == "invoice":
        found = session.scalar(select(InvoiceRow.id).where(InvoiceRow.number == typed.upper(), InvoiceRow.number != ""))
        if found is not None:
            return str(found)
        document = session.scalar(select(DocumentRow).where(DocumentRow.code == digits, DocumentRow.kind == kind))
        if document is not None:
            return document.subject
    return typed


def load_receipt(session: Session, payment_id: str, *, utility: str, verify_url: str) -> Loaded | None:
    """The facts of a payment that is placed; None for one that is not, or that nobody knows.

    Everything is as it was right after the payment, so that a receipt made later says the same.
    """
    payment = session.get(PaymentRow, payment_id)
    if payment is None or payment.contract_id is None:
        return None
    contract = session.get_one(ContractRow, payment.contract_id)
    attempt = session.get(AttemptRow, payment.attempt_id) if payment.attempt_id else None
    placed, to_credit, at = _placed(session, payment)
    if at is None:
        return None
    payer = attempt.payer_phone if attempt else payment.payer_phone
    facts = ReceiptFacts(
        utility=utility,
        number=payment.receipt_number,
        code=payment.verification_code,
        at=payment.received_at,
        zone=session.scalar(select(SiteRow.time_zone).where(SiteRow.id == contract.site_id)) or WEST,
        amount=Money(payment.amount_minor, payment.currency),
        account=contract.account_number,
        payer=masked(payer) if payer else "",
        wallet=BRANDS.get(attempt.brand, attempt.brand) if attempt else payment.wallet,
        provider_txn_id=payment.provider_txn_id or "",
        placed=placed,
        to_credit=to_credit,
        due=_balance_at(session, "receivable", contract, at),
        credit=_balance_at(session, "credit", contract, at),
        verify_url=verify_url + payment.verification_code,
    )
    return Loaded(facts, _language(session, contract, attempt))


def _language(session: Session, contract: ContractRow, attempt: AttemptRow | None) -> str:
    """The holder's: the receipt is the account's paper. The payer's only where the payer is the holder."""
    if attempt is not None:
        own = session.scalar(
            select(PhoneLinkRow.id).where(
                PhoneLinkRow.phone == attempt.payer_phone, PhoneLinkRow.customer_id == contract.customer_id
            )
        )
        if own is not None:
            return attempt.language
    return session.get_one(CustomerRow, contract.customer_id).language


def _placed(session: Session, payment: PaymentRow) -> tuple[list[Placed], Money | None, datetime | None]:
    """(what invoices got, what went to credit, when). A reversal credits neither account, so it does not show."""
    rows = session.execute(
        select(
            TransferRow.amount_minor, TransferRow.currency, TransferRow.at, AccountRow.code, InvoiceRow.number,
            InvoiceRow.period,
        )
        .join(AccountRow, AccountRow.id == TransferRow.credit_account_id)
        .outerjoin(InvoiceRow, InvoiceRow.id == TransferRow.invoice_id)
        .where(TransferRow.payment_id == payment.id, AccountRow.code.in_(("receivable", "credit")))
        .order_by(InvoiceRow.sent_on, InvoiceRow.number)
    ).all()  # fmt: skip
    placed = [Placed(row[4], row[5], Money(row[0], row[1])) for row in rows if row[3] == "receivable" and row[4]]
    credits = [Money(row[0], row[1]) for row in rows if row[3] == "credit"]
    to_credit = Money(sum(m.minor for m in credits), credits[0].currency) if credits else None
    return placed, to_credit, max((row[2] for row in rows), default=None)


def _balance_at(session: Session, code: str, contract: ContractRow, at: datetime) -> Money:
    """What stood on the contract's account once everything up to `at` was booked; never below nothing."""
    account_id = session.scalar(
        select(AccountRow.id).where(
            AccountRow.code == code, AccountRow.owner == str(contract.id), AccountRow.currency == contract.currency
        )
    )
    if account_id is None:
        return Money(0, contract.currency)
    debits = func.sum(case((TransferRow.debit_account_id == account_id, TransferRow.amount_minor), else_=0))
    credits = func.sum(case((TransferRow.credit_account_id == account_id, TransferRow.amount_minor), else_=0))
    net = session.scalar(
        select(func.coalesce(debits - credits, 0)).where(
            or_(TransferRow.debit_account_id == account_id, TransferRow.credit_account_id == account_id),
            TransferRow.at <= at,
        )
    )
    minor = int(net or 0) * (1 if code == "receivable" else -1)
    return Money(max(0, minor), contract.currency)


def find_proof(session: Session, code: str) -> Proof | None:
    row = session.execute(
        select(PaymentRow, ContractRow.account_number, SiteRow.time_zone)
        .outerjoin(ContractRow, ContractRow.id == PaymentRow.contract_id)
        .outerjoin(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(PaymentRow.verification_code == code)
    ).first()
    return Proof(row[0], row[1] or "", row[2] or WEST) if row else None


def find_bill(session: Session, code: str) -> Bill | None:
    subject = session.scalar(select(DocumentRow.subject).where(DocumentRow.code == code, DocumentRow.kind == "invoice"))
    if subject is None:
        return None
    row = session.execute(
        select(InvoiceRow, ContractRow.account_number)
        .join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
        .where(InvoiceRow.id == int(subject))
    ).first()
    return Bill(row[0], row[1]) if row else None


def is_marked(session: Session, invoice_id: str) -> bool:
    """Whether it is a draft or was cancelled: then its paper says so across the page."""
    if not invoice_id.isdecimal():
        return False
    state = session.scalar(select(InvoiceRow.state).where(InvoiceRow.id == int(invoice_id)))
    return state in ("draft", "cancelled")


def unused_code(session: Session, make: Callable[[], str]) -> str:
    """A code that stands for nothing yet, on no receipt and on no bill."""
    while True:
        code = make()
        taken = session.scalar(select(PaymentRow.id).where(PaymentRow.verification_code == code))
        if taken is None and session.scalar(select(DocumentRow.id).where(DocumentRow.code == code)) is None:
            return code
