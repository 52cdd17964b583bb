"""Supply: what the bridge takes and gives back, and what is put right when nobody answered."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, SiteRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.digits import grouped
from core.notices.mailing import email_customer
from core.notices.staging import stage_notice
from core.outbox import LeaseRow
from core.sealing import Sealer
from core.settlement.effects import holders, standing
from core.settlement.prepaid import NO_CREDIT
from core.supply import commands, queries, reports
from core.supply.errors import UnknownMeter
from core.supply.model import WITHOUT_DEBT, LeasedCommand, MeterAck, MeterReport
from core.supply.ports import OffHolds, OffStillDue, no_holds
from core.supply.tables import CrewTaskRow, MeterReportedRow, RelayCommandRow

log = logging.getLogger(__name__)

KEY_BYTES = 32
BRIDGE_LEASE = "bridge"
# An off held by a guard, and one whose contract somebody else was writing to, are asked about again after this.
HELD_AGAIN_S = 60.0
UNSENT_AGAIN_S = 5.0
ON_LATE = timedelta(minutes=30)
SILENT = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class SupplySettings:
    """`retry_scale` multiplies every pause between attempts (1 in production); `lease_s`: how long the bridge may hold
    one command before another may take it."""

    retry_scale: float = 1.0
    lease_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one run put right. `sent_again`: meters out of step whose newest command goes out once more."""

    expired: int = 0
    sent_again: int = 0
    tickets: int = 0


# Stages supply.on or supply.off to the people of a contract, in the transaction that proved it.
Announce = Callable[[Session, RelayCommandRow], None]


