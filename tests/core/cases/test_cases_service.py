"""Cases on both databases: opened once, joined within a day, holding a disputed bill, answered and closed by people."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, func, select

from core.billing.tables import HoldRow
from core.cases.rules import number_of
from core.cases.tables import CaseNoteRow, CaseRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped, is_valid
from core.kernel.errors import StateConflict
from core.notices.case_texts import ANSWER_MAX
from core.notices.tables import NoticeRow
from core.services.billing import Billing
from core.services.cases import Cases, open_from_sms
from core.services.customers import Customers
from core.services.foresight import Foresight
from core.supply.tables import MeterDesiredRow
from tests import town

STRANGER = "+243815559999"


def said(did: Mapping[str, Any]) -> str:
    return f"END {did['number']}"


class World:
    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db, self.clock = db, clock
        self.cases = Cases(db, clock)
        self.turns = 0
        with db.begin() as session:
            self.home = town.home(session)
            self.invoice = town.invoice(session, self.home.contract).id
        Billing(db, clock).send_invoice(self.invoice)

    def report(self, kind: str, *, turn: str | None = None, phone: str | None = None, bill: bool = False) -> str:
        return str(self.did(kind, turn=turn, phone=phone, bill=bill)["number"])

    def did(
        self, kind: str, *, turn: str | None = None, phone: str | None = None, bill: bool = False
    ) -> Mapping[str, Any]:
        self.turns += 1
        kept = self.cases.report(
            kind=kind,
            contract_id=self.home.contract.id,
            invoice_id=self.invoice if bill else None,
            phone=phone or self.home.phone,
            language="fr",
            turn_key=turn or f"turn-{self.turns}",
            say=said,
        )
        assert kept.end_text == said(kept.did)
        return kept.did

    def notices(self, kind: str) -> list[NoticeRow]:
        with self.db.read() as session:
            return list(session.scalars(select(NoticeRow).where(NoticeRow.kind == kind).order_by(NoticeRow.id)))

    def count(self) -> int:
        with self.db.read() as session:
            return session.scalar(select(func.count()).select_from(CaseRow)) or 0


@pytest.fixture
def world(clean_db: Database, clock: FixedClock) -> World:
    return World(clean_db, clock)


def test_numbers_are_digits_with_a_check_digit() -> None:
    assert all(is_valid(number_of(n)) and len(number_of(n)) == 7 for n in (1, 2, 899_999))
    assert len({number_of(n) for n in range(1, 500)}) == 499


def test_a_report_gets_a_number_and_an_sms(world: World) -> None:
    did = world.did("outage")
    assert (did["joined"], did["held_to"]) == (False, None)
    told = world.notices("case.opened")
    assert [row.recipient for row in told] == [world.home.phone]
    assert grouped(did["number"]) in told[0].body
    found = world.cases.one(did["number"])
    assert found is not None
    assert (found.line.kind, found.line.state, found.line.source) == ("outage", "open", "ussd")
    assert found.line.account == world.home.account_number
    assert [note.kind for note in found.notes] == ["opened"]


def test_the_same_turn_opens_one_case_and_says_the_same(world: World) -> None:
    assert world.report("outage", turn="t") == world.report("outage", turn="t")
    assert world.count() == 1
    assert len(world.notices("case.opened")) == 1


def test_the_same_within_a_day_joins(world: World) -> None:
    first = world.report("outage")
    world.clock.advance(hours=23)
    again = world.did("outage")
    assert (again["number"], again["joined"]) == (first, True)
    found = world.cases.one(first)
    assert found is not None
    assert (found.line.reports, [note.kind for note in found.notes]) == (2, ["opened", "again"])
    assert len(world.notices("case.opened")) == 1, "the number is known"
    assert world.report("complaint") != first
    world.clock.advance(hours=2)
    assert world.report("outage") != first


def test_a_closed_case_is_not_joined(world: World) -> None:
    first = world.report("outage")
    world.cases.close(first, reason="The line was repaired.", key="k1", by="claudine")
    assert world.report("outage") != first


def test_other_phones_of_the_account_join_and_strangers_do_not(world: World) -> None:
    with world.db.begin() as session:
        town.phone_link(session, world.home.customer, phone="+243815551234", role="member")
    first = world.report("outage")
    assert world.report("outage", phone="+243815551234") == first
    other = world.did("outage", phone=STRANGER)
    assert other["number"] != first
    found = world.cases.one(other["number"])
    assert found is not None
    assert (found.line.account, found.line.phone) == (None, STRANGER), "an account it may not see is left out"
    assert world.report("outage", phone=STRANGER) == other["number"]


def test_a_dispute_holds_the_cut_of_its_bill_once(world: World) -> None:
    did = world.did("dispute", bill=True)
    assert did["held_to"] == "2026-04-09"
    with world.db.read() as session:
        hold = session.scalars(select(HoldRow)).one()
    assert (hold.kind, hold.invoice_id) == ("dispute", world.invoice)
    assert hold.until_at == world.clock.now() + timedelta(days=30)
    view = next(Foresight(world.db, world.clock).look(world.clock.now() + timedelta(days=14)))
    assert ("hold", "dispute") in {(why.code, why.detail) for why in view.why_not}
    world.cases.close(did["number"], reason="The reading was right.", key="k1", by="claudine")
    with world.db.read() as session:
        assert session.scalars(select(HoldRow)).one().until_at == world.clock.now()
    world.clock.advance(days=2)
    assert world.did("dispute", bill=True)["held_to"] is None, "the policy lets one count"


def test_a_dispute_promises_no_day_where_supply_is_off(world: World) -> None:
    with world.db.begin() as session:
        off = MeterDesiredRow(meter_id=world.home.meter.id, version=2, supply="off", reason="safety", set_by="test")
        off.set_at = world.clock.now()
        session.add(off)
    assert world.did("dispute", bill=True)["held_to"] is None
    with world.db.read() as session:
        hold = session.scalars(select(HoldRow)).one()
    assert hold.until_at == world.clock.now() + timedelta(days=30), "it is held all the same"


def test_a_text_is_filed_once_and_texts_of_a_day_are_one_case(world: World) -> None:
    with world.db.begin() as session:
        first = open_from_sms(session, clock=world.clock, phone=STRANGER, text="ma lampe", message_id=7)
    assert world.cases.open_from_sms(STRANGER, "ma lampe", 7) == first
    assert world.cases.open_from_sms(STRANGER, "et mon compteur", 8) == first
    found = world.cases.one(first)
    assert found is not None
    assert (found.line.source, found.line.kind, found.line.body) == ("sms", "other", "ma lampe")
    assert [note.text for note in found.notes] == ["ma lampe", "et mon compteur"]
    assert world.notices("case.opened") == [], "whoever answers the text names the number"
    known = world.cases.one(world.cases.open_from_sms(world.home.phone, "courant", 9))
    assert known is not None
    assert known.line.account == world.home.account_number


def test_staff_open_take_note_answer_and_close(world: World) -> None:
    cases = world.cases
    number = cases.open_by_staff(
        kind="complaint", body="Queue of three hours.", account=grouped(world.home.account_number),
        phone=STRANGER, key="k1", by="claudine",
    )  # fmt: skip
    assert (
        cases.open_by_staff(kind="complaint", body="twice", account="", phone=None, key="k1", by="claudine") == number
    ), "a form that is sent twice"
    cases.take(number, to="jonas", key="k2", by="claudine")
    cases.note(number, "Called back.", key="k3", by="jonas")
    cases.note(number, "Called back.", key="k3", by="jonas")
    cases.answer(number, "We open a second counter.", key="k4", by="jonas")
    cases.answer(number, "We open a second counter.", key="k4", by="jonas")
    found = cases.one(number)
    assert found is not None
    assert (found.line.state, found.line.assigned_to) == ("answered", "jonas")
    kinds = [(note.kind, note.by) for note in found.notes]
    assert kinds == [("opened", "claudine"), ("assigned", "claudine"), ("note", "jonas"), ("answer", "jonas")]
    assert found.notes[-1].delivery == "queued"
    answer = world.notices("case.answer")
    assert len(answer) == 1
    assert "We open a second counter." in answer[0].body
    cases.close(number, reason="Answered.", key="k5", by="jonas")
    assert len(world.notices("case.closed")) == 1
    late: list[Callable[[], None]] = [
        partial(cases.note, number, "late", key="k6", by="jonas"),
        partial(cases.answer, number, "late", key="k7", by="jonas"),
        partial(cases.take, number, to="x", key="k8", by="jonas"),
        partial(cases.close, number, reason="again", key="k9", by="jonas"),
    ]
    for act in late:
        with pytest.raises(StateConflict):
            act()


def test_what_staff_may_not_do(world: World) -> None:
    cases = world.cases
    opened = partial(cases.open_by_staff, phone=None, by="x")
    number = world.report("outage")
    wrong: list[Callable[[], object]] = [
        partial(cases.close, number, reason="  ", key="a", by="x"),
        partial(cases.answer, number, "y" * (ANSWER_MAX + 1), key="b", by="x"),
        partial(opened, kind="party", body="z", account="", key="c"),
        partial(opened, kind="other", body=" ", account="", key="d"),
        partial(opened, kind="other", body="z", account="123", key="e"),
        partial(cases.note, "1234567", "nothing", key="f", by="x"),
    ]
    for act in wrong:
        with pytest.raises(StateConflict):
            act()
    quiet = opened(kind="other", body="z", account="", key="g")
    with pytest.raises(StateConflict):
        cases.answer(quiet, "hello", key="h", by="x")


def test_lists_and_counts(world: World) -> None:
    old = world.report("outage")
    world.clock.advance(hours=1)
    taken, new = world.report("complaint"), world.report("other")
    world.cases.take(taken, to="jonas", key="k", by="claudine")
    assert [line.number for line in world.cases.listed()] == [old, new, taken], "what nobody took comes first"
    assert [line.number for line in world.cases.listed(view="taken")] == [taken]
    assert [line.number for line in world.cases.listed(kind="outage")] == [old]
    assert [line.number for line in world.cases.listed(assigned_to="jonas")] == [taken]
    counts = world.cases.counts()
    assert (counts.open, counts.taken, counts.live) == (2, 1, 3)
    assert counts.oldest_at == world.clock.now() - timedelta(hours=1)


def test_the_caller_sees_the_newest_case(world: World) -> None:
    number = world.report("outage")
    seen = Customers(world.db, world.clock).snapshot(world.home.phone).cases
    assert [(case.number, case.kind, case.state) for case in seen] == [(number, "outage", "open")]
    world.cases.close(number, reason="done", key="k", by="x")
    assert Customers(world.db, world.clock).snapshot(world.home.phone).cases == ()


def test_a_confirming_turn_is_one_transaction(world: World) -> None:
    begun: list[object] = []

    def began(connection: object) -> None:
        begun.append(connection)

    event.listen(world.db.engine, "begin", began)
    world.report("dispute", bill=True)
    event.remove(world.db.engine, "begin", began)
    assert len(begun) == 1


def test_the_whole_house_reports_at_once(world: World) -> None:
    numbers: list[str] = []

    def go(n: int) -> None:
        numbers.append(world.report("outage", turn=f"at-once-{n}"))

    threads = [threading.Thread(target=go, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(numbers)) == 1
    assert len(numbers) == 4
    with world.db.read() as session:
        assert session.scalar(select(func.count()).select_from(CaseNoteRow)) == 4


def test_a_phone_without_an_account_reports_at_once(world: World) -> None:
    """No row of a contract keeps them apart: the phone's name is locked."""
    together = threading.Barrier(3)

    def go(phone: str, n: int) -> str:
        together.wait(timeout=30)
        return world.report("outage", turn=f"{phone}-{n}", phone=phone)

    with ThreadPoolExecutor(3) as pool:
        for phone in (f"+24381555{n:04d}" for n in range(4)):
            numbers = [done.result(timeout=60) for done in [pool.submit(go, phone, n) for n in range(3)]]
            assert len(set(numbers)) == 1
    assert world.count() == 4
