"""Engines for both databases, and the two ways in: `begin` to write, `read` to look.

SQLite ignores row locks; it is safe here because every writer begins IMMEDIATE, so that nobody else writes until it is
done. Measured: `docs/decisions/0002-sqlite-writers.md`.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import CompoundSelect, Engine, Select, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import PoolProxiedConnection

from core.db.prepared import Prepared
from core.kernel.errors import NotRecorded

Runs = Callable[[Prepared, Mapping[str, Any]], list[Any]]

# What a caller of the web can bear; a bulk job gives its own.
BUSY_TIMEOUT_S = 2.0


class Database:
    """One database. Build it after a fork, never before: a connection shared with a parent answers the wrong one."""

    def __init__(
        self,
        url: str,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        pool_size: int = 5,
        info: Mapping[str, str] | None = None,
    ) -> None:
        self.url: URL = _with_driver(make_url(url))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = _sqlite_engine(self.url, "BEGIN IMMEDIATE", busy_timeout_s)
            self._reader = _sqlite_engine(self.url, "BEGIN", busy_timeout_s)
        else:
            self._writer = _postgres_engine(self.url, busy_timeout_s, pool_size, autocommit=False)
            # Reads of one statement need no BEGIN and COMMIT around them: a third of their cost.
            self._reader = _postgres_engine(self.url, busy_timeout_s, pool_size, autocommit=True)
        # What every text may need and no caller should carry around: the short code.
        self._write = sessionmaker(self._writer, expire_on_commit=False, info=dict(info or {}))
        self._read = sessionmaker(self._reader, expire_on_commit=False)

    @property
    def engine(self) -> Engine:
        """The writing engine: for migrations and tests."""
        return self._writer

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction that writes. Raises NotRecorded when the database did not take it in time."""
        _NESTED.enter()
        try:
            with _in_time(), self._write.begin() as session:
                yield session
        finally:
            _NESTED.leave()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only looks. On PostgreSQL each statement stands alone."""
        with _in_time(), self._read() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session whose statements all see the same moment: for sums that must agree with each other."""
        if self.is_sqlite:
            with self.read() as session:
                yield session
            return
        still = self._writer.execution_options(isolation_level="REPEATABLE READ")
        with Session(still, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def connect_read(self) -> Iterator[Connection]:
        """A bare connection for the hot path: Core statements built once, no unit of work."""
        with _in_time(), self._reader.connect() as connection:
            yield connection

    def prepare(self, statement: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]) -> Prepared:
        """A select for `prepared_read`, of this database only."""
        return Prepared(statement, self._reader.dialect)

    @contextmanager
    def prepared_read(self) -> Iterator[Runs]:
        """A pooled connection without SQLAlchemy around it: run prepared selects, each with its values by name.

        No BEGIN, on SQLite either (50 to 60 us): each statement stands alone and sees one state of the database, as on
        PostgreSQL. Raises what `connect_read` raises.
        """
        driver = self._reader.dialect.loaded_dbapi
        pooled: PoolProxiedConnection | None = None
        with _in_time():
            try:
                pooled = connection = self._reader.raw_connection()
                yield lambda select, values: select.rows(connection, values)
            except driver.Error as error:
                if pooled is not None and self._reader.dialect.is_disconnect(error, pooled.driver_connection, None):
                    pooled.invalidate(error)
                raise DBAPIError.instance(None, None, error, driver.Error, dialect=self._reader.dialect) from error
            finally:
                if pooled is not None:
                    pooled.close()

    def dispose(self) -> None:
        self._writer.dispose()
        self._reader.dispose()


class _Depth(threading.local):
    """Whether this thread is inside a writing transaction. `outside_transaction` asserts on it."""

    depth = 0

    def enter(self) -> None:
        self.depth += 1

    def leave(self) -> None:
        self.depth -= 1


_NESTED = _Depth()


def assert_outside_transaction() -> None:
    """Called by everything that reaches a partner or a queue: a row lock must never wait for a network."""
    if _NESTED.depth:
        raise AssertionError("a partner or a queue was about to be called inside a transaction")


# A lost deadlock is rolled back whole by the database: nothing was recorded, and trying again is right.
_BUSY = ("database is locked", "database is busy", "lock timeout", "statement timeout", "deadlock detected")


@contextmanager
def _in_time() -> Iterator[None]:
    """A database that is too slow, or has no connection left, becomes NotRecorded; other troubles stay as they are."""
    try:
        yield
    except NoConnectionLeft as error:
        raise NotRecorded("the database has no connection left") from error
    except OperationalError as error:
        if any(word in str(error.orig).lower() for word in _BUSY):
            raise NotRecorded("the database is busy") from error
        raise


def _with_driver(url: URL) -> URL:
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _sqlite_engine(url: URL, begin: str, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own BEGIN comes late and deferred: a reader that turns writer fails at once, timeout or not.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
        _write_ahead(cursor, busy_timeout_s)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _write_ahead(cursor: sqlite3.Cursor, patience_s: float) -> None:
    """Turn the write-ahead log on, waiting for whoever is in the file.

    A new file changes its journal under an exclusive lock, and SQLite refuses that lock at once, busy timeout or not,
    when two connections ask for it together: two processes at their first start.
    """
    give_up = time.monotonic() + patience_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres_engine(url: URL, busy_timeout_s: float, pool_size: int, *, autocommit: bool) -> Engine:
    milliseconds = int(busy_timeout_s * 1000)
    # A customer's turn ends with its lock (5 s); who may wait longer for a lock may also work longer.
    statement = milliseconds if busy_timeout_s <= BUSY_TIMEOUT_S else milliseconds * 5
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=busy_timeout_s,
        pool_pre_ping=True,
        # Errors are logged: what customers are called and owe must not stand in them.
        hide_parameters=True,
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        connect_args={
            "connect_timeout": 5,
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={statement} -c timezone=UTC",
        },
    )