class Supply:
    """Owns its transactions; one per command and per message, so that one bad row holds nothing else up."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        sealer: Sealer,
        off_still_due: OffStillDue,
        off_holds: OffHolds = no_holds,
        settings: SupplySettings | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._sealer = sealer
        self._off_still_due = off_still_due
        self._off_holds = off_holds
        self._settings = settings or SupplySettings()

    # What the bridge calls.

    @property
    def shares_one_writer(self) -> bool:
        """Whether everybody who writes waits for everybody else (SQLite): whoever writes much must leave gaps."""
        return self._db.is_sqlite

    def hold_bridge(self, holder: str, *, for_s: float) -> bool:
        """Take or keep the right to be the bridge for so many real seconds. False: another one has it."""
        now = self._clock.real_now()
        with self._db.begin() as session:
            row = session.get(LeaseRow, BRIDGE_LEASE, with_for_update={"key_share": True})
            if row is not None and row.holder != holder and row.until > now:
                return False
            if row is None:
                row = LeaseRow(name=BRIDGE_LEASE, holder=holder, until=now)
                session.add(row)
            row.holder, row.until = holder, now + timedelta(seconds=for_s)
        return True

    def leave_bridge(self, holder: str) -> None:
        """Give the right back, so that a successor need not wait for its end."""
        with self._db.begin() as session:
            row = session.get(LeaseRow, BRIDGE_LEASE, with_for_update={"key_share": True})
            if row is not None and row.holder == holder:
                row.until = self._clock.real_now()

    def lease_commands(self, limit: int) -> list[LeasedCommand]:
        """Up to `limit` commands to publish now, on before off. Each is the caller's until its lease ends.

        An off whose debt is gone becomes an on here; one whose guards say no is held; one whose time is over expires.
        """
        now = self._clock.now()
        with self._db.read() as session:
            over = list(queries.overdue_commands(session, business=now, limit=limit))
            due = list(queries.due_commands(session, business=now, real=self._clock.real_now(), limit=limit))
        for command_id in over:
            self._expire(command_id)
        taken: list[LeasedCommand] = []
        for command_id in due:
            with self._db.begin() as session:
                command = self._lease(session, command_id)
            if command is not None:
                taken.append(command)
        return taken

    def mark_sent(self, command_id: str, token: str) -> bool:
        """The broker has it. That proves nothing about the meter; the next attempt is set."""
        with self._db.begin() as session:
            row = session.get(RelayCommandRow, command_id, with_for_update={"key_share": True})
            if row is None or row.lease_token != token or row.state != "publishing":
                return False
            row.sent_at = row.sent_at or self._clock.now()
            # A meter that said "received" before stays acknowledged: this was only the reminder.
            to = "sent" if row.acknowledged_at is None else "acknowledged"
            commands.move(session, row, to, clock=self._clock, actor="bridge")
            commands.schedule_retry(row, clock=self._clock, scale=self._settings.retry_scale)
            return True

    def mark_unsent(self, command_id: str, token: str, why: str) -> bool:
        """The broker did not take it, or did not say so in time. It goes back into the queue."""
        with self._db.begin() as session:
            row = session.get(RelayCommandRow, command_id, with_for_update={"key_share": True})
            if row is None or row.lease_token != token or row.state != "publishing":
                return False
            commands.move(session, row, "queued", clock=self._clock, actor="bridge", detail=why)
            row.attempts = max(0, row.attempts - 1)
            row.next_try_at = self._clock.real_now() + timedelta(seconds=UNSENT_AGAIN_S * self._settings.retry_scale)
            return True

    def take_ack(self, meter_id: str, ack: MeterAck) -> reports.Taken:
        """A meter's answer to a command, in whatever order it comes."""
        with self._db.begin() as session:
            heard = reports.take_ack(session, clock=self._clock, meter_id=meter_id, ack=ack)
            self._announce(session, heard)
        return heard.taken

    def take_reported(self, meter_id: str, report: MeterReport) -> reports.Taken:
        """A meter's document on itself: after a change, at each connection, and once an hour."""
        with self._db.begin() as session:
            heard = reports.take_report(session, clock=self._clock, meter_id=meter_id, report=report)
            self._announce(session, heard)
        return heard.taken

    def take_status(self, meter_id: str, *, online: bool, session_no: int) -> reports.Taken:
        """A meter came, went, or fell silent."""
        with self._db.begin() as session:
            return reports.take_status(
                session, clock=self._clock, meter_id=meter_id, online=online, session_no=session_no
            ).taken

    # What the schedule and people call.

    def reconcile(self, *, limit: int = 500) -> Reconciled:
        """Put right what no event has: ends what is over, sends again what a meter missed, opens tickets for the rest.

        An off is never made here: the next window's batch asks the guards afresh.
        """
        now, real = self._clock.now(), self._clock.real_now()
        with self._db.read() as session:
            over = list(queries.overdue_commands(session, business=now, limit=limit))
        expired = sum(self._expire(command_id) for command_id in over)
        again, last = 0, ""
        # All of them, page by page: those that need nothing must not hide those behind them.
        while behind := self._behind(after=last, limit=limit):
            again += sum(self._say_again(meter_id) for meter_id in behind)
            last = behind[-1]
        tickets = 0
        with self._db.begin() as session:
            for row in queries.slow_ons(session, created_before=now - ON_LATE, limit=limit):
                tickets += self._ticket(session, "on_late", row.id, row.meter_id, row.contract_id, "No light yet.")
            for silent in queries.silent_meters(session, unheard_since=real - SILENT, limit=limit):
                key = f"{silent.meter_id}:{silent.at.date().isoformat()}"
                tickets += self._ticket(session, "meter_silent", key, silent.meter_id, None, "Not heard for 48 h.")
        return Reconciled(expired, again, tickets)

    def _behind(self, *, after: str, limit: int) -> Sequence[str]:
        with self._db.read() as session:
            return queries.out_of_step(session, after=after, limit=limit)

    def provision(self, meter_id: str) -> str:
        """Give a meter a new signing key; the key in hexadecimal, shown this once. Raises UnknownMeter."""
        key = secrets.token_bytes(KEY_BYTES)
        with self._db.begin() as session:
            meter = queries.lock_meter(session, meter_id)
            if meter is None:
                raise UnknownMeter(meter_id)
            meter.secret = self._sealer.seal(key, purpose=_purpose(meter_id))
            meter.key_version += 1
        return key.hex()

    def crew_switched(self, task_id: int, *, by: str) -> bool:
        """A person switched a meter that has no radio. False when the task is not open: nothing changed."""
        with self._db.begin() as session:
            task = session.get(CrewTaskRow, task_id, with_for_update={"key_share": True})
            if task is None or task.kind != "switch" or task.state != "open" or task.meter_id is None:
                return False
            desired = queries.desired_of(session, task.meter_id)
            if desired is None or task.key != f"{task.meter_id}:{desired.version}":
                return False
            task.state, task.done_at, task.done_by = "done", self._clock.now(), by
            row = queries.reported_of(session, task.meter_id)
            if row is None:
                row = MeterReportedRow(meter_id=task.meter_id, session_no=0, online=False)
                session.add(row)
            row.version, row.supply, row.at = desired.version, desired.supply, self._clock.real_now()
            row.relay, row.raw = "open" if desired.supply == "off" else "closed", {"crew": by}
        return True

    # Inside.

    def _lease(self, session: Session, command_id: str) -> LeasedCommand | None:
        seen = session.get(RelayCommandRow, command_id)
        if seen is None:
            return None
        # Contract before meter before command: the order everybody takes them in. Who has one now has news for us.
        reads_debt = seen.supply == "off" and seen.reason not in WITHOUT_DEBT
        if reads_debt and (seen.contract_id is None or not queries.lock_contract(session, seen.contract_id)):
            return None
        meter = queries.lock_meter(session, seen.meter_id, wait=False)
        if meter is None:
            return None
        session.refresh(seen, with_for_update={"key_share": True})
        if not self._is_due(seen):
            return None
        if seen.supply == "off" and seen.contract_id is not None and not self._off_may_leave(session, seen):
            return None
        if meter.secret is None:
            self._no_key(session, seen)
            return None
        if seen.state in ("sent", "acknowledged") and not self._is_connected(session, seen):
            commands.schedule_retry(seen, clock=self._clock, scale=self._settings.retry_scale)
            return None
        invoice = session.get(InvoiceRow, seen.invoice_id) if seen.invoice_id else None
        return commands.lease(
            session,
            seen,
            clock=self._clock,
            key=self._sealer.unseal(meter.secret, purpose=_purpose(meter.id)),
            invoice_number=invoice.number if invoice else None,
            lease_s=self._settings.lease_s,
        )

    def _is_due(self, row: RelayCommandRow) -> bool:
        """Asked again under the lock: between the look and the lease somebody may have ended or taken it."""
        now, real = self._clock.now(), self._clock.real_now()
        if not reports.is_live(row) or not row.not_before <= now < row.not_after:
            return False
        if row.state == "publishing":
            return row.lease_until is None or row.lease_until <= real
        return row.next_try_at is not None and row.next_try_at <= real

    def _off_may_leave(self, session: Session, row: RelayCommandRow) -> bool:
        """Read the debt, then the guards, in the transaction that lets an off go."""
        assert row.contract_id is not None
        if row.reason not in WITHOUT_DEBT and not self._off_still_due(
            session, clock=self._clock, contract_id=row.contract_id
        ):
            now = self._clock.now()
            commands.want_supply(
                session,
                clock=self._clock,
                meter_id=row.meter_id,
                supply="on",
                reason="off_not_due",
                contract_id=row.contract_id,
                not_before=now,
                not_after=now + commands.ON_LIFE,
                set_by="bridge",
            )
            return False
        reasons = self._off_holds(session, clock=self._clock, contract_id=row.contract_id)
        if not reasons:
            return True
        row.hold_reasons = [reason.as_json() for reason in reasons]
        row.next_try_at = self._clock.real_now() + timedelta(seconds=HELD_AGAIN_S * self._settings.retry_scale)
        if row.state != "held":
            codes = ", ".join(reason.code for reason in reasons)
            # What was sent once stays sent: only its repetition is held back.
            if row.sent_at is None:
                commands.move(session, row, "held", clock=self._clock, actor="guards", detail=codes)
        return False

    def _is_connected(self, session: Session, row: RelayCommandRow) -> bool:
        """Whether it makes sense to repeat: for a meter known to be away the broker keeps the first copy."""
        reported = queries.reported_of(session, row.meter_id)
        return reported is None or reported.online

    def _no_key(self, session: Session, row: RelayCommandRow) -> None:
        commands.move(session, row, "failed", clock=self._clock, actor="bridge", code="no_key")
        detail = f"No signing key: {row.meter_id} must be provisioned before it can be switched."
        self._ticket(session, "no_key", row.meter_id, row.meter_id, row.contract_id, detail)

    def _expire(self, command_id: str) -> bool:
        with self._db.begin() as session:
            seen = session.get(RelayCommandRow, command_id)
            if seen is None or queries.lock_meter(session, seen.meter_id) is None:
                return False
            session.refresh(seen, with_for_update={"key_share": True})
            if seen.not_after > self._clock.now():
                return False
            if not commands.move(session, seen, "expired", clock=self._clock, actor="clock"):
                return False
            if seen.supply == "on":
                detail = "Supply was to come back and the meter never answered."
                self._ticket(session, "on_expired", seen.id, seen.meter_id, seen.contract_id, detail)
            return True

    def _say_again(self, meter_id: str) -> bool:
        """A meter is out of step: repeat what is under way, or want on again when nothing is."""
        with self._db.begin() as session:
            if queries.lock_meter(session, meter_id) is None:
                return False
            desired, live = queries.desired_of(session, meter_id), queries.live_command(session, meter_id)
            if live is not None:
                if live.state not in ("sent", "acknowledged"):
                    return False
                live.next_try_at = self._clock.real_now()
                return True
            if desired is None or desired.supply != "on":
                return False
            last = queries.command_of_version(session, meter_id, desired.version)
            # A relay that did not follow is a person's work; saying it again for ever would hide that.
            if last is not None and last.state in ("failed", "rejected", "cancelled"):
                return False
            now = self._clock.now()
            made = commands.want_supply(
                session,
                clock=self._clock,
                meter_id=meter_id,
                supply="on",
                reason=desired.reason,
                contract_id=last.contract_id if last else None,
                not_before=now,
                not_after=now + commands.ON_LIFE,
                set_by="reconcile",
            )
            return made is not None

    def _ticket(
        self, session: Session, kind: str, key: str, meter_id: str, contract_id: int | None, detail: str
    ) -> bool:
        return commands.open_task(
            session,
            clock=self._clock,
            kind=kind,
            key=key,
            meter_id=meter_id,
            contract_id=contract_id,
            detail=detail,
        )

    def _announce(self, session: Session, heard: reports.Heard) -> None:
        """Tell the people of the contract, once per command, that the meter did it."""
        row = heard.applied
        if row is None or row.contract_id is None:
            return
        contract = session.get_one(ContractRow, row.contract_id)
        site = session.get_one(SiteRow, contract.site_id)
        blanks = owed = {"account": grouped(contract.account_number)}
        if row.supply == "off" and row.reason not in WITHOUT_DEBT:
            owed = {**blanks, "amount": standing(session, contract)[0].text}
        if row.supply == "off" and row.reason == NO_CREDIT:
            blanks = owed = {**blanks, "reason": NO_CREDIT}
        email_customer(
            session,
            contract,
            clock=self._clock,
            kind=f"supply.{row.supply}",
            key=f"supply:{row.id}",
            blanks=owed,
            zone=site.time_zone,
            invoice_id=row.invoice_id,
        )
        for person in holders(session, contract, clock=self._clock):
            stage_notice(
                session,
                clock=self._clock,
                kind=f"supply.{row.supply}",
                key=f"supply:{row.id}:{person.phone}",
                recipient=person.phone,
                language=person.language,
                blanks=owed if person.fresh else blanks,
                zone=site.time_zone,
                customer_id=person.customer_id,
                contract_id=contract.id,
                invoice_id=row.invoice_id,
            )


def _purpose(meter_id: str) -> str:
    return f"meter:{meter_id}"
