"""What meters say, compared with what is wanted of them. Inside the caller's transaction, under the meter's lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from core.kernel.clock import Clock
from core.supply.commands import end_live, move, open_task, want_supply
from core.supply.model import LIVE, MeterAck, MeterReport
from core.supply.queries import command_of_version, desired_of, live_command, lock_meter, reported_of
from core.supply.tables import MeterDesiredRow, MeterReportedRow, RelayCommandRow

Taken = Literal["unknown_meter", "unknown_command", "stale", "noted", "applied", "refused", "fault", "ahead"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one message. `applied`: the command that it proved, when it is the newest one of its meter."""

    taken: Taken
    applied: RelayCommandRow | None = None


def take_report(session: Session, *, clock: Clock, meter_id: str, report: MeterReport) -> Heard:
    """Write down a meter's report and settle its command. The only way into `applied`.

    Repeated, late and reordered reports change nothing: a lower version, an older connection, an older clock.
    """
    if lock_meter(session, meter_id) is None:
        return Heard("unknown_meter")
    known = reported_of(session, meter_id)
    if known is not None and _is_older(report, known):
        return Heard("stale")
    # A report that was under way when we sent the newer version is no reason to send it twice; a new connection is.
    just_back = known is None or report.session_no > known.session_no
    _write_down(session, clock, meter_id, known, report)
    desired = desired_of(session, meter_id)
    if desired is None:
        return Heard("noted")
    if report.version > desired.version:
        return _ahead(session, clock, desired, report)
    if report.version < desired.version:
        if just_back:
            _fire_again(session, clock, meter_id)
        return Heard("noted")
    if report.contradicts_itself or report.supply != desired.supply:
        return _fault(session, clock, desired, report)
    return _apply(session, clock, desired)


def take_ack(session: Session, *, clock: Clock, meter_id: str, ack: MeterAck) -> Heard:
    """Take a meter's answer to one command. `applied` in an answer is a report like any other."""
    if lock_meter(session, meter_id) is None:
        return Heard("unknown_meter")
    row = command_of_version(session, meter_id, ack.version)
    # The id is compared too: after a restore from a backup the same version may have meant something else.
    if row is None or row.id != ack.command_id:
        return Heard("unknown_command")
    if ack.result == "received":
        moved = row.state != "acknowledged" and move(session, row, "acknowledged", clock=clock, actor="meter")
        return Heard("noted" if moved else "stale")
    if ack.result == "applied":
        return take_report(session, clock=clock, meter_id=meter_id, report=ack.as_report())
    end = {"failed": "failed", "superseded": "superseded"}.get(ack.result, "rejected")
    if ack.code == "expired":
        end = "expired"
    if not move(session, row, end, clock=clock, actor="meter", detail=ack.code, code=ack.code):
        return Heard("stale")
    if end in ("failed", "rejected"):
        open_task(
            session,
            clock=clock,
            kind=f"meter_{end}",
            key=row.id,
            meter_id=meter_id,
            contract_id=row.contract_id,
            detail=f"Meter answered {ack.code} to supply {row.supply}, version {row.version}.",
        )
    return Heard("refused")


def take_status(session: Session, *, clock: Clock, meter_id: str, online: bool, session_no: int) -> Heard:
    """Note whether a meter is connected. A will of an older connection says nothing about the one that followed."""
    if lock_meter(session, meter_id) is None:
        return Heard("unknown_meter")
    known = reported_of(session, meter_id)
    if known is None or session_no < known.session_no:
        return Heard("stale")
    known.online, known.session_no = online, session_no
    if online:
        known.at = clock.real_now()
        desired = desired_of(session, meter_id)
        if desired is not None and desired.version > known.version:
            _fire_again(session, clock, meter_id)
    return Heard("noted")


def _is_older(report: MeterReport, known: MeterReportedRow) -> bool:
    if report.version != known.version:
        return report.version < known.version
    if report.session_no != known.session_no:
        return report.session_no < known.session_no
    said_at = known.raw.get("at", 0)
    return report.at < (said_at if isinstance(said_at, int) else 0)


def _write_down(
    session: Session, clock: Clock, meter_id: str, known: MeterReportedRow | None, report: MeterReport
) -> None:
    raw = {**(known.raw if known else {}), **report.raw, "at": report.at, "load_side_v": report.load_side_v}
    if known is None:
        known = MeterReportedRow(meter_id=meter_id)
        session.add(known)
    known.version, known.supply, known.relay = report.version, report.supply, report.relay
    known.session_no, known.online, known.raw = report.session_no, True, raw
    # Real time: silence is a matter of the radio, and must not be made up by a business clock that was moved.
    known.at = clock.real_now()
    session.flush()


def _apply(session: Session, clock: Clock, desired: MeterDesiredRow) -> Heard:
    row = command_of_version(session, desired.meter_id, desired.version)
    if row is None or not move(session, row, "applied", clock=clock, actor="meter"):
        return Heard("noted")
    return Heard("applied", row)


def _fire_again(session: Session, clock: Clock, meter_id: str) -> None:
    """The meter is there and has not seen the newest version: send it now, not at the end of a long pause."""
    live = live_command(session, meter_id)
    if live is not None and live.state in ("sent", "acknowledged"):
        live.next_try_at = clock.real_now()


def _fault(session: Session, clock: Clock, desired: MeterDesiredRow, report: MeterReport) -> Heard:
    """The relay did not follow, or somebody went around it. A person looks; nothing is sent again by itself."""
    code = "relay_stuck" if report.contradicts_itself else "supply_differs"
    row = command_of_version(session, desired.meter_id, desired.version)
    if row is not None:
        move(session, row, "failed", clock=clock, actor="meter", detail=code, code=code)
    open_task(
        session,
        clock=clock,
        kind="relay_fault",
        key=f"{desired.meter_id}:{desired.version}",
        meter_id=desired.meter_id,
        contract_id=row.contract_id if row else None,
        detail=f"Wanted {desired.supply}; reports {report.supply}, relay {report.relay}, {report.load_side_v} V.",
    )
    return Heard("fault")


def _ahead(session: Session, clock: Clock, desired: MeterDesiredRow, report: MeterReport) -> Heard:
    """The meter has seen a higher version than we gave: our data was lost. Jump above it and say it again.

    An off is not said again from here: it goes through the guards of the next window like every other.
    """
    row = command_of_version(session, desired.meter_id, desired.version)
    open_task(
        session,
        clock=clock,
        kind="version_ahead",
        key=f"{desired.meter_id}:{report.version}",
        meter_id=desired.meter_id,
        contract_id=row.contract_id if row else None,
        detail=f"Meter reports version {report.version}, we gave {desired.version}. Was a backup restored?",
    )
    wanted_on = desired.supply == "on"
    if wanted_on and report.supply == "off" and desired.not_before is not None and desired.not_after is not None:
        again_from = clock.now()
        want_supply(
            session,
            clock=clock,
            meter_id=desired.meter_id,
            supply="on",
            reason=desired.reason,
            contract_id=row.contract_id if row else None,
            not_before=again_from,
            not_after=max(desired.not_after, again_from + (desired.not_after - desired.not_before)),
            set_by="reconcile",
        )
        return Heard("ahead")
    end_live(session, desired.meter_id, "superseded", clock=clock, actor="reconcile", detail="meter is ahead")
    desired.version = report.version
    return Heard("ahead")


def is_live(row: RelayCommandRow) -> bool:
    return row.state in LIVE
