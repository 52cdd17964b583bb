"""Selects through the driver's own cursor: the same rows as SQLAlchemy's, and the same errors. On both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, literal_column, select
from sqlalchemy.exc import DBAPIError, OperationalError

from core.customers.tables import PhoneLinkRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.outbox import LeaseRow
from core.services.customer_reads import ACTIVITY, WHO, WHO_AND_ACCOUNT
from mwolo.seed import seed

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
LEASE = select(LeaseRow.holder, LeaseRow.until).where(LeaseRow.name == bindparam("name"))


def test_every_row_is_what_sqlalchemy_reads(any_db: Database, clock: FixedClock) -> None:
    """A town with a past: invoices, cycles, attempts, receipts. Values and their types, column by column."""
    customers = seed(any_db, clock, size=12).customers
    now = clock.now()
    with any_db.begin() as session:
        for link in session.scalars(select(PhoneLinkRow)).all():
            # Somebody else in the house, whose link is fresh or not.
            session.add(PhoneLinkRow(phone=f"{link.phone[:-1]}x", customer_id=link.customer_id, created_at=now))
    statements = {
        "who": WHO,
        "typed": WHO_AND_ACCOUNT,
        "done": ACTIVITY[True, True],
        "attempts": ACTIVITY[False, False],
    }
    selects = {name: (statement, any_db.prepare(statement)) for name, statement in statements.items()}
    filled: set[str] = set()
    for caller in customers:
        long_ago = now - timedelta(days=900)
        values = {"phone": caller.phone, "account": customers[0].account, "now": now}
        values |= {"horizon": long_ago, "since": long_ago, "turn_key": "none"}
        for name, (statement, prepared) in selects.items():
            with any_db.connect_read() as connection:
                theirs = connection.execute(statement, values).mappings().all()
            with any_db.prepared_read() as run:
                ours = [row._asdict() for row in run(prepared, values)]
            assert sorted(map(_exact, ours)) == sorted(map(_exact, theirs))
            filled |= {f"{name}.{column}" for row in ours for column, value in row.items() if value is not None}
    # A column that is never filled would prove nothing about its type.
    assert {"who.sent_on", "who.cycle_started_on", "who.credit_minor", "done.at", "done.is_open"} <= filled


def _exact(row: Any) -> str:
    """Names, types and values in words: `True` is not 1 here, nor is a moment the same in another zone."""
    return repr(sorted((name, type(value), value) for name, value in row.items()))


def test_moments_keep_their_meaning_and_need_a_zone(any_db: Database) -> None:
    with any_db.begin() as session:
        session.add_all([LeaseRow(name=str(n), holder="a", until=AT + timedelta(hours=n)) for n in range(3)])
    later = any_db.prepare(select(LeaseRow.until).where(LeaseRow.until > bindparam("at", type_=LeaseRow.until.type)))
    with any_db.prepared_read() as run:
        found = [row.until for row in run(later, {"at": AT + timedelta(hours=1)})]
        with pytest.raises(ValueError, match="without a zone"):
            run(later, {"at": AT.replace(tzinfo=None)})
    assert found == [AT + timedelta(hours=2)]
    assert found[0].utcoffset() == timedelta(0)


def test_a_value_that_is_not_given_is_an_error(any_db: Database) -> None:
    with pytest.raises(KeyError, match="name"), any_db.prepared_read() as run:
        run(any_db.prepare(LEASE), {})


def test_lists_that_are_expanded_are_refused(db: Database) -> None:
    listed = select(LeaseRow.name).where(LeaseRow.name.in_(bindparam("names", expanding=True)))
    with pytest.raises(ValueError, match="cannot be prepared"), db.prepared_read() as run:
        run(db.prepare(listed), {"names": ["a"]})


def test_a_reader_sees_what_is_committed_and_no_more(any_db: Database) -> None:
    prepared = any_db.prepare(LEASE)
    for holder in ("a", "b", "c"):
        with any_db.begin() as session:
            session.merge(LeaseRow(name="x", holder=holder, until=AT))
            session.flush()
            with any_db.prepared_read() as run:
                seen = [row.holder for row in run(prepared, {"name": "x"})]
            assert seen == ([] if holder == "a" else [chr(ord(holder) - 1)])
        with any_db.prepared_read() as run:
            assert [row.holder for row in run(prepared, {"name": "x"})] == [holder]


def test_troubles_come_as_sqlalchemys_and_the_next_read_is_well(any_db: Database) -> None:
    prepared = any_db.prepare(LEASE)
    wrong = any_db.prepare(select(literal_column("no_such_column").label("x")))
    for _ in range(2):
        with pytest.raises(DBAPIError), any_db.prepared_read() as run:
            run(wrong, {})
        with any_db.prepared_read() as run:
            assert run(prepared, {"name": "x"}) == []


def test_a_connection_that_broke_is_not_used_again(any_db: Database) -> None:
    if any_db.is_sqlite:
        return  # A file does not hang up.
    killed = any_db.prepare(select(literal_column("pg_terminate_backend(pg_backend_pid())").label("x")))
    with pytest.raises(OperationalError), any_db.prepared_read() as run:
        run(killed, {})
    with any_db.prepared_read() as run:
        assert run(any_db.prepare(LEASE), {"name": "x"}) == []


def test_no_connection_left_says_not_recorded(any_db: Database) -> None:
    if any_db.is_sqlite:
        return
    narrow = Database(any_db.url.render_as_string(hide_password=False), busy_timeout_s=0.2, pool_size=1)
    with narrow.prepared_read(), narrow.prepared_read(), pytest.raises(NotRecorded), narrow.prepared_read():
        pass
    narrow.dispose()


def test_a_database_that_is_not_there_is_said_as_ever() -> None:
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(OperationalError), gone.prepared_read() as run:
        run(gone.prepare(LEASE), {"name": "x"})
