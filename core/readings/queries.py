"""Readings around a moment, those that wait, and what a register said at the end of a month."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from core.customers.tables import ContractRow, CustomerRow, MeterRow, SiteRow
from core.readings.model import ESTIMATED, TOTAL, HeldView, Known, ReadingView
from core.readings.rules import HISTORY
from core.readings.tables import ReadingRow, RegisterRow

_ACCEPTED = ReadingRow.state == "accepted"
# What others are judged by: a guess says nothing about what the register can say next.
_TRUSTED = (_ACCEPTED, ReadingRow.quality != ESTIMATED)


def lock_meter(session: Session, meter_id: str) -> bool:
    """Take the meter's row, so that two batches of one meter are judged one after the other. False: no such meter.

    SQLite's writer holds the whole database already.
    """
    row = select(MeterRow.id).where(MeterRow.id == meter_id).with_for_update(key_share=True)
    return session.scalar(row) is not None


def meter_of(session: Session, reading_id: int) -> str | None:
    """The meter of a reading; None when there is no such reading."""
    return session.scalar(select(ReadingRow.meter_id).where(ReadingRow.id == reading_id))


def modulus_of(session: Session, meter_id: str, register: str) -> int | None:
    return session.scalar(
        select(RegisterRow.modulus_wh).where(RegisterRow.meter_id == meter_id, RegisterRow.register == register)
    )


def at_moments(session: Session, meter_id: str, register: str, at: Collection[datetime]) -> dict[datetime, ReadingRow]:
    """The rows there are for these moments, whatever their state."""
    rows = session.scalars(
        select(ReadingRow).where(
            ReadingRow.meter_id == meter_id, ReadingRow.register == register, ReadingRow.at.in_(at)
        )
    )
    return {row.at: row for row in rows}


def before(session: Session, meter_id: str, register: str, at: datetime) -> Known | None:
    """The newest accepted reading before a moment."""
    return _known(session, meter_id, register, ReadingRow.at < at, newest=True)


def after(session: Session, meter_id: str, register: str, at: datetime) -> Known | None:
    """The oldest accepted reading after a moment."""
    return _known(session, meter_id, register, ReadingRow.at > at, newest=False)


def days_before(session: Session, meter_id: str, register: str, at: datetime) -> list[Known]:
    """The highest register of each day (UTC) of the ninety before a moment, measured ones only, oldest first."""
    day = func.date(ReadingRow.at)
    rows = session.execute(
        select(func.max(ReadingRow.at), func.max(ReadingRow.wh), func.max(ReadingRow.total_wh))
        .where(
            ReadingRow.meter_id == meter_id,
            ReadingRow.register == register,
            ReadingRow.at >= at - HISTORY,
            ReadingRow.at < at,
            *_TRUSTED,
        )
        .group_by(day)
        .order_by(day)
    )
    return [Known(moment, wh, total) for moment, wh, total in rows]


def last_until(session: Session, until: Mapping[str, datetime], *, inclusive: bool = True) -> dict[str, Known]:
    """meter → its newest accepted reading of the total up to its moment. One statement for each different moment."""
    found: dict[str, Known] = {}
    for moment, meter_ids in _by_moment(until).items():
        bound = ReadingRow.at <= moment if inclusive else ReadingRow.at < moment
        found.update(_one_each(session, meter_ids, bound, ReadingRow.at.desc()))
    return found


def first_since(session: Session, since: Mapping[str, datetime]) -> dict[str, Known]:
    """meter → its oldest accepted reading of the total from its moment on. One statement for each different moment."""
    found: dict[str, Known] = {}
    for moment, meter_ids in _by_moment(since).items():
        found.update(_one_each(session, meter_ids, ReadingRow.at >= moment, ReadingRow.at))
    return found


def newest(session: Session, meter_id: str, register: str) -> Known | None:
    """The newest reading that others are judged by."""
    return _known(session, meter_id, register, ReadingRow.id > 0, newest=True)


def held_rows(session: Session, meter_id: str, register: str) -> list[ReadingRow]:
    """Those of a register that wait for a person, the oldest first."""
    rows = session.scalars(
        select(ReadingRow)
        .where(ReadingRow.meter_id == meter_id, ReadingRow.register == register, ReadingRow.state == "held")
        .order_by(ReadingRow.at)
    )
    return list(rows)


def zones_of(session: Session, meter_ids: Collection[str]) -> dict[str, str]:
    """meter → the time zone of its place; meters that nobody knows are missing."""
    rows = session.execute(
        select(MeterRow.id, SiteRow.time_zone)
        .join(SiteRow, SiteRow.id == MeterRow.site_id)
        .where(MeterRow.id.in_(meter_ids))
    )
    return {row.id: row.time_zone for row in rows}


def meters_of_accounts(session: Session, accounts: Collection[str]) -> dict[str, str]:
    """account number → its meter; accounts without one are missing."""
    rows = session.execute(
        select(ContractRow.account_number, ContractRow.meter_id).where(
            ContractRow.account_number.in_(accounts), ContractRow.meter_id.is_not(None)
        )
    )
    return {account: meter_id for account, meter_id in rows if meter_id is not None}


def with_held(session: Session, meter_ids: Collection[str], *, until: datetime) -> set[str]:
    """Those of the meters with a reading up to then that a person must look at. Uses ix_reading_held."""
    rows = session.scalars(
        select(ReadingRow.meter_id)
        .where(
            ReadingRow.meter_id.in_(meter_ids),
            ReadingRow.state == "held",
            ReadingRow.register == TOTAL,
            ReadingRow.at <= until,
        )
        .distinct()
    )
    return set(rows)


def jumped(session: Session, meter_id: str) -> bool:
    """Whether a reading of this meter waits for a person: nobody is cut on one. Uses ix_reading_held."""
    waiting = exists().where(ReadingRow.meter_id == meter_id, ReadingRow.state == "held")
    return bool(session.scalar(select(waiting)))


def held(
    session: Session, *, after_id: int, limit: int, meter_id: str | None = None, doubt: str | None = None
) -> list[HeldView]:
    """Readings that wait, the oldest first, with the account they would be billed to: one statement. `meter_id`,
    `doubt`: only those."""
    earlier, prior = aliased(ReadingRow), aliased(ReadingRow)
    newest_before = (
        select(earlier.id)
        .where(
            earlier.meter_id == ReadingRow.meter_id,
            earlier.register == ReadingRow.register,
            earlier.state == "accepted",
            earlier.quality != ESTIMATED,
            earlier.at < ReadingRow.at,
        )
        .order_by(earlier.at.desc())
        .limit(1)
        .correlate(ReadingRow)
        .scalar_subquery()
    )
    rows = session.execute(
        select(ReadingRow, ContractRow.account_number, CustomerRow.name, prior.at, prior.wh)
        .outerjoin(ContractRow, and_(ContractRow.meter_id == ReadingRow.meter_id, ContractRow.state == "active"))
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .outerjoin(prior, prior.id == newest_before)
        .where(
            ReadingRow.state == "held",
            ReadingRow.id > after_id,
            *([ReadingRow.meter_id == meter_id] if meter_id else []),
            *([ReadingRow.doubt == doubt] if doubt else []),
        )
        .order_by(ReadingRow.id)
        .limit(limit)
    )
    return [HeldView(as_view(row), account or "", name or "", at, wh) for row, account, name, at, wh in rows]


def held_counts(session: Session) -> dict[str, int]:
    """doubt → how many readings wait for that reason. Uses ix_reading_held."""
    rows = session.execute(
        select(ReadingRow.doubt, func.count()).where(ReadingRow.state == "held").group_by(ReadingRow.doubt)
    )
    return {doubt or "": int(count) for doubt, count in rows}


def one(session: Session, reading_id: int) -> ReadingView | None:
    row = session.get(ReadingRow, reading_id)
    return None if row is None else as_view(row)


def of_meter(
    session: Session, meter_id: str, *, register: str | None, before_at: datetime | None, limit: int
) -> list[ReadingView]:
    """Readings of a meter, the newest first, those before a moment."""
    wanted = select(ReadingRow).where(ReadingRow.meter_id == meter_id)
    if register is not None:
        wanted = wanted.where(ReadingRow.register == register)
    if before_at is not None:
        wanted = wanted.where(ReadingRow.at < before_at)
    rows = session.scalars(wanted.order_by(ReadingRow.at.desc(), ReadingRow.id.desc()).limit(limit))
    return [as_view(row) for row in rows]


def as_view(row: ReadingRow) -> ReadingView:
    return ReadingView(
        row.id,
        row.meter_id,
        row.register,
        row.at,
        row.arrived_at,
        row.wh,
        row.quality,
        row.source,
        row.state,
        row.doubt,
        row.said_wh,
        row.by,
        row.reason,
    )


def _known(session: Session, meter_id: str, register: str, bound: ColumnElement[bool], *, newest: bool) -> Known | None:
    row = session.execute(
        select(ReadingRow.at, ReadingRow.wh, ReadingRow.total_wh, ReadingRow.quality)
        .where(ReadingRow.meter_id == meter_id, ReadingRow.register == register, bound, *_TRUSTED)
        .order_by(ReadingRow.at.desc() if newest else ReadingRow.at)
        .limit(1)
    ).first()
    return Known(*row) if row else None


def _by_moment(moments: Mapping[str, datetime]) -> dict[datetime, list[str]]:
    found: dict[datetime, list[str]] = {}
    for meter_id, moment in moments.items():
        found.setdefault(moment, []).append(meter_id)
    return found


def _one_each(session: Session, meter_ids: Collection[str], bound: ColumnElement[bool], order: Any) -> dict[str, Known]:
    """The first reading of each meter in an order. A look into the index per meter: a month has 3 000 readings."""
    chosen = (
        select(ReadingRow.id)
        .where(ReadingRow.meter_id == MeterRow.id, ReadingRow.register == TOTAL, bound, _ACCEPTED)
        .order_by(order)
        .limit(1)
        .correlate(MeterRow)
        .scalar_subquery()
    )
    rows = session.execute(
        select(ReadingRow.meter_id, ReadingRow.at, ReadingRow.wh, ReadingRow.total_wh, ReadingRow.quality).where(
            ReadingRow.id.in_(select(chosen).select_from(MeterRow).where(MeterRow.id.in_(meter_ids)))
        )
    )
    return {meter_id: Known(at, wh, total, quality) for meter_id, at, wh, total, quality in rows}
