"""`post(session, event)`: the only code that reacts to money.

It writes the transfers of the event's recipe, allocates, re-evaluates dunning, sets desired supply and stages the
effects, all in the caller's transaction. Nothing else writes transfers, changes `paid_minor` or switches supply for
money.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Table, and_, bindparam, case, exists, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from core.billing.tables import DunningCycleRow, HoldRow, InvoiceLineRow, InvoiceRow
from core.customers.tables import ContractRow, SiteRow
from core.kernel.clock import Clock, local_date
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import Account, Transfer, credit, receivable
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.payments.tables import PaymentRow, RefundRow
from core.settlement import effects, floats, prepaid
from core.settlement.allocation import OpenInvoice
from core.settlement.dunning import reevaluate
from core.settlement.events import (
    CashHandedOver,
    CreditNote,
    Event,
    FloatBought,
    InvoiceSent,
    OperatorReversed,
    PayPaid,
    PayslipClosed,
    RefundFailed,
    RefundOwed,
    RefundPaidLate,
    RefundReturned,
    SuspensePlaced,
    SuspenseRefundOwed,
    TokenIssued,
    WrittenOff,
)
from core.settlement.recipes import RECIPES, Books, SentInvoice

# What every event asks is built once: building it took as long as asking.
_INVOICE = cast(Table, InvoiceRow.__table__)
_LINE = cast(Table, InvoiceLineRow.__table__)
_CONTRACT = (
    select(ContractRow)
    .where(ContractRow.id == bindparam("contract_id"))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)
_INVOICE_NOW = (
    select(InvoiceRow).where(InvoiceRow.id == bindparam("invoice_id")).execution_options(populate_existing=True)
)
_LEVIES = select(_LINE.c.levy, _LINE.c.amount_minor).where(
    _LINE.c.invoice_id == bindparam("invoice_id"), _LINE.c.levy.is_not(None)
)
_IN_THE_BOOKS = select(TransferRow.id).where(TransferRow.invoice_id == bindparam("invoice_id")).limit(1)
_DISPUTED_NOW = exists().where(
    HoldRow.invoice_id == InvoiceRow.id, HoldRow.kind == "dispute", HoldRow.until_at > bindparam("now")
)
_OPEN_INVOICES = (
    select(InvoiceRow.id, InvoiceRow.total_minor - InvoiceRow.paid_minor)
    .where(
        InvoiceRow.contract_id == bindparam("contract_id"),
        text("invoice.state = 'sent' AND paid_minor < total_minor"),
    )
    .order_by(case((or_(InvoiceRow.disputed, _DISPUTED_NOW), 1), else_=0), InvoiceRow.sent_on, InvoiceRow.id)
    .with_for_update(key_share=True, of=InvoiceRow)
)
_BRING_DOWN = (
    update(_INVOICE)
    .where(
        _INVOICE.c.id == bindparam("invoice_id"),
        _INVOICE.c.paid_minor + bindparam("delta") >= 0,
        _INVOICE.c.paid_minor + bindparam("delta") <= _INVOICE.c.total_minor,
    )
    .values(paid_minor=_INVOICE.c.paid_minor + bindparam("delta"))
    .returning(_INVOICE.c.id)
)


@dataclass(frozen=True, slots=True)
class Posted:
    """What an event did. `repeated`: it had happened before under this key, and nothing was done now.

    `allocated`: invoice → what it brought down (negative: opened again). `to_credit`: what no invoice took.
    """

    journal_id: str
    repeated: bool = False
    allocated: tuple[tuple[int, Money], ...] = ()
    to_credit: Money | None = None


def post(session: Session, event: Event, *, clock: Clock) -> Posted:
    """Let one event change the books and everything that follows from them, in the caller's transaction.

    Raises SameKeyOtherContent, BelowFloor or StateConflict; the caller's transaction must then be rolled back.
    """
    contract_id = _contract_of(session, event)
    contract = _lock_contract(session, contract_id) if contract_id is not None else None
    digest = hashlib.sha256(repr(event).encode()).hexdigest()
    before = ledger.find_journal(session, event.key, digest)
    if before is not None:
        return Posted(before, repeated=True)
    books = _load(session, event, contract, clock.now())
    _check(session, event, books)
    transfers = RECIPES[type(event)](event, books)
    if contract is not None:
        _check_currency(contract, transfers)
    entry = ledger.JournalEntry(
        kind=event.kind,
        key=event.key,
        digest=digest,
        at=clock.now(),
        recorded_at=clock.real_now(),
        actor=event.actor,
        memo=event.memo,
    )
    if isinstance(event, OperatorReversed):
        floats.make_room(session, transfers)
    journal_id = ledger.write(session, entry, transfers)
    allocated = _allocations(event, transfers)
    _bring_down(session, allocated)
    if isinstance(event, OperatorReversed):
        _open_again(session, event, allocated, clock)
    elif isinstance(event, SuspensePlaced):
        _placed(session, event)
    elif isinstance(event, SuspenseRefundOwed | RefundFailed | RefundPaidLate | RefundReturned):
        _still_waiting(session, event.payment_id)
    posted = Posted(
        journal_id,
        allocated=tuple((invoice_id, money) for invoice_id, money in allocated.items()),
        to_credit=_credited(transfers),
    )
    if contract is not None:
        contract.version += 1
        session.flush()
        reevaluate(session, clock=clock, contract_id=contract.id, cause=event.kind)
        prepaid.follow(session, event, contract, transfers, clock=clock)
    if isinstance(event, FloatBought | CashHandedOver) or (isinstance(event, PayslipClosed) and event.to_float_minor):
        assert event.agent_id is not None
        floats.recover(session, event.agent_id)
    if isinstance(event, FloatBought):
        floats.tell(session, event, clock=clock)
    effects.stage(session, event, clock=clock)
    return posted


def _contract_of(session: Session, event: Event) -> int | None:
    if isinstance(event, InvoiceSent):
        invoice = session.get(InvoiceRow, event.invoice_id)
        if invoice is None:
            raise StateConflict(f"there is no invoice {event.invoice_id}")
        return invoice.contract_id
    contract_id: int | None = getattr(event, "contract_id", None)
    return contract_id


def _lock_contract(session: Session, contract_id: int) -> ContractRow:
    """The row that is locked first when money moves; SQLite's writer holds the whole database already."""
    contract = session.scalar(_CONTRACT, {"contract_id": contract_id})
    if contract is None:
        raise StateConflict(f"there is no contract {contract_id}")
    return contract


