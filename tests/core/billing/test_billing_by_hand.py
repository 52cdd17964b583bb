"""The billing run beside people who write invoices, and beside another month's run."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from core.billing import run_rules
from core.billing.run_queries import lock_months
from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.services import billing_run
from core.services.hand_invoices import HandInvoices, HandLine, HandRefused
from tests import town
from tests.core.billing.test_billing_run import Utility, end_of

LINES = (HandLine("100 kWh, by hand", Money.units(10_000, "CDF")),)


@pytest.fixture
def small(db: Database, clock: FixedClock) -> Utility:
    return Utility(db, clock)


def by_hand(utility: Utility, home: town.Home, period: str, *, besides: bool = False) -> int:
    hand = HandInvoices(utility.db, utility.clock)
    return hand.write("0" * 12, home.contract.id, period=period, lines=LINES, besides=besides)


def energy(utility: Utility) -> list[tuple[str, int, int]]:
    """(period, from, until) in kWh of what runs billed."""
    with utility.db.read() as session:
        rows = session.execute(
            select(InvoiceRow.period, InvoiceMeasureRow.from_wh, InvoiceMeasureRow.until_wh)
            .join(InvoiceMeasureRow, InvoiceMeasureRow.invoice_id == InvoiceRow.id)
            .order_by(InvoiceRow.period)
        )
        return [(period, begin // 1000, end // 1000) for period, begin, end in rows]


def test_energy_that_a_person_billed_is_not_billed_again(small: Utility) -> None:
    home = small.home()
    for year, month, kwh in ((2025, 12, 0), (2026, 1, 100), (2026, 2, 200)):
        small.reads(home, end_of(year, month), kwh)
    small.runs.run("2026-01")
    by_hand(small, home, "2026-02")
    small.next_month()
    small.reads(home, end_of(2026, 3), 320)
    assert small.runs.run("2026-03").made == 1
    assert energy(small) == [("2026-01", 0, 100), ("2026-03", 200, 320)]
    march = small.invoices(home)[-1]
    assert (march.from_on, march.until_on) == (date(2026, 3, 1), date(2026, 4, 1))


def test_a_month_by_hand_without_a_register_is_not_billed_again_either(small: Utility) -> None:
    """Nobody read the meter in that month: what was used since is known from the first register after it."""
    home = small.home()
    for year, month, kwh in ((2025, 12, 0), (2026, 1, 100)):
        small.reads(home, end_of(year, month), kwh)
    small.runs.run("2026-01")
    by_hand(small, home, "2026-02")
    small.next_month()
    small.reads(home, datetime(2026, 3, 10, tzinfo=UTC), 230)
    small.reads(home, end_of(2026, 3), 320)
    small.runs.run("2026-03")
    assert energy(small) == [("2026-01", 0, 100), ("2026-03", 230, 320)]


def test_a_fee_besides_changes_nothing_of_what_is_measured(small: Utility) -> None:
    home = small.home()
    for year, month, kwh in ((2025, 12, 0), (2026, 1, 100), (2026, 2, 200)):
        small.reads(home, end_of(year, month), kwh)
    small.runs.run("2026-01")
    by_hand(small, home, "2026-01", besides=True)
    small.runs.run("2026-02")
    assert energy(small) == [("2026-01", 0, 100), ("2026-02", 100, 200)]


def test_after_a_change_of_meter_and_a_month_by_hand_the_new_one_is_billed(small: Utility) -> None:
    home = small.home()
    small.reads(home, end_of(2025, 12), 0)
    small.reads(home, end_of(2026, 1), 100)
    small.runs.run("2026-01")
    with small.db.begin() as session:
        new = town.meter(session, home.site)
        session.get_one(ContractRow, home.contract.id).meter_id = new.id
    there: Any = SimpleNamespace(meter=new)
    small.reads(there, datetime(2026, 2, 10, tzinfo=UTC), 0)
    small.reads(there, end_of(2026, 2), 50)
    assert small.runs.run("2026-02").left_out == (("meter_changed", 1),)
    by_hand(small, home, "2026-02")
    small.next_month()
    small.reads(there, end_of(2026, 3), 120)
    assert small.runs.run("2026-03").made == 1
    assert energy(small) == [("2026-01", 0, 100), ("2026-03", 50, 120)]


def test_two_months_at_once_bill_no_energy_twice(small: Utility, monkeypatch: pytest.MonkeyPatch) -> None:
    """January is run between the moment February was planned and the moment it is written."""
    home = small.home()
    for year, month, kwh in ((2025, 11, 0), (2025, 12, 60), (2026, 1, 100), (2026, 2, 200)):
        small.reads(home, end_of(year, month), kwh)
    small.runs.run("2025-12")
    plan = run_rules.plan

    def overtaken(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(billing_run, "plan", plan)
        assert small.runs.run("2026-01").made == 1
        return plan(*given, **named)

    monkeypatch.setattr(billing_run, "plan", overtaken)
    assert small.runs.run("2026-02").made == 0
    assert small.runs.run("2026-02").made == 1
    assert energy(small) == [("2025-12", 0, 60), ("2026-01", 60, 100), ("2026-02", 100, 200)]


def test_a_person_who_writes_while_a_run_does_waits_for_it(any_db: Database, clock: FixedClock) -> None:
    utility = Utility(any_db, clock)
    home, said = utility.home("flat"), list[str]()

    def write() -> None:
        try:
            by_hand(utility, home, "2026-02")
        except HandRefused as refused:
            said.append(refused.code)

    person = threading.Thread(target=write)
    with any_db.begin() as session:
        lock_months(session)
        town.invoice(session, home.contract, period="2026-02")
        person.start()
        person.join(0.3)
    person.join()
    assert said == ["month_taken"]
