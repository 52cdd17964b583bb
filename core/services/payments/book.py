"""Booking money that arrived: once, as it came, wherever it belongs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.customers.tables import ContractRow, PhoneLinkRow
from core.kernel.clock import WEST, Clock, local_time
from core.kernel.errors import StateConflict
from core.kernel.ids import ALPHABET, new_uuid, verification_code
from core.kernel.money import Money
from core.ledger.tables import AccountRow
from core.payments import queries
from core.payments.ports import BillPayment, Paid
from core.payments.tables import AttemptInvoiceRow, AttemptRow, PaymentRow, QuoteRow
from core.settlement import post
from core.settlement.events import Event, ExchangedMoney, FloatBought, SuspensePlaced, UnplacedMoney, WalletMoney

# What operators write where they have no transaction id: never a key.
_NO_ID = frozenset({"", "-1", "0", "n/a", "none", "null"})


def book(session: Session, attempt: AttemptRow, paid: Paid, *, found_by: str, clock: Clock) -> None:
    """Book the success of an attempt whose row the caller has locked. Booking it again changes nothing, or adds the
    receipt number that was still missing; a second transaction for one attempt is a second payment, and flagged."""
    txn = _real_id(paid.provider_txn_id)
    amount = paid.amount if paid.amount is not None else Money(attempt.charged_minor, attempt.charged_currency)
    before = queries.payment_of_attempt(session, attempt.id)
    if before is not None:
        _book_again(session, attempt, before, amount, paid, txn, found_by=found_by, clock=clock)
        return
    if amount.minor <= 0:
        # A success over nothing: nobody can book that, and the amount asked for must not be put in its place.
        attempt.state, attempt.flag = "needs_attention", "amount"
        return
    elsewhere = queries.payment_by_transaction(session, attempt.wallet, txn) if txn else None
    if elsewhere is not None:
        # This operator transaction is booked already (a statement row, another door): the same money, once.
        if elsewhere.attempt_id is None:
            _adopt(session, attempt, elsewhere, amount, clock)
        else:
            attempt.flag = "transaction_elsewhere"
        return
    if amount.currency != attempt.charged_currency:
        attempt.flag = "currency"
    elif amount.minor != attempt.charged_minor:
        attempt.flag = "amount"
    attempt.provider_txn_id = txn
    _pay(session, attempt, amount, paid, txn, found_by=found_by, of_attempt=True, clock=clock)


def _adopt(session: Session, attempt: AttemptRow, payment: PaymentRow, amount: Money, clock: Clock) -> None:
    """The money came by another door first. If it waits in suspense, we know now whose it is."""
    if attempt.contract_id is not None:
        # Everybody who moves money locks the contract before the payment.
        session.get(ContractRow, attempt.contract_id, with_for_update={"key_share": True}, populate_existing=True)
    payment.attempt_id = attempt.id
    attempt.provider_txn_id = payment.provider_txn_id
    if (payment.amount_minor, payment.currency) != (amount.minor, amount.currency):
        attempt.flag = "amount"
    if payment.in_suspense and _placed(session, attempt, payment, clock):
        return
    if payment.in_suspense or payment.contract_id != attempt.contract_id or payment.reversed_at is not None:
        attempt.flag = "transaction_elsewhere"


def _placed(session: Session, attempt: AttemptRow, payment: PaymentRow, clock: Clock) -> bool:
    """Put suspense money on the attempt's account. False where the books refuse it (a part is elsewhere, or on its way
    back): the success stands all the same, and a person places the rest."""
    contract = session.get(ContractRow, attempt.contract_id) if attempt.contract_id else None
    target = session.get_one(AccountRow, attempt.target_account_id)
    if contract is None or target.code != "receivable" or contract.currency != payment.currency:
        return False
    event = SuspensePlaced(
        key=f"placed:{payment.id}:attempt",
        payment_id=payment.id,
        wallet=payment.wallet,
        contract_id=contract.id,
        amount=Money(payment.amount_minor, payment.currency),
        invoice_ids=_chosen(session, attempt),
    )
    session.flush()
    if payment.refunded_minor or payment.reversed_at is not None:
        return False
    try:
        with session.begin_nested():
            post(session, event, clock=clock)
    except StateConflict:
        return False
    return True


def fill_number(session: Session, attempt: AttemptRow, number: str | None) -> None:
    """Give the attempt's payment the operator's number it still lacks, from a source that may not book by itself.

    Another number than the one it has is a contradiction for a person.
    """
    txn, payment = _real_id(number), queries.payment_of_attempt(session, attempt.id)
    if txn is None or payment is None or payment.provider_txn_id == txn:
        return
    if payment.provider_txn_id is not None:
        attempt.flag = attempt.flag or "two_transactions"
    elif queries.payment_by_transaction(session, attempt.wallet, txn) is not None:
        attempt.flag = attempt.flag or "transaction_elsewhere"
    else:
        payment.provider_txn_id = attempt.provider_txn_id = txn


def _book_again(
    session: Session,
    attempt: AttemptRow,
    before: PaymentRow,
    amount: Money,
    paid: Paid,
    txn: str | None,
    *,
    found_by: str,
    clock: Clock,
) -> None:
    """The attempt has its payment: nothing new, its missing number, or really a second transaction."""
    if txn is None or before.provider_txn_id == txn:
        return
    known = queries.payment_by_transaction(session, attempt.wallet, txn)
    if before.provider_txn_id is None:
        if known is not None:
            attempt.flag = "transaction_elsewhere"
            return
        before.provider_txn_id = attempt.provider_txn_id = txn
        if (before.amount_minor, before.currency) != (amount.minor, amount.currency):
            # Booked as asked while no amount was known; what came is another: a person corrects it.
            attempt.flag = "amount"
    elif amount.minor <= 0:
        attempt.flag = "amount"
    elif known is None:
        attempt.flag = "two_transactions"
        _pay(session, attempt, amount, paid, txn, found_by=found_by, of_attempt=False, clock=clock)


def _real_id(txn: str | None) -> str | None:
    return None if txn is None or txn.strip().lower() in _NO_ID else txn.strip()


def _pay(
    session: Session,
    attempt: AttemptRow,
    amount: Money,
    paid: Paid,
    txn: str | None,
    *,
    found_by: str,
    of_attempt: bool,
    clock: Clock,
) -> None:
    payment = _new_payment(
        session,
        clock,
        wallet=attempt.wallet,
        provider_txn_id=txn,
        attempt_id=attempt.id if of_attempt else None,
        contract_id=attempt.contract_id,
        amount=amount,
        payer_phone=paid.payer_phone or attempt.payer_phone,
        paid_at=paid.paid_at,
        found_by=found_by,
    )
    event = _event(session, attempt, payment, amount, clock)
    _remember_brand(session, attempt)
    payment.in_suspense = isinstance(event, UnplacedMoney)
    post(session, event, clock=clock)


def pay_bill(
    session: Session,
    wallet: str,
    bill: BillPayment,
    contract: ContractRow | None,
    *,
    found_by: str,
    clock: Clock,
) -> str:
    """Book money that nobody asked for: on the contract its payer named, else in suspense. Returns the payment's id."""
    fits = contract is not None and contract.currency == bill.amount.currency
    payment = _new_payment(
        session,
        clock,
        wallet=wallet,
        provider_txn_id=bill.provider_txn_id,
        contract_id=contract.id if contract is not None and fits else None,
        amount=bill.amount,
        payer_phone=bill.payer[:40] if bill.payer else None,
        paid_at=bill.paid_at,
        found_by=found_by,
        reference=bill.reference[:40],
    )
    key = f"payment:{payment.id}"
    event: Event
    if contract is not None and fits:
        event = WalletMoney(key=key, payment_id=payment.id, wallet=wallet, contract_id=contract.id, amount=bill.amount)
    else:
        event = UnplacedMoney(key=key, payment_id=payment.id, wallet=wallet, amount=bill.amount)
        payment.in_suspense = True
    post(session, event, clock=clock)
    return payment.id


