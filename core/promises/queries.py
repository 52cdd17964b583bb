"""Questions and changes about promises to pay. Session first; no commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from core.billing.queries import IS_OPEN
from core.billing.tables import HoldRow, InvoiceRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.kernel.money import Money
from core.promises.model import PromiseCounts, PromiseLine
from core.promises.rules import Earlier
from core.promises.tables import PromiseRow

_STILL_OWED = exists().where(
    InvoiceRow.contract_id == PromiseRow.contract_id, IS_OPEN, InvoiceRow.sent_at <= PromiseRow.made_at
)
# Asked with every payment: built once.
_KEEP = (
    update(PromiseRow)
    .where(PromiseRow.contract_id == bindparam("of_contract"), PromiseRow.state == "open", ~_STILL_OWED)
    .values(state="kept", ended_at=bindparam("now"), ended_by="payment")
    .execution_options(synchronize_session=False)
)


def newest(session: Session, contract_id: int) -> Earlier | None:
    """The newest promise of a contract that was not cancelled. Uses ix_promise_contract_id."""
    row = session.execute(
        select(PromiseRow.state, PromiseRow.promised_on, PromiseRow.ended_at)
        .where(PromiseRow.contract_id == contract_id, PromiseRow.state != "cancelled")
        .order_by(PromiseRow.id.desc())
        .limit(1)
    ).first()
    return Earlier(row.state, row.promised_on, row.ended_at) if row else None


def settle(session: Session, contract_id: int, now: datetime) -> None:
    """Mark the open promise of a contract kept when nothing is owed any more of what was owed when it was made.

    Its hold stays until the promised day is over: a payment brings no cut nearer. The caller holds the contract's row.
    """
    session.flush()
    session.connection().execute(_KEEP, {"of_contract": contract_id, "now": now})


def end_hold(session: Session, hold_id: int | None, now: datetime) -> None:
    """Let a hold end now, unless it has ended."""
    session.execute(update(HoldRow).where(HoldRow.id == hold_id, HoldRow.until_at > now).values(until_at=now))


def open_up_to(session: Session, *, zone: str, day: date, after: int, limit: int) -> Sequence[tuple[int, int, date]]:
    """(promise, contract, day) of open promises in a zone whose day is `day` or before, by id, above `after`."""
    rows = session.execute(
        select(PromiseRow.id, PromiseRow.contract_id, PromiseRow.promised_on)
        .join(ContractRow, ContractRow.id == PromiseRow.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(
            PromiseRow.state == "open",
            PromiseRow.promised_on <= day,
            PromiseRow.id > after,
            SiteRow.time_zone == zone,
        )
        .order_by(PromiseRow.id)
        .limit(limit)
    )
    return [(row.id, row.contract_id, row.promised_on) for row in rows]


def locked(session: Session, promise_id: int) -> PromiseRow | None:
    """One promise as it stands now. The caller holds the contract's row."""
    return session.get(PromiseRow, promise_id, populate_existing=True)


def owed_of(session: Session, contract_id: int, made_at: datetime) -> int:
    """What is still owed, in minor units, of what was owed when a promise was made."""
    return int(
        session.scalar(
            select(func.coalesce(func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor), 0)).where(
                InvoiceRow.contract_id == contract_id, IS_OPEN, InvoiceRow.sent_at <= made_at
            )
        )
        or 0
    )


def lines(session: Session, *, state: str | None, limit: int) -> tuple[PromiseLine, ...]:
    """Promises in one state, or all: open ones by their day, the others newest first."""
    order = (PromiseRow.promised_on, PromiseRow.id) if state == "open" else (PromiseRow.id.desc(),)
    wanted = _lines().where(PromiseRow.state == state) if state else _lines()
    return tuple(_line(*row) for row in session.execute(wanted.order_by(*order).limit(limit)))


def one_line(session: Session, promise_id: int) -> PromiseLine | None:
    row = session.execute(_lines().where(PromiseRow.id == promise_id)).first()
    return _line(*row) if row else None


def of_contract(session: Session, contract_id: int, *, limit: int) -> tuple[PromiseLine, ...]:
    """A contract's promises, newest first."""
    wanted = _lines().where(PromiseRow.contract_id == contract_id).order_by(PromiseRow.id.desc()).limit(limit)
    return tuple(_line(*row) for row in session.execute(wanted))


def counts(session: Session, *, since: datetime) -> PromiseCounts:
    """How many are open, and how those ended that ended since then."""
    rows = session.execute(
        select(PromiseRow.state, func.count())
        .where((PromiseRow.state == "open") | (PromiseRow.ended_at >= since))
        .group_by(PromiseRow.state)
    )
    found = {state: int(count) for state, count in rows}
    return PromiseCounts(found.get("open", 0), found.get("kept", 0), found.get("broken", 0))


def _due() -> ColumnElement[int]:
    return (
        select(func.coalesce(func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor), 0))
        .where(InvoiceRow.contract_id == PromiseRow.contract_id, IS_OPEN)
        .correlate(PromiseRow)
        .scalar_subquery()
    )


def _lines() -> Select[PromiseRow, str, str, int, str, int]:
    return (
        select(PromiseRow, ContractRow.account_number, SiteRow.time_zone, CustomerRow.id, CustomerRow.name, _due())
        .join(ContractRow, ContractRow.id == PromiseRow.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
    )


def _line(row: PromiseRow, account: str, zone: str, customer_id: int, name: str, due: int) -> PromiseLine:
    return PromiseLine(
        id=row.id,
        customer_id=customer_id,
        customer=name,
        contract_id=row.contract_id,
        account=account,
        zone=zone,
        state=row.state,
        promised_on=row.promised_on,
        amount=Money(row.amount_minor, row.currency),
        due=Money(int(due), row.currency),
        phone=row.phone,
        made_at=row.made_at,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        end_reason=row.end_reason,
    )
