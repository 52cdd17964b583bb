"""What the databases refuse by themselves, whoever asks: SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from core.db import Database
from core.db.upgrade import upgrade
from core.kernel.ids import new_uuid
from core.kernel.money import Money
from core.ledger import queries
from core.ledger.model import Account, Transfer
from core.ledger.queries import JournalEntry
from core.ledger.tables import AccountRow, JournalRow, TransferRow

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Booked:
    """A database as production has it (made by the migrations, triggers included) and what is booked in it: one
    journal with one transfer, bank to revenue in CDF; a bank in USD; a journal of its own without transfers."""

    db: Database
    journal: str
    bank: int
    revenue: int
    dollars: int

    def transfer(self, debit: int, credit: int, *, minor: int = 5, currency: str = "CDF") -> TransferRow:
        return TransferRow(
            id=new_uuid(),
            journal_id=self.journal,
            debit_account_id=debit,
            credit_account_id=credit,
            currency=currency,
            amount_minor=minor,
            at=AT,
        )


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def booked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booked]:
    if request.param == "sqlite":
        yield from _booked(f"sqlite:///{tmp_path_factory.mktemp('constraints') / 'migrated.db'}")
        return
    with request.getfixturevalue("postgres").new_database() as url:
        yield from _booked(url)


def _booked(url: str) -> Iterator[Booked]:
    db = Database(url)
    upgrade(db)
    with db.begin() as session:
        transfers = [Transfer(Account("bank"), Account("revenue"), Money(100, "CDF"))]
        journal = queries.write(session, entry("first"), transfers)
        bank, revenue = (queries.account_row(session, Account(code), "CDF").id for code in ("bank", "revenue"))
        dollars = queries.account_row(session, Account("bank"), "USD").id
        queries.write(session, entry("lonely"), [])
    yield Booked(db, journal, bank, revenue, dollars)
    db.dispose()


def entry(key: str) -> JournalEntry:
    return JournalEntry(kind="test", key=key, digest="d", at=AT, recorded_at=AT)


Wrong = Callable[[Booked], object]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda b: b.transfer(b.bank, b.dollars), id="across currencies"),
        pytest.param(lambda b: b.transfer(b.bank, b.revenue, currency="USD"), id="another currency"),
        pytest.param(lambda b: b.transfer(b.bank, b.revenue, minor=0), id="nothing"),
        pytest.param(lambda b: b.transfer(b.bank, b.revenue, minor=-5), id="less than nothing"),
        pytest.param(lambda b: b.transfer(b.bank, b.bank), id="to itself"),
        pytest.param(lambda b: replace(b, journal=new_uuid()).transfer(b.bank, b.revenue), id="without a journal"),
        pytest.param(lambda b: b.transfer(b.bank, 999), id="to nowhere"),
        pytest.param(
            lambda b: JournalRow(id=new_uuid(), kind="test", key="first", digest="other", at=AT, recorded_at=AT),
            id="a second journal under one key",
        ),
        pytest.param(lambda b: AccountRow(code="bank", owner="", currency="CDF"), id="an account twice"),
        pytest.param(
            lambda b: AccountRow(code="agent_float", owner="1", currency="CDF", balance_minor=-1, floor_minor=0),
            id="a balance below its floor",
        ),
    ],
)
def test_the_database_refuses(booked: Booked, wrong: Wrong) -> None:
    with pytest.raises(IntegrityError), booked.db.begin() as session:
        session.add(wrong(booked))
    with booked.db.read() as session:
        assert sum(queries.trial_balance(session).values()) == 0


Change = Callable[[Session], object]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.execute(update(TransferRow).values(amount_minor=1)), id="update transfer"),
        pytest.param(lambda s: s.execute(delete(TransferRow)), id="delete transfer"),
        pytest.param(lambda s: s.execute(update(JournalRow).values(memo="x")), id="update journal"),
        pytest.param(lambda s: s.execute(text("DELETE FROM journal WHERE key = 'lonely'")), id="delete journal"),
    ],
)
def test_what_is_booked_stays(booked: Booked, change: Change) -> None:
    with pytest.raises(DBAPIError, match="insert-only"), booked.db.begin() as session:
        change(session)
    with booked.db.read() as session:
        assert queries.find_journal(session, "lonely", "d")
        assert queries.trial_balance(session)["bank", "", "CDF"] == 100
