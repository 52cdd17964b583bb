"""What people and papers get when money has moved: notices and documents, staged in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import bindparam, case, func, select, text
from sqlalchemy.orm import Session

from core import outbox
from core.billing.tables import InvoiceRow
from core.customers.links import SEES_AMOUNTS
from core.customers.tables import ContractRow, CustomerRow, PhoneLinkRow, PhoneRow, SiteRow
from core.kernel.clock import Clock, local_date
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.notices.mailing import email_customer
from core.notices.staging import stage_notice
from core.payments.tables import AttemptRow, PaymentRow
from core.prepaid.queries import price_on
from core.prepaid.tables import KeypadMeterRow
from core.settlement.events import AgentSale, BankMoney, CashTaken, Event, ExchangedMoney, SuspensePlaced, WalletMoney

# Events that bring a customer's money: each has one payment, one receipt and its messages.
RECEIPTED = (WalletMoney, ExchangedMoney, CashTaken, BankMoney, AgentSale, SuspensePlaced)

_DUE = select(func.coalesce(func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor), 0)).where(
    InvoiceRow.contract_id == bindparam("contract_id"),
    text("invoice.state = 'sent' AND paid_minor < total_minor"),
)
_HOLDERS = (
    select(
        PhoneLinkRow.phone,
        func.coalesce(PhoneLinkRow.language, PhoneRow.language, CustomerRow.language),
        PhoneLinkRow.customer_id,
        PhoneLinkRow.fresh_until,
    )
    .join(CustomerRow, CustomerRow.id == PhoneLinkRow.customer_id)
    .outerjoin(PhoneRow, PhoneRow.phone == PhoneLinkRow.phone)
    .where(
        PhoneLinkRow.customer_id == bindparam("customer_id"),
        PhoneLinkRow.confirmed_at.is_not(None),
        PhoneLinkRow.role.in_(SEES_AMOUNTS),
    )
    .order_by(case((PhoneLinkRow.role == "holder", 0), else_=1), PhoneLinkRow.id)
)
_ZONE = select(SiteRow.time_zone).where(SiteRow.id == bindparam("site_id"))


@dataclass(frozen=True, slots=True)
class Addressee:
    """A phone that may read about a contract, and in which language."""

    phone: str
    language: str
    customer_id: int
    fresh: bool


def stage(session: Session, event: Event, *, clock: Clock) -> None:
    """Stage what follows from `event`: the receipt's PDF, one SMS to who paid, one to the account's holder, an e-mail
    where the holder has an address."""
    if not isinstance(event, RECEIPTED):
        return
    payment = session.get_one(PaymentRow, event.payment_id)
    outbox.stage(
        session,
        kind="document.receipt",
        key=f"receipt:{payment.id}",
        body={"payment_id": payment.id},
        clock=clock,
    )
    _receipts(session, payment, event.contract_id, clock)


def standing(session: Session, contract: ContractRow) -> tuple[Money, Money]:
    """(what is due on sent invoices, the credit) of a contract, in its currency."""
    due = session.scalar(_DUE, {"contract_id": contract.id})
    return Money(int(due or 0), contract.currency), ledger.balance(session, credit(contract.id), contract.currency)


def holders(session: Session, contract: ContractRow, *, clock: Clock) -> list[Addressee]:
    """The confirmed phones of a contract's household, fresh ones before stale ones, holder first.

    A stale one (months of silence, another SIM) may be somebody else's by now: it is told no amount that is owed. Who
    only pays for the account is not of the household: as a payer that phone gets its own receipts.
    """
    rows = session.execute(_HOLDERS, {"customer_id": contract.customer_id})
    now = clock.now()
    people = [
        Addressee(phone, tongue, customer_id, fresh=until is not None and until > now)
        for phone, tongue, customer_id, until in rows
    ]
    return sorted(people, key=lambda person: not person.fresh)


def _keypad(session: Session, contract: ContractRow, held: Money, day: date) -> str:
    """The meter for whose keypad `held` becomes digits in a moment; "" where it stays credit."""
    if contract.kind != "prepaid" or contract.meter_id is None:
        return ""
    keypad = session.get(KeypadMeterRow, contract.meter_id)
    price = price_on(session, keypad.unit, contract.currency, day) if keypad is not None else None
    return contract.meter_id if price is not None and held >= price.each else ""


def _receipts(session: Session, payment: PaymentRow, contract_id: int, clock: Clock) -> None:
    contract = session.get_one(ContractRow, contract_id)
    zone = session.scalars(_ZONE, {"site_id": contract.site_id}).one()
    due, left_over = standing(session, contract)
    known = holders(session, contract, clock=clock)
    attempt = session.get(AttemptRow, payment.attempt_id) if payment.attempt_id else None
    payer = attempt.payer_phone if attempt else payment.payer_phone
    blanks = {
        "amount": Money(payment.amount_minor, payment.currency).text,
        "account": grouped(contract.account_number),
        "receipt": payment.receipt_number,
        "verification": grouped(payment.verification_code),
        "due": due.text if due else "",
        "credit": left_over.text if left_over.minor > 0 and not due else "",
        "meter": "" if due else _keypad(session, contract, left_over, local_date(clock.now(), zone)),
    }
    email_customer(
        session,
        contract,
        clock=clock,
        kind="payment.receipt",
        key=f"receipt:{payment.id}",
        blanks=blanks,
        zone=zone,
        paper=payment.id,
        payment_id=payment.id,
    )
    # Proof of the money, nothing about what the account still owes.
    proof = {key: blanks[key] for key in ("amount", "account", "receipt", "verification")}
    own = next((a for a in known if a.phone == payer), None)
    told = own or (known[0] if known else None)
    if told is not None:
        stage_notice(
            session,
            clock=clock,
            kind="payment.receipt" if told.fresh else "payment.receipt_payer",
            key=f"receipt:{payment.id}:account",
            recipient=told.phone,
            language=told.language if own is None or attempt is None else attempt.language,
            blanks=blanks if told.fresh else proof,
            zone=zone,
            customer_id=told.customer_id,
            contract_id=contract.id,
            payment_id=payment.id,
        )
    if own is None and attempt is not None:
        stage_notice(
            session,
            clock=clock,
            kind="payment.receipt_payer",
            key=f"receipt:{payment.id}:payer",
            recipient=attempt.payer_phone,
            language=attempt.language,
            blanks=proof,
            zone=zone,
            contract_id=contract.id,
            payment_id=payment.id,
        )
