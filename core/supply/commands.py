"""Wanting supply on or off, and moving commands through their life. All inside the caller's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.customers.tables import MeterRow
from core.kernel.clock import Clock
from core.kernel.ids import new_uuid
from core.supply.errors import UnknownMeter
from core.supply.model import LIVE, LeasedCommand, Supply, may_move, retry_after_s
from core.supply.queries import desired_of, live_command, lock_meter, reported_of
from core.supply.tables import CrewTaskRow, MeterDesiredRow, MeterReportedRow, RelayCommandEventRow, RelayCommandRow

# On lives long: nobody who paid is left in the dark because a tower was down for a day.
ON_LIFE = timedelta(hours=72)


def want_supply(
    session: Session,
    *,
    clock: Clock,
    meter_id: str,
    supply: Supply,
    reason: str,
    contract_id: int | None,
    invoice_id: int | None = None,
    not_before: datetime,
    not_after: datetime,
    set_by: str,
) -> int | None:
    """Say what the utility wants of a meter; the new version, or None when that is so already or under way.

    Ends whatever command was still on its way, then queues one (a crew task where a person has to switch). An off is
    for a contract and has a reason; it is the caller who asked `may_disconnect`. Times are business time.
    Raises UnknownMeter.
    """
    if not reason or not_after <= not_before:
        raise ValueError("a command needs a reason and a window")
    if supply == "off" and contract_id is None:
        raise ValueError("an off belongs to a contract")
    meter = lock_meter(session, meter_id)
    if meter is None:
        raise UnknownMeter(meter_id)
    if meter.control_kind == "none":
        return None
    desired, reported = desired_of(session, meter_id), reported_of(session, meter_id)
    if _is_so(session, clock, desired, reported, meter, supply):
        return None
    desired = _bump(session, clock, meter_id, desired, reported)
    desired.supply, desired.reason, desired.set_by = supply, reason, set_by
    desired.not_before, desired.not_after, desired.set_at = not_before, not_after, clock.now()
    end_live(session, meter_id, "superseded", clock=clock, actor=set_by, detail=f"version {desired.version}")
    if meter.control_kind == "mqtt_relay":
        _queue(session, clock, desired, contract_id, invoice_id)
    else:
        _ask_crew(session, clock, desired, contract_id)
    session.flush()
    return desired.version


def end_live(session: Session, meter_id: str, state: str, *, clock: Clock, actor: str, detail: str) -> None:
    """End the command that has not ended, and the crew's task to switch, if there is one."""
    live = live_command(session, meter_id)
    if live is not None:
        move(session, live, state, clock=clock, actor=actor, detail=detail)
    session.execute(
        update(CrewTaskRow)
        .where(CrewTaskRow.meter_id == meter_id, CrewTaskRow.kind == "switch", CrewTaskRow.state == "open")
        .values(state=state, done_at=clock.now(), done_by=actor)
    )


def move(
    session: Session, row: RelayCommandRow, to: str, *, clock: Clock, actor: str, detail: str = "", code: str = ""
) -> bool:
    """Move one command and write the step down. False when its state does not allow it: nothing changed."""
    if not may_move(row.state, to):
        return False
    now = clock.now()
    session.add(
        RelayCommandEventRow(
            command_id=row.id, at=now, from_state=row.state, to_state=to, actor=actor[:40], detail=detail[:200]
        )
    )
    row.state = to
    if to == "acknowledged":
        row.acknowledged_at = row.acknowledged_at or now
    if to != "publishing":
        row.lease_until = row.lease_token = None
    if to not in LIVE:
        row.ended_at, row.end_code, row.next_try_at = now, (code or to)[:40], None
    return True


def lease(
    session: Session, row: RelayCommandRow, *, clock: Clock, key: bytes, invoice_number: str | None, lease_s: float
) -> LeasedCommand:
    """Put one command into the bridge's hands for `lease_s` real seconds. The caller has asked whether it may go."""
    move(session, row, "publishing", clock=clock, actor="bridge", detail=f"attempt {row.attempts + 1}")
    row.attempts += 1
    row.lease_token = new_uuid()
    row.lease_until = clock.real_now() + timedelta(seconds=lease_s)
    return LeasedCommand(
        id=row.id,
        token=row.lease_token,
        meter_id=row.meter_id,
        version=row.version,
        supply="off" if row.supply == "off" else "on",
        reason=row.reason,
        invoice_number=invoice_number,
        issued_at=row.created_at,
        not_before=row.not_before,
        not_after=row.not_after,
        now=clock.now(),
        attempts=row.attempts,
        key=key,
    )


