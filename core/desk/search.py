"""Find a customer by anything that stands on a phone, a paper or an operator's statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from core.agents.tables import AgentSaleRow
from core.billing.run_tables import CreditNoteRow
from core.billing.tables import InvoiceRow
from core.cases.tables import CaseRow
from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow
from core.desk.model import Hit
from core.imports.tables import OldReferenceRow
from core.kernel.digits import grouped, is_account_number, is_valid, normalise
from core.payments.tables import AttemptRow, PaymentRow
from core.phone_numbers import parse_e164

# Longer than anything that is printed anywhere; nobody needs a query of a megabyte.
LONGEST = 80
_REFERENCE = re.compile(r"[A-Za-z0-9._/-]{4,80}")
_INVOICE = re.compile(r"(?:A?[0-9]{4}|O[0-9]{2})-[A-Z0-9]{1,12}-[0-9]{5,9}")
_NAME_WORDS = 4


@dataclass(frozen=True, slots=True)
class _Found:
    customer_id: int | None
    how: str
    what: str


def search(session: Session, words: str, *, wallets: Sequence[str], limit: int) -> tuple[Hit, ...]:
    """Everything `words` may mean is tried, exact things before names; each customer comes once.

    `wallets`: the names under which operators' transaction ids are kept; the index wants them.
    """
    # Control characters are nobody's name, and PostgreSQL takes no NUL at all.
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())[:LONGEST]
    if not words:
        return ()
    found: dict[object, _Found] = {}
    looks: tuple[Callable[[], Iterable[_Found]], ...] = (
        lambda: _by_phone(session, words, limit),
        lambda: _by_number(session, words),
        lambda: _by_sale(session, words),
        lambda: _by_case(session, words),
        lambda: _by_invoice(session, words),
        lambda: _by_meter(session, words),
        lambda: _by_old_reference(session, words),
        lambda: _by_payment(session, words, wallets),
        lambda: _by_attempt(session, words, wallets),
    )
    for look in looks:
        for hit in look():
            found.setdefault(hit.customer_id if hit.customer_id is not None else hit, hit)
    if not found:
        for hit in _by_name(session, words, limit):
            found.setdefault(hit.customer_id, hit)
    return _dressed(session, list(found.values())[:limit])


def _by_phone(session: Session, words: str, limit: int) -> Iterable[_Found]:
    phone = parse_e164(words)
    if phone is None:
        return
    linked = select(PhoneLinkRow.customer_id).where(PhoneLinkRow.phone == phone).limit(limit)
    for customer_id in session.scalars(linked):
        yield _Found(customer_id, "phone", phone)
    # Somebody who paid once and is linked to nobody.
    paid = (
        select(ContractRow.customer_id)
        .join(AttemptRow, AttemptRow.contract_id == ContractRow.id)
        .where(AttemptRow.payer_phone == phone)
        .distinct()
        .limit(limit)
    )
    for customer_id in session.scalars(paid):
        yield _Found(customer_id, "payer", phone)


def _by_number(session: Session, words: str) -> Iterable[_Found]:
    digits = normalise(words)
    if is_account_number(digits):
        customer_id = session.scalar(select(ContractRow.customer_id).where(ContractRow.account_number == digits))
        if customer_id is not None:
            yield _Found(customer_id, "account", grouped(digits))
    if len(digits) == 10 and is_valid(digits):
        yield from _payments(session, PaymentRow.verification_code == digits, "code", grouped(digits))


def _by_sale(session: Session, words: str) -> Iterable[_Found]:
    """The code that an agent gave: where no SMS went out, it is all that the customer has."""
    code = normalise(words)
    sold = (
        select(ContractRow.customer_id)
        .join(AgentSaleRow, AgentSaleRow.contract_id == ContractRow.id)
        .where(AgentSaleRow.code == code)
    )
    for customer_id in session.scalars(sold):
        yield _Found(customer_id, "sale", grouped(code))


def _by_case(session: Session, words: str) -> Iterable[_Found]:
    """The account a case is about; where it names none, whoever the phone that reported is linked to."""
    number = normalise(words)
    case = session.execute(select(CaseRow.contract_id, CaseRow.phone).where(CaseRow.number == number)).first()
    if case is None:
        return
    about = select(ContractRow.customer_id).where(ContractRow.id == case.contract_id)
    if case.contract_id is None:
        about = select(PhoneLinkRow.customer_id).where(PhoneLinkRow.phone == case.phone).limit(5)
    for customer_id in session.scalars(about):
        yield _Found(customer_id, "case", grouped(number))


def _by_invoice(session: Session, words: str) -> Iterable[_Found]:
    """The number of an invoice, or of a credit note on one."""
    number = words.replace(" ", "").upper()
    if not _INVOICE.fullmatch(number):
        return
    of_note = select(CreditNoteRow.invoice_id).where(CreditNoteRow.number == number)
    for customer_id in session.scalars(
        select(ContractRow.customer_id)
        .join(InvoiceRow, InvoiceRow.contract_id == ContractRow.id)
        .where(or_(InvoiceRow.number == number, InvoiceRow.id.in_(of_note)))
    ):
        yield _Found(customer_id, "invoice", number)


def _by_meter(session: Session, words: str) -> Iterable[_Found]:
    meter_id = words.replace(" ", "").upper()
    for customer_id in session.scalars(
        select(ContractRow.customer_id).where(ContractRow.meter_id == meter_id).order_by(ContractRow.id.desc()).limit(5)
    ):
        yield _Found(customer_id, "meter", meter_id)


def _by_old_reference(session: Session, words: str) -> Iterable[_Found]:
    """What the system before this one called her or her contract: it stands on her old papers."""
    reference = words.upper()
    named = select(OldReferenceRow.kind, OldReferenceRow.subject_id).where(OldReferenceRow.reference == reference)
    for kind, subject_id in session.execute(named.where(OldReferenceRow.kind.in_(("customer", "contract")))).all():
        customer_id: int | None = subject_id
        if kind == "contract":
            customer_id = session.scalar(select(ContractRow.customer_id).where(ContractRow.id == subject_id))
        yield _Found(customer_id, "old_reference", reference)


def _by_payment(session: Session, words: str, wallets: Sequence[str]) -> Iterable[_Found]:
    plain = words.replace(" ", "")
    if not _REFERENCE.fullmatch(plain):
        return
    yield from _payments(session, PaymentRow.receipt_number == plain.upper(), "receipt", plain.upper())
    spellings = {plain, plain.upper(), plain.lower()}
    at_operator = and_(PaymentRow.wallet.in_(wallets), PaymentRow.provider_txn_id.in_(spellings))
    yield from _payments(session, at_operator, "operator", plain)


def _payments(session: Session, condition: ColumnElement[bool], how: str, what: str) -> Iterable[_Found]:
    rows = session.execute(
        select(ContractRow.customer_id, PaymentRow.receipt_number)
        .select_from(PaymentRow)
        .outerjoin(ContractRow, ContractRow.id == PaymentRow.contract_id)
        .where(condition)
        .limit(5)
    )
    for customer_id, receipt in rows:
        yield _Found(customer_id, how, what if customer_id is not None else f"{what} · {receipt}")


def _by_attempt(session: Session, words: str, wallets: Sequence[str]) -> Iterable[_Found]:
    plain = words.replace(" ", "")
    if not _REFERENCE.fullmatch(plain):
        return
    spellings = {plain, plain.upper(), plain.lower()}
    questions: tuple[tuple[str, Select[int]], ...] = (
        ("reference", _asked().where(AttemptRow.own_ref == plain.upper())),
        ("reference", _asked().where(AttemptRow.id == plain.lower())),
        ("operator", _asked().where(AttemptRow.wallet.in_(wallets), AttemptRow.provider_ref.in_(spellings))),
    )
    for how, question in questions:
        for customer_id in session.scalars(question.limit(5)):
            yield _Found(customer_id, how, plain)


def _asked() -> Select[int]:
    return select(ContractRow.customer_id).join(AttemptRow, AttemptRow.contract_id == ContractRow.id)


def _by_name(session: Session, words: str, limit: int) -> Iterable[_Found]:
    """Every word stands somewhere in the name, capitals or not."""
    parts = [part.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in words.split()]
    name = func.lower(CustomerRow.name)
    rows = session.execute(
        select(CustomerRow.id, CustomerRow.name)
        .where(*(name.like(f"%{part}%", escape="\\") for part in parts[:_NAME_WORDS]))
        .order_by(CustomerRow.name, CustomerRow.id)
        .limit(limit)
    )
    for customer_id, found in rows:
        yield _Found(customer_id, "name", found)


def _dressed(session: Session, found: Sequence[_Found]) -> tuple[Hit, ...]:
    ids = [hit.customer_id for hit in found if hit.customer_id is not None]
    names: dict[int, str] = {
        row.id: row.name
        for row in session.execute(select(CustomerRow.id, CustomerRow.name).where(CustomerRow.id.in_(ids)))
    }
    accounts: dict[int, list[str]] = {}
    for customer_id, account in session.execute(
        select(ContractRow.customer_id, ContractRow.account_number)
        .where(ContractRow.customer_id.in_(ids))
        .order_by(ContractRow.id)
        .limit(500)
    ):
        accounts.setdefault(customer_id, []).append(account)
    return tuple(
        Hit(
            customer_id=hit.customer_id,
            customer=names.get(hit.customer_id, "") if hit.customer_id is not None else "",
            accounts=tuple(accounts.get(hit.customer_id, ())) if hit.customer_id is not None else (),
            how=hit.how,
            what=hit.what,
        )
        for hit in found
    )
