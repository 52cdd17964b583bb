"""Promises on both databases: made once, kept by money, broken by the calendar, cancelled by a person."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from core.billing.tables import DunningDecisionRow, HoldRow, ReminderRow
from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.kernel.clock import EAST, FixedClock
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.promises.tables import PromiseRow
from core.services.billing import Billing
from core.services.customers import Customers
from core.services.promises import Promises
from core.settlement import post
from core.settlement.events import WalletMoney
from tests import town

FRIDAY = date(2026, 3, 13)
NEXT_TUESDAY = date(2026, 3, 17)


def said(did: Mapping[str, Any]) -> str:
    return f"END {did.get('on') or did.get('refused')}"


class World:
    def __init__(self, db: Database, clock: FixedClock, zone: str) -> None:
        self.db, self.clock = db, clock
        self.billing, self.promises = Billing(db, clock), Promises(db, clock)
        self.turns = 0
        with db.begin() as session:
            self.home = town.home(session, zone=zone)
            invoice = town.invoice(session, self.home.contract)
        self.billing.send_invoice(invoice.id)

    def promise(self, day: date, *, turn: str | None = None, phone: str | None = None) -> Mapping[str, Any]:
        self.turns += 1
        kept = self.promises.make(
            contract_id=self.home.contract.id,
            promised_on=day,
            phone=phone or self.home.phone,
            language="fr",
            turn_key=turn or f"turn-{self.turns}",
            say=said,
        )
        assert kept.end_text == said(kept.did)
        return kept.did

    def pay(self, amount: Money) -> None:
        with self.db.begin() as session:
            row = town.payment(session, self.home.contract, amount)
            come = WalletMoney(
                key=f"pay:{row.id}", payment_id=row.id, wallet="vodacom", contract_id=self.home.contract.id,
                amount=amount,
            )  # fmt: skip
            post(session, come, clock=self.clock)

    def states(self) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(PromiseRow.state).order_by(PromiseRow.id)))

    def hold(self) -> HoldRow:
        with self.db.read() as session:
            return session.scalars(select(HoldRow).order_by(HoldRow.id.desc()).limit(1)).one()

    def notices(self, kind: str) -> list[NoticeRow]:
        with self.db.read() as session:
            return list(session.scalars(select(NoticeRow).where(NoticeRow.kind == kind)))


@pytest.fixture
def world(clean_db: Database, clock: FixedClock, request: pytest.FixtureRequest) -> World:
    return World(clean_db, clock, getattr(request, "param", "Africa/Kinshasa"))


def test_a_promise_is_a_hold_and_keeps_why(world: World) -> None:
    did = world.promise(FRIDAY)
    assert did == {"on": "2026-03-13", "minor": 2_850_000, "currency": "CDF"}
    hold = world.hold()
    assert (hold.kind, hold.invoice_id) == ("promise", None)
    assert hold.until_at == datetime(2026, 3, 13, 23, 0, tzinfo=UTC)
    with world.db.read() as session:
        decision = session.scalars(select(DunningDecisionRow).order_by(DunningDecisionRow.id.desc()).limit(1)).one()
    reasons = {(r["code"], r.get("detail"), r.get("until")) for r in decision.reasons}
    assert ("hold", "promise", "2026-03-13T23:00:00+00:00") in reasons
    assert decision.cause == "promise.made"


def test_the_same_turn_promises_once_and_says_the_same(world: World) -> None:
    first = world.promise(FRIDAY, turn="t")
    assert world.promise(FRIDAY, turn="t") == first
    assert world.states() == ["open"]
    assert world.promise(NEXT_TUESDAY) == {"refused": "already_open", "until": "2026-03-13"}


def test_only_who_may_see_the_account_promises(world: World) -> None:
    assert world.promise(FRIDAY, phone="+243815559999")["refused"] == "not_yours"
    with world.db.begin() as session:
        town.phone_link(session, world.home.customer, phone="+243815558888", role="payer")
    assert world.promise(FRIDAY, phone="+243815558888")["refused"] == "not_yours", "who pays sees no amounts"
    with world.db.begin() as session:
        link = session.scalars(select(PhoneLinkRow).where(PhoneLinkRow.phone == world.home.phone)).one()
        link.fresh_until = world.clock.now()
    assert world.promise(FRIDAY)["refused"] == "not_yours"
    assert world.states() == []


def test_the_payment_keeps_it_and_its_hold_stays(world: World) -> None:
    world.promise(FRIDAY)
    world.pay(Money.units(10_000, "CDF"))
    assert world.states() == ["open"], "a part is not all"
    until = world.hold().until_at
    world.pay(Money.units(18_500, "CDF"))
    assert world.states() == ["kept"]
    assert world.hold().until_at == until, "a payment brings no cut nearer"
    assert world.promise(FRIDAY) == {"refused": "nothing_due", "until": None}


def test_a_bill_sent_later_is_not_part_of_the_promise(world: World) -> None:
    world.promise(FRIDAY)
    world.clock.advance(hours=1)
    with world.db.begin() as session:
        later = town.invoice(session, world.home.contract, period="2026-03")
    world.billing.send_invoice(later.id)
    world.pay(town.BILL)
    assert world.states() == ["kept"]


@pytest.mark.parametrize("world", ["Africa/Kinshasa", EAST], indirect=True)
def test_the_morning_reminds_then_breaks_then_refuses(world: World) -> None:
    world.promise(FRIDAY)
    world.clock.advance(days=2, hours=20)  # Friday 13 March, 05:00 in Kinshasa
    assert world.promises.morning().reminded == 1
    assert world.promises.morning().reminded == 0
    told = world.notices("promise.today")
    assert [row.recipient for row in told] == [world.home.phone]
    assert "28 500 FC" in told[0].body
    assert "13/03/2026" in told[0].body
    eight = 7 if world.home.site.time_zone == "Africa/Kinshasa" else 6
    assert told[0].not_before == datetime(2026, 3, 13, eight, 0, tzinfo=UTC), "nobody is woken"
    world.clock.advance(days=1)
    assert world.promises.morning().broken == 1
    assert world.promises.morning().broken == 0
    assert world.states() == ["broken"]
    assert world.promise(date(2026, 3, 17)) == {"refused": "broken_lately", "until": "2026-04-12"}
    assert world.promises.counts().broken == 1


def test_nobody_is_reminded_of_what_was_paid(world: World) -> None:
    world.promise(FRIDAY)
    with world.db.begin() as session:
        row = session.scalars(select(PromiseRow)).one()
        assert row.state == "open"
    world.pay(town.BILL)
    world.clock.advance(days=3)
    assert world.promises.morning().reminded == 0
    assert world.notices("promise.today") == []


def test_a_late_run_breaks_what_it_missed(world: World) -> None:
    world.promise(FRIDAY)
    world.clock.advance(days=40)
    done = world.promises.morning()
    assert (done.reminded, done.broken) == (0, 1)


def test_a_person_cancels_it_with_a_reason(world: World) -> None:
    world.promise(FRIDAY)
    promise = world.promises.listed(state="open")[0]
    with pytest.raises(StateConflict):
        world.promises.cancel(promise.id, reason=" ", by="claudine")
    world.promises.cancel(promise.id, reason="Made on the wrong account.", by="claudine")
    assert world.states() == ["cancelled"]
    assert world.hold().until_at == world.clock.now()
    line = world.promises.one(promise.id)
    assert line is not None
    assert (line.ended_by, line.end_reason) == ("claudine", "Made on the wrong account.")
    with pytest.raises(StateConflict):
        world.promises.cancel(promise.id, reason="again", by="claudine")
    world.clock.advance(minutes=1)
    assert "on" in world.promise(FRIDAY), "it was nobody's fault"
    world.promises.cancel(world.promises.listed(state="open")[0].id, reason="once more", by="claudine")
    world.clock.advance(minutes=1)
    assert world.promise(FRIDAY)["refused"] == "too_often"


def test_none_while_supply_is_off_and_it_holds_a_cut_that_was_announced(world: World) -> None:
    def deliver() -> None:
        with world.db.begin() as session:
            town.heard(session, world.home.meter, at=world.clock.real_now())
            for row in session.scalars(select(ReminderRow).where(ReminderRow.delivered_at.is_(None))):
                if row.leaves_at is not None:
                    row.delivered_at, row.evidence = row.leaves_at, "report"

    deliver()
    world.clock.advance(hours=-4)
    for _ in range(14):
        world.clock.advance(days=1)
        world.billing.sweep()
        deliver()
    world.clock.advance(hours=4)
    assert world.promise(date(2026, 3, 27))["on"] == "2026-03-27"
    assert world.billing.cut_batch("Africa/Kinshasa").cut == ()
    world.promises.cancel(world.promises.listed(state="open")[0].id, reason="test", by="claudine")
    assert world.billing.cut_batch("Africa/Kinshasa").cut == (world.home.contract.id,)
    assert world.promise(date(2026, 3, 27)) == {"refused": "supply_off", "until": None}


def test_the_screen_names_the_day_after_the_promise(world: World) -> None:
    customers = Customers(world.db, world.clock)
    assert customers.snapshot(world.home.phone).contracts[0].cut_on == date(2026, 3, 24)
    world.clock.advance(days=11)
    world.promise(date(2026, 3, 28))
    view = customers.snapshot(world.home.phone).contracts[0]
    assert view.cut_on == date(2026, 3, 30)
    assert view.promise is not None
    assert (view.promise.state, view.promise.promised_on) == ("open", date(2026, 3, 28))


def test_a_confirming_turn_is_one_transaction(world: World) -> None:
    begun: list[object] = []

    def began(connection: object) -> None:
        begun.append(connection)

    event.listen(world.db.engine, "begin", began)
    world.promise(FRIDAY)
    event.remove(world.db.engine, "begin", began)
    assert len(begun) == 1


def test_two_phones_at_once_make_one_promise(world: World) -> None:
    answers: list[Mapping[str, Any]] = []

    def go(n: int) -> None:
        answers.append(world.promise(FRIDAY, turn=f"both-{n}"))

    threads = [threading.Thread(target=go, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted("on" in did for did in answers) == [False, False, False, True]
    assert world.states() == ["open"]


def test_the_console_sees_who_and_how_much_is_still_due(world: World) -> None:
    world.promise(FRIDAY)
    world.pay(Money.units(8_500, "CDF"))
    line = world.promises.listed(state="open")[0]
    assert (line.account, line.customer) == (world.home.account_number, "Mbuyi Kalala")
    assert (line.amount, line.due) == (town.BILL, Money.units(20_000, "CDF"))
    assert world.promises.of_contract(world.home.contract.id)[0].id == line.id
    assert world.promises.counts().open == 1
    assert world.clock.now() - line.made_at == timedelta(0)
