"""Two ways into a database, what happens when it is busy, and moments that keep their zone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError, StatementError

from core.clock_offset import clock_for, read_offset, write_offset
from core.db import Database
from core.db.engine import assert_outside_transaction
from core.kernel.clock import FixedClock, SystemClock
from core.kernel.errors import NotRecorded
from core.outbox import LeaseRow

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


@pytest.fixture
def hurried(clean_db: Database) -> Iterator[Database]:
    """The same database for a caller who waits a fifth of a second, with two leases in it."""
    with clean_db.begin() as session:
        session.add_all([LeaseRow(name=name, holder="a", until=AT) for name in ("one", "two")])
    database = Database(clean_db.url.render_as_string(hide_password=False), busy_timeout_s=0.2, pool_size=1)
    yield database
    database.dispose()


def hold(name: str, holder: str = "b") -> object:
    return update(LeaseRow).where(LeaseRow.name == name).values(holder=holder)


def test_a_busy_database_says_not_recorded_and_keeps_nothing(clean_db: Database, hurried: Database) -> None:
    with clean_db.begin() as first:
        first.execute(hold("one", "first"))  # type: ignore[call-overload]
        with pytest.raises(NotRecorded), hurried.begin() as second:
            second.execute(hold("one", "second"))  # type: ignore[call-overload]
    with hurried.read() as session:
        assert session.get_one(LeaseRow, "one").holder == "first"


def test_a_reader_does_not_wait_for_a_writer(clean_db: Database, hurried: Database) -> None:
    with clean_db.begin() as writer:
        writer.execute(hold("one", "unseen"))  # type: ignore[call-overload]
        with hurried.read() as session:
            assert session.get_one(LeaseRow, "one").holder == "a"
        with hurried.connect_read() as connection:
            assert connection.scalar(select(LeaseRow.holder).where(LeaseRow.name == "one")) == "a"


def test_no_connection_left_says_not_recorded_soon(hurried: Database) -> None:
    if hurried.is_sqlite:
        return  # One writer at a time: the second waits for the lock, not for a connection.
    # Two connections are all this database may have.
    with hurried.begin() as one, hurried.begin() as two:
        for session in (one, two):
            session.execute(select(1))
        with pytest.raises(NotRecorded), hurried.begin() as three:
            three.execute(select(1))


def test_a_deadlock_is_resolved_and_the_loser_may_try_again(hurried: Database, clean_db: Database) -> None:
    if clean_db.is_sqlite:
        return  # One writer: no circle can form.
    patient = Database(clean_db.url.render_as_string(hide_password=False), busy_timeout_s=20)
    crossed = threading.Barrier(2)

    def cross(names: tuple[str, str]) -> str:
        try:
            with patient.begin() as session:
                session.execute(hold(names[0]))  # type: ignore[call-overload]
                crossed.wait()
                session.execute(hold(names[1]))  # type: ignore[call-overload]
        except NotRecorded:
            return "not recorded"
        return "done"

    with ThreadPoolExecutor(2) as pool:
        ends = sorted(pool.map(cross, (("one", "two"), ("two", "one"))))
    patient.dispose()
    assert ends == ["done", "not recorded"]


def test_other_troubles_of_the_database_are_not_called_busy(db: Database) -> None:
    with pytest.raises(OperationalError), db.begin() as session:
        session.connection().exec_driver_sql("SELECT * FROM no_such_table")


def test_nobody_is_called_inside_a_transaction(db: Database) -> None:
    assert_outside_transaction()
    with db.begin(), pytest.raises(AssertionError):
        assert_outside_transaction()
    with db.read():
        assert_outside_transaction()


def test_a_failure_leaves_the_transaction(db: Database) -> None:
    with pytest.raises(NotRecorded), db.begin():
        raise NotRecorded
    assert_outside_transaction()


def test_moments_keep_their_meaning(clean_db: Database) -> None:
    lubumbashi = AT.astimezone(timezone(timedelta(hours=2)))
    with clean_db.begin() as session:
        session.add(LeaseRow(name="x", holder="a", until=lubumbashi))
    with clean_db.read() as session:
        until = session.get_one(LeaseRow, "x").until
    assert until == AT
    assert until.utcoffset() == timedelta(0)
    with pytest.raises(StatementError, match="without a zone"), clean_db.begin() as session:
        session.add(LeaseRow(name="y", holder="a", until=datetime(2026, 3, 10)))  # noqa: DTZ001


def test_business_time_is_moved_for_everybody(db: Database) -> None:
    assert read_offset(db) == timedelta()
    write_offset(db, timedelta(days=3, hours=2))
    write_offset(db, timedelta(days=4))
    assert read_offset(db) == timedelta(days=4)
    clock = clock_for(db, movable=True)
    assert timedelta(days=4) - (clock.now() - clock.real_now()) < timedelta(seconds=5)
    assert isinstance(clock_for(db, movable=False), SystemClock)


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """Changing a new file's journal is the one thing that SQLite refuses at once, whatever the busy timeout."""
    with ThreadPoolExecutor(4) as pool:
        for round_ in range(40):
            together = threading.Barrier(4)

            def open_it(_: int, file: Path = tmp_path / f"{round_}.db", start: threading.Barrier = together) -> None:
                database = Database(f"sqlite:///{file}", busy_timeout_s=30)
                start.wait()
                with database.begin() as session:
                    session.execute(text("SELECT 1"))
                database.dispose()

            list(pool.map(open_it, range(4)))


def test_a_fixed_clock_moves_both_times() -> None:
    clock = FixedClock(AT)
    clock.advance(hours=1, minutes=30)
    assert clock.now() == clock.real_now() == AT + timedelta(minutes=90)
