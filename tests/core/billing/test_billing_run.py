"""The billing run: months in a row, estimates, what is left out, two runs at once, and the way to the customer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core.billing import run_queries
from core.billing.explained import in_words
from core.billing.run_model import BadPeriod, nearest_day
from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import BillingRunRow, InvoiceLineRow, InvoiceRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock
from core.kernel.errors import NotRecorded, StateConflict
from core.kernel.money import Money
from core.ledger.model import credit, receivable
from core.ledger.queries import balance
from core.readings.model import Point
from core.services import billing_run
from core.services.billing import Billing
from core.services.billing_run import BillingRun, Ran
from core.services.credit_notes import CreditNotes
from core.services.readings import Readings
from core.services.tariffs import TariffRefused, Tariffs
from core.settlement import post
from core.settlement.events import CashTaken
from tests import town
from tests.core.statements import statements_of

VAT = [{"code": "vat", "name": "TVA", "percent": "16", "spares_social": True}]
BLOCKS = [{"upto_kwh": 50, "per_kwh": "70"}, {"per_kwh": "140"}]
BODIES: dict[str, dict[str, Any]] = {
    "consumption": {"blocks": BLOCKS, "standing": "3000", "levies": VAT},
    "monthly": {"subscription": "6000", "levies": VAT},
    "flat": {"flat": "15000"},
}


@dataclass
class Utility:
    """One utility with a tariff of each kind; the clock stands on the morning after the month that is billed."""

    db: Database
    clock: FixedClock

    def __post_init__(self) -> None:
        self.clock.advance(hours=-7 * 24)  # 3 March 2026, 08:00 UTC
        self.tariffs = Tariffs(self.db, self.clock)
        self.readings = Readings(self.db, self.clock)
        self.billing = Billing(self.db, self.clock)
        self.tariff_ids = {
            kind: self.tariffs.add(
                kind.upper(), name=kind, kind=kind, currency="CDF", valid_from=date(2020, 1, 1), body=body, by="test"
            )
            for kind, body in BODIES.items()
        }

    @property
    def runs(self) -> BillingRun:
        return BillingRun(self.db, self.clock, self.billing)

    def home(self, kind: str = "consumption", **about: Any) -> town.Home:
        with self.db.begin() as session:
            home = town.home(session, kind=kind, **about)
            session.get_one(ContractRow, home.contract.id).tariff_id = self.tariff_ids.get(kind)
        return home

    def reads(self, home: town.Home, at: datetime, kwh: int, quality: int = 0) -> None:
        self.readings.take(home.meter.id, [Point(at, kwh * 1000, quality)], source="csv")

    def invoices(self, home: town.Home) -> list[InvoiceRow]:
        with self.db.read() as session:
            found = select(InvoiceRow).where(InvoiceRow.contract_id == home.contract.id)
            return list(session.scalars(found.order_by(InvoiceRow.period, InvoiceRow.id)))

    def lines(self, invoice: InvoiceRow) -> list[InvoiceLineRow]:
        with self.db.read() as session:
            found = select(InvoiceLineRow).where(InvoiceLineRow.invoice_id == invoice.id)
            return list(session.scalars(found.order_by(InvoiceLineRow.position)))

    def reasons(self, period: str = "2026-02") -> dict[int, str]:
        return {one.contract_id: one.reason for one, _, _ in self.runs.left_out(period)}

    def next_month(self) -> None:
        self.clock.advance(days=31)


@pytest.fixture
def utility(any_db: Database, clock: FixedClock) -> Utility:
    return Utility(any_db, clock)


@pytest.fixture
def small(db: Database, clock: FixedClock) -> Utility:
    """On SQLite only: what does not differ."""
    return Utility(db, clock)


def end_of(year: int, month: int) -> datetime:
    """Midnight in Kinshasa at the end of a month."""
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) - timedelta(hours=1)


def test_a_month_of_every_kind(utility: Utility) -> None:
    metered, monthly, flat, prepaid = (utility.home(kind) for kind in ("consumption", "monthly", "flat", "prepaid"))
    utility.reads(metered, end_of(2026, 1), 1_000)
    utility.reads(metered, end_of(2026, 2), 1_120)
    ran = utility.runs.run("2026-02")
    assert (ran.made, ran.left_out, ran.looked_at) == (3, (), 3)
    (invoice,) = utility.invoices(metered)
    lines = utility.lines(invoice)
    assert [(row.quantity, row.price, row.amount_minor, row.levy) for row in lines] == [
        ("50 kWh", "70", 350_000, None),
        ("70 kWh", "140", 980_000, None),
        ("1", "3000", 300_000, None),
        ("12 800 FC", "16", 204_800, "vat"),
    ]
    assert (invoice.total_minor, invoice.tax_minor, invoice.state) == (1_834_800, 204_800, "draft")
    assert (invoice.from_on, invoice.until_on) == (date(2026, 2, 1), date(2026, 3, 1))
    assert {row.tariff_id for row in lines} == {utility.tariff_ids["consumption"]}
    assert [utility.invoices(home)[0].total_minor for home in (monthly, flat)] == [696_000, 1_500_000]
    assert utility.invoices(prepaid) == []
    again = utility.runs.run("2026-02")
    assert (again.made, again.looked_at) == (0, 0)


def test_a_dry_run_writes_nothing_and_says_the_same(utility: Utility) -> None:
    home = utility.home("monthly")
    utility.home("consumption")
    dry = utility.runs.run("2026-02", dry_run=True)
    assert (dry.made, dry.totals, dry.left_out) == (1, (Money(696_000, "CDF"),), (("no_reading", 1),))
    assert (utility.invoices(home), utility.reasons()) == ([], {})
    wet = utility.runs.run("2026-02")
    assert (wet.made, wet.totals, wet.left_out) == (dry.made, dry.totals, dry.left_out)


def test_the_next_month_begins_where_the_last_one_ended(small: Utility) -> None:
    home = small.home()
    small.reads(home, end_of(2026, 1), 1_000)
    small.reads(home, datetime(2026, 2, 20, 9, tzinfo=UTC), 1_076)
    small.runs.run("2026-02")
    small.next_month()
    small.reads(home, end_of(2026, 3), 1_232)
    small.runs.run("2026-03")
    first, second = small.invoices(home)
    assert (first.until_on, second.from_on, second.until_on) == (date(2026, 2, 20), date(2026, 2, 20), date(2026, 4, 1))
    with small.db.read() as session:
        measure = session.get_one(InvoiceMeasureRow, second.id)
        assert (measure.from_wh, measure.until_wh) == (1_076_000, 1_232_000)
    assert second.explained is not None
    assert sum(part["minor"] for part in second.explained) == second.total_minor - first.total_minor
    # 19 days in February, 40 until the end of March, the same 4 kWh a day (within a decimal).
    assert in_words(second.explained, "CDF", "en")[0].startswith("21 more days: +")


def test_a_new_price_is_told(small: Utility) -> None:
    home = small.home("monthly")
    small.runs.run("2026-02")
    small.tariffs.add(
        "MONTHLY", name="m", kind="monthly", currency="CDF", valid_from=date(2026, 3, 17),
        body={"subscription": "9100", "levies": VAT}, by="test",
    )  # fmt: skip
    small.next_month()
    small.runs.run("2026-03")
    first, second = small.invoices(home)
    assert [(row.quantity, row.price) for row in small.lines(second)][:2] == [("16/31", "6000"), ("15/31", "9100")]
    assert second.explained == [
        {"code": "price", "since": "2026-03-17", "minor": second.total_minor - first.total_minor}
    ]


def test_an_estimate_is_marked_and_the_register_catches_up(utility: Utility) -> None:
    """Estimated too high: the next month bills nothing for energy until the register has passed it."""
    home = utility.home()
    utility.reads(home, end_of(2025, 12), 400)
    utility.reads(home, end_of(2026, 1), 1_020)
    assert utility.runs.run("2026-02").made == 1
    (estimated,) = utility.invoices(home)
    assert estimated.estimated
    with utility.db.read() as session:
        assert session.get_one(InvoiceMeasureRow, estimated.id).until_wh == 1_580_000
    utility.next_month()
    utility.reads(home, end_of(2026, 3), 1_500)
    utility.runs.run("2026-03")
    low = utility.invoices(home)[-1]
    assert [row.component for row in utility.lines(low)] == ["standing", "levy"]
    assert low.explained is not None
    assert low.explained[-1]["code"] == "after_estimate"
    utility.next_month()
    utility.reads(home, end_of(2026, 4), 1_700)
    utility.runs.run("2026-04")
    assert [row.quantity for row in utility.lines(utility.invoices(home)[-1])][:2] == ["50 kWh", "70 kWh"]


def test_who_cannot_be_billed_is_listed_and_then_is_not(utility: Utility) -> None:
    silent, held, poor = utility.home(), utility.home(), utility.home("monthly", currency="USD")
    with utility.db.begin() as session:
        lost = town.home(session, kind="flat")
    utility.reads(held, end_of(2026, 1), 100)
    utility.reads(held, datetime(2026, 2, 9, tzinfo=UTC), 90_000)
    ran = utility.runs.run("2026-02")
    assert (ran.made, dict(ran.left_out)) == (
        0, {"no_reading": 1, "no_tariff": 1, "reading_held": 1, "wrong_tariff": 1},
    )  # fmt: skip
    assert utility.reasons() == {
        silent.contract.id: "no_reading",
        held.contract.id: "reading_held",
        poor.contract.id: "wrong_tariff",
        lost.contract.id: "no_tariff",
    }
    utility.readings.reject(utility.readings.held()[0].reading.id, by="jeanne", reason="a digit too many")
    utility.reads(held, end_of(2026, 2), 190)
    assert utility.runs.run("2026-02").made == 1
    assert held.contract.id not in utility.reasons()


def test_a_month_that_runs_is_not_estimated(small: Utility) -> None:
    home = small.home()
    small.reads(home, end_of(2025, 12), 400)
    small.reads(home, end_of(2026, 1), 500)
    small.reads(home, end_of(2026, 2), 600)
    small.runs.run("2026-02")
    small.runs.run("2026-03")
    assert small.reasons("2026-03") == {home.contract.id: "month_not_over"}
    with pytest.raises(BadPeriod):
        small.runs.run("2026-04")
    with pytest.raises(BadPeriod):
        small.runs.run("2026-13")


def test_who_came_in_the_middle_pays_from_there(small: Utility) -> None:
    monthly, flat, metered = small.home("monthly"), small.home("flat"), small.home()
    with small.db.begin() as session:
        for home in (monthly, flat, metered):
            session.get_one(ContractRow, home.contract.id).opened_on = date(2026, 2, 15)
    small.reads(metered, end_of(2025, 12), 100)
    small.reads(metered, datetime(2026, 2, 15, 9, tzinfo=UTC), 500)
    small.reads(metered, end_of(2026, 2), 514)
    small.runs.run("2026-02")
    assert [small.invoices(home)[0].total_minor for home in (monthly, flat)] == [348_000, 1_500_000]
    assert [row.quantity for row in small.lines(small.invoices(metered)[0])][:2] == ["14 kWh", "14/28"]


def test_one_agency_and_one_account(small: Utility) -> None:
    west, east = small.home("flat"), small.home("flat", zone=EAST)
    assert small.runs.run("2026-02", agency="AG002").made == 1
    assert len(small.invoices(east)) == 1
    assert small.runs.run("2026-02", account=west.account_number).made == 1
    with pytest.raises(StateConflict, match="agency"):
        small.runs.run("2026-02", agency="NONE")
    with pytest.raises(StateConflict, match="account"):
        small.runs.run("2026-02", account="0")


def test_what_was_cancelled_is_made_anew_only_by_name(utility: Utility) -> None:
    home = utility.home("flat")
    utility.runs.run("2026-02")
    (first,) = utility.invoices(home)
    utility.billing.cancel_invoice(first.id, reason="wrong tariff", by="jeanne")
    assert utility.runs.run("2026-02").made == 0
    assert utility.runs.run("2026-02", account=home.account_number).made == 1
    assert [row.state for row in utility.invoices(home)] == ["cancelled", "draft"]


def test_energy_that_a_later_invoice_has_is_not_billed_again(small: Utility) -> None:
    """February was cancelled, March took its energy over: February cannot be made anew before March is cancelled."""
    home = small.home()
    small.reads(home, end_of(2025, 12), 40)
    for month, kwh in ((1, 100), (2, 150)):
        small.reads(home, end_of(2026, month), kwh)
        small.runs.run(f"2026-0{month}")
    small.billing.cancel_invoice(small.invoices(home)[-1].id, reason="wrong", by="jeanne")
    small.next_month()
    small.reads(home, end_of(2026, 3), 220)
    small.runs.run("2026-03")
    assert small.runs.run("2026-02", account=home.account_number).left_out == (("billed_later", 1),)
    march = small.invoices(home)[-1]
    assert (march.from_on, march.until_on) == (date(2026, 2, 1), date(2026, 4, 1))
    small.billing.cancel_invoice(march.id, reason="both anew", by="jeanne")
    for period in ("2026-02", "2026-03"):
        assert small.runs.run(period, account=home.account_number).made == 1
    with small.db.read() as session:
        alive = select(InvoiceMeasureRow).join(InvoiceRow, InvoiceRow.id == InvoiceMeasureRow.invoice_id)
        rows = session.scalars(alive.where(InvoiceRow.state == "draft").order_by(InvoiceRow.period)).all()
    assert [(row.from_wh, row.until_wh) for row in rows][1:] == [(100_000, 150_000), (150_000, 220_000)]


def at_once(count: int, act: Callable[[], Ran]) -> list[Ran]:
    """The same run on so many threads, begun together."""
    gate, done = threading.Barrier(count), list[Ran]()

    def go() -> None:
        gate.wait()
        done.append(act())

    threads = [threading.Thread(target=go) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == count
    return done


def test_two_runs_at_once_make_one_invoice_each(utility: Utility) -> None:
    homes = [utility.home("monthly") for _ in range(45)] + [utility.home() for _ in range(5)]
    ran = at_once(2, lambda: utility.runs.run("2026-02"))
    assert sum(one.made for one in ran) == 45
    assert [len(utility.invoices(home)) for home in homes] == [1] * 45 + [0] * 5
    assert len(utility.reasons()) == 5
    with utility.db.read() as session:
        rows = session.scalars(select(BillingRunRow)).all()
        assert all(row.finished_at is not None for row in rows)
    assert utility.runs.validate_all("2026-02").moved == 45
    numbers = sorted(utility.invoices(home)[0].number for home in homes[:45])
    assert numbers == [f"2026-AG001-{n:06d}" for n in range(1, 46)]


def test_a_chunk_costs_the_same_statements_whatever_its_size(utility: Utility) -> None:
    def cost() -> int:
        with statements_of(utility.db) as said:
            utility.runs.run("2026-02", dry_run=True)
        return sum(one.lstrip().upper().startswith(("SELECT", "WITH")) for one in said)

    homes = [utility.home() for _ in range(2)]
    few = cost()
    homes += [utility.home() for _ in range(30)] + [utility.home("flat") for _ in range(10)]
    for home in homes:
        utility.reads(home, end_of(2026, 1), 10)
    assert cost() == few < 20


def test_a_busy_database_is_waited_for(small: Utility, monkeypatch: pytest.MonkeyPatch) -> None:
    home, failures = small.home("flat"), [NotRecorded("busy"), NotRecorded("busy")]
    write = run_queries.write

    def once_busy(*given: Any, **named: Any) -> None:
        write(*given, **named)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(run_queries, "write", once_busy)
    monkeypatch.setattr(billing_run, "_PAUSES_S", (0.0, 0.0, 0.0))
    assert small.runs.run("2026-02").made == 1
    assert len(small.invoices(home)) == 1


def test_a_run_that_was_stopped_goes_on(small: Utility) -> None:
    homes = [small.home("flat") for _ in range(120)]

    class Stopped(RuntimeError):
        pass

    def stop(_progress: object) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        small.runs.run("2026-02", watch=stop)
    before = sum(len(small.invoices(home)) for home in homes)
    assert 0 < before < 120
    assert small.runs.run("2026-02").made == 120 - before
    assert [len(small.invoices(home)) for home in homes] == [1] * 120


def test_credit_is_used_first_when_it_is_sent(utility: Utility) -> None:
    home = utility.home("flat")
    with utility.db.begin() as session:
        payment = town.payment(session, home.contract, Money.units(20_000, "CDF"))
        cash = CashTaken(
            key="cash:1", payment_id=payment.id, cashier="c", contract_id=home.contract.id,
            amount=Money.units(20_000, "CDF"),
        )  # fmt: skip
        post(session, cash, clock=utility.clock)
    utility.runs.run("2026-02")
    utility.runs.validate_all("2026-02")
    assert utility.runs.send_all("2026-02").moved == 1
    assert utility.runs.send_all("2026-02").moved == 0
    (invoice,) = utility.invoices(home)
    assert (invoice.paid_minor, invoice.total_minor) == (1_500_000, 1_500_000)
    with utility.db.read() as session:
        assert balance(session, credit(home.contract.id), "CDF") == Money.units(5_000, "CDF")


def test_credit_notes_give_each_levy_its_share_and_never_more_than_there_is(utility: Utility) -> None:
    home = utility.home("monthly")
    utility.runs.run("2026-02")
    utility.runs.validate_all("2026-02")
    utility.runs.send_all("2026-02")
    notes = CreditNotes(utility.db, utility.clock)
    (invoice,) = utility.invoices(home)
    assert notes.credit(invoice.id, Money.units(1_000, "CDF"), reason="a day dark", by="jeanne") == "A2026-AG001-00001"
    (note,) = notes.of_invoice(invoice.id)
    assert (note.amount_minor, note.tax_minor) == (100_000, 13_700)
    with utility.db.read() as session:
        assert balance(session, receivable(home.contract.id), "CDF").minor == 596_000
    for amount in (Money.units(5_961, "CDF"), Money(150, "CDF"), Money(100, "USD")):
        with pytest.raises(StateConflict):
            notes.credit(invoice.id, amount, reason="too much", by="jeanne")
    assert notes.credit(invoice.id, Money.units(5_960, "CDF"), reason="all of it", by="jeanne") == "A2026-AG001-00002"
    # The last one gives each levy exactly what is left of it.
    assert sum(note.tax_minor for note in notes.of_invoice(invoice.id)) == invoice.tax_minor


def test_versions_are_added_and_never_changed(small: Utility) -> None:
    def add(day: date, **about: Any) -> int:
        given = {"name": "f", "kind": "flat", "currency": "CDF", "body": BODIES["flat"], "by": "t", **about}
        return small.tariffs.add("FLAT", valid_from=day, **given)

    for day, about in (
        (date(2026, 3, 2), {}),
        (date(2026, 4, 1), {"currency": "USD"}),
        (date(2026, 4, 1), {"kind": "monthly", "body": BODIES["monthly"]}),
        (date(2026, 4, 1), {"body": {"flat": "x"}}),
    ):
        with pytest.raises(TariffRefused):
            add(day, **about)
    second = add(date(2026, 4, 1))
    with pytest.raises(TariffRefused, match="already"):
        add(date(2026, 4, 1))
    in_force = [small.tariffs.in_force("FLAT", day) for day in (date(2026, 3, 31), date(2026, 4, 1))]
    assert [one.id for one in in_force if one] == [small.tariff_ids["flat"], second]
    assert [one.id for one in small.tariffs.all() if one.code == "FLAT"] == [second, small.tariff_ids["flat"]]


def test_the_nearest_midnight() -> None:
    assert nearest_day(datetime(2026, 11, 30, 22, 59, tzinfo=UTC), WEST) == date(2026, 12, 1)
    assert nearest_day(datetime(2026, 11, 30, 9, 0, tzinfo=UTC), WEST) == date(2026, 11, 30)
    assert nearest_day(datetime(2026, 11, 30, 22, 0, tzinfo=UTC), EAST) == date(2026, 12, 1)
