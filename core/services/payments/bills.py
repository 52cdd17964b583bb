"""Money that came by our bill number: a payer typed an account in the operator's menu, or the operator tells a request
of ours a second time this way. Booked once per transaction, on the account it names, else in suspense."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow
from core.kernel.digits import ACCOUNT_LENGTH, is_account_number, normalise
from core.kernel.errors import StateConflict
from core.payments import queries
from core.payments.ports import BillPayment, BillRefusal, Paid
from core.payments.tables import AttemptRow, PaymentRow
from core.services.payments import carry
from core.services.payments.book import pay_bill
from core.services.payments.context import Context

# A request of ours that is told as a bill payment carries this much of its own reference behind the account number.
SUFFIX_LENGTH = 2
# So long after it was made, money may still be the answer to a request.
REQUEST_LIVES = timedelta(hours=72)
ABOUT_THEN = timedelta(minutes=30)


def refuse(ctx: Context, wallet: str, bill: BillPayment) -> BillRefusal | None:
    """See `Payments.refuse_bill`. Refuses only what can never be placed: what it lets through may end in suspense."""
    account, _ = read_reference(bill.reference)
    if account is None:
        return "unknown_account"
    with ctx.db.read() as session:
        contract = session.scalar(select(ContractRow).where(ContractRow.account_number == account))
    if contract is None:
        return "unknown_account"
    if bill.amount.minor <= 0 or bill.amount.currency != contract.currency:
        return "amount_refused"
    return None


def read_reference(typed: str) -> tuple[str | None, str]:
    """(the account number in what was typed, what stands behind it). None when its check digit does not fit."""
    plain = "".join(typed.split())
    account, rest = normalise(plain), ""
    if len(account) == ACCOUNT_LENGTH + SUFFIX_LENGTH and is_account_number(account[:ACCOUNT_LENGTH]):
        account, rest = account[:ACCOUNT_LENGTH], plain.replace("-", "")[-SUFFIX_LENGTH:].upper()
    return (account, rest) if is_account_number(account) else (None, "")


def book_bill(ctx: Context, wallet: str, bill: BillPayment, *, found_by: str) -> str | None:
    """See `Payments.book_bill`. None where an attempt's payment could not be made of it: a person's list has it."""
    if bill.amount.minor <= 0:
        raise StateConflict(f"transaction {bill.provider_txn_id} is over nothing")
    try:
        return _book(ctx, wallet, bill, found_by)
    except IntegrityError:
        # The same money by another door, committed between our look and our insert: its row decides.
        return _book(ctx, wallet, bill, found_by)


def _book(ctx: Context, wallet: str, bill: BillPayment, found_by: str) -> str | None:
    with ctx.db.begin() as session:
        known = queries.payment_by_transaction(session, wallet, bill.provider_txn_id)
        if known is not None:
            _same_money(known, bill)
            return known.id
        account, suffix = read_reference(bill.reference)
        contract = (
            session.scalar(
                select(ContractRow).where(ContractRow.account_number == account).with_for_update(key_share=True)
            )
            if account
            else None
        )
        request = _request_behind(ctx, session, wallet, contract, suffix, bill)
        if request is None:
            # Of a report's line that was asked before, with the payer, or a person has said so.
            if contract is None and found_by != "statement" and _may_be_known(ctx, session, wallet, bill):
                raise StateConflict("it names no account, and may be the money of a request whose number is not known")
            if _beyond(ctx, wallet, bill):
                # Nothing but a secret address speaks for it: so much is placed by people.
                contract = None
            return pay_bill(session, wallet, bill, contract, found_by=found_by, clock=ctx.clock)
    return _answered(ctx, request, bill, found_by)


def _same_money(known: PaymentRow, bill: BillPayment) -> None:
    if known.reference is None:
        known.reference = bill.reference[:40]
    if (known.amount_minor, known.currency) != (bill.amount.minor, bill.amount.currency):
        raise StateConflict(f"transaction {bill.provider_txn_id} is booked with another amount")


def _request_behind(
    ctx: Context, session: Session, wallet: str, contract: ContractRow | None, suffix: str, bill: BillPayment
) -> str | None:
    """The attempt whose money this is: the reference we sent with it stands in the bill."""
    if contract is None or not suffix:
        return None
    # A report may be days old: what counts is when the money moved.
    at = min(bill.paid_at or ctx.clock.real_now(), ctx.clock.real_now())
    rows = session.execute(
        select(AttemptRow.id, AttemptRow.created_at)
        .where(
            AttemptRow.wallet == wallet,
            AttemptRow.contract_id == contract.id,
            AttemptRow.own_ref.endswith(suffix, autoescape=True),
            AttemptRow.created_at >= at - REQUEST_LIVES,
            AttemptRow.submitted_at.is_not(None),
        )
        .order_by(AttemptRow.created_at.desc())
    ).all()
    nearest = min(rows, key=lambda row: abs(row.created_at - at), default=None)
    return nearest.id if nearest is not None else None


def _may_be_known(ctx: Context, session: Session, wallet: str, bill: BillPayment) -> bool:
    """Whether a payment of the same amount, about that time, still lacks its number: this may be it, told again."""
    at = bill.paid_at or ctx.clock.real_now()
    asked = func.coalesce(AttemptRow.submitted_at, AttemptRow.created_at)
    return (
        session.scalar(
            select(PaymentRow.id)
            .join(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
            .where(
                PaymentRow.wallet == wallet,
                PaymentRow.provider_txn_id.is_(None),
                PaymentRow.amount_minor == bill.amount.minor,
                PaymentRow.currency == bill.amount.currency,
                asked.between(at - ABOUT_THEN, at + ABOUT_THEN),
            )
            .limit(1)
        )
        is not None
    )


def _beyond(ctx: Context, wallet: str, bill: BillPayment) -> bool:
    """Whether it is more than this wallet may carry in one go."""
    known = ctx.wallets.get(wallet)
    highest = known.can.limits.get(bill.amount.currency, (None, None))[1] if known else None
    return highest is not None and bill.amount.minor > highest


def _answered(ctx: Context, attempt_id: str, bill: BillPayment, found_by: str) -> str | None:
    paid = Paid(bill.provider_txn_id, bill.amount, bill.paid_at)
    carry.record(ctx, attempt_id, paid, by=found_by)
    with ctx.db.begin() as session:
        attempt = session.get_one(AttemptRow, attempt_id)
        payment = queries.payment_by_transaction(session, attempt.wallet, bill.provider_txn_id)
        if payment is None:
            return None
        payment.reference = payment.reference or bill.reference[:40]
        return payment.id
