"""Orders of a month's work: in parts, resumed after a crash, stopped by a person, the same as the command's run."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.run_model import BadPeriod
from core.billing.run_tables import BillingOrderRow
from core.billing.tables import BillingRunRow, InvoiceRow, TariffRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.outbox import Done, OutboxRow, Retry
from core.services.billing import Billing
from core.services.billing_orders import ACTS, Act, BillingOrders, OrderRefused, OrderView
from core.services.billing_run import BillingRun
from core.services.hand_invoices import HandInvoices, HandLine
from tests import town
from workers.jobs import billing as jobs

MONTH = "2026-03"
HOMES = 5


class Office:
    """Orders whose parts end after each chunk, or each invoice."""

    def __init__(self, db: Database, clock: FixedClock, *, part_s: float = 0.0) -> None:
        self.db = db
        self.audited: list[str] = []
        self.runs = BillingRun(db, clock, Billing(db, clock))
        self.orders = BillingOrders(db, clock, self.runs, self._audit, part_s=part_s)

    def _audit(self, _session: Session, by: str, act: str, subject: str, detail: str) -> None:
        self.audited.append(f"{by} {act} {subject} {detail}")

    def order(self, act: Act, key: str = "k", agency: str | None = None) -> int:
        return self.orders.order(key, act, MONTH, agency=agency, by="finance")

    def carry(self, order_id: int) -> int:
        """How many parts it took to the end."""
        for parts in range(1, 40):
            if isinstance(self.orders.carry_on(order_id), Done):
                return parts
        raise AssertionError("it never ends")

    def one(self, order_id: int) -> OrderView:
        return next(one for one in self.orders.of_month(MONTH) if one.id == order_id)

    def states(self) -> list[str]:
        with self.db.read() as session:
            return sorted(session.scalars(select(InvoiceRow.state)))


@pytest.fixture
def office(any_db: Database, clock: FixedClock) -> Office:
    with any_db.begin() as session:
        tariff = TariffRow(
            code="SUB", name="x", kind="monthly", currency="CDF", valid_from=date(2020, 1, 1),
            body={"subscription": "5000"},
        )  # fmt: skip
        session.add(tariff)
        session.flush()
        for n in range(HOMES):
            town.home(session, name=f"Client {n}").contract.tariff_id = tariff.id
    return Office(any_db, clock)


def test_a_month_is_drafted_validated_and_sent_in_parts(office: Office) -> None:
    drafting = office.order("draft")
    assert office.carry(drafting) == 2, "a chunk, and the look that finds no other"
    assert office.one(drafting).moved == HOMES
    assert office.states() == ["draft"] * HOMES
    validating = office.order("validate", "k2")
    assert office.carry(validating) == HOMES + 1
    view = office.one(validating)
    assert (view.state, view.of, view.done, view.moved, view.refused) == ("done", HOMES, HOMES, HOMES, ())
    assert office.carry(office.order("send", "k3")) == HOMES + 1
    assert office.states() == ["sent"] * HOMES
    with office.db.read() as session:
        (run,) = session.scalars(select(BillingRunRow))
        assert (run.made, run.started_by, run.finished_at is not None) == (HOMES, "finance", True)
    assert office.audited == [
        f"finance billing.{act} month {MONTH} all agencies" for act in ("draft", "validate", "send")
    ]


def test_one_order_a_form_and_one_at_a_time(office: Office) -> None:
    first = office.order("draft")
    assert office.order("draft") == first
    with office.db.read() as session:
        assert len(session.scalars(select(OutboxRow)).all()) == 1
    with pytest.raises(OrderRefused, match="under_way"):
        office.order("draft", "another")
    with pytest.raises(OrderRefused, match="unknown_agency"):
        office.order("validate", "k2", agency="NOWHERE")
    with pytest.raises(BadPeriod):
        office.orders.order("k3", "draft", "2031-01", agency=None, by="finance")


def test_a_form_pressed_twice_in_the_same_instant_is_one_order(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look before either writes; SQLite lets one in after the other."""
    both, made = threading.Barrier(2), list[int]()
    under_way = BillingOrders._under_way

    def looked(session: Session, act: Act, period: str) -> bool:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return under_way(session, act, period)

    monkeypatch.setattr(office.orders, "_under_way", looked)
    threads = [threading.Thread(target=lambda: made.append(office.order("draft"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert made[0] == made[1]


def test_what_a_crash_cut_off_is_taken_up_by_the_next_hand(
    office: Office, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.carry(office.order("draft"))
    order_id, validate = office.order("validate", "k2"), Billing.validate_invoice
    calls: list[int] = []

    def dies(self: Billing, invoice_id: int) -> str:
        calls.append(invoice_id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(self, invoice_id)

    whole = Office(office.db, clock, part_s=60)
    with monkeypatch.context() as patched:
        patched.setattr(Billing, "validate_invoice", dies)
        with pytest.raises(KeyboardInterrupt):
            whole.orders.carry_on(order_id)
    assert office.one(order_id).state == "running"
    assert whole.carry(order_id) == 1
    assert office.states() == ["validated"] * HOMES
    view = office.one(order_id)
    assert (view.of, view.done, view.moved) == (HOMES, HOMES, HOMES), "what the killed part had not told counts too"
    with office.db.read() as session:
        numbers = sorted(session.scalars(select(InvoiceRow.number)))
    assert [number[-6:] for number in numbers] == [f"{n:06d}" for n in range(1, HOMES + 1)], "no gap, no twin"


def test_a_hand_that_died_at_the_very_end_is_counted(
    office: Office, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Office(office.db, clock, part_s=60)
    for number, act in enumerate(ACTS):
        order_id = whole.order(act, f"key {number}")
        with monkeypatch.context() as patched:
            patched.setattr(BillingOrders, "_end", _die)
            with pytest.raises(KeyboardInterrupt):
                whole.orders.carry_on(order_id)
        assert whole.carry(order_id) == 1
        view = whole.one(order_id)
        assert (view.act, view.of, view.done, view.moved) == (act, HOMES, HOMES, HOMES)
    with office.db.read() as session:
        assert session.scalars(select(BillingRunRow.made)).all() == [HOMES]


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_somebody_stops_it(office: Office) -> None:
    office.carry(office.order("draft"))
    order_id = office.order("validate", "k2")
    assert isinstance(office.orders.carry_on(order_id), Retry)
    office.orders.stop(order_id, by="admin")
    assert office.carry(order_id) == 1
    assert office.one(order_id).state == "stopped"
    assert office.states() == ["draft"] * (HOMES - 1) + ["validated"]
    with pytest.raises(OrderRefused, match="ended"):
        office.orders.stop(order_id, by="admin")
    assert office.carry(office.order("validate", "k3")) == HOMES


def test_one_that_no_worker_will_take_up_ends_at_once(office: Office) -> None:
    order_id = office.order("validate")
    with office.db.begin() as session:
        session.scalars(select(OutboxRow)).one().state = "dead"
    office.orders.stop(order_id, by="admin")
    assert office.one(order_id).state == "stopped"
    office.order("validate", "k2")


def test_what_cannot_go_further_is_listed_with_its_reason(office: Office) -> None:
    office.carry(office.order("draft"))
    office.carry(office.order("validate", "k2"))
    with office.db.begin() as session:
        session.get_one(ContractRow, 1).state = "closed"
    order_id = office.order("send", "k3")
    office.carry(order_id)
    view = office.one(order_id)
    assert (view.moved, view.refused, view.refused_count) == (HOMES - 1, ((1, "closed"),), 1)


def test_only_one_agency(office: Office) -> None:
    with office.db.begin() as session:
        other = town.agency(session, code="LUB")
        holder = town.customer(session)
        made = town.contract(session, holder, town.site(session, at=other), None)
        made.tariff_id = session.scalars(select(TariffRow.id)).one()
    office.carry(office.order("draft", agency="LUB"))
    assert office.states() == ["draft"]


def test_a_fee_besides_keeps_no_run_away(office: Office, clock: FixedClock) -> None:
    by_hand = HandInvoices(office.db, clock)
    fee = [HandLine("Frais", Money.units(10_000, "CDF"))]
    by_hand.write("0123456789ab", 1, period=MONTH, lines=fee)
    by_hand.write("0123456789ac", 2, period=MONTH, lines=fee, besides=False)
    office.carry(office.order("draft"))
    assert len(office.states()) == 2 + HOMES - 1


def test_the_job_hands_a_part_out_and_bears_nonsense(office: Office) -> None:
    from core.outbox import Leased

    handle = jobs.handlers(office.orders)["billing.order"]

    def row(body: dict[str, object]) -> Leased:
        with office.db.read() as session:
            at = session.scalars(select(BillingOrderRow.ordered_at)).first() or town.BEGINNING
        return Leased(1, "billing.order", "bulk", "t", body, 1, at)

    order_id = office.order("draft")
    assert isinstance(handle(row({"order_id": order_id})), Retry)
    assert isinstance(handle(row({"order_id": order_id})), Done)
    assert isinstance(handle(row({"order_id": 99})), Done)
    assert type(handle(row({}))).__name__ == "Dead"