def _load(session: Session, event: Event, contract: ContractRow | None, now: datetime) -> Books:
    if isinstance(event, OperatorReversed):
        uses = _credit_uses(session, contract) if contract is not None else ()
        held = ledger.balance(session, credit(contract.id), contract.currency).minor if contract is not None else 0
        transfers = _transfers_of(session, event.payment_id)
        return Books(payment_transfers=transfers, credit_minor=held, credit_uses=uses)
    if contract is None:
        return Books()
    balance = ledger.balance(session, credit(contract.id), contract.currency).minor
    if isinstance(event, InvoiceSent):
        return Books(invoice=_sent_invoice(session, event.invoice_id), credit_minor=balance)
    return Books(open_invoices=open_invoices(session, contract.id, now), credit_minor=balance)


def _credit_uses(session: Session, contract: ContractRow) -> Sequence[OpenInvoice]:
    """What this contract's credit has paid on each invoice and was not taken back since, the newest use first."""
    ours = ledger.account_row(session, credit(contract.id), contract.currency).id
    owed = ledger.account_row(session, receivable(contract.id), contract.currency).id
    used = func.sum(
        case((TransferRow.debit_account_id == ours, TransferRow.amount_minor), else_=-TransferRow.amount_minor)
    )
    rows = session.execute(
        select(TransferRow.invoice_id, used)
        .join(JournalRow, JournalRow.id == TransferRow.journal_id)
        .where(
            TransferRow.invoice_id.is_not(None),
            or_(
                and_(TransferRow.debit_account_id == ours, TransferRow.credit_account_id == owed),
                and_(TransferRow.debit_account_id == owed, TransferRow.credit_account_id == ours),
            ),
        )
        .group_by(TransferRow.invoice_id)
        .having(used > 0)
        .order_by(func.max(JournalRow.recorded_at).desc(), TransferRow.invoice_id.desc())
    )
    return [OpenInvoice(invoice_id, int(minor)) for invoice_id, minor in rows]


