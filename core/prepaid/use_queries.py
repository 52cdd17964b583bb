"""Which prepaid radio meters there are, what their registers say, and what was charged of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, cast, func, or_, select, update
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, MeterRow, SiteRow
from core.kernel.clock import day_begins
from core.ledger.tables import AccountRow
from core.prepaid.model import Price, Unit
from core.prepaid.queries import as_price, as_unit
from core.prepaid.tables import PrepaidMarkRow, PrepaidPriceRow, PrepaidUseRow
from core.prepaid.use_rules import Mark
from core.readings.model import ESTIMATED, TOTAL
from core.readings.tables import ReadingRow

# Prepaid meters whose use is told by readings: a keypad counts by itself.
RADIO = "mqtt_relay"
_MEASURED = (ReadingRow.register == TOTAL, ReadingRow.state == "accepted", ReadingRow.quality != ESTIMATED)


@dataclass(frozen=True, slots=True)
class Subject:
    """A prepaid contract on a radio meter. `held_minor`: its credit, in `currency`. `tariff_id`: says the unit."""

    contract_id: int
    currency: str
    meter_id: str
    tariff_id: int | None
    opened_at: datetime
    zone: str
    held_minor: int


@dataclass(frozen=True, slots=True)
class Register:
    """What a meter measured: the reading, its moment, the total with every roll-over in it."""

    reading_id: int
    at: datetime
    wh: int


def contracts(session: Session, *, after: int, limit: int, only: int | None = None) -> list[Subject]:
    """Active prepaid contracts with a radio meter, by id. One statement."""
    wanted = (
        select(
            ContractRow.id,
            ContractRow.currency,
            ContractRow.meter_id,
            ContractRow.tariff_id,
            ContractRow.opened_on,
            SiteRow.time_zone,
            AccountRow.balance_minor,
        )
        .join(MeterRow, MeterRow.id == ContractRow.meter_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .outerjoin(
            AccountRow,
            (AccountRow.code == "credit")
            & (AccountRow.owner == cast(ContractRow.id, String))
            & (AccountRow.currency == ContractRow.currency),
        )
        .where(
            ContractRow.kind == "prepaid",
            ContractRow.state == "active",
            MeterRow.control_kind == RADIO,
            ContractRow.id > after,
        )
        .order_by(ContractRow.id)
        .limit(limit)
    )
    if only is not None:
        wanted = wanted.where(ContractRow.id == only)
    return [
        Subject(row.id, row.currency, row.meter_id, row.tariff_id, day_begins(row.opened_on, row.time_zone),
                row.time_zone, int(row.balance_minor or 0))
        for row in session.execute(wanted)
        if row.meter_id is not None
    ]  # fmt: skip


def prices(session: Session) -> dict[tuple[Unit, str], list[Price]]:
    """(unit, currency) → every version."""
    found: dict[tuple[Unit, str], list[Price]] = {}
    for row in session.scalars(select(PrepaidPriceRow).order_by(PrepaidPriceRow.id)):
        found.setdefault((as_unit(row.unit), row.currency), []).append(as_price(row))
    return found


def marks(session: Session, contract_ids: Collection[int]) -> dict[int, PrepaidMarkRow]:
    rows = session.scalars(select(PrepaidMarkRow).where(PrepaidMarkRow.contract_id.in_(contract_ids)))
    return {row.contract_id: row for row in rows}


def newest(session: Session, meter_ids: Collection[str]) -> dict[str, Register]:
    """meter → its newest measured register. Estimates are left out: nobody pays in advance for a guess."""
    chosen = (
        select(ReadingRow.id)
        .where(ReadingRow.meter_id == MeterRow.id, *_MEASURED)
        .order_by(ReadingRow.at.desc())
        .limit(1)
        .correlate(MeterRow)
        .scalar_subquery()
    )
    rows = session.execute(
        select(ReadingRow.meter_id, ReadingRow.id, ReadingRow.at, ReadingRow.total_wh).where(
            ReadingRow.id.in_(select(chosen).select_from(MeterRow).where(MeterRow.id.in_(meter_ids)))
        )
    )
    return {meter_id: Register(reading_id, at, wh) for meter_id, reading_id, at, wh in rows}


def first_since(session: Session, meter_id: str, at: datetime) -> Register | None:
    """The oldest measured register from a moment on."""
    row = session.execute(
        select(ReadingRow.id, ReadingRow.at, ReadingRow.total_wh)
        .where(ReadingRow.meter_id == meter_id, ReadingRow.at >= at, *_MEASURED)
        .order_by(ReadingRow.at)
        .limit(1)
    ).first()
    return Register(*row) if row else None


def began_wrong(session: Session, mark: PrepaidMarkRow) -> bool:
    """Whether a mark from which nothing was charged yet stands on a register that says something else by now."""
    live = select(PrepaidUseRow.id).where(
        PrepaidUseRow.contract_id == mark.contract_id,
        PrepaidUseRow.undone_at.is_(None),
        PrepaidUseRow.meter_id == mark.meter_id,
        PrepaidUseRow.unit == mark.unit,
    )
    if session.scalar(live.limit(1)) is not None:
        return False
    said = select(ReadingRow.total_wh).where(
        ReadingRow.meter_id == mark.meter_id, ReadingRow.at == mark.until_at, *_MEASURED
    )
    return session.scalar(said.limit(1)) != mark.until_wh


def corrected(session: Session, contract_ids: Collection[int]) -> dict[int, int]:
    """contract → the first use of it whose reading says something else by now."""
    rows = session.execute(
        select(PrepaidUseRow.contract_id, func.min(PrepaidUseRow.seq))
        .join(ReadingRow, ReadingRow.id == PrepaidUseRow.reading_id)
        .join(PrepaidMarkRow, PrepaidMarkRow.contract_id == PrepaidUseRow.contract_id)
        .where(
            PrepaidUseRow.contract_id.in_(contract_ids),
            PrepaidUseRow.undone_at.is_(None),
            # What another meter said before it was replaced is a person's work.
            PrepaidUseRow.meter_id == PrepaidMarkRow.meter_id,
            PrepaidUseRow.unit == PrepaidMarkRow.unit,
            or_(ReadingRow.state != "accepted", ReadingRow.total_wh != PrepaidUseRow.reading_wh),
        )
        .group_by(PrepaidUseRow.contract_id)
    )
    return {contract_id: int(seq) for contract_id, seq in rows}


def undo_from(session: Session, contract_id: int, seq: int, now: datetime) -> list[PrepaidUseRow]:
    """Mark the uses of a contract from `seq` on as undone; those that were not yet, in order."""
    rows = list(
        session.scalars(
            select(PrepaidUseRow)
            .where(
                PrepaidUseRow.contract_id == contract_id,
                PrepaidUseRow.seq >= seq,
                PrepaidUseRow.undone_at.is_(None),
            )
            .order_by(PrepaidUseRow.seq)
        )
    )
    session.execute(update(PrepaidUseRow).where(PrepaidUseRow.id.in_([row.id for row in rows])).values(undone_at=now))
    return rows


def uses(session: Session, contract_id: int, *, limit: int, before: int | None = None) -> Sequence[PrepaidUseRow]:
    """What was used up, the newest first."""
    wanted = select(PrepaidUseRow).where(PrepaidUseRow.contract_id == contract_id)
    if before is not None:
        wanted = wanted.where(PrepaidUseRow.seq < before)
    return session.scalars(wanted.order_by(PrepaidUseRow.seq.desc()).limit(limit)).all()


def mark_of(row: PrepaidMarkRow) -> Mark:
    return Mark(row.until_at, row.until_wh, row.carry)


def levies(rows: Sequence[PrepaidUseRow], of_price: Mapping[int, Price]) -> dict[str, tuple[int, int]]:
    """levy → (amount, tax) of these uses, in minor units."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        levy = of_price[row.price_id].levy
        amount, tax = found.get(levy, (0, 0))
        found[levy] = (amount + row.amount_minor, tax + row.tax_minor)
    return found
