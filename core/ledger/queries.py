"""Writing transfers and asking the books. Insert-only: a correction is a new row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Table, bindparam, case, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.ledger.errors import BelowFloor, SameKeyOtherContent
from core.ledger.model import CHART, Account, Transfer
from core.ledger.tables import AccountRow, JournalRow, TransferRow

# Every payment and every invoice passes here: what is asked each time is built once, and rows that nobody reads back
# are written past the unit of work.
_JOURNALS, _TRANSFERS = insert(cast(Table, JournalRow.__table__)), insert(cast(Table, TransferRow.__table__))
_ACCOUNTS = cast(Table, AccountRow.__table__)
_ACCOUNT = select(AccountRow).where(
    AccountRow.code == bindparam("code"),
    AccountRow.owner == bindparam("owner"),
    AccountRow.currency == bindparam("currency"),
)
_BALANCE = select(_ACCOUNTS.c.balance_minor).where(
    _ACCOUNTS.c.code == bindparam("code"),
    _ACCOUNTS.c.owner == bindparam("owner"),
    _ACCOUNTS.c.currency == bindparam("currency"),
)
# Those of a journal and a few more, in one look into the index.
_SOME_ACCOUNTS = select(_ACCOUNTS.c.id, _ACCOUNTS.c.code, _ACCOUNTS.c.owner, _ACCOUNTS.c.currency).where(
    _ACCOUNTS.c.code.in_(bindparam("codes", expanding=True)),
    _ACCOUNTS.c.owner.in_(bindparam("owners", expanding=True)),
    _ACCOUNTS.c.currency.in_(bindparam("currencies", expanding=True)),
)
_JOURNAL_OF_KEY = select(JournalRow.__table__.c.id, JournalRow.__table__.c.digest).where(
    JournalRow.__table__.c.key == bindparam("key")
)
_MOVE = (
    update(_ACCOUNTS)
    .where(
        _ACCOUNTS.c.id == bindparam("account_id"),
        or_(
            _ACCOUNTS.c.floor_minor.is_(None), _ACCOUNTS.c.balance_minor + bindparam("delta") >= _ACCOUNTS.c.floor_minor
        ),
    )
    .values(balance_minor=_ACCOUNTS.c.balance_minor + bindparam("delta"))
    .returning(_ACCOUNTS.c.id)
)


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
    named = {"code": account.code, "owner": account.owner, "currency": currency}
    row = session.scalar(_ACCOUNT, named)
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
        row = session.scalar(_ACCOUNT, named)
        assert row is not None
    return row


def _account_ids(session: Session, names: Sequence[tuple[Account, str]]) -> dict[tuple[Account, str], int]:
    """The ids of these accounts, in order; those that are missing are made."""
    wanted = {
        "codes": sorted({account.code for account, _ in names}),
        "owners": sorted({account.owner for account, _ in names}),
        "currencies": sorted({currency for _, currency in names}),
    }
    rows = session.execute(_SOME_ACCOUNTS, wanted)
    known = {(code, owner, currency): account_id for account_id, code, owner, currency in rows}
    return {
        (account, currency): known.get((account.code, account.owner, currency))
        or account_row(session, account, currency).id
        for account, currency in names
    }


def find_journal(session: Session, key: str, digest: str) -> str | None:
    """The id of the journal that has this key. Raises SameKeyOtherContent when it was about something else."""
    row = session.execute(_JOURNAL_OF_KEY, {"key": key}).first()
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
    # What the caller added (a payment's row) must be there before transfers name it.
    session.flush()
    journal_id = new_uuid()
    journal = {
        "id": journal_id,
        "kind": entry.kind,
        "key": entry.key,
        "digest": entry.digest,
        "memo": entry.memo,
        "actor": entry.actor,
        "at": entry.at,
        "recorded_at": entry.recorded_at,
    }
    session.execute(_JOURNALS, journal)
    if not transfers:
        return journal_id
    ids = _account_ids(session, sorted({(a, t.amount.currency) for t in transfers for a in (t.debit, t.credit)}))
    rows = []
    moved: dict[int, int] = defaultdict(int)
    for t in transfers:
        currency = t.amount.currency
        debit_id, credit_id = ids[t.debit, currency], ids[t.credit, currency]
        rows.append(
            {
                "id": new_uuid(),
                "journal_id": journal_id,
                "debit_account_id": debit_id,
                "credit_account_id": credit_id,
                "currency": currency,
                "amount_minor": t.amount.minor,
                "invoice_id": t.invoice_id,
                "payment_id": t.payment_id,
                "at": entry.at,
            }
        )
        for account, account_id, sign in ((t.debit, debit_id, 1), (t.credit, credit_id, -1)):
            if CHART[account.code].cached:
                moved[account_id] += sign * CHART[account.code].sign * t.amount.minor
    session.execute(_TRANSFERS, rows)
    for account_id in sorted(moved):
        _move(session, account_id, moved[account_id])
    return journal_id


def _move(session: Session, account_id: int, delta: int) -> None:
    if delta == 0:
        return
    changed = session.execute(_MOVE, {"account_id": account_id, "delta": delta})
    if changed.first() is None:
        raise BelowFloor(f"account {account_id} would fall below its floor")


def balance(session: Session, account: Account, currency: str) -> Money:
    """The cached balance of a receivable, credit, float or commission. Nothing when the account does not exist yet."""
    minor = session.scalar(_BALANCE, {"code": account.code, "owner": account.owner, "currency": currency})
    return Money(minor or 0, currency)


def standing(session: Session, account: Account, currency: str) -> Money:
    """What an account without a kept balance holds on the side of its credits: two sums over its own transfers."""
    row = account_row(session, account, currency)
    sums = (
        select(func.coalesce(func.sum(TransferRow.amount_minor), 0)).where(column == row.id)
        for column in (TransferRow.credit_account_id, TransferRow.debit_account_id)
    )
    into, out = (int(session.scalar(one) or 0) for one in sums)
    return Money(into - out, currency)


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
        .where(TransferRow.invoice_id == invoice_id, JournalRow.kind.not_in(("invoice_sent", "opening_debit")))
    )
    return int(session.scalar(lowered) or 0) - int(session.scalar(raised) or 0)
