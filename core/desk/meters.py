"""Meters for the console: a list that ends, and one meter with its commands, tasks, tokens and use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, CustomerRow, MeterRow, SiteRow
from core.desk.meter_model import Issued, Meter, MeterLine, MeterSieve, Used
from core.desk.model import Crew, Step, Switched
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.prepaid.tables import PrepaidIssueRow, PrepaidMarkRow, PrepaidUseRow
from core.supply.tables import (
    CrewTaskRow,
    MeterDesiredRow,
    MeterReportedRow,
    RelayCommandEventRow,
    RelayCommandRow,
)

# Below 48 hours nobody goes out for a meter that is not heard.
SILENT = timedelta(hours=48)
_SHOWN = 12


def meters(session: Session, sieve: MeterSieve, *, real_now: datetime, after: str, limit: int) -> list[MeterLine]:
    """Meters by their number, above `after`. One statement."""
    wanted = _select().where(MeterRow.id > after, *_bounds(sieve, real_now)).order_by(MeterRow.id).limit(limit)
    return [_line(row) for row in session.execute(wanted)]


def meter(session: Session, meter_id: str, *, with_tokens: bool) -> Meter | None:
    """One meter. `with_tokens`: the reader may see the digits of its tokens; else only the last three of each."""
    row = session.execute(_select().where(MeterRow.id == meter_id)).first()
    if row is None:
        return None
    kept, wanted, said, contract = row.MeterRow, row.MeterDesiredRow, row.MeterReportedRow, row.ContractRow
    prepaid = contract is not None and contract.kind == "prepaid"
    mark = session.get(PrepaidMarkRow, contract.id) if prepaid else None
    return Meter(
        line=_line(row),
        installed_on=kept.installed_on,
        has_key=kept.secret is not None,
        key_version=kept.key_version,
        contract_kind=contract.kind if contract is not None else None,
        wanted_version=wanted.version if wanted else None,
        wanted_by=wanted.set_by if wanted else "",
        wanted_at=wanted.set_at if wanted else None,
        reported_version=said.version if said else None,
        relay=said.relay if said else "",
        raw=said.raw if said else {},
        commands=tuple(_commands(session, meter_id)),
        tasks=tuple(_tasks(session, meter_id)),
        issued=tuple(_issued(session, meter_id, with_tokens=with_tokens)),
        used=tuple(_used(session, contract.id)) if mark is not None else (),
        charged_until=mark.until_at if mark is not None else None,
        credit=ledger.balance(session, credit(contract.id), contract.currency) if prepaid else None,
    )


def _select() -> Any:
    return (
        select(
            MeterRow,
            SiteRow,
            MeterDesiredRow,
            MeterReportedRow,
            ContractRow,
            CustomerRow.name.label("customer"),
        )
        .join(SiteRow, SiteRow.id == MeterRow.site_id)
        .outerjoin(MeterDesiredRow, MeterDesiredRow.meter_id == MeterRow.id)
        .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == MeterRow.id)
        .outerjoin(ContractRow, and_(ContractRow.meter_id == MeterRow.id, ContractRow.state == "active"))
        .outerjoin(CustomerRow, CustomerRow.id == ContractRow.customer_id)
    )


def _bounds(sieve: MeterSieve, real_now: datetime) -> list[ColumnElement[bool]]:
    bounds: list[ColumnElement[bool]] = []
    if sieve.control:
        bounds.append(MeterRow.control_kind == sieve.control)
    if sieve.wanted:
        bounds.append(MeterDesiredRow.supply == sieve.wanted)
    if sieve.reported == "none":
        bounds.append(MeterReportedRow.meter_id.is_(None))
    elif sieve.reported:
        bounds.append(MeterReportedRow.supply == sieve.reported)
    if sieve.q:
        bounds.append(MeterRow.id.startswith(sieve.q, autoescape=True))
    if sieve.odd == "out_of_step":
        differs = or_(MeterReportedRow.meter_id.is_(None), MeterReportedRow.supply != MeterDesiredRow.supply)
        bounds.append(and_(MeterDesiredRow.meter_id.is_not(None), differs))
    elif sieve.odd == "silent":
        late = or_(MeterReportedRow.meter_id.is_(None), MeterReportedRow.at < real_now - SILENT)
        bounds.append(and_(MeterRow.control_kind == "mqtt_relay", late))
    elif sieve.odd == "task":
        bounds.append(exists().where(CrewTaskRow.meter_id == MeterRow.id, CrewTaskRow.state == "open"))
    return bounds


def _line(row: Any) -> MeterLine:
    kept, site, wanted, said, contract = (
        row.MeterRow, row.SiteRow, row.MeterDesiredRow, row.MeterReportedRow, row.ContractRow,
    )  # fmt: skip
    return MeterLine(
        id=kept.id,
        control=kept.control_kind,
        account=contract.account_number if contract else "",
        customer_id=contract.customer_id if contract else None,
        customer=row.customer or "",
        place=f"{site.commune}, {site.city}",
        zone=site.time_zone,
        wanted=wanted.supply if wanted else None,
        reason=wanted.reason if wanted else "",
        reported=said.supply if said else None,
        online=bool(said and said.online),
        heard_at=said.at if said else None,
        in_step=wanted is None or (said is not None and said.supply == wanted.supply),
    )


def _commands(session: Session, meter_id: str) -> list[Switched]:
    rows = session.scalars(
        select(RelayCommandRow)
        .where(RelayCommandRow.meter_id == meter_id)
        .order_by(RelayCommandRow.version.desc())
        .limit(_SHOWN)
    ).all()
    steps: dict[str, list[Step]] = defaultdict(list)
    for event in session.scalars(
        select(RelayCommandEventRow)
        .where(RelayCommandEventRow.command_id.in_([row.id for row in rows]))
        .order_by(RelayCommandEventRow.id)
    ):
        steps[event.command_id].append(Step(event.at, event.from_state, event.to_state, event.actor, event.detail))
    return [
        Switched(
            at=row.created_at,
            account="",
            meter_id=row.meter_id,
            version=row.version,
            supply=row.supply,
            reason=row.reason,
            state=row.state,
            attempts=row.attempts,
            not_before=row.not_before,
            not_after=row.not_after,
            end_code=row.end_code,
            created_by=row.created_by,
            hold_reasons=tuple(row.hold_reasons),
            steps=tuple(steps.get(row.id, ())),
        )
        for row in rows
    ]


def _tasks(session: Session, meter_id: str) -> list[Crew]:
    """Open ones first, then the newest."""
    rows = session.scalars(
        select(CrewTaskRow)
        .where(CrewTaskRow.meter_id == meter_id)
        .order_by(CrewTaskRow.state != "open", CrewTaskRow.id.desc())
        .limit(_SHOWN)
    )
    return [
        Crew(row.created_at, "", row.kind, row.meter_id, row.state, row.detail, row.done_at, row.done_by)
        for row in rows
    ]


def _issued(session: Session, meter_id: str, *, with_tokens: bool) -> list[Issued]:
    rows = session.scalars(
        select(PrepaidIssueRow)
        .where(PrepaidIssueRow.meter_id == meter_id)
        .order_by(PrepaidIssueRow.counter_after.desc())
        .limit(_SHOWN)
    )
    return [
        Issued(
            at=row.issued_at,
            unit=row.unit,
            quantity=row.quantity,
            amount=Money(row.amount_minor, row.currency),
            tokens=tuple(one if with_tokens else hidden(one) for one in row.tokens.split()),
        )
        for row in rows
    ]


def hidden(token: str) -> str:
    """A token by which one knows it again and cannot type it: the last three digits."""
    return "*" * (len(token) - 3) + token[-3:]


def _used(session: Session, contract_id: int) -> Sequence[Used]:
    rows = session.scalars(
        select(PrepaidUseRow)
        .where(PrepaidUseRow.contract_id == contract_id)
        .order_by(PrepaidUseRow.seq.desc())
        .limit(_SHOWN)
    )
    return [
        Used(
            row.from_at,
            row.until_at,
            row.unit,
            row.until_wh - row.from_wh,
            row.days,
            Money(row.amount_minor, row.currency),
            row.undone_at,
        )
        for row in rows
    ]
