"""The seeded town: believable, balanced, the same every time, and written once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, inspect, select

from core.agents.rules import is_weak_pin
from core.agents.tables import AgentRow
from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import InvoiceRow, ReminderRow
from core.customers.tables import ContractRow, SiteRow
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from core.kernel.digits import is_account_number
from core.ledger.tables import AccountRow, JournalRow, TransferRow
from core.outbox import OutboxRow
from core.phone_numbers import brand_of, parse_e164
from core.services.agents import Agents
from core.services.agents.desk import AgentDesk
from core.services.billing import Billing
from core.services.billing_run import BillingRun
from core.services.foresight import Foresight
from core.services.payroll import Payroll
from core.services.staff import Staff
from core.supply.tables import RelayCommandRow
from mwolo import seed as seed_module
from mwolo.seed import NotEmpty, seed
from mwolo.seed_data.plan import RADIO_METERS, people, sellers
from tests import town

SIZE = 27


def rows(db: Database) -> dict[str, int]:
    """How many rows each table has."""
    with db.read() as session:
        names = inspect(db.engine).get_table_names()
        return {n: session.scalar(select(func.count()).select_from(metadata.tables[n])) or 0 for n in names}


def test_a_town_is_seeded_once_and_its_books_balance(any_db: Database, clock: FixedClock) -> None:
    report = seed(any_db, clock, size=SIZE)
    before = rows(any_db)
    clock.advance(days=1)
    assert seed(any_db, clock, size=SIZE + 10) == report
    assert rows(any_db) == before

    assert len(report.customers) == SIZE
    assert len(report.agents) == 4
    assert len(report.meters) == min(SIZE, RADIO_METERS)
    with any_db.read() as session:
        states = Counter(session.scalars(select(InvoiceRow.state)))
        assert set(states) == {"draft", "validated", "sent", "cancelled"}
        paid = [(i.paid_minor, i.total_minor) for i in session.scalars(select(InvoiceRow)) if i.state == "sent"]
        assert {0 if p == 0 else 2 if p == t else 1 for p, t in paid} == {0, 1, 2}
        zones = set(session.scalars(select(SiteRow.time_zone)))
        assert zones == {"Africa/Kinshasa", "Africa/Lubumbashi"}
        assert set(session.scalars(select(ContractRow.kind))) == {"monthly", "consumption", "flat", "prepaid"}
        assert set(session.scalars(select(ContractRow.currency))) == {"CDF", "USD"}
        # No balance was written by hand: each is what the transfers say.
        for account in session.scalars(select(AccountRow).where(AccountRow.balance_minor.is_not(None))):
            debits = session.scalar(
                select(func.coalesce(func.sum(TransferRow.amount_minor), 0)).where(
                    TransferRow.debit_account_id == account.id
                )
            )
            credits_ = session.scalar(
                select(func.coalesce(func.sum(TransferRow.amount_minor), 0)).where(
                    TransferRow.credit_account_id == account.id
                )
            )
            assert account.balance_minor == abs(int(debits or 0) - int(credits_ or 0)), account.code
        assert session.scalar(select(func.count()).select_from(JournalRow))


def test_nobody_is_written_to_because_of_a_seed(db: Database, clock: FixedClock) -> None:
    seed(db, clock, size=SIZE)
    with db.read() as session:
        waiting = session.scalars(select(OutboxRow.kind).where(OutboxRow.state == "pending")).all()
        assert set(waiting) <= {"document.receipt", "document.invoice", "document.payslip"}
        open_steps = session.scalar(
            select(func.count()).where(ReminderRow.delivered_at.is_(None), ReminderRow.notice_id.is_not(None))
        )
        assert open_steps == 0
        assert set(session.scalars(select(RelayCommandRow.state))) <= {"applied"}


def test_the_scenario_customer_waits_for_her_invoice(db: Database, clock: FixedClock) -> None:
    report = seed(db, clock, size=SIZE)
    scenario, first = report.scenario, report.customers[0]
    assert (first.phone, first.account, first.language, first.brand) == (
        scenario.phone,
        scenario.account,
        "fr",
        "mpesa",
    )
    assert scenario.meter in {meter.id for meter in report.meters}
    with db.read() as session:
        (invoice,) = session.scalars(select(InvoiceRow).where(InvoiceRow.contract_id == scenario.contract_id))
        assert (invoice.id, invoice.state, invoice.total_minor) == (scenario.invoice_id, "validated", 2_850_000)
        contract = session.get_one(ContractRow, scenario.contract_id)
        assert contract.kind == "monthly"
        assert session.get_one(SiteRow, contract.site_id).city == "Kinshasa"
    Billing(db, clock).send_invoice(scenario.invoice_id)


def test_a_seed_that_was_interrupted_is_taken_up(
    db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    sent = Billing.send_invoice
    calls: list[int] = []

    def dies(self: Billing, invoice_id: int, *, by: str = "system") -> None:
        calls.append(invoice_id)
        if len(calls) == 8:
            raise Killed
        sent(self, invoice_id, by=by)

    with monkeypatch.context() as patched:
        patched.setattr(Billing, "send_invoice", dies)
        with pytest.raises(Killed):
            seed(db, clock, size=SIZE)
    clock.advance(minutes=1)
    seed(db, clock, size=SIZE)
    with db.read() as session:
        twice = select(InvoiceRow.contract_id).group_by(InvoiceRow.contract_id, InvoiceRow.period)
        assert session.scalars(twice.having(func.count() > 1)).all() == []
    assert seed_module.seed(db, clock).customers[0].phone == "+243810000001"


def test_a_database_with_customers_of_its_own_is_left_alone(db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        town.home(session)
    before = rows(db)
    with pytest.raises(NotEmpty):
        seed(db, clock)
    assert rows(db) == before


def test_the_next_days_go_on_from_there(db: Database, clock: FixedClock) -> None:
    """The services work on the seeded town as on any other."""
    seed(db, clock, size=SIZE)
    steps = 0
    for _ in range(2):
        clock.advance(days=1)
        steps += Billing(db, clock).sweep().steps
    assert steps > 0
    told = list(Foresight(db, clock).look(clock.now() + timedelta(hours=1)))
    assert told
    assert all(one.why_not or one.would_cut or one.steps for one in told)


def test_people_are_the_same_in_a_town_of_any_size() -> None:
    assert people(30) == people(300)[:30]
    everybody = people(2_000)
    assert (
        len({p.phone for p in everybody})
        == len({p.account for p in everybody})
        == len({p.meter for p in everybody})
        == 2_000
    )
    for person in everybody:
        assert parse_e164(person.phone) == person.phone
        assert brand_of(person.phone) == person.brand
        assert is_account_number(person.account)
        assert person.bill.is_chargeable
    assert {p.language for p in everybody} == {"fr", "en", "sw", "ln", "kg", "lua"}
    assert {p.brand for p in everybody} == {"mpesa", "airtel", "orange"}


def test_agents_have_a_pin_that_is_only_kept_hashed(db: Database, clock: FixedClock) -> None:
    report = seed(db, clock, size=3)
    pins = {agent.phone: agent.pin for agent in report.agents}
    assert {brand_of(phone) for phone in pins} == {"mpesa", "airtel", "orange"}
    assert {agent.currency for agent in report.agents} == {"CDF", "USD"}
    for phone, pin in pins.items():
        assert not is_weak_pin(pin, phone)
    with db.read() as session:
        for row in session.scalars(select(AgentRow)):
            assert PasswordHasher().verify(row.pin_hash, pins[row.phone])
        floors = session.scalars(select(AccountRow.floor_minor).where(AccountRow.code == "agent_float")).all()
    assert sorted(f or 0 for f in floors) == sorted(-s.credit_limit.minor for s in sellers())


def test_agents_sell_from_cash_that_was_counted_and_earn_their_share(db: Database, clock: FixedClock) -> None:
    seed(db, clock, size=12)
    shares = 0
    desk, agents = AgentDesk(db, clock), Agents(db, clock, Staff(db, clock, "a secret of the tests").audit)
    for seller, line in zip(sellers(), desk.agents(), strict=True):
        (counted,) = agents.hand_overs(line.agent.id)
        sales = agents.last_sales(line.agent.id, 50)
        assert (counted.state, counted.amount, line.agent.code) == ("accepted", seller.float_, seller.code)
        assert line.agent.balance.minor == seller.float_.minor - sum(sale.amount.minor for sale in sales)
        assert line.agent.balance.minor > 0
        shares += sum(sale.commission.minor for sale in sales if sale.amount.currency == "CDF")
    assert shares > 0
    assert [rule.currency for rule in agents.commission_rules()] == ["USD", "KES", "CDF"]
    assert agents.write_first_rules() == []


def test_last_month_was_paid_and_this_month_waits_for_its_second_person(db: Database, clock: FixedClock) -> None:
    seed(db, clock, size=3)
    runs = Payroll(db, clock, Staff(db, clock, "a secret of the tests").audit).runs
    this, last = runs.all()
    assert (last.period, last.state, last.slips, last.paid) == ("2026-02", "closed", 6, 6)
    assert (this.period, this.state, this.opened_by) == ("2026-03", "review", "rh-1")
    assert {slip.language for slip in runs.slips(last.id)} == {"fr", "en", "sw", "ln", "kg", "lua"}
    assert "A001" in {slip.staff_number for slip in runs.slips(this.id)}, "agents are paid their share of the sales"


def test_a_seeded_town_can_be_billed(db: Database, clock: FixedClock) -> None:
    """Every tariff can be charged by, every register goes on where the simulated meter begins."""
    seed(db, clock, size=SIZE)
    clock.advance(days=31)
    ran = BillingRun(db, clock, Billing(db, clock)).run("2026-03")
    assert ran.made > SIZE // 2
    assert ran.left_out == ()
    with db.read() as session:
        measured = session.scalars(select(InvoiceMeasureRow)).all()
    assert measured
    assert all(row.until_wh > row.from_wh for row in measured)
