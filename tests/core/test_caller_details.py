"""What the two reads of a caller bring besides bills: the agent, phones, cases, promises, tokens. On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from core.agents.tables import AgentRow
from core.billing.tables import HoldRow
from core.cases.tables import CaseRow
from core.customers.link_tables import LinkRequestRow
from core.customers.links import LinkRequestView, MemberView
from core.customers.model import AgentRole, CaseView, PrepaidView, PromiseView, ReadingView
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.prepaid.tables import PrepaidIssueRow, PrepaidPriceRow, PrepaidStandingRow
from core.promises.tables import PromiseRow
from core.services.customers import Customers
from core.supply.tables import MeterReportedRow
from tests import town

ASKING, MEMBER, PAYER = "+243970001111", "+243970002222", "+243970003333"


@pytest.fixture
def homes(any_db: Database) -> list[town.Home]:
    with any_db.begin() as session:
        made = [town.home(session, name="Marie Kabila"), town.home(session, name="Jean Mukendi")]
        town.invoice(session, made[0].contract, state="sent").sent_on = date(2026, 3, 2)
        town.phone_link(session, made[0].customer, phone=MEMBER, role="member")
        town.phone_link(session, made[0].customer, phone=PAYER, role="payer")
    return made


def test_the_holder_sees_who_asks_and_who_has_a_part(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    contract, now = homes[0].contract, clock.now()
    with any_db.begin() as session:
        for phone, state, days in ((ASKING, "open", 7), (PAYER, "denied", 7), (MEMBER, "open", -1)):
            session.add(
                LinkRequestRow(
                    phone=phone,
                    account_number=contract.account_number,
                    contract_id=contract.id,
                    customer_id=homes[0].customer.id,
                    language="fr",
                    state=state,
                    asked_at=now,
                    expires_at=now + timedelta(days=days),
                )
            )
    customers = Customers(any_db, clock)
    seen = customers.snapshot(homes[0].phone)
    assert [replace(r, id=0) for r in seen.requests] == [
        LinkRequestView(0, contract.id, homes[0].customer.id, ASKING, now)
    ]
    assert [replace(m, link_id=0) for m in seen.members] == [
        MemberView(0, homes[0].customer.id, MEMBER, "member", True),
        MemberView(0, homes[0].customer.id, PAYER, "payer", True),
    ]
    assert (seen.contracts[0].role, seen.contracts[0].customer_id) == ("holder", homes[0].customer.id)
    # Not on a bare dial, and for nobody but the holder.
    assert customers.snapshot(homes[0].phone, details=False).members == ()
    for phone in (MEMBER, PAYER, homes[1].phone):
        other = customers.snapshot(phone)
        assert (other.requests, other.members) == ((), ())
    assert customers.snapshot(MEMBER).contracts[0].due == town.BILL


def test_a_payers_link_shows_no_amount(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    seen = Customers(any_db, clock).snapshot(PAYER)
    assert seen.is_linked
    assert seen.contracts == ()


def test_cases_of_the_phone_and_of_its_accounts(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    now = clock.now()
    with any_db.begin() as session:
        for n, (phone, contract, state) in enumerate(
            (
                (homes[0].phone, None, "open"),
                (ASKING, homes[0].contract.id, "taken"),
                (homes[0].phone, homes[0].contract.id, "closed"),
                (ASKING, homes[1].contract.id, "open"),
            )
        ):
            at = now - timedelta(hours=n)
            case = CaseRow(number=f"{n}", kind="outage", state=state, source="ussd", contract_id=contract, phone=phone)
            case.opened_at, case.opened_by = at, phone
            session.add(case)
    seen = Customers(any_db, clock).snapshot(homes[0].phone)
    assert seen.cases == (
        CaseView("0", "outage", "open", now, None),
        CaseView("1", "outage", "taken", now - timedelta(hours=1), homes[0].contract.id),
    )


def test_promise_tokens_and_reading_come_with_the_contract(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    now, contract, meter = clock.now(), homes[0].contract, homes[0].meter
    with any_db.begin() as session:
        for state, day in (("broken", 1), ("cancelled", 3), ("kept", 4)):
            session.add(_promise(contract.id, state, day, now))
        report = MeterReportedRow(meter_id=meter.id, version=3, supply="on", relay="on", at=now)
        report.raw = {"e_imp_wh": 12_345}
        price = PrepaidPriceRow(currency="CDF", unit="day", version=1, price_minor=100_000, valid_from=date(2026, 1, 1))
        price.made_at, price.made_by = now, "awa"
        session.add_all([report, price])
        session.flush()
        issue = PrepaidIssueRow(
            cause="test", contract_id=contract.id, meter_id=meter.id, price_id=price.id, unit="day", quantity=7,
            currency="CDF", amount_minor=700_000, tax_minor=0, tokens="082162833 211704833", counter_before=1,
            counter_after=4, issued_at=now,
        )  # fmt: skip
        session.add(issue)
        session.flush()
        until = now + timedelta(days=7)
        standing = PrepaidStandingRow(contract_id=contract.id, last_issue_id=issue.id, paid_until=until)
        standing.recent_tokens = "444555666 082162833 211704833"
        session.add(standing)
    customers = Customers(any_db, clock)
    mine = customers.snapshot(homes[0].phone, details=False).contracts[0]
    assert mine.promise == PromiseView("broken", date(2026, 3, 11), Money.units(5, "CDF"), now)
    assert mine.reading == ReadingView("on", now, 12_345)
    tokens = ("082162833", "211704833")
    assert mine.prepaid == PrepaidView("day", 7, tokens, now, until, ("444555666", *tokens))
    assert mine.promise_days
    assert mine.meter_id == meter.id
    before = mine.cut_on
    assert before is not None
    with any_db.begin() as session:
        session.add(_promise(contract.id, "open", 14, now))
    after = customers.snapshot(homes[0].phone, details=False).contracts[0]
    assert after.promise is not None
    assert after.promise.state == "open"
    # Nobody is cut before the day that was promised is over.
    assert after.cut_on is not None
    assert after.cut_on > after.promise.promised_on > before
    assert after.without_amounts().promise is None
    assert after.without_amounts().prepaid is None


def _promise(contract_id: int, state: str, day: int, at: object) -> PromiseRow:
    row = PromiseRow(contract_id=contract_id, state=state, promised_on=date(2026, 3, 10) + timedelta(days=day))
    row.amount_minor, row.currency, row.phone, row.policy_version = 500, "CDF", ASKING, 1
    row.made_at = row.ended_at = at  # type: ignore[assignment]
    return row


def test_a_disputed_bill_cuts_nobody_before_its_day_but_another_may(
    any_db: Database, clock: FixedClock, homes: list[town.Home]
) -> None:
    """What the screen says agrees with what the END of the dispute said."""
    customers, contract, now = Customers(any_db, clock), homes[0].contract, clock.now()
    before = customers.snapshot(homes[0].phone).contracts[0]
    assert before.cut_on is not None
    with any_db.begin() as session:
        hold = HoldRow(contract_id=contract.id, invoice_id=before.invoices[0].id, kind="dispute", by="case:1")
        hold.from_at, hold.until_at = now, now + timedelta(days=30)
        session.add(hold)
    held = customers.snapshot(homes[0].phone).contracts[0]
    assert held.invoices[0].held_until == date(2026, 4, 9)
    assert held.cut_on is not None
    assert held.cut_on >= date(2026, 4, 9)
    with any_db.begin() as session:
        town.invoice(session, contract, state="sent").sent_on = date(2026, 3, 5)
    two = customers.snapshot(homes[0].phone).contracts[0]
    assert two.cut_on is not None
    assert before.cut_on <= two.cut_on < held.cut_on
    clock.advance(days=31)
    assert all(i.held_until is None for i in customers.snapshot(homes[0].phone).contracts[0].invoices)


def test_an_agent_is_known_by_number_while_active(any_db: Database, clock: FixedClock, homes: list[town.Home]) -> None:
    with any_db.begin() as session:
        for phone, active in ((ASKING, True), (MEMBER, False)):
            row = AgentRow(code=f"A{active}", name="Kiosque", phone=phone, agency_id=1, currency="USD", pin_hash="x")
            row.active, row.created_at = active, clock.now()
            session.add(row)
    customers = Customers(any_db, clock)
    role = customers.snapshot(ASKING, details=False).agent
    assert role is not None
    assert replace(role, agent_id=0) == AgentRole(0, "ATrue", "Kiosque", "USD")
    assert customers.snapshot(MEMBER).agent is None
    assert customers.snapshot(homes[0].phone).agent is None
