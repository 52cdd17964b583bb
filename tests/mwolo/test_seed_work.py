"""The seeded office: work that waits for a person, a radio home that uses its credit up, a second account."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, inspect, select

from core.billing.tables import HoldRow, InvoiceRow
from core.cases.tables import CaseRow
from core.customers.protection_tables import SiteProtectionRow
from core.customers.tables import ContractRow, CustomerRow, MeterRow
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.prepaid.tables import PrepaidMarkRow, PrepaidUseRow
from core.promises.tables import PromiseRow
from core.readings.model import Point
from core.readings.tables import ReadingRow
from core.sealing import Sealer
from core.services.billing import Billing
from core.services.prepaid_use import PrepaidUse
from core.services.readings import Readings
from mwolo.seed import seed
from mwolo.seed_data.plan import people
from mwolo.seed_readings import register_now
from mwolo.seed_work import LEFT, SECOND_ACCOUNT, seed_work

SIZE = 27
SEALER = Sealer("of a test")


def rows(db: Database) -> dict[str, int]:
    with db.read() as session:
        names = inspect(db.engine).get_table_names()
        return {n: session.scalar(select(func.count()).select_from(metadata.tables[n])) or 0 for n in names}


def test_the_office_has_one_of_each(any_db: Database, clock: FixedClock) -> None:
    seed(any_db, clock, size=SIZE)
    seed_work(any_db, clock, SEALER)
    before = rows(any_db)
    clock.advance(hours=5)
    seed_work(any_db, clock, SEALER)
    assert rows(any_db) == before
    with any_db.read() as session:
        assert ledger.differences(session) == []
        (held,) = session.scalars(select(ReadingRow).where(ReadingRow.state == "held"))
        assert held.doubt == "jump"
        kinds = sorted(session.scalars(select(HoldRow.kind)))
        assert [kind for kind in kinds if kind in ("promise", "staff")] == ["promise", "staff"]
        (paper,) = session.scalars(select(SiteProtectionRow))
        assert (paper.kind, paper.until is not None, bool(paper.paper)) == ("medical", True, True)
        assert [row.state for row in session.scalars(select(PromiseRow))] == ["open"]
        assert [row.state for row in session.scalars(select(CaseRow))] == ["open"]
        twice = select(ContractRow.customer_id).group_by(ContractRow.customer_id).having(func.count() > 1)
        (customer_id,) = session.scalars(twice)
        second = session.scalars(select(ContractRow).where(ContractRow.account_number == SECOND_ACCOUNT)).one()
        assert session.get_one(CustomerRow, customer_id).id == second.customer_id
        (bill,) = session.scalars(select(InvoiceRow).where(InvoiceRow.contract_id == second.id))
        assert (bill.state, bill.total_minor) == ("sent", 1_500_000)


def test_nobody_is_written_to_and_the_next_days_go_on(db: Database, clock: FixedClock) -> None:
    seed(db, clock, size=SIZE)
    seed_work(db, clock, SEALER)
    with db.read() as session:
        waiting = set(session.scalars(select(OutboxRow.kind).where(OutboxRow.state == "pending")))
        assert waiting <= {"document.receipt", "document.invoice", "document.payslip", "prepaid.token"}
        soon = clock.now() + timedelta(hours=1)
        queued = select(NoticeRow.kind).where(NoticeRow.state == "queued", NoticeRow.not_before <= soon)
        assert session.scalars(queued).all() == []
    for _ in range(3):
        clock.advance(days=1)
        Billing(db, clock).sweep()
    with db.read() as session:
        assert ledger.differences(session) == []


def test_a_radio_home_uses_its_credit_up(db: Database, clock: FixedClock) -> None:
    seed(db, clock, size=SIZE)
    seed_work(db, clock, SEALER)
    home = next(p for p in people(SIZE) if p.contract_kind == "prepaid")
    with db.read() as session:
        contract = session.scalars(select(ContractRow).where(ContractRow.account_number == home.account)).one()
        assert session.get_one(MeterRow, home.meter).control_kind == "mqtt_relay"
        left = ledger.balance(session, credit(contract.id), "CDF")
        assert Money(0, "CDF") < left <= LEFT + Money.units(10, "CDF")
        mark = session.get_one(PrepaidMarkRow, contract.id)
        assert (mark.unit, mark.told) == ("kwh", 1)
        uses = select(func.count()).select_from(PrepaidUseRow).where(PrepaidUseRow.contract_id == contract.id)
        assert session.scalar(uses) == 10
        newest = session.scalar(select(func.max(ReadingRow.wh)).where(ReadingRow.meter_id == home.meter))
        # The simulated meter goes on from there.
        assert newest == register_now(home)
    readings, use = Readings(db, clock), PrepaidUse(db, clock)
    for day in range(4):
        clock.advance(days=1)
        readings.take(home.meter, [Point(clock.now(), register_now(home) + (day + 1) * 8_000)], source="mqtt")
        use.charge(contract.id)
    with db.read() as session:
        assert session.get_one(PrepaidMarkRow, contract.id).told == 2
        assert ledger.balance(session, credit(contract.id), "CDF") < Money(0, "CDF")
