"""Whatever is transferred, in whatever order: the books sum to zero, the cached balances are what the transfers say,
and no account passes its floor."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from core.db import Database
from core.db.tables import metadata
from core.kernel.money import Money
from core.ledger import queries
from core.ledger.errors import BelowFloor, LedgerError, SameKeyOtherContent, UnknownAccount
from core.ledger.model import CHART, Account, Transfer
from core.ledger.queries import JournalEntry
from core.ledger.tables import JournalRow, TransferRow

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all examples: each takes owners nobody has used before."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'books.db'}")
    metadata.create_all(database.engine)
    yield database
    database.dispose()


def entry(key: str, digest: str = "d") -> JournalEntry:
    return JournalEntry(kind="test", key=key, digest=digest, at=AT, recorded_at=AT)


def chart_of(owner: str) -> list[Account]:
    """One account of every code, owned by a newcomer where the code has owners."""
    return [Account(code, owner if kind.owner else "") for code, kind in CHART.items()]


MOVES = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, len(CHART) - 1),
            st.integers(0, len(CHART) - 1),
            st.integers(1, 10**12),
            st.sampled_from(["CDF", "USD"]),
        ).filter(lambda move: move[0] != move[1]),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=80, deadline=None)
@given(journals=MOVES)
def test_any_sequence_of_transfers(books: Database, journals: list[list[tuple[int, int, int, str]]]) -> None:
    accounts = chart_of(f"o{next(_numbers)}")
    naive: dict[tuple[str, str], int] = defaultdict(int)
    for moves in journals:
        transfers = [Transfer(accounts[d], accounts[c], Money(minor, cur)) for d, c, minor, cur in moves]
        after = naive.copy()
        for t in transfers:
            after[t.debit.code, t.amount.currency] += t.amount.minor
            after[t.credit.code, t.amount.currency] -= t.amount.minor
        allowed = all(-after["agent_float", cur] >= 0 for cur in ("CDF", "USD"))
        try:
            with books.begin() as session:
                queries.write(session, entry(f"k{next(_numbers)}"), transfers)
        except BelowFloor:
            assert not allowed
            continue
        assert allowed
        naive = after
    with books.read() as session:
        trial = queries.trial_balance(session)
        assert queries.differences(session) == []
        for currency in ("CDF", "USD"):
            assert sum(minor for (_, _, cur), minor in trial.items() if cur == currency) == 0
        for account in accounts:
            if account.owner:
                for currency in ("CDF", "USD"):
                    known = trial.get((account.code, account.owner, currency), 0)
                    assert known == naive[account.code, currency]
                    if CHART[account.code].cached:
                        cached = queries.balance(session, account, currency).minor
                        assert cached == CHART[account.code].sign * known
        floats = [-minor for (code, _, _), minor in trial.items() if code == "agent_float"]
        assert all(minor >= 0 for minor in floats)


def test_a_refused_journal_leaves_nothing(books: Database) -> None:
    owner = f"o{next(_numbers)}"
    key = f"k{next(_numbers)}"
    with books.read() as session:
        before = session.scalar(select(func.count()).select_from(TransferRow))
    with pytest.raises(BelowFloor), books.begin() as session:
        queries.write(
            session,
            entry(key),
            [
                Transfer(Account("bank"), Account("revenue"), Money(5, "CDF")),
                Transfer(Account("agent_float", owner), Account("revenue"), Money(1, "CDF")),
            ],
        )
    with books.read() as session:
        assert session.scalar(select(func.count()).select_from(TransferRow)) == before
        assert session.scalar(select(JournalRow.id).where(JournalRow.key == key)) is None


def test_a_difference_is_found_and_named(db: Database) -> None:
    with db.begin() as session:
        queries.write(session, entry("k"), [Transfer(Account("receivable", "1"), Account("revenue"), Money(7, "CDF"))])
        assert queries.differences(session) == []
        row = queries.account_row(session, Account("receivable", "1"), "CDF")
        session.refresh(row)
        row.balance_minor = 9
        session.flush()
        (found,) = queries.differences(session)
    assert (found.code, found.owner, found.currency, found.cached, found.recomputed) == ("receivable", "1", "CDF", 9, 7)


def test_the_same_key_is_found_and_other_content_refused(db: Database) -> None:
    with db.begin() as session:
        made = queries.write(session, entry("once", "one"), [])
        assert queries.find_journal(session, "once", "one") == made
        assert queries.find_journal(session, "never", "one") is None
        with pytest.raises(SameKeyOtherContent):
            queries.find_journal(session, "once", "two")


def test_the_chart_says_who_owns_what() -> None:
    with pytest.raises(UnknownAccount):
        Account("petty_cash")
    with pytest.raises(UnknownAccount):
        Account("receivable")
    with pytest.raises(LedgerError):
        Account("bank", "3")


def test_nothing_known_is_nothing(db: Database) -> None:
    with db.read() as session:
        assert queries.balance(session, Account("credit", "77"), "USD") == Money(0, "USD")
        assert queries.trial_balance(session) == {}
        assert queries.allocated(session, 5) == 0
