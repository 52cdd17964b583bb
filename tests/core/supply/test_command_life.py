"""A command from the wish to the meter's word, on both databases: versions, leases, order of arrival, ends."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core.db import Database
from core.kernel.clock import FixedClock
from core.notices.tables import NoticeRow
from core.services.supply import Supply
from core.supply.commands import ON_LIFE, want_supply
from core.supply.errors import UnknownMeter
from core.supply.model import LIVE, LeasedCommand, MeterAck, MeterReport
from core.supply.model import Supply as Wanted
from core.supply.rules import HoldReason
from core.supply.tables import (
    CrewTaskRow,
    MeterDesiredRow,
    MeterReportedRow,
    RelayCommandEventRow,
    RelayCommandRow,
)
from tests.meters.rig import Books, Switched, a_home, commands_of, service, state_of, want


class Desk:
    """One home, its service, and what a meter would say."""

    def __init__(self, db: Database, clock: FixedClock, books: Books | None = None, **how: object) -> None:
        self.db, self.clock, self.books = db, clock, books or Books()
        self.supply: Supply = service(db, clock, self.books)
        self.home: Switched = a_home(db, self.supply, **how)

    def want(self, supply: Wanted, *, hours: float = 4) -> int | None:
        return want(self.db, self.clock, self.home, supply, hours=hours)

    def lease(self) -> LeasedCommand:
        (command,) = self.supply.lease_commands(10)
        return command

    def send(self) -> LeasedCommand:
        command = self.lease()
        assert self.supply.mark_sent(command.id, command.token)
        return command

    def report(self, version: int, supply: Wanted, *, session_no: int = 1, at: int = 100) -> str:
        report = said(version, supply, session_no=session_no, at=at)
        return self.supply.take_reported(self.home.meter_id, report)

    def ack(self, command: LeasedCommand, result: str, code: str = "ok") -> str:
        answer = MeterAck(
            command.id, command.version, result, code, command.supply, relay_of(command.supply), 0, 1, 100
        )
        volts = 228 if command.supply == "on" else 0
        return self.supply.take_ack(self.home.meter_id, replace(answer, load_side_v=volts))

    def state(self, version: int) -> str:
        return state_of(self.db, self.home.meter_id, version)

    def tasks(self) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(CrewTaskRow.kind).order_by(CrewTaskRow.id)))

    def notices(self) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(NoticeRow.kind).order_by(NoticeRow.id)))


def relay_of(supply: Wanted) -> str:
    return "open" if supply == "off" else "closed"


def said(version: int, supply: Wanted, *, session_no: int = 1, at: int = 100) -> MeterReport:
    return MeterReport(version, supply, "open" if supply == "off" else "closed", 228 * (supply == "on"), session_no, at)


@pytest.fixture
def desk(any_db: Database, clock: FixedClock) -> Desk:
    return Desk(any_db, clock)


@pytest.fixture
def lite(db: Database, clock: FixedClock) -> Desk:
    """On SQLite alone, for rules that no database changes."""
    return Desk(db, clock)


def test_from_the_wish_to_the_meters_word(desk: Desk) -> None:
    assert desk.want("off") == 1
    assert desk.state(1) == "queued"
    command = desk.lease()
    assert (command.supply, command.version, command.attempts) == ("off", 1, 1)
    assert command.key.hex() == desk.home.key_hex
    assert desk.home.key_hex not in repr(command)
    assert desk.state(1) == "publishing"
    assert desk.supply.lease_commands(10) == []
    assert desk.supply.mark_sent(command.id, command.token)
    assert desk.state(1) == "sent"
    assert desk.notices() == []
    assert desk.ack(command, "received") == "noted"
    assert desk.state(1) == "acknowledged"
    assert desk.report(1, "off") == "applied"
    assert desk.state(1) == "applied"
    assert desk.report(1, "off") == "noted"
    assert desk.notices() == ["supply.off"]
    with desk.db.read() as session:
        steps = list(session.scalars(select(RelayCommandEventRow.to_state).order_by(RelayCommandEventRow.id)))
    assert steps == ["queued", "publishing", "sent", "acknowledged", "applied"]


def test_nothing_is_made_when_it_is_so_already(desk: Desk) -> None:
    assert desk.want("on") is None
    assert desk.want("off") == 1
    assert desk.want("off") is None
    desk.send()
    desk.report(1, "off")
    assert desk.want("off") is None
    assert desk.want("on") == 2
    assert desk.want("on") is None
    assert len(commands_of(desk.db, desk.home.meter_id)) == 2


def test_a_newer_wish_ends_the_older_command_in_the_same_transaction(desk: Desk) -> None:
    desk.want("off")
    old = desk.send()
    desk.want("on")
    assert [row.state for row in commands_of(desk.db, desk.home.meter_id)] == ["superseded", "queued"]
    assert not desk.supply.mark_sent(old.id, old.token)
    assert desk.ack(old, "applied") == "noted", "the meter did it before it heard of the newer one"
    assert desk.state(1) == "superseded"
    desk.send()
    assert desk.report(2, "on", at=200) == "applied"
    assert desk.notices() == ["supply.on"], "nobody is told of an off that is over already"


def test_the_debt_is_read_again_before_an_off_leaves(desk: Desk) -> None:
    desk.want("off")
    desk.books.due = False
    assert desk.supply.lease_commands(10) == []
    assert [(row.supply, row.state) for row in commands_of(desk.db, desk.home.meter_id)] == [
        ("off", "superseded"),
        ("on", "queued"),
    ]
    assert desk.lease().supply == "on"
    assert desk.books.asked == 1, "on asks nobody"


def test_the_debt_is_read_again_before_an_off_is_repeated(desk: Desk) -> None:
    desk.want("off")
    desk.send()
    desk.clock.advance(minutes=2)
    desk.books.due = False
    assert desk.supply.lease_commands(10) == []
    assert desk.lease().supply == "on"


def test_a_guard_holds_an_off_and_lets_it_go(desk: Desk) -> None:
    desk.want("off")
    desk.books.holds = [HoldReason("promise")]
    assert desk.supply.lease_commands(10) == []
    (row,) = commands_of(desk.db, desk.home.meter_id)
    assert (row.state, row.hold_reasons) == ("held", [{"code": "promise", "facts": {}}])
    desk.clock.advance(minutes=2)
    desk.books.holds = []
    assert desk.lease().supply == "off"


def test_on_is_never_held(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    lite.report(1, "off")
    lite.want("on", hours=72)
    lite.books.holds = [HoldReason("brake")]
    assert lite.lease().supply == "on"


def test_an_off_keeps_to_its_window(desk: Desk) -> None:
    now = desk.clock.now()
    with desk.db.begin() as session:
        want_supply(
            session, clock=desk.clock, meter_id=desk.home.meter_id, supply="off", reason="nonpayment",
            contract_id=desk.home.contract_id, not_before=now + timedelta(hours=1), not_after=now + timedelta(hours=2),
            set_by="test",
        )  # fmt: skip
    assert desk.supply.lease_commands(10) == []
    desk.clock.advance(hours=1)
    desk.send()
    desk.clock.advance(hours=1)
    assert desk.supply.lease_commands(10) == []
    assert desk.state(1) == "expired"
    assert desk.want("off") == 2, "a later window asks afresh"


def test_a_late_proof_of_an_expired_command_is_written_down(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    lite.clock.advance(hours=5)
    lite.supply.reconcile()
    assert lite.state(1) == "expired"
    assert lite.report(1, "off") == "applied"
    assert lite.state(1) == "applied"


def test_an_on_that_expires_is_a_persons_work(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    lite.report(1, "off")
    lite.want("on", hours=72)
    lite.clock.advance(minutes=31)
    assert lite.supply.reconcile().tickets == 1
    lite.clock.advance(hours=72)
    lite.supply.reconcile()
    assert lite.state(2) == "expired"
    assert "on_late" in lite.tasks()
    assert "on_expired" in lite.tasks()
    # The books still want it on: what follows is a new version, not an old one warmed up.
    assert lite.state(3) == "queued" or lite.want("on") == 3


def test_retries_keep_id_and_version_and_come_at_their_time(lite: Desk) -> None:
    lite.want("off")
    first = lite.send()
    for pause_s in (60, 120, 300, 900, 1800):
        lite.clock.advance(seconds=pause_s - 1)
        assert lite.supply.lease_commands(10) == []
        lite.clock.advance(seconds=1)
        again = lite.send()
        assert (again.id, again.version) == (first.id, first.version)
    assert commands_of(lite.db, lite.home.meter_id)[0].attempts == 6


def test_a_meter_that_is_away_gets_no_repetition_until_it_is_back(desk: Desk) -> None:
    desk.report(0, "on")
    desk.want("off")
    desk.send()
    desk.supply.take_status(desk.home.meter_id, online=False, session_no=1)
    desk.clock.advance(minutes=2)
    assert desk.supply.lease_commands(10) == []
    desk.supply.take_status(desk.home.meter_id, online=True, session_no=2)
    assert desk.lease().attempts == 2


def test_a_report_that_was_under_way_is_no_reason_to_send_again(lite: Desk) -> None:
    lite.report(0, "on", at=100)
    lite.want("off")
    lite.send()
    lite.report(0, "on", at=101)
    assert lite.supply.lease_commands(10) == []
    lite.report(0, "on", session_no=2, at=102)
    assert lite.lease().attempts == 2


def test_a_late_will_of_an_older_connection_says_nothing(lite: Desk) -> None:
    lite.report(0, "on", session_no=5)
    assert lite.supply.take_status(lite.home.meter_id, online=False, session_no=4) == "stale"
    with lite.db.read() as session:
        assert session.get_one(MeterReportedRow, lite.home.meter_id).online


def test_a_lease_that_ran_out_is_taken_by_another_and_the_first_changes_nothing(desk: Desk) -> None:
    desk.want("off")
    first = desk.lease()
    desk.clock.advance(seconds=31)
    second = desk.lease()
    assert (second.id, second.attempts) == (first.id, 2)
    assert not desk.supply.mark_sent(first.id, first.token)
    assert not desk.supply.mark_unsent(first.id, first.token, "late")
    assert desk.supply.mark_sent(second.id, second.token)


def test_what_the_broker_refused_goes_back_and_is_no_attempt(desk: Desk) -> None:
    desk.want("off")
    command = desk.lease()
    assert desk.supply.mark_unsent(command.id, command.token, "Not authorized")
    assert desk.state(1) == "queued"
    assert desk.supply.lease_commands(10) == []
    desk.clock.advance(seconds=5)
    assert desk.lease().attempts == 1


@pytest.mark.parametrize("result", ["applied", "received"])
def test_the_meter_may_answer_before_the_broker(lite: Desk, result: str) -> None:
    lite.want("off")
    command = lite.lease()
    lite.ack(command, result)
    expected = {"applied": "applied", "received": "acknowledged"}[result]
    assert lite.state(1) == expected
    lite.supply.mark_sent(command.id, command.token)
    assert lite.state(1) == expected


@pytest.mark.parametrize(
    ("result", "code", "state", "task"),
    [
        ("rejected", "bad_sig", "rejected", "meter_rejected"),
        ("rejected", "no_clock", "rejected", "meter_rejected"),
        ("failed", "relay_stuck", "failed", "meter_failed"),
        ("rejected", "expired", "expired", None),
        ("superseded", "stale", "superseded", None),
    ],
)
def test_refusals_end_a_command_and_a_person_hears_of_it(
    lite: Desk, result: str, code: str, state: str, task: str | None
) -> None:
    lite.want("off")
    command = lite.send()
    assert lite.ack(command, result, code) == "refused"
    assert lite.state(1) == state
    assert lite.tasks() == ([task] if task else [])
    lite.clock.advance(hours=1)
    assert lite.supply.lease_commands(10) == [], "no loop on a refusal"


def test_an_answer_of_another_meter_or_to_another_command_counts_for_nothing(lite: Desk) -> None:
    lite.want("off")
    command = lite.send()
    other = a_home(lite.db, lite.supply)
    answer = MeterAck(command.id, command.version, "applied", "ok", "off", "open", 0, 1, 100)
    assert lite.supply.take_ack(other.meter_id, answer) == "unknown_command"
    assert lite.supply.take_ack("NOSUCHMETER", answer) == "unknown_meter"
    assert lite.supply.take_ack(lite.home.meter_id, replace(answer, command_id="x")) == "unknown_command"
    assert lite.supply.take_reported("NOSUCHMETER", said(1, "off")) == "unknown_meter"
    assert lite.state(1) == "sent"


def test_a_bypassed_meter_is_a_fault_not_an_applied_off(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    bypassed = replace(said(1, "off"), load_side_v=228)
    assert lite.supply.take_reported(lite.home.meter_id, bypassed) == "fault"
    assert lite.state(1) == "failed"
    assert lite.tasks() == ["relay_fault"]
    assert lite.notices() == []


def test_an_older_report_changes_nothing(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    lite.report(1, "off", session_no=3, at=500)
    for old in (said(0, "on", session_no=9, at=900), said(1, "on", session_no=2, at=900), said(1, "on", session_no=3)):
        assert lite.supply.take_reported(lite.home.meter_id, old) == "stale"
    with lite.db.read() as session:
        assert session.get_one(MeterReportedRow, lite.home.meter_id).supply == "off"


def test_after_a_restore_the_version_jumps_above_the_meters(desk: Desk) -> None:
    """The database came back from a backup and the meter has seen higher versions: nothing may be ignored."""
    desk.want("off")
    desk.send()
    desk.report(1, "off")
    desk.want("on", hours=72)
    assert desk.report(40, "off") == "ahead"
    assert desk.tasks() == ["version_ahead"]
    command = desk.lease()
    assert (command.supply, command.version) == ("on", 41)
    assert desk.report(41, "on", at=300) == "applied"


def test_a_lost_off_is_not_said_again_by_itself_after_a_restore(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    assert lite.report(40, "on") == "ahead"
    assert lite.supply.lease_commands(10) == []
    assert lite.want("off") == 41


def test_reconciling_wants_on_again_and_never_off(lite: Desk) -> None:
    lite.want("off")
    lite.send()
    lite.report(1, "off")
    lite.want("on", hours=1)
    lite.clock.advance(hours=2)
    lite.supply.reconcile()
    assert lite.lease().supply == "on"
    assert lite.supply.reconcile().sent_again == 0, "what is in the bridge's hands is left there"


def test_a_silent_meter_is_a_ticket_by_real_time_only(lite: Desk) -> None:
    lite.report(0, "on")
    assert lite.supply.reconcile().tickets == 0
    lite.clock.advance(hours=49)
    assert lite.supply.reconcile().tickets == 1
    assert lite.supply.reconcile().tickets == 0
    assert lite.tasks() == ["meter_silent"]


def test_a_meter_without_a_key_cannot_be_switched(lite: Desk) -> None:
    from core.customers.tables import MeterRow

    with lite.db.begin() as session:
        session.get_one(MeterRow, lite.home.meter_id).secret = None
    lite.want("off")
    assert lite.supply.lease_commands(10) == []
    assert lite.state(1) == "failed"
    assert lite.tasks() == ["no_key"]
    lite.supply.provision(lite.home.meter_id)
    assert lite.want("off") == 2
    assert lite.lease().version == 2


def test_a_manual_meter_is_a_crews_task(any_db: Database, clock: FixedClock) -> None:
    desk = Desk(any_db, clock, control_kind="manual")
    assert desk.want("off") == 1
    assert desk.want("off") is None
    assert desk.supply.lease_commands(10) == []
    assert desk.want("on") == 2
    with desk.db.read() as session:
        tasks = list(session.scalars(select(CrewTaskRow).order_by(CrewTaskRow.id)))
    assert [(task.kind, task.state) for task in tasks] == [("switch", "superseded"), ("switch", "open")]
    assert not desk.supply.crew_switched(tasks[0].id, by="crew 4")
    assert desk.supply.crew_switched(tasks[1].id, by="crew 4")
    assert desk.want("on") is None


def test_a_meter_that_cannot_be_switched_is_left_alone(db: Database, clock: FixedClock) -> None:
    assert Desk(db, clock, control_kind="none").want("off") is None


def test_a_senseless_wish_is_refused(lite: Desk) -> None:
    now = lite.clock.now()
    good: dict[str, object] = {
        "meter_id": lite.home.meter_id, "supply": "off", "reason": "nonpayment", "not_before": now,
        "contract_id": lite.home.contract_id, "not_after": now + ON_LIFE, "set_by": "test",
    }  # fmt: skip
    for change in ({"reason": ""}, {"not_after": now}, {"contract_id": None}):
        with lite.db.begin() as session, pytest.raises(ValueError):
            want_supply(session, clock=lite.clock, **{**good, **change})  # type: ignore[arg-type]
    with lite.db.begin() as session, pytest.raises(UnknownMeter):
        want_supply(session, clock=lite.clock, **{**good, "meter_id": "NOSUCHMETER"})  # type: ignore[arg-type]
    with pytest.raises(UnknownMeter):
        lite.supply.provision("NOSUCHMETER")


def test_one_bridge_at_a_time(desk: Desk) -> None:
    assert desk.supply.hold_bridge("a", for_s=15)
    assert not desk.supply.hold_bridge("b", for_s=15)
    assert desk.supply.hold_bridge("a", for_s=15)
    desk.clock.advance(seconds=16)
    assert desk.supply.hold_bridge("b", for_s=15)
    desk.supply.leave_bridge("a")
    assert not desk.supply.hold_bridge("a", for_s=15)
    desk.supply.leave_bridge("b")
    assert desk.supply.hold_bridge("a", for_s=15)


def test_many_writers_leave_one_live_command_and_growing_versions(desk: Desk) -> None:
    """Payments and off-batches on the same meter at once: no version twice, one command that has not ended."""
    failures: list[Exception] = []

    def write(supply: Wanted) -> None:
        try:
            for _ in range(10):
                desk.want(supply)
                for command in desk.supply.lease_commands(5):
                    desk.supply.mark_sent(command.id, command.token)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(supply,)) for supply in ("on", "off", "on", "off")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    rows = commands_of(desk.db, desk.home.meter_id)
    assert sum(row.state in LIVE for row in rows) <= 1
    with desk.db.read() as session:
        newest = session.scalar(select(func.max(RelayCommandRow.version)))
        assert session.get_one(MeterDesiredRow, desk.home.meter_id).version == newest
    assert len({row.version for row in rows}) == len(rows)