def _check(session: Session, event: Event, books: Books) -> None:
    """Refuse what no recipe can put right. Every caller is checked here, because every caller passes here."""
    match event:
        case InvoiceSent(invoice_id=invoice_id):
            if session.scalar(_IN_THE_BOOKS, {"invoice_id": invoice_id}) is not None:
                raise StateConflict(f"invoice {invoice_id} is in the books already")
        case CreditNote(invoice_id=invoice_id, amount=amount) | WrittenOff(invoice_id=invoice_id, amount=amount):
            invoice = session.get(InvoiceRow, invoice_id, populate_existing=True)
            if invoice is None or invoice.state != "sent" or invoice.contract_id != event.contract_id:
                raise StateConflict(f"invoice {invoice_id} is not a sent one of contract {event.contract_id}")
            if amount.minor > invoice.total_minor:
                raise StateConflict(f"{amount} is more than invoice {invoice.number}")
        case RefundOwed(amount=amount):
            if amount.minor > books.credit_minor:
                raise StateConflict(f"there is no credit of {amount} to give back")
        case TokenIssued(amount=amount):
            if amount.minor > books.credit_minor:
                raise StateConflict(f"there is no credit of {amount} for a token")
        case PayPaid(payee=payee, amount=amount):
            owed = ledger.standing(session, Account("payroll_payable", payee), amount.currency)
            if amount.minor > owed.minor:
                raise StateConflict(f"{payee} is owed {owed}, not {amount}")
        case SuspensePlaced():
            _check_placing(session, event)
        case SuspenseRefundOwed(payment_id=payment_id, amount=amount):
            payment = _lock_payment(session, payment_id)
            if (payment.wallet, payment.currency) != (event.wallet, amount.currency) or (
                amount.minor > waiting_of(session, payment_id)
            ):
                raise StateConflict(f"payment {payment.receipt_number} has no {amount} waiting at {event.wallet}")
        case RefundPaidLate(payment_id=payment_id):
            payment = _lock_payment(session, payment_id)
            if payment.reversed_at is not None:
                raise StateConflict(f"payment {payment.receipt_number} was taken back: its money left with that")
        case RefundFailed() | RefundReturned():
            _lock_payment(session, event.payment_id)
        case OperatorReversed():
            payment = _lock_payment(session, event.payment_id)
            if payment.refunded_minor > 0:
                # Its money has left, or is about to: taking it back once more would be paying it twice.
                raise StateConflict(
                    f"payment {payment.receipt_number} was given back, or a refund of it is under way: close that first"
                )
            if _returned_to_suspense(session, event.payment_id):
                # Its own transfers do not tell the whole way of the money any more: turned round they would be wrong.
                raise StateConflict(
                    f"payment {payment.receipt_number} was given back and came back to us: a person corrects the books"
                )
            if payment.reversed_at is not None or payment.contract_id != event.contract_id:
                raise StateConflict(
                    f"payment {payment.receipt_number} was taken back already, or is another contract's"
                )


def _returned_to_suspense(session: Session, payment_id: str) -> bool:
    """Whether a refund out of suspense was booked as paid, and returned afterwards."""
    refunds = session.scalars(
        select(RefundRow.id).where(RefundRow.payment_id == payment_id, RefundRow.source == "suspense")
    )
    return any(
        session.scalar(select(JournalRow.id).where(JournalRow.key.startswith(f"refund:{refund_id}:returned")).limit(1))
        for refund_id in refunds
    )


def _check_currency(contract: ContractRow, transfers: Sequence[Transfer]) -> None:
    """A contract is owed in one currency: other money goes through an exchange, or waits in suspense."""
    for t in transfers:
        on_contract = any(a.code in ("receivable", "credit") for a in (t.debit, t.credit))
        if on_contract and t.amount.currency != contract.currency:
            raise StateConflict(
                f"contract {contract.account_number} is in {contract.currency}, not {t.amount.currency}"
            )


def _check_placing(session: Session, event: SuspensePlaced) -> None:
    payment = _lock_payment(session, event.payment_id)
    waiting = waiting_of(session, event.payment_id)
    if payment.wallet != event.wallet or payment.currency != event.amount.currency or event.amount.minor > waiting:
        raise StateConflict(f"payment {payment.receipt_number} has no {event.amount} waiting at {event.wallet}")
    # One payment, one contract: a reversal locks one.
    placed = any(
        t.debit.code == "suspense" and t.credit.code in ("receivable", "credit")
        for t in _transfers_of(session, event.payment_id)
    )
    if placed and payment.contract_id != event.contract_id:
        raise StateConflict(f"a part of payment {payment.receipt_number} is on another contract")


def _lock_payment(session: Session, payment_id: str) -> PaymentRow:
    payment = session.get(PaymentRow, payment_id, with_for_update={"key_share": True}, populate_existing=True)
    if payment is None:
        raise StateConflict(f"there is no payment {payment_id}")
    return payment


def waiting_of(session: Session, payment_id: str) -> int:
    """What of a payment still waits, in minor units of its currency."""
    return sum(
        (t.credit.code == "suspense") * t.amount.minor - (t.debit.code == "suspense") * t.amount.minor
        for t in _transfers_of(session, payment_id)
    )


def _placed(session: Session, event: SuspensePlaced) -> None:
    payment = session.get_one(PaymentRow, event.payment_id)
    payment.contract_id = event.contract_id
    _still_waiting(session, event.payment_id)


