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
from core.reconciliation.rules import (
    OWN_NUMBER,
    REQUEST_LIVES,
    LineFacts,
    OurAttempt,
    OurPayment,
    OurRefund,
    Twin,
    day_starts,
    has_number,
    span,
)
from core.reconciliation.tables import StatementImportRow, StatementLineRow

# Where nobody knows yet whether money moved.
_DOUBTFUL = frozenset({"submitting", "pending", "unknown", "expired", "needs_attention"})
# Payments and lines over one sum within an hour; past that a person is asked in any case.
_LOOKED_AT = 500
_UNREADABLE = timedelta(days=7)
# Where a line's `raw` says why the books refused it: no cell of the operator's.
REFUSED_CELL = "refused"
_SHOWS = ("matched", "theirs_only")


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


def new_line_ids(session: Session, wallet: str, kinds: Sequence[str], limit: int) -> Sequence[int]:
    """Oldest first, as the operator tells it: money comes before it is taken back."""
    return session.scalars(
        select(StatementLineRow.id)
        .where(StatementLineRow.wallet == wallet, StatementLineRow.kind.in_(kinds), StatementLineRow.outcome == "new")
        .order_by(StatementLineRow.at, StatementLineRow.id)
        .limit(limit)
    ).all()


def different_line_ids(session: Session, wallet: str, kinds: Sequence[str], limit: int) -> Sequence[int]:
    """Lines that differ and wait for a person, those first that nobody has compared again for longest."""
    return session.scalars(
        select(StatementLineRow.id)
        .where(
            StatementLineRow.wallet == wallet,
            StatementLineRow.kind.in_(kinds),
            StatementLineRow.outcome == "differs",
            StatementLineRow.decided_at.is_(None),
        )
        .order_by(StatementLineRow.looked_at.asc().nulls_first(), StatementLineRow.id)
        .limit(limit)
    ).all()


def lock_reports(session: Session, wallet: str) -> None:
    """Until the end of this transaction nobody else takes a report of this wallet in, or closes one of its days.

    SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"statement:{wallet}", 0))))


def facts(line: StatementLineRow) -> LineFacts:
    return LineFacts(
        kind=line.kind,  # type: ignore[arg-type]
        amount=Money(line.amount_minor, line.currency),
        at=line.at,
        provider_txn_id=line.provider_txn_id,
        own_ids=tuple(line.own_ids),
        payer=line.payer,
        reference=line.reference,
        raw={name: cell for name, cell in line.raw.items() if name != REFUSED_CELL},
    )


def shown_elsewhere(session: Session, payment_id: str, line: StatementLineRow, kind: str) -> bool:
    """Whether another line of this kind has the payment already."""
    return _shown_in(session, payment_id, line, kind) is not None


def _shown_in(session: Session, payment_id: str, line: StatementLineRow, kind: str) -> int | None:
    """The import of another line of this kind that has the payment."""
    other = select(StatementLineRow.import_id).where(
        StatementLineRow.payment_id == payment_id,
        StatementLineRow.kind == kind,
        StatementLineRow.id != line.id,
        StatementLineRow.outcome.in_(_SHOWS),
    )
    return session.scalar(other.limit(1))


def our_payment(session: Session, row: PaymentRow, line: StatementLineRow) -> OurPayment:
    shown_in = _shown_in(session, row.id, line, "payment")
    return OurPayment(
        id=row.id,
        amount=Money(row.amount_minor, row.currency),
        at=row.paid_at or row.received_at,
        provider_txn_id=row.provider_txn_id,
        attempt_id=row.attempt_id,
        contract_id=row.contract_id,
        payer=row.payer_phone,
        shown=shown_in is not None,
        same_report=shown_in == line.import_id,
        reversed=row.reversed_at is not None,
    )


def payment_by_txn(session: Session, wallet: str, txn: str | None) -> PaymentRow | None:
    if txn is None:
        return None
    return session.scalar(select(PaymentRow).where(PaymentRow.wallet == wallet, PaymentRow.provider_txn_id == txn))


def attempts_by_ids(session: Session, wallet: str, ids: Sequence[str], txn: str | None) -> Sequence[AttemptRow]:
    """The attempts that one of the ids names: our own, or what the operator called the request. More than one: nobody
    can say which."""
    if not ids and txn is None:
        return ()
    names = list(ids)
    conditions = [AttemptRow.provider_ref.in_([*names, txn] if txn else names)]
    if names:
        conditions += [AttemptRow.id.in_(names), AttemptRow.own_ref.in_(names)]
    return session.scalars(
        select(AttemptRow).where(AttemptRow.wallet == wallet, or_(*conditions)).order_by(AttemptRow.id).limit(3)
    ).all()


def attempts_told(
    session: Session, line: StatementLineRow, contract_id: int, suffix: str, ahead: timedelta
) -> Sequence[AttemptRow]:
    """The attempts whose reference ends in what the line's reference has behind the account number, made before the
    line's time. Those over the line's money go before others: two characters are short."""
    low, high = span(line.at)
    found = session.scalars(
        select(AttemptRow)
        .where(
            AttemptRow.wallet == line.wallet,
            AttemptRow.contract_id == contract_id,
            AttemptRow.own_ref.endswith(suffix, autoescape=True),
            AttemptRow.created_at.between(low - ahead - REQUEST_LIVES, high - ahead),
            AttemptRow.submitted_at.is_not(None),
        )
        .order_by(AttemptRow.created_at.desc())
        .limit(_LOOKED_AT)
    ).all()
    same = [row for row in found if (row.charged_minor, row.charged_currency) == (line.amount_minor, line.currency)]
    return same or found


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


def twins(session: Session, line: StatementLineRow) -> list[Twin]:
    """Lines of other reports that came before, over the same money at about the same time; the rules say which of them
    are this one."""
    rows = session.execute(
        select(StatementLineRow, PaymentRow.attempt_id)
        .outerjoin(PaymentRow, PaymentRow.id == StatementLineRow.payment_id)
        .where(
            StatementLineRow.wallet == line.wallet,
            StatementLineRow.currency == line.currency,
            StatementLineRow.amount_minor == line.amount_minor,
            or_(StatementLineRow.at.between(*span(line.at)), StatementLineRow.at.in_(day_starts(line.at))),
            StatementLineRow.kind == line.kind,
            StatementLineRow.id < line.id,
            StatementLineRow.import_id != line.import_id,
        )
        .order_by(StatementLineRow.id.desc())
        .limit(_LOOKED_AT)
    )
    return [Twin(facts(row), row.payment_id, attempt_id) for row, attempt_id in rows]


def number_taken(session: Session, line: StatementLineRow) -> bool:
    """Whether an earlier line of the same kind has the operator's number."""
    if line.provider_txn_id is None:
        return False
    other = select(StatementLineRow.id).where(
        StatementLineRow.wallet == line.wallet,
        StatementLineRow.provider_txn_id == line.provider_txn_id,
        StatementLineRow.kind == line.kind,
        StatementLineRow.id < line.id,
    )
    return session.scalar(other.limit(1)) is not None


