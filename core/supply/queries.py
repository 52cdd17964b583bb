"""Reading and locking what belongs to a meter. The lock of the meter's row stands for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, case, exists, or_, select
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, MeterRow
from core.supply.model import LIVE
from core.supply.tables import CrewTaskRow, MeterDesiredRow, MeterReportedRow, RelayCommandRow


def lock_meter(session: Session, meter_id: str, *, wait: bool = True) -> MeterRow | None:
    """The meter, locked until the transaction ends. None: there is none, or (`wait` False) somebody else has it.

    Whoever needs several locks takes them in this order: contract, meter, command.
    """
    return session.scalars(
        select(MeterRow)
        .where(MeterRow.id == meter_id)
        .with_for_update(skip_locked=not wait, key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()


def lock_contract(session: Session, contract_id: int) -> bool:
    """Lock the contract that money locks first. False when somebody else has it just now."""
    row = select(ContractRow.id).where(ContractRow.id == contract_id).with_for_update(skip_locked=True, key_share=True)
    return session.scalar(row) is not None


def desired_of(session: Session, meter_id: str) -> MeterDesiredRow | None:
    return session.get(MeterDesiredRow, meter_id, populate_existing=True)


def reported_of(session: Session, meter_id: str) -> MeterReportedRow | None:
    return session.get(MeterReportedRow, meter_id, populate_existing=True)


def live_command(session: Session, meter_id: str) -> RelayCommandRow | None:
    """The one command of this meter that has not ended."""
    return session.scalars(
        select(RelayCommandRow)
        .where(RelayCommandRow.meter_id == meter_id, RelayCommandRow.state.in_(LIVE))
        .order_by(RelayCommandRow.version.desc())
        .execution_options(populate_existing=True)
    ).first()


def command_of_version(session: Session, meter_id: str, version: int) -> RelayCommandRow | None:
    return session.scalars(
        select(RelayCommandRow)
        .where(RelayCommandRow.meter_id == meter_id, RelayCommandRow.version == version)
        .execution_options(populate_existing=True)
    ).one_or_none()


def due_commands(session: Session, *, business: datetime, real: datetime, limit: int) -> Sequence[str]:
    """Ids of commands to publish now, on before off, oldest first. Nothing is locked; the lease looks again."""
    waiting = [state for state in LIVE if state != "publishing"]
    return session.scalars(
        select(RelayCommandRow.id)
        .where(
            or_(
                and_(RelayCommandRow.state.in_(waiting), RelayCommandRow.next_try_at <= real),
                and_(RelayCommandRow.state == "publishing", RelayCommandRow.lease_until <= real),
            ),
            RelayCommandRow.not_before <= business,
        )
        .order_by(case((RelayCommandRow.supply == "on", 0), else_=1), RelayCommandRow.next_try_at)
        .limit(limit)
    ).all()


def overdue_commands(session: Session, *, business: datetime, limit: int) -> Sequence[str]:
    """Ids of commands whose time is over and which have not ended."""
    return session.scalars(
        select(RelayCommandRow.id)
        .where(RelayCommandRow.state.in_(LIVE), RelayCommandRow.not_after <= business)
        .order_by(RelayCommandRow.not_after)
        .limit(limit)
    ).all()


def slow_ons(session: Session, *, created_before: datetime, limit: int) -> Sequence[RelayCommandRow]:
    """Commands to give supply back that no meter has carried out for too long, and nobody has a ticket for."""
    ticketed = exists().where(CrewTaskRow.kind == "on_late", CrewTaskRow.key == RelayCommandRow.id)
    return session.scalars(
        select(RelayCommandRow)
        .where(
            RelayCommandRow.state.in_(LIVE),
            RelayCommandRow.supply == "on",
            RelayCommandRow.created_at < created_before,
            ~ticketed,
        )
        .order_by(RelayCommandRow.created_at)
        .limit(limit)
    ).all()


def out_of_step(session: Session, *, limit: int, after: str = "") -> Sequence[str]:
    """Meters that report another version or supply than is wanted, in order of their id."""
    return session.scalars(
        select(MeterDesiredRow.meter_id)
        .join(MeterReportedRow, MeterReportedRow.meter_id == MeterDesiredRow.meter_id)
        .where(
            MeterDesiredRow.meter_id > after,
            or_(
                MeterDesiredRow.version != MeterReportedRow.version,
                MeterDesiredRow.supply != MeterReportedRow.supply,
            ),
        )
        .order_by(MeterDesiredRow.meter_id)
        .limit(limit)
    ).all()


def silent_meters(session: Session, *, unheard_since: datetime, limit: int) -> Sequence[MeterReportedRow]:
    """Meters with a radio that were last heard before `unheard_since` (real time), and have no open ticket for it."""
    ticketed = exists().where(
        CrewTaskRow.kind == "meter_silent",
        CrewTaskRow.meter_id == MeterReportedRow.meter_id,
        CrewTaskRow.state == "open",
    )
    return session.scalars(
        select(MeterReportedRow)
        .join(MeterRow, MeterRow.id == MeterReportedRow.meter_id)
        .where(MeterReportedRow.at < unheard_since, MeterRow.control_kind == "mqtt_relay", ~ticketed)
        .order_by(MeterReportedRow.at)
        .limit(limit)
    ).all()