def _still_waiting(session: Session, payment_id: str) -> None:
    payment = session.get_one(PaymentRow, payment_id)
    payment.in_suspense = waiting_of(session, payment_id) > 0
    session.flush()


def open_invoices(session: Session, contract_id: int, now: datetime) -> list[OpenInvoice]:
    """Sent and not paid, locked: oldest first, and what is disputed after all that is not. Nobody is cut for a disputed
    one, so money on it would leave the cut where it was. Uses ix_invoice_open."""
    rows = session.execute(_OPEN_INVOICES, {"contract_id": contract_id, "now": now})
    return [OpenInvoice(invoice_id, balance) for invoice_id, balance in rows]


def _sent_invoice(session: Session, invoice_id: int) -> SentInvoice:
    invoice = session.scalars(_INVOICE_NOW, {"invoice_id": invoice_id}).one()
    if invoice.state != "sent":
        raise StateConflict(f"invoice {invoice.number} is {invoice.state}, not sent")
    taxes: dict[str, int] = defaultdict(int)
    for levy, minor in session.execute(_LEVIES, {"invoice_id": invoice_id}):
        taxes[str(levy)] += int(minor)
    if sum(taxes.values()) != invoice.tax_minor:
        taxes = defaultdict(int, {"vat": invoice.tax_minor})
    total = Money(invoice.total_minor, invoice.currency)
    return SentInvoice(invoice.id, invoice.contract_id, total, tuple(sorted(taxes.items())))


def _transfers_of(session: Session, payment_id: str) -> Sequence[Transfer]:
    debit, credited = aliased(AccountRow), aliased(AccountRow)
    rows = session.execute(
        select(
            debit.code, debit.owner, credited.code, credited.owner,
            TransferRow.amount_minor, TransferRow.currency, TransferRow.invoice_id,
        )
        .join(debit, debit.id == TransferRow.debit_account_id)
        .join(credited, credited.id == TransferRow.credit_account_id)
        .join(JournalRow, JournalRow.id == TransferRow.journal_id)
        .where(TransferRow.payment_id == payment_id, JournalRow.kind != OperatorReversed.kind)
    )  # fmt: skip
    return tuple(
        Transfer(Account(d_code, d_owner), Account(c_code, c_owner), Money(minor, currency), invoice_id, payment_id)
        for d_code, d_owner, c_code, c_owner, minor, currency, invoice_id in rows
    )


def _allocations(event: Event, transfers: Sequence[Transfer]) -> dict[int, Money]:
    """invoice → how far it was brought down. The transfers that open an invoice are no allocation."""
    sums: dict[int, Money] = {}
    for t in transfers:
        if t.invoice_id is None:
            continue
        if t.credit.code == "receivable":
            part = t.amount
        elif t.debit.code == "receivable" and not isinstance(event, InvoiceSent):
            part = Money(-t.amount.minor, t.amount.currency)
        else:
            continue
        sums[t.invoice_id] = sums[t.invoice_id] + part if t.invoice_id in sums else part
    return sums


def _credited(transfers: Sequence[Transfer]) -> Money | None:
    rest = [t.amount for t in transfers if t.credit.code == "credit"]
    total = rest[0] if rest else None
    for amount in rest[1:]:
        assert total is not None
        total = total + amount
    return total


def _bring_down(session: Session, allocated: dict[int, Money]) -> None:
    for invoice_id in sorted(allocated):
        delta = allocated[invoice_id].minor
        changed = session.execute(_BRING_DOWN, {"invoice_id": invoice_id, "delta": delta})
        if changed.first() is None:
            raise StateConflict(f"invoice {invoice_id} cannot take {allocated[invoice_id]}")
    for row in list(session):
        if isinstance(row, InvoiceRow) and row.id in allocated:
            session.expire(row)


def _open_again(session: Session, event: OperatorReversed, allocated: dict[int, Money], clock: Clock) -> None:
    """A reversal opens a new dunning cycle with a new warning: what was said before was about paid money."""
    opened = sorted(invoice_id for invoice_id, money in allocated.items() if money.minor < 0)
    zone = session.scalar(
        select(SiteRow.time_zone)
        .join(ContractRow, ContractRow.site_id == SiteRow.id)
        .where(ContractRow.id == event.contract_id)
    )
    for invoice_id in opened:
        assert zone is not None
        invoice = session.get_one(InvoiceRow, invoice_id, populate_existing=True)
        invoice.cycle += 1
        session.add(
            DunningCycleRow(
                invoice_id=invoice_id,
                cycle=invoice.cycle,
                started_on=local_date(clock.now(), zone),
                cause="operator_reversed",
            )
        )
    session.execute(update(PaymentRow).where(PaymentRow.id == event.payment_id).values(reversed_at=clock.now()))
    session.flush()
