"""Staging and sending: once, in time, and with doubt as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations

import pytest
from sqlalchemy import select

from core import outbox
from core.billing.tables import InvoiceRow, ReminderRow
from core.customers.tables import PhoneRow
from core.db import Database
from core.db.engine import assert_outside_transaction
from core.kernel.clock import EAST, WEST, FixedClock
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused, PartnerThrottled
from core.notices.errors import BadRecipient, NotTaken, OptedOut, RouteRefused
from core.notices.ports import DeliveryReport, InboundText, OutboundText, Receipt
from core.notices.staging import stage_notice
from core.notices.tables import DeliveryReportRow, InboundSmsRow, NoticeRow
from core.outbox import Dead, Done, Later, OutboxRow, Retry
from core.services.notices import CALLS_MAX, DOUBT_LASTS, Notices
from tests import town
from workers.jobs.notices import handlers

PHONE = "+243815550001"
BLANKS = {
    "payment.receipt": {"amount": "5 000 FC", "account": "100 000 000 1", "receipt": "R-1", "verification": "12"},
    "dunning.reminder": {"amount": "5 000 FC", "account": "100 000 000 1"},
    "supply.on": {"account": "100 000 000 1"},
}


class FakeGateway:
    """Answers from a script: a Receipt, an error to raise, or something to do first. Afterwards it accepts."""

    def __init__(self, name: str = "one", script: Sequence[PartnerError | Callable[[], None]] = ()) -> None:
        self._name = name
        self.script = list(script)
        self.sent: list[OutboundText] = []

    @property
    def name(self) -> str:
        return self._name

    def send(self, text: OutboundText) -> Receipt:
        assert_outside_transaction()
        self.sent.append(text)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, PartnerError):
            raise step
        if step is not None:
            step()
        return Receipt(self._name, f"{self._name}-{len(self.sent)}")


class Killed(BaseException):
    """The worker's process is gone."""


def die() -> None:
    raise Killed


def stage(db: Database, clock: FixedClock, kind: str = "payment.receipt", key: str = "k", **more: object) -> int:
    with db.begin() as session:
        made = stage_notice(
            session,
            clock=clock,
            kind=kind,
            key=key,
            recipient=PHONE,
            language="en",
            blanks=BLANKS[kind],
            zone=str(more.pop("zone", WEST)),
            **more,  # type: ignore[arg-type]
        )
    assert made is not None
    return made.id


def row(db: Database, notice_id: int) -> NoticeRow:
    with db.read() as session:
        found = session.get(NoticeRow, notice_id)
    assert found is not None
    return found


def report(reference: str, meaning: str, phone: str = PHONE, **more: object) -> DeliveryReport:
    return DeliveryReport(reference, f"said-{meaning}", meaning, phone=phone, **more)  # type: ignore[arg-type]


def test_a_notice_is_staged_once_with_its_effect(any_db: Database, clock: FixedClock) -> None:
    notice_id = stage(any_db, clock)
    with any_db.begin() as session:
        again = stage_notice(
            session,
            clock=clock,
            kind="payment.receipt",
            key="k",
            recipient=PHONE,
            language="fr",
            blanks=BLANKS["payment.receipt"],
            zone=WEST,
        )
        assert again is None
        effects = session.scalars(select(OutboxRow)).all()
        assert [(e.kind, e.key, e.body, e.priority) for e in effects] == [
            ("notice.send", f"notice:{notice_id}", {"notice_id": notice_id}, 1)
        ]
    assert "5 000 FC" in row(any_db, notice_id).body


def test_a_rolled_back_cause_tells_nobody(db: Database, clock: FixedClock) -> None:
    def cause() -> None:
        with db.begin() as session:
            stage_notice(
                session,
                clock=clock,
                kind="supply.on",
                key="k",
                recipient=PHONE,
                language="fr",
                blanks=BLANKS["supply.on"],
                zone=WEST,
            )
            raise Killed

    with pytest.raises(Killed):
        cause()
    with db.read() as session:
        assert session.scalars(select(OutboxRow)).all() == []


@pytest.mark.parametrize(("zone", "hour_utc"), [(WEST, 7), (EAST, 6)])
def test_a_reminder_staged_at_night_leaves_at_eight(db: Database, zone: str, hour_utc: int) -> None:
    night = FixedClock(datetime(2026, 3, 10, 22, 0, tzinfo=UTC))
    notice_id = stage(db, night, "dunning.reminder", zone=zone)
    morning = datetime(2026, 3, 11, hour_utc, 0, tzinfo=UTC)
    with db.read() as session:
        assert session.scalars(select(OutboxRow.business_at)).one() == morning
    gateway = FakeGateway()
    notices = Notices(db, night, [gateway])
    assert notices.send(notice_id) == Later(morning, "night at the site")
    assert gateway.sent == []
    night.advance(hours=12)
    assert isinstance(notices.send(notice_id), Done)
    assert len(gateway.sent) == 1


