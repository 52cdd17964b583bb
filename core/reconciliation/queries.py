"""Questions about lines and what our books say beside them. No transactions, no decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from core.kernel.money import Money
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.payments.tables import AttemptRow, PaymentRow, RefundRow
from core.reconciliation.rules import NEAR, LineFacts, OurAttempt, OurPayment, OurRefund
from core.reconciliation.tables import StatementLineRow

# Where nobody knows yet whether money moved.
_DOUBTFUL = frozenset({"submitting", "pending", "unknown", "expired", "needs_attention"})
_LOOKED_AT = 50


def is_open() -> ColumnElement[bool]:
    """Lines that nobody has settled: new ones, and different ones without a person's word."""
    return or_(
        StatementLineRow.outcome == "new",
        and_(StatementLineRow.outcome == "differs", StatementLineRow.decided_at.is_(None)),
    )


def lock_line(session: Session, line_id: int) -> StatementLineRow | None:
    """The line, locked for this transaction and read afresh."""
    return session.scalar(
        select(StatementLineRow)
        .where(StatementLineRow.id == line_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def open_line_ids(session: Session, wallet: str, kinds: Sequence[str], limit: int) -> Sequence[int]:
    """Oldest first, as the operator tells it: money comes before it is taken back."""
    return session.scalars(
        select(StatementLineRow.id)
        .where(StatementLineRow.wallet == wallet, StatementLineRow.kind.in_(kinds), is_open())
        .order_by(StatementLineRow.at, StatementLineRow.id)
        .limit(limit)
    ).all()


def facts(line: StatementLineRow) -> LineFacts:
    return LineFacts(
        kind=line.kind,  # type: ignore[arg-type]
        amount=Money(line.amount_minor, line.currency),
        at=line.at,
        provider_txn_id=line.provider_txn_id,
        own_ids=tuple(line.own_ids),
        payer=line.payer,
        reference=line.reference,
    )


def shown_elsewhere(session: Session, payment_id: str, line: StatementLineRow, kind: str) -> bool:
    """Whether another line of this kind has the payment already."""
    other = select(StatementLineRow.id).where(
        StatementLineRow.payment_id == payment_id,
        StatementLineRow.kind == kind,
        StatementLineRow.id != line.id,
        StatementLineRow.outcome.in_(("matched", "theirs_only")),
    )
    return session.scalar(other.limit(1)) is not None


def our_payment(session: Session, row: PaymentRow, line: StatementLineRow) -> OurPayment:
    return OurPayment(
        id=row.id,
        amount=Money(row.amount_minor, row.currency),
        at=row.paid_at or row.received_at,
        provider_txn_id=row.provider_txn_id,
        attempt_id=row.attempt_id,
        contract_id=row.contract_id,
        payer=row.payer_phone,
        shown=shown_elsewhere(session, row.id, line, "payment"),
        reversed=row.reversed_at is not None,
    )


def payment_by_txn(session: Session, wallet: str, txn: str | None) -> PaymentRow | None:
    if txn is None:
        return None
    return session.scalar(select(PaymentRow).where(PaymentRow.wallet == wallet, PaymentRow.provider_txn_id == txn))


def attempt_by_ids(session: Session, wallet: str, ids: Sequence[str], txn: str | None) -> AttemptRow | None:
    """The attempt that one of the ids names: our own, or what the operator called the request."""
    if not ids and txn is None:
        return None
    names = list(ids)
    conditions = [AttemptRow.provider_ref.in_([*names, txn] if txn else names)]
    if names:
        conditions += [AttemptRow.id.in_(names), AttemptRow.own_ref.in_(names)]
    found = session.scalars(select(AttemptRow).where(AttemptRow.wallet == wallet, or_(*conditions)).limit(2)).all()
    # Two attempts under one line's ids: nobody can say which.
    return found[0] if len(found) == 1 else None


def our_attempt(row: AttemptRow) -> OurAttempt:
    return OurAttempt(
        id=row.id,
        amount=Money(row.charged_minor, row.charged_currency),
        at=row.submitted_at or row.created_at,
        payer=row.payer_phone,
        contract_id=row.contract_id,
        doubtful=row.state in _DOUBTFUL,
    )


def line_shows(session: Session, wallet: str, txn: str | None) -> bool:
    """Whether a payment line of this wallet has this transaction number."""
    if txn is None:
        return False
    line = select(StatementLineRow.id).where(
        StatementLineRow.wallet == wallet, StatementLineRow.provider_txn_id == txn, StatementLineRow.kind == "payment"
    )
    return session.scalar(line.limit(1)) is not None


def near_payments(session: Session, line: StatementLineRow, ahead: timedelta) -> list[OurPayment]:
    """Payments of the same money that no line shows; the rules say which of them are near.

    `ahead`: how far business time stands from real time, in which requests live; nothing outside the sandbox.
    """
    wide = timedelta(days=1)
    rows = session.execute(
        select(PaymentRow, AttemptRow.submitted_at)
        .outerjoin(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
        .where(
            PaymentRow.wallet == line.wallet,
            PaymentRow.currency == line.currency,
            PaymentRow.amount_minor == line.amount_minor,
            PaymentRow.reconciled_at.is_(None),
            PaymentRow.received_at.between(line.at - wide, line.at + wide),
        )
        .order_by(PaymentRow.received_at)
        .limit(_LOOKED_AT)
    ).all()
    found = []
    for row, submitted_at in rows:
        ours = our_payment(session, row, line)
        at = row.paid_at or (submitted_at + ahead if submitted_at else row.received_at)
        found.append(replace(ours, at=at))
    return found


def near_attempts(session: Session, line: StatementLineRow, ahead: timedelta) -> list[OurAttempt]:
    """Requests for the same money that left and brought none so far; their times in business time."""
    rows = session.scalars(
        select(AttemptRow)
        .where(
            AttemptRow.wallet == line.wallet,
            AttemptRow.charged_currency == line.currency,
            AttemptRow.charged_minor == line.amount_minor,
            AttemptRow.submitted_at.between(line.at - ahead - NEAR, line.at - ahead + NEAR),
            ~exists().where(PaymentRow.attempt_id == AttemptRow.id),
        )
        .order_by(AttemptRow.submitted_at)
        .limit(_LOOKED_AT)
    )
    return [replace(ours, at=ours.at + ahead) for ours in map(our_attempt, rows)]


def refund_for(session: Session, line: StatementLineRow, ids: Sequence[str]) -> RefundRow | None:
    """The refund of ours that a line shows: by its own ids, the operator's, or the payment it gives back."""
    taken = select(StatementLineRow.refund_id).where(
        StatementLineRow.refund_id.is_not(None), StatementLineRow.id != line.id
    )
    free = select(RefundRow).where(RefundRow.wallet == line.wallet, RefundRow.id.not_in(taken))
    tries: list[ColumnElement[bool]] = []
    if ids:
        tries.append(or_(RefundRow.id.in_(ids), RefundRow.own_ref.in_(ids), RefundRow.provider_ref.in_(ids)))
    if line.provider_txn_id:
        txn = line.provider_txn_id
        tries.append(or_(RefundRow.provider_txn_id == txn, RefundRow.provider_ref == txn))
    if line.original_txn_id:
        payment = select(PaymentRow.id).where(
            PaymentRow.wallet == line.wallet, PaymentRow.provider_txn_id == line.original_txn_id
        )
        of_payment = RefundRow.payment_id.in_(payment)
        # A refund that failed is no refund, unless the line names it.
        tries.append(and_(of_payment, RefundRow.amount_minor == line.amount_minor, RefundRow.state == "paid"))
        tries.append(and_(of_payment, RefundRow.state.in_(("submitting", "pending", "unknown", "needs_attention"))))
    for condition in tries:
        found = session.scalar(free.where(condition).order_by(RefundRow.requested_at).limit(1))
        if found is not None:
            return found
    return None


def our_refund(row: RefundRow) -> OurRefund:
    return OurRefund(row.id, row.payment_id, Money(row.amount_minor, row.currency), row.state == "paid")


def waiting_in_suspense(session: Session, payment_ids: Iterable[str]) -> dict[str, int]:
    """payment → what of it still lies in suspense, in minor units, from the transfers."""
    ids = list(payment_ids)
    debit, credit = aliased(AccountRow), aliased(AccountRow)
    signed = TransferRow.amount_minor * (
        case((credit.code == "suspense", 1), else_=0) - case((debit.code == "suspense", 1), else_=0)
    )
    rows = session.execute(
        select(TransferRow.payment_id, func.sum(signed))
        .join(debit, debit.id == TransferRow.debit_account_id)
        .join(credit, credit.id == TransferRow.credit_account_id)
        .where(TransferRow.payment_id.in_(ids))
        .group_by(TransferRow.payment_id)
    )
    return {str(payment_id): int(minor) for payment_id, minor in rows}


def clearing(session: Session, wallet: str, currency: str, until: datetime | None = None) -> int:
    """What the operator owes us, says the ledger: debits less credits of its clearing account, before `until`."""
    account = select(AccountRow.id).where(
        AccountRow.code == "wallet_clearing", AccountRow.owner == wallet, AccountRow.currency == currency
    )
    account_id = session.scalar(account)
    if account_id is None:
        return 0
    signed = case(
        (TransferRow.debit_account_id == account_id, TransferRow.amount_minor), else_=-TransferRow.amount_minor
    )
    total = select(func.coalesce(func.sum(signed), 0)).where(
        or_(TransferRow.debit_account_id == account_id, TransferRow.credit_account_id == account_id)
    )
    if until is not None:
        total = total.where(TransferRow.at < until)
    return int(session.scalar(total) or 0)


def paid_out(session: Session, wallet: str, currency: str) -> dict[str, int]:
    """`bank` and `fees` → what left the clearing account for them, in minor units."""
    debit, credit = aliased(AccountRow), aliased(AccountRow)
    rows = session.execute(
        select(debit.code, func.sum(TransferRow.amount_minor))
        .join(debit, debit.id == TransferRow.debit_account_id)
        .join(credit, credit.id == TransferRow.credit_account_id)
        .join(JournalRow, JournalRow.id == TransferRow.journal_id)
        .where(
            credit.code == "wallet_clearing",
            credit.owner == wallet,
            TransferRow.currency == currency,
            JournalRow.kind == "operator_paid_out",
        )
        .group_by(debit.code)
    )
    return {str(code): int(minor) for code, minor in rows}
