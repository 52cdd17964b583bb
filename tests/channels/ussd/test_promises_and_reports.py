"""Promises and reports from the keypad: the real menu, turns and services over two processes; payments are played."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy import event, func, select

from channels.ussd.deeds import cases as case_deeds
from channels.ussd.deeds import promises as promise_deeds
from core.cases.tables import CaseRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.promises.tables import PromiseRow
from core.services.billing import Billing
from core.services.cases import Cases
from core.services.customers import Customers
from core.services.promises import Promises
from tests import town
from tests.channels.ussd.ussd_world import FakePayments, Line, Phone, Site

pytestmark = pytest.mark.redis_server

STRANGER = "+243995550111"


@pytest.fixture
def sites(db: Database, client: redis.Redis, payments: FakePayments, clock: FixedClock) -> tuple[Site, Site]:
    deeds = {**case_deeds.deeds(Cases(db, clock)), **promise_deeds.deeds(Promises(db, clock))}
    first, second = (Site(db, client, payments, clock, deeds=deeds) for _ in range(2))
    return first, second


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    with db.begin() as session:
        made = town.home(session, name="Marie Kabila", language="en")
        invoice = town.invoice(session, made.contract)
    Billing(db, clock).send_invoice(invoice.id)
    Customers(db, clock).set_language(STRANGER, "en")
    # Two days before the cut: what may be promised lies behind it.
    clock.advance(days=12)
    return made


def count(db: Database, table: type) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def number(db: Database) -> str:
    with db.read() as session:
        return grouped(session.scalars(select(CaseRow.number).order_by(CaseRow.id.desc()).limit(1)).one())


def test_a_promise_in_three_screens(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    phone = Phone(sites[0], home.phone)
    assert "Pay before 24/03" in phone.dial()
    assert "3. Pay later" in phone.types("1")
    days = phone.types("3")
    assert "28 500 FC due. When will you pay?\n1. 25/03/2026\n2. 29/03/2026" in days
    assert "by 29/03/2026? Supply is not cut before." in phone.types("2")
    assert phone.types("1").startswith("END Noted: you pay 28 500 FC by 29/03/2026.")
    again = Phone(sites[1], home.phone)
    again.dial()
    again.types("1")
    assert "28 500 FC is promised by 29/03/2026" in again.types("3")
    assert count(db, PromiseRow) == 1


def test_nothing_to_promise_while_nothing_is_cut(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    """A word that ends before anything could happen would be a word for nothing."""
    clock = sites[0].turns._clock
    with db.begin() as session:
        other = town.home(session, name="Jean Mukendi", language="en")
        invoice = town.invoice(session, other.contract)
    Billing(db, clock).send_invoice(invoice.id)
    phone = Phone(sites[0], other.phone)
    assert "Pay before 07/04" in phone.dial()
    phone.types("1")
    assert "Nothing is cut before 07/04/2026: no promise is needed yet." in phone.types("3")


def test_the_same_turn_on_the_other_process_after_redis_was_emptied(
    db: Database, client: redis.Redis, sites: tuple[Site, Site], home: town.Home
) -> None:
    *_, ended = Line(sites[0], home.phone).send_all("", "1", "1*3", "1*3*1", "1*3*1*1")
    assert ended.startswith("END Noted")
    assert Line(sites[0], home.phone).send("1*3*1*1").decode() == ended
    client.flushall()
    assert Line(sites[1], home.phone).send("1*3*1*1").decode() == ended
    assert count(db, PromiseRow) == 1


def test_digits_typed_ahead_stop_before_the_yes(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    assert "Promise to pay" in Line(sites[0], home.phone).send("1*3*1*1").decode()
    assert "report it?" in Line(sites[0], home.phone, "another").send("5*1*1").decode()
    assert (count(db, PromiseRow), count(db, CaseRow)) == (0, 0)


def test_what_became_due_in_between_is_asked_again(
    db: Database, sites: tuple[Site, Site], home: town.Home, clock: FixedClock
) -> None:
    phone = Phone(sites[0], home.phone)
    for key in ("", "1", "3", "1"):
        phone.types(key) if key else phone.dial()
    with db.begin() as session:
        later = town.invoice(session, home.contract, period="2026-03")
    Billing(db, clock).send_invoice(later.id)
    assert "What is due has changed.\nPromise to pay 57 000 FC" in phone.types("1")
    assert phone.types("1").startswith("END Noted: you pay 57 000 FC")


def test_a_report_and_the_same_again(db: Database, sites: tuple[Site, Site], home: town.Home) -> None:
    phone = Phone(sites[0], home.phone)
    phone.dial()
    assert phone.types("5").startswith("CON What do you report?")
    assert f"No power, account {grouped(home.account_number)}: report it?" in phone.types("1")
    assert phone.types("1") == f"END Noted. Your case: {number(db)}. The number comes by SMS too."
    again = Phone(sites[1], home.phone)
    again.dial()
    assert f"Case {number(db)} of 22/03/2026: received." in again.types("5")
    again.types("1")
    assert f"You reported this already: case {number(db)}" in again.types("1")
    assert count(db, CaseRow) == 1


def test_a_wrong_bill_says_until_when_it_is_held(
    db: Database, sites: tuple[Site, Site], home: town.Home, clock: FixedClock
) -> None:
    with db.begin() as session:
        later = town.invoice(session, home.contract, period="2026-03")
    Billing(db, clock).send_invoice(later.id)
    phone = Phone(sites[0], home.phone)
    phone.dial()
    phone.types("5")
    assert "Which invoice?\n1. 02/2026: 28 500 FC\n2. 03/2026" in phone.types("2")
    assert "The bill is wrong, 03/2026" in phone.types("2")
    assert "no cut for it before 21/04/2026" in phone.types("1")
    with db.read() as session:
        assert session.scalars(select(CaseRow)).one().invoice_id == later.id


def test_a_stranger_reports_and_is_answered_on_the_number(db: Database, sites: tuple[Site, Site]) -> None:
    Customers(db, FixedClock(town.BEGINNING)).set_language(STRANGER, "en")
    phone = Phone(sites[0], STRANGER)
    phone.dial()
    phone.types("3")
    assert "Complaint: report it? We answer on this number." in phone.types("3")
    assert phone.types("1").startswith("END Noted. Your case:")
    with db.read() as session:
        row = session.scalars(select(CaseRow)).one()
    assert (row.phone, row.contract_id, row.kind) == (STRANGER, None, "complaint")


def test_the_turn_that_confirms_reads_twice_and_writes_once(
    db: Database, sites: tuple[Site, Site], home: town.Home
) -> None:
    line = Line(sites[0], home.phone)
    line.send_all("", "5", "5*1")
    begun: list[object] = []

    def began(connection: object) -> None:
        begun.append(connection)

    event.listen(db.engine, "begin", began)
    assert line.send("5*1*1").decode().startswith("END Noted")
    event.remove(db.engine, "begin", began)
    assert len(begun) == 1