def schedule_retry(row: RelayCommandRow, *, clock: Clock, scale: float) -> None:
    """Set when it is sent again if no meter answers: real time, times `scale` (1 in production, less in tests)."""
    after = retry_after_s(row.supply, row.attempts, row.id) * scale
    row.next_try_at = clock.real_now() + timedelta(seconds=after)


def open_task(
    session: Session, *, clock: Clock, kind: str, key: str, meter_id: str, contract_id: int | None, detail: str
) -> bool:
    """Put work on the crew's list, once per kind and key. False when it is there already."""
    there = select(CrewTaskRow.id).where(CrewTaskRow.kind == kind, CrewTaskRow.key == key)
    if session.scalar(there) is not None:
        return False
    session.add(
        CrewTaskRow(
            kind=kind,
            key=key,
            meter_id=meter_id,
            contract_id=contract_id,
            detail=detail,
            created_at=clock.now(),
        )
    )
    session.flush()
    return True


def _is_so(
    session: Session,
    clock: Clock,
    desired: MeterDesiredRow | None,
    reported: MeterReportedRow | None,
    meter: MeterRow,
    supply: Supply,
) -> bool:
    """Whether this is wanted already and either under way or reported by the meter itself."""
    if desired is None:
        # A meter nobody ever commanded is on, unless it says otherwise itself.
        return supply == (reported.supply if reported else "on")
    if desired.supply != supply:
        return False
    if reported is not None and reported.version > desired.version:
        return False  # our data was lost; what is under way carries a version the meter drops
    if reported is not None and reported.version == desired.version and reported.supply == supply:
        return True
    if meter.control_kind != "mqtt_relay":
        return _crew_is_at_it(session, desired)
    live = live_command(session, meter.id)
    return live is not None and live.not_after > clock.now()


def _crew_is_at_it(session: Session, desired: MeterDesiredRow) -> bool:
    task = select(CrewTaskRow.id).where(
        CrewTaskRow.kind == "switch",
        CrewTaskRow.key == f"{desired.meter_id}:{desired.version}",
        CrewTaskRow.state == "open",
    )
    return session.scalar(task) is not None


def _bump(
    session: Session,
    clock: Clock,
    meter_id: str,
    desired: MeterDesiredRow | None,
    reported: MeterReportedRow | None,
) -> MeterDesiredRow:
    """The desired row with a new version. Never lower than what the meter has seen: it would drop everything."""
    seen = reported.version if reported else 0
    if desired is not None:
        desired.version = max(desired.version, seen) + 1
        return desired
    desired = MeterDesiredRow(
        meter_id=meter_id, version=seen + 1, supply="on", reason="new", set_by="", set_at=clock.now()
    )
    session.add(desired)
    return desired


def _queue(
    session: Session, clock: Clock, desired: MeterDesiredRow, contract_id: int | None, invoice_id: int | None
) -> None:
    assert desired.not_before is not None
    assert desired.not_after is not None
    command = RelayCommandRow(
        id=new_uuid(),
        meter_id=desired.meter_id,
        contract_id=contract_id,
        version=desired.version,
        supply=desired.supply,
        reason=desired.reason,
        invoice_id=invoice_id,
        state="queued",
        attempts=0,
        next_try_at=clock.real_now(),
        not_before=desired.not_before,
        not_after=desired.not_after,
        created_by=desired.set_by,
        created_at=clock.now(),
        hold_reasons=[],
    )
    session.add(command)
    # The first step of its life refers to it.
    session.flush()
    session.add(
        RelayCommandEventRow(
            command_id=command.id,
            at=clock.now(),
            from_state="",
            to_state="queued",
            actor=desired.set_by[:40],
            detail=desired.reason,
        )
    )


def _ask_crew(session: Session, clock: Clock, desired: MeterDesiredRow, contract_id: int | None) -> None:
    open_task(
        session,
        clock=clock,
        kind="switch",
        key=f"{desired.meter_id}:{desired.version}",
        meter_id=desired.meter_id,
        contract_id=contract_id,
        detail=f"Switch supply {desired.supply} ({desired.reason}).",
    )
