"""Writing transfers and asking the books. Insert-only: a correction is a new row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.ledger.errors import BelowFloor, SameKeyOtherContent
from core.ledger.model import CHART, Account, Transfer
from core.ledger.tables import AccountRow, JournalRow, TransferRow


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What a journal says of itself. `digest` is over the event's content: same key, other content is refused."""

    kind: str
    key: str
    digest: str
    at: datetime
    recorded_at: datetime
    actor: str = "system"
    memo: str = ""


def account_row(session: Session, account: Account, currency: str) -> AccountRow:
    """The row of an account, made when it is first needed.

    Two writers may need it at once: the second insert fails on the unique key inside its savepoint and reads the first.
    """
    find = select(AccountRow).where(
        AccountRow.code == account.code, AccountRow.owner == account.owner, AccountRow.currency == currency
    )
    row = session.scalar(find)
    if row is not None:
        return row
    cached = CHART[account.code].cached
    try:
        with session.begin_nested():
            row = AccountRow(
                code=account.code,
                owner=account.owner,
                currency=currency,
                balance_minor=0 if cached else None,
                floor_minor=0 if account.code == "agent_float" else None,
            )
            session.add(row)
    except IntegrityError:
        row = session.scalar(find)
        assert row is not None
    return row


def find_journal(session: Session, key: str, digest: str) -> str | None:
    """The id of the journal that has this key. Raises SameKeyOtherContent when it was about something else."""
    row = session.execute(select(JournalRow.id, JournalRow.digest).where(JournalRow.key == key)).first()
    if row is None:
        return None
    if row.digest != digest:
        raise SameKeyOtherContent(f"{key} was booked with other content")
    return str(row.id)


def write(session: Session, entry: JournalEntry, transfers: Sequence[Transfer]) -> str:
    """Write one journal with its transfers and move the cached balances, in the caller's transaction.

    Balances move by conditional update in sorted order, so that two journals never wait for each other in a circle.
    Raises BelowFloor when an account with a floor would pass it; the caller's transaction must then be rolled back.
    """
    journal = JournalRow(
        id=new_uuid(),
        kind=entry.kind,
        key=entry.key,
        digest=entry.digest,
        memo=entry.memo,
        actor=entry.actor,
        at=entry.at,
        recorded_at=entry.recorded_at,
    )
    session.add(journal)
    session.flush()
    names = sorted({(a, t.amount.currency) for t in transfers for a in (t.debit, t.credit)})
    rows = {(account, currency): account_row(session, account, currency) for account, currency in names}
    moved: dict[int, int] = defaultdict(int)
    for t in transfers:
        debit, credit = rows[(t.debit, t.amount.currency)], rows[(t.credit, t.amount.currency)]
        session.add(
            TransferRow(
                id=new_uuid(),
                journal_id=journal.id,
                debit_account_id=debit.id,
                credit_account_id=credit.id,
                currency=t.amount.currency,
                amount_minor=t.amount.minor,
                invoice_id=t.invoice_id,
                payment_id=t.payment_id,
                at=entry.at,
            )
        )
        for row, sign in ((debit, 1), (credit, -1)):
            if CHART[row.code].cached:
                moved[row.id] += sign * CHART[row.code].sign * t.amount.minor
    session.flush()
    for account_id in sorted(moved):
        _move(session, account_id, moved[account_id])
    return journal.id


def _move(session: Session, account_id: int, delta: int) -> None:
    if delta == 0:
        return
    changed = session.scalars(
        update(AccountRow)
        .where(
            AccountRow.id == account_id,
            or_(AccountRow.floor_minor.is_(None), AccountRow.balance_minor + delta >= AccountRow.floor_minor),
        )
        .values(balance_minor=AccountRow.balance_minor + delta)
        .returning(AccountRow.id)
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise BelowFloor(f"account {account_id} would fall below its floor")


def balance(session: Session, account: Account, currency: str) -> Money:
    """The cached balance of a receivable, credit, float or commission. Nothing when the account does not exist yet."""
    minor = session.scalar(
        select(AccountRow.balance_minor).where(
            AccountRow.code == account.code, AccountRow.owner == account.owner, AccountRow.currency == currency
        )
    )
    return Money(minor or 0, currency)


def trial_balance(session: Session) -> dict[tuple[str, str, str], int]:
    """(code, owner, currency) → debits minus credits, from the transfers alone."""
    sums: dict[int, int] = defaultdict(int)
    for column, sign in ((TransferRow.debit_account_id, 1), (TransferRow.credit_account_id, -1)):
        for account_id, total in session.execute(select(column, func.sum(TransferRow.amount_minor)).group_by(column)):
            sums[account_id] += sign * int(total)
    rows = session.execute(select(AccountRow.id, AccountRow.code, AccountRow.owner, AccountRow.currency))
    return {(r.code, r.owner, r.currency): sums.get(r.id, 0) for r in rows}


@dataclass(frozen=True, slots=True)
class Difference:
    """A cached balance that is not what the transfers say. There must never be one."""

    code: str
    owner: str
    currency: str
    cached: int
    recomputed: int


def differences(session: Session) -> list[Difference]:
    """Recompute every cached balance; a difference is an alarm. One pass over the transfers."""
    recomputed = trial_balance(session)
    found: list[Difference] = []
    # Columns, not rows: a session that moved a balance still holds the row as it was before.
    cached = select(AccountRow.code, AccountRow.owner, AccountRow.currency, AccountRow.balance_minor).where(
        AccountRow.balance_minor.is_not(None)
    )
    for row in session.execute(cached):
        truth = CHART[row.code].sign * recomputed.get((row.code, row.owner, row.currency), 0)
        if row.balance_minor != truth:
            found.append(Difference(row.code, row.owner, row.currency, row.balance_minor or 0, truth))
    return found


def allocated(session: Session, invoice_id: int) -> int:
    """What transfers have put on an invoice, in minor units: those that lower its receivable minus those that raise it
    again. The opening transfer (invoice sent) does not count."""
    side = case((AccountRow.code == "receivable", 1), else_=0)
    lowered = (
        select(func.coalesce(func.sum(TransferRow.amount_minor * side), 0))
        .join(AccountRow, AccountRow.id == TransferRow.credit_account_id)
        .where(TransferRow.invoice_id == invoice_id)
    )
    raised = (
        select(func.coalesce(func.sum(TransferRow.amount_minor * side), 0))
        .join(AccountRow, AccountRow.id == TransferRow.debit_account_id)
        .join(JournalRow, JournalRow.id == TransferRow.journal_id)
        .where(TransferRow.invoice_id == invoice_id, JournalRow.kind != "invoice_sent")
    )
    return int(session.scalar(lowered) or 0) - int(session.scalar(raised) or 0)
