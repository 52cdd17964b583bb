"""Two writers on one account: 240 debits asked of a float that can pay 150, granted exactly 150 times."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import func, select

from core.db import Database
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.ledger import queries
from core.ledger.errors import BelowFloor
from core.ledger.model import Account, Transfer
from core.ledger.queries import JournalEntry
from core.ledger.tables import AccountRow

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
FLOAT = Account("agent_float", "7")
SALE = Money(100, "CDF")


def write(db: Database, key: str, transfer: Transfer) -> bool:
    entry = JournalEntry(kind="test", key=key, digest="d", at=AT, recorded_at=AT)
    while True:
        try:
            with db.begin() as session:
                queries.write(session, entry, [transfer])
            return True
        except BelowFloor:
            return False
        except NotRecorded:
            continue


def test_a_float_pays_exactly_what_it_holds(clean_db: Database) -> None:
    write(clean_db, "bought", Transfer(Account("bank"), FLOAT, Money(150 * 100, "CDF")))
    together = threading.Barrier(2)

    def sell(seller: int) -> int:
        together.wait()
        return sum(write(clean_db, f"{seller}:{n}", Transfer(FLOAT, Account("revenue"), SALE)) for n in range(120))

    with ThreadPoolExecutor(2) as pool:
        granted = sum(pool.map(sell, (1, 2)))
    assert granted == 150
    with clean_db.read() as session:
        assert queries.balance(session, FLOAT, "CDF") == Money(0, "CDF")
        assert queries.differences(session) == []
        assert queries.trial_balance(session)["revenue", "", "CDF"] == -15_000


def test_an_account_needed_by_many_at_once_is_made_once(clean_db: Database) -> None:
    together = threading.Barrier(4)

    def first(n: int) -> bool:
        together.wait()
        return write(clean_db, f"k{n}", Transfer(Account("receivable", "3"), Account("revenue"), SALE))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(first, range(4)))
    with clean_db.read() as session:
        assert session.scalar(select(func.count()).select_from(AccountRow)) == 2
        assert queries.balance(session, Account("receivable", "3"), "CDF") == Money(400, "CDF")


def test_crossing_journals_do_not_wait_for_each_other_in_a_circle(clean_db: Database) -> None:
    """Each moves the same two cached accounts, named in opposite order."""
    one, two = Account("credit", "1"), Account("credit", "2")
    together = threading.Barrier(2)

    def cross(n: int) -> None:
        together.wait()
        for i in range(40):
            debit, credit = (one, two) if n else (two, one)
            assert write(clean_db, f"{n}:{i}", Transfer(debit, credit, SALE))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cross, (0, 1)))
    with clean_db.read() as session:
        assert queries.differences(session) == []
        assert queries.balance(session, one, "CDF") == Money(0, "CDF")
