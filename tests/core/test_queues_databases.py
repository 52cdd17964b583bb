"""The page of queues on both databases: its figures, its subjects, its acts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.run_tables import BillingOrderRow
from core.db import Database
from core.desk.queue_model import Planned, Subject
from core.desk.queue_rules import covered, offer_of, run_state
from core.desk.queue_subjects import subjects
from core.kernel.clock import FixedClock
from core.outbox import KINDS, OutboxActRow, OutboxRow, ScheduleRunRow
from core.services.queues import AT_ONCE, Nobody, Queues
from tests import town


def queues_over(db: Database, clock: FixedClock) -> Queues:
    said: list[tuple[str, ...]] = []

    def audit(_session: Session, actor: str, act: str, subject: str, detail: str = "") -> None:
        said.append((actor, act, subject, detail))

    plan = Planned("dunning.sweep", clock.now() - timedelta(hours=5), clock.now() + timedelta(hours=19))
    return Queues(
        db, clock, audit, plans=lambda: [plan], watch=Nobody(), ask_attempt=lambda _id, _by: True,
        ask_refund=lambda _id, _by: True,
    )  # fmt: skip


def row(session: Session, kind: str, at: datetime, n: int, **more: object) -> OutboxRow:
    values: dict[str, object] = {"state": "pending", "body": {}, "attempts": 0, **more}
    made = OutboxRow(
        kind=kind, key=f"{kind}:{n}", queue=KINDS[kind].queue, available_at=at, created_at=at, **values
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made


def test_figures_subjects_and_acts(any_db: Database, clock: FixedClock) -> None:
    now = clock.real_now()
    with any_db.begin() as session:
        home = town.home(session)
        invoice = town.invoice(session, home.contract)
        payment = town.payment(session, home.contract, town.BILL)
        row(session, "document.invoice", now - timedelta(minutes=3), 1, body={"invoice_id": invoice.id})
        row(session, "document.invoice", now + timedelta(hours=1), 2, body={"invoice_id": invoice.id})
        row(session, "document.receipt", now, 3, lease_until=now + timedelta(seconds=30), lease_token="t", attempts=1,
            body={"payment_id": payment.id})  # fmt: skip
        ids = [
            row(session, "document.receipt", now, 4, state="dead", attempts=8, body={"payment_id": payment.id}).id,
            row(session, "notice.send", now, 5, state="dead", attempts=8, body={"notice_id": 10**6}).id,
            row(session, "prepaid.token", now, 6, state="dead", attempts=8, body={"contract_id": home.contract.id}).id,
            row(session, "schedule.run", now, 7, state="dead", attempts=5, body={"run_id": 1, "name": "x"}).id,
        ]
        run = ScheduleRunRow(name="dunning.sweep", due_at=now - timedelta(hours=5), opened_at=now - timedelta(hours=1))
        run.ended_at = now
        session.add(run)
    queues = queues_over(any_db, clock)
    look = queues.look()
    bills = next(line for line in look.lines if line.kind == "document.invoice")
    assert (bills.due, bills.later, bills.held, bills.oldest_at) == (1, 1, 0, now - timedelta(minutes=3))
    assert [held.subject.number for held in look.held] == [payment.receipt_number]
    assert [run.state for run in look.runs] == ["caught_up"]
    assert look.dead == 4
    things = {line.kind: (line.subject.thing, line.offer) for line in queues.dead().lines}
    assert things == {
        "document.receipt": ("payment", "again"),
        "notice.send": ("", "none"),
        "prepaid.token": ("contract", "again"),
        "schedule.run": ("run", "again"),
    }
    assert [one.outcome for one in queues.give_up(ids[:1], reason="x", by="jeanne")] == ["gave_up"]
    assert (queues.look().dead, queues.look().given_up) == (3, 1)
    assert [line.id for line in queues.dead(given_up=True).lines] == ids[:1]
    assert [one.outcome for one in queues.try_again(ids, by="jeanne")] == ["again", "refused", "again", "again"]
    with any_db.read() as session:
        assert set(session.scalars(select(OutboxActRow.stands))) == {False}
        contracts = set(session.scalars(select(OutboxActRow.contract_id)))
    assert contracts == {home.contract.id, None}
    assert [one.outcome for one in queues.try_again(range(AT_ONCE + 50), by="x")].count("not_dead") >= AT_ONCE - 1


def test_work_for_a_month_a_payroll_and_a_file_is_named(any_db: Database, clock: FixedClock) -> None:
    with any_db.begin() as session:
        order = BillingOrderRow(
            key="k", act="send", period="2026-03", ordered_by="finance", ordered_at=clock.now()
        )  # fmt: skip
        session.add(order)
        session.flush()
        rows = [
            row(session, "billing.order", clock.now(), 1, body={"order_id": order.id}),
            row(session, "billing.order", clock.now(), 2, body={"order_id": 10**6}),
            row(session, "payroll.close", clock.now(), 3, body={"run_id": 4}),
            row(session, "import.run", clock.now(), 5, body={"import_id": 6}),
        ]
        found = subjects(session, rows, now=clock.now())
        assert [(found[one.id].thing, found[one.id].number) for one in rows] == [
            ("order", "2026-03"), ("", ""), ("payroll", "4"), ("import", "6"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "subject", "offer"),
    [
        ("attempt.push", Subject("attempt", state="unknown"), ("ask", "asked_once")),
        ("attempt.push", Subject("attempt", state="submitting"), ("ask", "asked_once")),
        ("attempt.push", Subject("attempt", state="created"), ("none", "by_itself")),
        ("attempt.push", Subject(), ("none", "gone")),
        ("refund.push", Subject("refund", state="approved"), ("none", "by_itself")),
        ("refund.push", Subject("refund", state="unknown"), ("ask", "asked_once")),
        ("attempt.query", Subject("attempt", state="unknown"), ("again", "harmless")),
        ("notice.send", Subject("notice", state="failed"), ("again", "harmless")),
        ("notice.send", Subject("notice", state="failed", late=True), ("none", "too_late")),
        ("notice.send", Subject("notice", state="unknown"), ("none", "may_have_gone")),
        ("email.send", Subject("notice", state="failed", late=True), ("again", "harmless")),
        ("no.such", Subject("other"), ("none", "nobody_does_it")),
    ],
)
def test_what_is_offered(kind: str, subject: Subject, offer: tuple[str, str]) -> None:
    assert offer_of(kind, subject) == offer


def test_no_kind_is_offered_a_second_request_for_money() -> None:
    for kind in KINDS:
        if kind.endswith(".push"):
            for state in ("submitting", "pending", "unknown", "failed", "needs_attention"):
                thing = kind.partition(".")[0]
                assert offer_of(kind, Subject(thing, state=state))[0] == "ask"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("+243815550001 is away", "***001 is away"),
        ("call 0815 550 001 now", "call ***001 now"),
        ("to marie@example.cd: 550", "to ***@***: 550"),
        ("Authorization: Bearer abc.def", "Authorization *** ***"),
        ("token=s3cret; x", "token *** x"),
        ("GET https://host.example/hooks/a1/SECRET?k=v failed", "GET https://host.example/… failed"),
        ("INS-2006 after 30 s", "INS-2006 after 30 s"),
    ],
)
def test_errors_are_covered(error: str, shown: str) -> None:
    assert covered(error) == shown


def test_how_a_run_stands(clock: FixedClock) -> None:
    now = clock.now()
    plan = Planned("x", now - timedelta(hours=1), now + timedelta(hours=1))
    hour = timedelta(hours=1)
    assert run_state(plan, None, None, None, now=now) == "late"
    assert run_state(plan, now - 25 * hour, now - 25 * hour, now - 25 * hour, now=now) == "late"
    assert run_state(plan, now - hour, now - timedelta(minutes=1), None, now=now) == "running"
    assert run_state(plan, now - hour, now - hour, None, now=now) == "late"
    assert run_state(plan, now - hour, now - hour, now, now=now) == "done"
    assert run_state(plan, now - hour, now - timedelta(minutes=2), now, now=now) == "caught_up"
    assert run_state(plan, now - hour, now, now, now=now) == "done", "a first start has missed nothing"
    fresh = Planned("x", now - timedelta(minutes=1), now + hour)
    assert run_state(fresh, None, None, None, now=now) == "never"