def _new_payment(
    session: Session,
    clock: Clock,
    *,
    wallet: str,
    provider_txn_id: str | None,
    contract_id: int | None,
    amount: Money,
    payer_phone: str | None,
    paid_at: datetime | None,
    found_by: str,
    attempt_id: str | None = None,
    reference: str | None = None,
) -> PaymentRow:
    now = clock.now()
    payment = PaymentRow(
        id=new_uuid(),
        wallet=wallet,
        provider_txn_id=provider_txn_id,
        attempt_id=attempt_id,
        contract_id=contract_id,
        currency=amount.currency,
        amount_minor=amount.minor,
        payer_phone=payer_phone,
        paid_at=paid_at,
        received_at=now,
        found_by=found_by,
        receipt_number=_unused(
            session, PaymentRow.receipt_number, lambda: _receipt_number(local_time(now, WEST).strftime("%y%m%d"))
        ),
        verification_code=_unused(session, PaymentRow.verification_code, verification_code),
        reference=reference,
    )
    session.add(payment)
    session.flush()
    return payment


def _remember_brand(session: Session, attempt: AttemptRow) -> None:
    """The wallet that worked is proposed next time, where somebody paid from the phone that asked."""
    if attempt.contract_id is None or attempt.payer_phone != attempt.asked_by_phone:
        return
    customer = select(ContractRow.customer_id).where(ContractRow.id == attempt.contract_id).scalar_subquery()
    session.execute(
        update(PhoneLinkRow)
        .where(PhoneLinkRow.phone == attempt.payer_phone, PhoneLinkRow.customer_id == customer)
        .values(last_brand=attempt.brand)
        .execution_options(synchronize_session=False)
    )


