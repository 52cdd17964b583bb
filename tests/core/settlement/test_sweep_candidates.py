"""The sweep looks at whom a step may concern, at all of them and nobody else; its cost does not follow the rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, event, select

from core.billing import queries
from core.billing.dunning import evaluate
from core.billing.policy import DEFAULT_POLICY
from core.billing.tables import HoldRow, ReminderRow
from core.db import Database
from core.kernel.clock import EAST, WEST, FixedClock, local_date
from core.kernel.money import Money
from core.services.billing import Billing
from core.settlement import candidates
from core.settlement.dunning import facts_of
from core.supply.tables import CrewTaskRow, MeterDesiredRow
from tests import town

CHANCE = 20_260_324


@pytest.fixture
def billing(any_db: Database, clock: FixedClock) -> Billing:
    return Billing(any_db, clock)


@contextmanager
def statements() -> Iterator[Callable[[], int]]:
    seen: list[str] = []

    def note(_c: object, _cursor: object, sql: str, *_more: object) -> None:
        if not sql.startswith(("BEGIN", "PRAGMA", "ROLLBACK", "COMMIT")):
            seen.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield lambda: len(seen)
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def sent(db: Database, billing: Billing, *, total: Money = town.BILL, **about: str) -> town.Home:
    with db.begin() as session:
        home = town.home(session, **about)
        invoice = town.invoice(session, home.contract, total=total)
        town.heard(session, home.meter, at=town.BEGINNING)
    billing.send_invoice(invoice.id)
    return home


def found(db: Database, clock: FixedClock, *, size: int = candidates.WINDOW) -> list[int]:
    """The candidates of tonight, window after window."""
    today = max(local_date(clock.now(), zone) for zone in (WEST, EAST))
    after: int | None = 0
    ids: list[int] = []
    with db.read() as session:
        while after is not None:
            upto = candidates.window_end(session, after=after, size=size)
            part = candidates.sweep_candidates(session, policy=DEFAULT_POLICY, today=today, after=after, upto=upto)
            ids, after = [*ids, *part], upto
    return ids


def due(db: Database, clock: FixedClock) -> set[int]:
    """The same by asking the pure function about everybody."""
    with db.read() as session:
        ids = queries.open_contracts(session, after=0, limit=1000)
        facts = facts_of(session, ids, DEFAULT_POLICY, clock.now())
    return {i for i in ids if evaluate(facts[i], DEFAULT_POLICY, clock.now()).steps}


def test_nobody_with_a_step_due_is_left_out(db: Database, clock: FixedClock) -> None:
    """Nights of a street: lost notices, holds, small sums, protected places, missed sweeps, cuts."""
    billing, chance = Billing(db, clock), random.Random(CHANCE)
    kinds: list[dict[str, str]] = [{}, {"protected": "health"}, {"control_kind": "none"}, {"zone": EAST}]
    homes = [
        sent(db, billing, total=Money.units(chance.choice([3_000, 28_500]), "CDF"), **chance.choice(kinds))
        for _ in range(10)
    ]
    clock.advance(hours=-5)
    for night in range(24):
        clock.advance(days=1)
        if night == 8:
            with db.begin() as session:
                for home in homes[:6]:
                    until = clock.now() + timedelta(days=9)
                    session.add(
                        HoldRow(
                            contract_id=home.contract.id, kind="promise", from_at=clock.now(), until_at=until, by="test"
                        )
                    )  # fmt: skip
        looked = found(db, clock, size=chance.choice([1, 5, 1000]))
        assert due(db, clock) <= set(looked), night
        assert looked == sorted(set(looked))
        if chance.random() < 0.7:
            billing.sweep()
            assert not due(db, clock)
        _arrive(db, clock, chance)
        for zone in (WEST, EAST):
            clock.advance(hours=6)
            billing.cut_batch(zone)
            clock.advance(hours=-6)


def _arrive(db: Database, clock: FixedClock, chance: random.Random) -> None:
    with db.begin() as session:
        for row in session.scalars(select(ReminderRow).where(ReminderRow.delivered_at.is_(None))):
            if row.notice_id is not None and row.leaves_at is not None and chance.random() < 0.6:
                row.delivered_at, row.evidence = row.leaves_at, "report"


def test_who_is_cut_owes_little_or_may_never_be_cut_costs_nothing_every_night(
    any_db: Database, clock: FixedClock, billing: Billing
) -> None:
    small = sent(any_db, billing, total=Money.units(3_000, "CDF"))
    never = sent(any_db, billing, protected="health")
    off = sent(any_db, billing)
    _, by_crew = sent(any_db, billing), sent(any_db, billing)
    with any_db.begin() as session:
        session.add(
            MeterDesiredRow(
                meter_id=off.meter.id, version=1, supply="off", reason="safety", set_by="t", set_at=clock.now()
            )
        )
        session.add(CrewTaskRow(kind="switch", key="x", meter_id=off.meter.id, created_at=clock.now()))
    for _ in range(20):
        clock.advance(days=1)
        for i in found(any_db, clock):
            billing._step(i)
        with any_db.begin() as session:
            for row in session.scalars(select(ReminderRow).where(ReminderRow.delivered_at.is_(None))):
                if row.invoice_id != by_crew.contract.id:
                    row.delivered_at = row.leaves_at
                else:
                    row.notice_id = None
    looked = set(found(any_db, clock))
    assert not looked & {small.contract.id, never.contract.id, off.contract.id, by_crew.contract.id}
    assert len(looked) == 1


def test_the_statements_of_a_sweep_do_not_follow_those_with_nothing_due(
    any_db: Database, clock: FixedClock, billing: Billing
) -> None:
    for _ in range(3):
        sent(any_db, billing)
    clock.advance(days=1)
    with statements() as few:
        assert billing.sweep().looked_at == 0
        before = few()
    for _ in range(20):
        sent(any_db, billing)
    clock.advance(days=1)
    with statements() as many:
        assert billing.sweep().looked_at == 0
        assert many() == before


def test_the_open_index_serves_the_sweep(db: Database) -> None:
    """The conditions stand as literals, so that the partial index can be used."""
    asked: list[tuple[str, object]] = []
    with db.read() as session:
        connection = session.connection()

        @event.listens_for(connection, "before_cursor_execute")
        def note(_c: object, _cursor: object, sql: str, parameters: object, _context: object, _many: bool) -> None:
            asked.append((sql, parameters))

        candidates.sweep_candidates(session, policy=DEFAULT_POLICY, today=date(2026, 3, 24), after=0, upto=10)
        candidates.window_end(session, after=0)
        for sql, parameters in list(asked):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()  # type: ignore[arg-type]
            assert any("ix_invoice_open" in str(row) for row in plan), plan
            # Of the window alone everything is read; no table is.
            scanned = {str(row[3]).split()[1] for row in plan if str(row[3]).startswith("SCAN")}
            assert scanned <= {"made", "anon_1"}, plan


def test_supply_that_should_be_on_is_found_and_the_rest_is_not(
    any_db: Database, clock: FixedClock, billing: Billing
) -> None:
    rightly, wrongly = sent(any_db, billing), sent(any_db, billing)
    with any_db.begin() as session:
        for home in (rightly, wrongly):
            session.add(
                MeterDesiredRow(
                    meter_id=home.meter.id, version=1, supply="off", reason="nonpayment", set_by="t", set_at=clock.now()
                )
            )  # fmt: skip
        invoice = session.scalars(select(ReminderRow).where(ReminderRow.invoice_id == rightly.contract.id)).one()
        session.add(
            ReminderRow(
                invoice_id=invoice.invoice_id, cycle=1, step="announcement", policy_version=1, created_at=clock.now()
            )
        )
    with any_db.read() as session:
        ids = candidates.cut_without_reason(session, policy=DEFAULT_POLICY, after=0, limit=10)
    assert ids == [wrongly.contract.id]
    assert billing.sweep().given_back == 1
