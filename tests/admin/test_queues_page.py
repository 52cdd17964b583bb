"""The page of queues: what it shows, what its forms do, who may, and that no wallet is asked twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select

from admin import queue_words, words
from core.db import Database
from core.desk.queue_model import Backstage, WorkerSeen
from core.kernel.clock import WEST, FixedClock
from core.kernel.ids import new_uuid
from core.notices.mailing import stage_email
from core.notices.tables import NoticeRow
from core.outbox import KINDS, LeaseRow, OutboxActRow, OutboxRow, ScheduleRunRow
from core.payments.tables import AttemptRow
from core.staff.tables import AuditRow
from tests import town
from tests.admin.conftest import post
from tests.admin.console_town import OWN_REF, Console, everything_happened, queues_of
from workers.schedule import PLANS

PAGE = "/admin/queues/"


def dead(db: Database, clock: FixedClock, kind: str, error: str = "it broke", **body: object) -> int:
    with db.begin() as session:
        row = OutboxRow(
            kind=kind, key=f"{kind}:{new_uuid()}", queue="bulk", body=body, state="dead", attempts=8,
            last_error=error, available_at=clock.now(), created_at=clock.now() - timedelta(hours=3),
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def state_of(db: Database, row_id: int) -> tuple[str, int]:
    with db.read() as session:
        row = session.get_one(OutboxRow, row_id)
        return row.state, row.attempts


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    return everything_happened(db, clock)


def invoice_of(db: Database, home: town.Home) -> tuple[int, str]:
    from core.billing.tables import InvoiceRow

    with db.read() as session:
        row = session.scalars(select(InvoiceRow).where(InvoiceRow.contract_id == home.contract.id)).first()
        assert row is not None
        return row.id, row.number


def test_the_page_says_what_it_was_and_whose(
    db: Database, clock: FixedClock, home: town.Home, as_role: Callable[[str], FlaskClient]
) -> None:
    invoice_id, number = invoice_of(db, home)
    dead(
        db,
        clock,
        "document.invoice",
        "POST https://sms.example/v1?key=abc to +243815550001: token=s3cret",
        invoice_id=invoice_id,
    )
    html = as_role("viewer").get(PAGE).text
    assert number in html
    assert f"/admin/customers/{home.customer.id}" in html
    assert "***001" in html
    for hidden in ("815550001:", "s3cret", "key=abc", 'name="one"'):
        assert hidden not in html, hidden


def test_a_finance_clerk_tries_again_and_gives_up(
    db: Database, clock: FixedClock, home: town.Home, as_role: Callable[[str], FlaskClient]
) -> None:
    invoice_id, number = invoice_of(db, home)
    first = dead(db, clock, "document.invoice", invoice_id=invoice_id)
    second = dead(db, clock, "document.invoice", invoice_id=invoice_id)
    finance = as_role("finance")
    assert post(finance, f"{PAGE}again", one=str(first)) == (303, f"{PAGE}?again=1#dead")
    assert state_of(db, first) == ("pending", 0)
    status, _ = post(finance, f"{PAGE}give-up", row=str(second), reason="  ")
    assert status == 400
    assert post(finance, f"{PAGE}give-up", row=str(second), reason="Imprimée à la main")[0] == 303
    assert state_of(db, second) == ("dead", 8)
    assert number not in finance.get(PAGE).text
    assert "Imprimée à la main" in finance.get(f"{PAGE}?given_up=1").text
    # Where the customer is explained, so is this.
    assert "Imprimée à la main" in finance.get(f"/admin/customers/{home.customer.id}").text
    with db.read() as session:
        assert {"queues.again", "queues.gave_up"} <= set(session.scalars(select(AuditRow.act)))
        acts = session.execute(select(OutboxActRow.act, OutboxActRow.by, OutboxActRow.stands)).all()
    assert [tuple(act) for act in acts] == [("again", "finance", False), ("gave_up", "finance", True)]


def test_a_selection_at_once_and_nonsense(
    db: Database, clock: FixedClock, home: town.Home, as_role: Callable[[str], FlaskClient], console: Console
) -> None:
    invoice_id, _ = invoice_of(db, home)
    rows = [dead(db, clock, "document.invoice", invoice_id=invoice_id) for _ in range(3)]
    gone = dead(db, clock, "document.invoice", invoice_id=999)
    acted = console.queues.try_again([*rows, gone, 10**9], by="finance")
    assert [one.outcome for one in acted] == ["again", "again", "again", "refused", "not_dead"]
    finance = as_role("finance")
    assert post(finance, f"{PAGE}again")[0] == 400
    assert post(finance, f"{PAGE}again", one="x")[0] == 404
    for role in ("viewer", "office"):
        assert post(as_role(role), f"{PAGE}again", one=str(gone))[0] == 403


def test_a_wallet_is_never_asked_twice(db: Database, clock: FixedClock, home: town.Home, console: Console) -> None:
    """A request whose row died is asked about; one that never left ends by itself."""
    with db.begin() as session:
        asked = session.scalars(select(AttemptRow).where(AttemptRow.own_ref == "EUNKNOWN000000000001")).one()
        asked.wallet = next(iter(console.money.wallets))
        fresh = session.scalars(select(AttemptRow).where(AttemptRow.own_ref == OWN_REF)).one()
        fresh.state = "created"
        asked_id, fresh_id = asked.id, fresh.id
    was_asked = dead(db, clock, "attempt.push", attempt_id=asked_id)
    never_left = dead(db, clock, "attempt.push", attempt_id=fresh_id)
    acted = console.queues.try_again([was_asked, never_left], by="finance")
    assert [(one.outcome, one.why) for one in acted] == [("asked", ""), ("refused", "by_itself")]
    assert state_of(db, was_asked)[0] == state_of(db, never_left)[0] == "dead"
    with db.read() as session:
        staged = session.execute(
            select(OutboxRow.kind, OutboxRow.body).where(OutboxRow.state == "pending", OutboxRow.key.like("query:%:%"))
        ).all()
        assert [(kind, body["attempt_id"]) for kind, body in staged] == [("attempt.query", asked_id)]
    assert [line.id for line in console.queues.dead(kind="attempt.push").lines] == [never_left]


def test_a_message_that_may_have_gone_stays(db: Database, clock: FixedClock, console: Console) -> None:
    with db.begin() as session:
        holder = town.home(session)
        ids = [
            stage_email(
                session, clock=clock, kind="supply.on", key=f"k{n}", recipient="marie@example.cd", name="x",
                language="fr", blanks={"account": "1"}, zone=WEST, customer_id=holder.customer.id,
                contract_id=holder.contract.id,
            )
            for n in range(2)
        ]  # fmt: skip
        for notice_id, state in zip(ids, ("failed", "unknown"), strict=True):
            session.get_one(NoticeRow, notice_id).state = state
        rows = {row.body["notice_id"]: row for row in session.scalars(select(OutboxRow))}
        for row in rows.values():
            row.state = "dead"
        row_ids = [rows[notice_id].id for notice_id in ids]
    clock.advance(hours=24 * 30)
    assert [one.outcome for one in console.queues.try_again(row_ids, by="x")] == ["again", "refused"]
    with db.read() as session:
        refused, doubtful = (session.get_one(NoticeRow, notice_id) for notice_id in ids)
        assert (refused.state, doubtful.state) == ("queued", "unknown")
        assert refused.expires_at > clock.now(), "a person wants it to go"
    assert [one.outcome for one in console.queues.give_up(row_ids[1:], reason="elle a appelé", by="x")] == ["gave_up"]
    with db.read() as session:
        assert session.get_one(NoticeRow, ids[1]).state == "unknown", "what may have gone stays in doubt"


def test_what_died_again_comes_back_to_the_list(
    db: Database, clock: FixedClock, home: town.Home, console: Console
) -> None:
    invoice_id, _ = invoice_of(db, home)
    row_id = dead(db, clock, "document.invoice", invoice_id=invoice_id)
    console.queues.give_up([row_id], reason="x", by="finance")
    assert row_id not in [line.id for line in console.desk.today().dead]
    assert console.queues.try_again([row_id], by="finance")[0].outcome == "again"
    with db.begin() as session:
        row = session.get_one(OutboxRow, row_id)
        row.state, row.attempts = "dead", 3
    line = console.queues.dead(kind="document.invoice").lines[0]
    assert (line.id, line.tries) == (row_id, 11)
    assert line.last is not None
    assert line.last.act == "again"


class Stage:
    """A queue with one worker."""

    def __init__(self, clock: FixedClock, hands: dict[int, str]) -> None:
        self.clock, self.hands = clock, hands

    def look(self) -> Backstage:
        now = self.clock.real_now()
        worker = WorkerSeen("abc123", "bulk", "kin1:4711", now, now, busy=True)
        return Backstage(True, workers=(worker,), jobs={"bulk": 2}, hands=self.hands)


def test_what_hangs_who_works_and_what_is_late(
    db: Database, clock: FixedClock, home: town.Home, console: Console
) -> None:
    now = clock.real_now()
    with db.begin() as session:
        held = OutboxRow(
            kind="document.invoice", key="h", queue="bulk", body={"invoice_id": 1}, attempts=2, available_at=now,
            lease_until=now + timedelta(seconds=90), lease_token="t", created_at=now,
        )  # fmt: skip
        later = OutboxRow(
            kind="document.invoice", key="l", queue="bulk", body={}, available_at=now + timedelta(hours=1),
            created_at=now,
        )  # fmt: skip
        session.add_all([held, later])
        session.add(LeaseRow(name="bridge", holder="kin1:1", until=now - timedelta(minutes=5)))
        session.add(LeaseRow(name="dispatcher:kin1:2", holder="kin1:2", until=now + timedelta(seconds=20)))
        session.add(ScheduleRunRow(name="dunning.sweep", due_at=now - timedelta(hours=53), opened_at=now))
        session.flush()
        held_id = held.id
    queues = queues_of(db, clock, console.staff, console.money, watch=Stage(clock, {held_id: "abc123"}))
    look = queues.look()
    line = next(line for line in look.lines if line.kind == "document.invoice")
    assert (line.due, line.later, line.held) == (0, 1, 1)
    assert [(h.id, h.holder, h.since) for h in look.held] == [(held_id, "abc123", now - timedelta(seconds=30))]
    assert look.bridge is not None
    assert not look.bridge.alive
    assert [d.alive for d in look.dispatchers] == [True]
    assert look.unmanned == ("push", "settle", "notices")
    assert {run.name: run.state for run in look.runs}["dunning.sweep"] == "late"


def test_tables_come_as_csv_and_statements_do_not_grow(
    db: Database, clock: FixedClock, home: town.Home, as_role: Callable[[str], FlaskClient], console: Console
) -> None:
    finance = as_role("finance")
    for table in ("work", "hand", "runs", "workers", "dead"):
        assert finance.get(f"{PAGE}{table}.csv").status_code == 200
    assert finance.get(f"{PAGE}nothing.csv").status_code == 404
    assert as_role("office").get(f"{PAGE}dead.csv").status_code == 403
    invoice_id, _ = invoice_of(db, home)

    def statements() -> int:
        seen: list[str] = []

        def note(*given: object) -> None:
            seen.append(str(given[2]))

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            console.queues.look()
            console.queues.dead()
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    dead(db, clock, "document.invoice", invoice_id=invoice_id)
    few = statements()
    for _ in range(60):
        dead(db, clock, "document.invoice", invoice_id=invoice_id)
    assert statements() <= few
    page = console.queues.dead(kind="document.invoice")
    assert len(page.lines) == 50
    assert page.older is not None
    assert len(console.queues.dead(kind="document.invoice", before=page.older).lines) == 11


def test_everything_has_a_word() -> None:
    assert {plan.name for plan in PLANS} <= set(queue_words.RUNS)
    assert {policy.queue for policy in KINDS.values()} <= set(queue_words.QUEUES)
    for kind in KINDS:
        assert words.name("queue", kind) != kind, kind