def _receipt_number(day: str) -> str:
    return f"R{day}" + "".join(secrets.choice(ALPHABET) for _ in range(5))


def _unused(session: Session, column: InstrumentedAttribute[str], make: Callable[[], str]) -> str:
    """A number nobody has yet. The unique key decides between two at once; a collision would cost a round of retry."""
    while True:
        made = make()
        if session.scalar(select(PaymentRow.id).where(column == made)) is None:
            return made


def _event(session: Session, attempt: AttemptRow, payment: PaymentRow, amount: Money, clock: Clock) -> Event:
    key = f"payment:{payment.id}"
    target = session.get_one(AccountRow, attempt.target_account_id)
    if target.code == "agent_float" and target.currency == amount.currency:
        return FloatBought(
            key=key, payment_id=payment.id, wallet=attempt.wallet, agent_id=int(target.owner), amount=amount
        )
    contract = session.get(ContractRow, attempt.contract_id) if attempt.contract_id else None
    unplaced = UnplacedMoney(key=key, payment_id=payment.id, wallet=attempt.wallet, amount=amount)
    if contract is None:
        return unplaced
    chosen = _chosen(session, attempt)
    if amount.currency == contract.currency:
        return WalletMoney(
            key=key,
            payment_id=payment.id,
            wallet=attempt.wallet,
            contract_id=contract.id,
            amount=amount,
            invoice_ids=chosen,
        )
    worth = _exchanged(session, attempt, amount, contract.currency, clock)
    if worth is None:
        attempt.flag = "currency"
        return unplaced
    return ExchangedMoney(
        key=key,
        payment_id=payment.id,
        wallet=attempt.wallet,
        contract_id=contract.id,
        amount=amount,
        worth=worth,
        invoice_ids=chosen,
    )


def _chosen(session: Session, attempt: AttemptRow) -> tuple[int, ...]:
    """The invoices the customer chose, in order."""
    chosen = (
        select(AttemptInvoiceRow.invoice_id)
        .where(AttemptInvoiceRow.attempt_id == attempt.id)
        .order_by(AttemptInvoiceRow.position)
    )
    return tuple(session.scalars(chosen))


def _exchanged(session: Session, attempt: AttemptRow, amount: Money, into: str, clock: Clock) -> Money | None:
    """What `amount` is worth under the attempt's quote, or None: then the money waits in suspense.

    The quote had to be valid when the wallet was asked: the customer's PIN may come a little later.
    """
    quote = session.get(QuoteRow, attempt.quote_id) if attempt.quote_id else None
    asked_at = attempt.submitted_at or clock.real_now()
    if quote is None or quote.expires_at < asked_at:
        return None
    if (quote.from_currency, quote.to_currency) != (amount.currency, into):
        return None
    return Money(amount.minor * quote.rate_num // quote.rate_den, into)
