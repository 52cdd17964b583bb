"""A year in short: the same story as `python -m tests.year`, with fewer houses and days, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.settlement import events as e
from tests.year import proofs
from tests.year.utility import Year

SIZES = {"sqlite": (32, 100), "postgresql": (16, 63)}


def year_of(db: Database, seed: int, customers: int, days: int) -> Year:
    return Year(db, FixedClock(datetime(2026, 1, 1, 1, tzinfo=UTC)), customers, seed, days)


def test_the_books_are_the_clerks(any_db: Database) -> None:
    year = year_of(any_db, 4, *SIZES[any_db.url.get_backend_name()])
    year.run()
    assert year.counts["bills"] >= 20
    assert year.counts["cut"] >= 1


def test_the_clerk_sees_a_franc_too_much(db: Database) -> None:
    """Else the proof above would prove nothing."""
    year = year_of(db, 1, 8, 40)
    year.run(check_every=40)
    bill = next(bill for bill in year.clerk.bills.values() if bill.left)
    payment = year._payment(None, "airtel", Money(100, bill.currency))
    event = e.WalletMoney(
        key="a franc",
        payment_id=payment.id,
        wallet="airtel",
        contract_id=bill.contract,
        amount=Money(100, bill.currency),
    )
    year._post(event, payment)
    with pytest.raises(AssertionError, match="receivable"):
        proofs.everything(year)


def test_the_same_seed_is_the_same_year(db: Database, tmp_path_factory: pytest.TempPathFactory) -> None:
    from core.db.tables import metadata

    other = Database(f"sqlite:///{tmp_path_factory.mktemp('twin') / 'twin.db'}")
    metadata.create_all(other.engine)
    years = [year_of(one, 7, 10, 35) for one in (db, other)]
    for year in years:
        year.run(check_every=35)
    other.dispose()
    assert years[0].counts == years[1].counts
    assert years[0].clerk.balances() == years[1].clerk.balances()