def near_payments(session: Session, line: StatementLineRow, ahead: timedelta) -> list[OurPayment]:
    """Payments of the same money at about the same time; the rules say which of them may be the line.

    When money came: the operator's word, else when its request left, else when we heard of it. A payment may have been
    found days later. `ahead`: how far business time stands from real time, in which requests live; nothing outside the
    sandbox.
    """
    low, high = span(line.at)
    untold = PaymentRow.paid_at.is_(None)
    came = or_(
        PaymentRow.paid_at.between(low, high),
        PaymentRow.paid_at.in_(day_starts(line.at)),
        and_(untold, AttemptRow.submitted_at.between(low - ahead, high - ahead)),
        and_(untold, AttemptRow.submitted_at.is_(None), PaymentRow.received_at.between(low, high)),
    )
    wanted = (
        select(PaymentRow, AttemptRow.submitted_at)
        .outerjoin(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
        .where(
            PaymentRow.wallet == line.wallet,
            PaymentRow.currency == line.currency,
            PaymentRow.amount_minor == line.amount_minor,
            came,
        )
    )
    if has_number(line.provider_txn_id):
        nameless = or_(PaymentRow.provider_txn_id.is_(None), PaymentRow.provider_txn_id.startswith(OWN_NUMBER))
        wanted = wanted.where(or_(PaymentRow.reconciled_at.is_(None), nameless))
    found = []
    for row, submitted_at in session.execute(wanted.order_by(PaymentRow.received_at).limit(_LOOKED_AT)).all():
        ours = our_payment(session, row, line)
        at = row.paid_at or (submitted_at + ahead if submitted_at else row.received_at)
        found.append(replace(ours, at=at))
    return found


def near_attempts(session: Session, line: StatementLineRow, ahead: timedelta) -> list[OurAttempt]:
    """Requests for the same money that left and brought none so far; their times in business time."""
    low, high = span(line.at)
    rows = session.scalars(
        select(AttemptRow)
        .where(
            AttemptRow.wallet == line.wallet,
            AttemptRow.charged_currency == line.currency,
            AttemptRow.charged_minor == line.amount_minor,
            AttemptRow.submitted_at.between(low - ahead, high - ahead),
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


def unread_lines(session: Session, wallet: str, start: datetime, end: datetime) -> int:
    """Lines that could not be read, of reports about any of [start, end). A report without one line that can be read
    is taken to be about the week before it came."""
    about = or_(
        and_(StatementImportRow.covers_from < end, StatementImportRow.covers_until > start),
        and_(
            StatementImportRow.covers_from.is_(None),
            StatementImportRow.imported_at >= start,
            StatementImportRow.imported_at < end + _UNREADABLE,
        ),
    )
    counted = select(func.coalesce(func.sum(StatementImportRow.lines_bad), 0)).where(
        StatementImportRow.wallet == wallet, StatementImportRow.lines_bad > 0, about
    )
    return int(session.scalar(counted) or 0)


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