def test_a_receipt_leaves_at_night(db: Database) -> None:
    night = FixedClock(datetime(2026, 3, 10, 22, 0, tzinfo=UTC))
    gateway = FakeGateway()
    Notices(db, night, [gateway]).send(stage(db, night))
    assert len(gateway.sent) == 1


def test_the_short_code_is_the_utilitys(db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        session.info["short_code"] = "*456#"
        made = stage_notice(
            session,
            clock=clock,
            kind="supply.on",
            key="k",
            recipient=PHONE,
            language="en",
            blanks=BLANKS["supply.on"],
            zone=WEST,
        )
    assert made is not None
    assert "*456#" in row(db, made.id).body


def test_sent_twice_by_mistake_is_sent_once(any_db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway()
    notices = Notices(any_db, clock, [gateway])
    notice_id = stage(any_db, clock)
    assert isinstance(notices.send(notice_id), Done)
    assert notices.send(notice_id) == Done("already sent")
    assert len(gateway.sent) == 1
    assert (row(any_db, notice_id).state, row(any_db, notice_id).gateway_ref) == ("sent", "one-1")


def test_a_receipt_whose_worker_died_is_not_sent_again(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway(script=[die])
    notices = Notices(db, clock, [gateway])
    notice_id = stage(db, clock)
    with pytest.raises(Killed):
        notices.send(notice_id)
    assert row(db, notice_id).state == "sending"
    for _ in range(3):
        assert isinstance(notices.send(notice_id), Done)
        clock.advance(hours=1)
    assert row(db, notice_id).state == "unknown"
    assert len(gateway.sent) == 1


def test_a_clear_no_after_another_workers_doubt_is_not_forgotten(db: Database, clock: FixedClock) -> None:
    """Our lease ended during the call: the other one takes the text for doubtful and closes its errand. Then our
    gateway says no, so that it certainly did not leave."""
    notice_id = stage(db, clock)

    def overtaken() -> None:
        assert other.send(notice_id) == Done("unknown: waits for its delivery report")
        with db.begin() as session:
            session.scalars(select(OutboxRow)).one().state = "done"
        raise PartnerThrottled("one", "429", "30")

    gateway = FakeGateway(script=[overtaken])
    notices, other = Notices(db, clock, [gateway]), Notices(db, clock, [FakeGateway("two")])
    notices.send(notice_id)
    assert row(db, notice_id).state == "queued"
    with db.read() as session:
        assert session.scalars(select(OutboxRow)).one().state == "pending", "somebody will send it"
    notices.send(notice_id)
    assert row(db, notice_id).state == "sent"


def test_a_report_ends_the_doubt(any_db: Database, clock: FixedClock) -> None:
    """Also when it came before anybody knew of the crash."""
    notices = Notices(any_db, clock, [FakeGateway(script=[die, PartnerDown("one", "timeout")])])
    crashed, cut = stage(any_db, clock), stage(any_db, clock, key="k2")
    with pytest.raises(Killed):
        notices.send(crashed)
    notices.take_delivery("one", report("their-1", "delivered"))
    assert row(any_db, crashed).state == "sending"
    notices.send(crashed)
    assert row(any_db, crashed).state == "delivered"
    assert isinstance(notices.send(cut), Done)
    assert row(any_db, cut).state == "unknown"
    notices.take_delivery("one", report("their-2", "delivered"))
    assert (row(any_db, cut).state, row(any_db, cut).gateway_ref) == ("delivered", "their-2")


def test_two_texts_in_doubt_are_not_guessed_apart(db: Database, clock: FixedClock) -> None:
    down = PartnerDown("one", "timeout")
    notices = Notices(db, clock, [FakeGateway(script=[down, down])])
    first, second = stage(db, clock), stage(db, clock, key="k2")
    notices.send(first)
    notices.send(second)
    notices.take_delivery("one", report("their-1", "delivered"))
    assert {row(db, first).state, row(db, second).state} == {"unknown"}


def test_a_harmless_text_in_doubt_is_sent_once_more(db: Database, clock: FixedClock) -> None:
    down = PartnerDown("one", "timeout")
    gateway = FakeGateway(script=[down, down])
    notices = Notices(db, clock, [gateway])
    notice_id = stage(db, clock, "supply.on")
    waits = notices.send(notice_id)
    assert isinstance(waits, Retry)
    assert (waits.after_s, waits.counts) == (DOUBT_LASTS.total_seconds(), False)
    assert isinstance(notices.send(notice_id), Retry)
    assert len(gateway.sent) == 1
    clock.advance(minutes=10)
    notices.send(notice_id)
    clock.advance(minutes=10)
    assert isinstance(notices.send(notice_id), Done)
    assert len(gateway.sent) == 2


def test_what_certainly_did_not_leave_is_tried_again(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway(
        script=[
            PartnerDown("one", "no_connection", sent=False),
            PartnerThrottled("one", "429", "7"),
            NotTaken("one", "500"),
        ]
    )
    notices = Notices(db, clock, [gateway])
    notice_id = stage(db, clock)
    waits = [notices.send(notice_id) for _ in range(3)]
    assert [type(one) for one in waits] == [Retry, Retry, Retry]
    assert isinstance(waits[1], Retry)
    assert waits[1].after_s == 7
    assert isinstance(notices.send(notice_id), Done)
    assert row(db, notice_id).state == "sent"


def test_a_timeout_never_fails_over(db: Database, clock: FixedClock) -> None:
    second = FakeGateway("two")
    notices = Notices(db, clock, [FakeGateway(script=[PartnerDown("one", "timeout")]), second])
    notices.send(stage(db, clock))
    assert second.sent == []


def test_a_route_that_is_refused_fails_over(db: Database, clock: FixedClock) -> None:
    second = FakeGateway("two")
    notices = Notices(db, clock, [FakeGateway(script=[RouteRefused("one", "407")]), second])
    notice_id = stage(db, clock)
    assert isinstance(notices.send(notice_id), Done)
    assert (row(db, notice_id).gateway, row(db, notice_id).gateway_ref) == ("two", "two-1")


@pytest.mark.parametrize("error", [BadRecipient("one", "403"), OptedOut("one", "406"), PartnerRefused("one", "400")])
def test_a_no_to_the_person_or_the_text_never_fails_over(
    db: Database, clock: FixedClock, error: PartnerRefused
) -> None:
    second = FakeGateway("two")
    notices = Notices(db, clock, [FakeGateway(script=[error]), second])
    notice_id = stage(db, clock)
    assert isinstance(notices.send(notice_id), Done | Dead)
    assert second.sent == []
    assert row(db, notice_id).state in ("failed", "suppressed")
    with db.read() as session:
        known = session.get(PhoneRow, PHONE)
    assert (known is not None and known.opted_out_at is not None) == isinstance(error, OptedOut)


def test_a_gateway_without_credit_is_left_alone_for_a_while(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway(script=[RouteRefused("one", "405", pause_s=600)])
    notices = Notices(db, clock, [gateway])
    first, second = stage(db, clock), stage(db, clock, key="k2")
    assert isinstance(notices.send(first), Retry)
    assert isinstance(notices.send(second), Retry)
    assert len(gateway.sent) == 1
    clock.advance(seconds=601)
    assert isinstance(notices.send(second), Done)


def test_a_text_nobody_carries_ends_with_a_person(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway(script=[RouteRefused("one", "407")] * 50)
    notices = Notices(db, clock, [gateway])
    notice_id = stage(db, clock)
    outcomes = [notices.send(notice_id) for _ in range(CALLS_MAX)]
    assert isinstance(outcomes[-1], Dead)
    assert row(db, notice_id).state == "failed"
    assert len(gateway.sent) == CALLS_MAX


def test_too_late_is_not_sent(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway()
    notice_id = stage(db, clock)
    clock.advance(days=4)
    assert Notices(db, clock, [gateway]).send(notice_id) == Done("expired")
    assert gateway.sent == []


def test_no_reminder_for_what_is_paid_meanwhile(db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        invoice = town.invoice(session, town.home(session).contract)
        invoice.state, invoice.sent_on = "sent", clock.now().date()
        session.flush()
        invoice_id = invoice.id
    notice_id = stage(db, clock, "dunning.reminder", invoice_id=invoice_id)
    with db.begin() as session:
        found = session.get(InvoiceRow, invoice_id)
        assert found is not None
        found.paid_minor = found.total_minor
    gateway = FakeGateway()
    assert Notices(db, clock, [gateway]).send(notice_id) == Done("not owed any more")
    assert (gateway.sent, row(db, notice_id).state) == ([], "suppressed")


def test_opting_out_between_staging_and_sending_counts(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway()
    notices = Notices(db, clock, [gateway])
    reminder, receipt = stage(db, clock, "dunning.reminder"), stage(db, clock, key="k2")
    assert notices.take_inbound("one", InboundText("in-1", PHONE, "Arret")) is True
    assert notices.take_inbound("one", InboundText("in-1", PHONE, "Arret")) is False
    assert notices.send(reminder) == Done("opted out")
    assert isinstance(notices.send(receipt), Done)
    assert len(gateway.sent) == 1
    later = stage(db, clock, "dunning.reminder", key="k3")
    assert row(db, later).state == "suppressed"
    with db.read() as session:
        assert session.scalars(select(InboundSmsRow.handled)).all() == ["opt_out"]


def test_delivery_makes_evidence_of_a_reminder(any_db: Database, clock: FixedClock) -> None:
    with any_db.begin() as session:
        invoice = town.invoice(session, town.home(session).contract)
        invoice.state, invoice.sent_on = "sent", clock.now().date()
        session.flush()
        invoice_id = invoice.id
    notice_id = stage(any_db, clock, "dunning.reminder", invoice_id=invoice_id)
    with any_db.begin() as session:
        session.add(
            ReminderRow(
                invoice_id=invoice_id,
                cycle=1,
                step="reminder",
                policy_version=1,
                created_at=clock.now(),
                notice_id=notice_id,
            )
        )
    notices = Notices(any_db, clock, [FakeGateway()])
    notices.send(notice_id)
    clock.advance(minutes=3)
    notices.take_delivery("one", report("one-1", "delivered"))
    delivered_at = clock.now()
    clock.advance(minutes=3)
    notices.take_delivery("one", report("one-1", "delivered"))
    with any_db.read() as session:
        evidence = session.scalars(select(ReminderRow)).one()
        assert (evidence.delivered_at, evidence.evidence) == (delivered_at, "report")
        assert len(session.scalars(select(DeliveryReportRow)).all()) == 1


@pytest.mark.parametrize("order", list(permutations(["answer", "sent", "failed", "delivered"])))
def test_reports_in_any_order_around_the_answer(db: Database, clock: FixedClock, order: tuple[str, ...]) -> None:
    """Some come before the gateway's answer is written down: they wait for it."""
    here = order.index("answer")
    notices = Notices(db, clock, [])

    def early() -> None:
        for meaning in order[:here]:
            notices.take_delivery("one", report("one-1", meaning))

    notices = Notices(db, clock, [FakeGateway(script=[early])])
    notice_id = stage(db, clock)
    notices.send(notice_id)
    for meaning in order[here + 1 :]:
        notices.take_delivery("one", report("one-1", meaning))
    assert row(db, notice_id).state == "delivered"
    with db.read() as session:
        assert session.scalars(select(DeliveryReportRow.notice_id)).all() == [notice_id] * 3


def test_a_word_nobody_knows_is_kept_and_changes_nothing(db: Database, clock: FixedClock) -> None:
    notices = Notices(db, clock, [FakeGateway()])
    notice_id = stage(db, clock)
    notices.send(notice_id)
    notices.take_delivery("one", DeliveryReport("one-1", "Teleported", None))
    assert row(db, notice_id).state == "sent"
    with db.read() as session:
        assert session.scalars(select(DeliveryReportRow.status)).all() == ["Teleported"]


def test_a_blocked_number_is_an_opt_out(db: Database, clock: FixedClock) -> None:
    notices = Notices(db, clock, [FakeGateway()])
    notices.take_delivery("one", report("x", "failed", blocked=True))
    with db.read() as session:
        known = session.get(PhoneRow, PHONE)
    assert known is not None
    assert known.opted_out_at == clock.now()


def test_a_receipt_overtakes_a_morning_of_reminders(db: Database, clock: FixedClock) -> None:
    for number in range(5):
        stage(db, clock, "dunning.reminder", key=f"r{number}")
    clock.advance(minutes=5)
    receipt = stage(db, clock, key="late")
    with db.begin() as session:
        first = outbox.lease(session, queue="notices", clock=clock, limit=1)
    assert [one.body for one in first] == [{"notice_id": receipt}]


def test_the_queue_hands_rows_to_the_service(db: Database, clock: FixedClock) -> None:
    gateway = FakeGateway()
    send = handlers(Notices(db, clock, [gateway]))["notice.send"]
    stage(db, clock)
    with db.begin() as session:
        (leased,) = outbox.lease(session, queue="notices", clock=clock, limit=5)
    assert send(leased) == Done("one one-1")
    assert isinstance(send(replace(leased, body={"notice_id": 999})), Dead)
    assert isinstance(send(replace(leased, body={})), Dead)
