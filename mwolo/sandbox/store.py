"""The box's own database: SQLite in WAL, one writer at a time, and a bell that rings after each change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.pool import ConnectionPoolEntry

Row = RowMapping
Now = Callable[[], float]

metadata = MetaData()

phones = Table(
    "phone",
    metadata,
    Column("phone", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("account", Text),
    Column("language", Text, nullable=False),
    Column("brand", Text),
    Column("wallet_pin", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("meter", Text),
    Column("kind", Text, nullable=False),
)
# What an agent types on the short code, as it was when the town was seeded: the page shows it like a wallet's PIN.
agent_pins = Table(
    "agent_pin",
    metadata,
    Column("phone", Text, primary_key=True),
    Column("pin", Text, nullable=False),
)
# A wallet holds one purse per currency; `minor` is hundredths.
purses = Table(
    "purse",
    metadata,
    Column("phone", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("minor", Integer, nullable=False),
)
calls = Table(
    "ussd_call",
    metadata,
    Column("id", Text, primary_key=True),
    Column("phone", Text, nullable=False),
    Column("service_code", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("hops", Integer, nullable=False),
    Column("last_answer", Text, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("status", Text),
    Index("ix_call_phone", "phone", "ended"),
)
texts = Table(
    "sms",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("message_id", Text, nullable=False, unique=True),
    Column("at", Float, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("segments", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Index("ix_sms_recipient", "recipient", "id"),
)
letters = Table(
    "letter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Index("ix_letter_recipient", "recipient", "id"),
)
# What an operator knows about one request to pay. `minor` is what it asks the payer for.
entries = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("wallet", Text, nullable=False),
    Column("own_id", Text, nullable=False),
    Column("provider_ref", Text, nullable=False),
    Column("provider_txn_id", Text),
    Column("phone", Text, nullable=False),
    Column("brand", Text),
    Column("minor", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("at", Float, nullable=False),
    Column("settled_at", Float),
    Column("prompts", Integer, nullable=False),
    Column("reversed", Integer, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("asked_as", JSON, nullable=False),
    Index("ux_entry_own", "wallet", "own_id", unique=True),
    Index("ix_entry_ref", "wallet", "provider_ref"),
    Index("ix_entry_txn", "wallet", "provider_txn_id"),
)
# Every time money moved between a purse and the operator, or was asked to move back: `kind` payment, refund, reversal,
# walk_in (somebody paid without us). `books_at` is the moment on the product's business clock: that of the statement.
movements = Table(
    "movement",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("wallet", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("entry_id", Integer),
    Column("original_id", Integer),
    Column("own_id", Text),
    Column("provider_ref", Text, nullable=False),
    Column("provider_txn_id", Text),
    Column("phone", Text, nullable=False),
    Column("minor", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("at", Float, nullable=False),
    Column("settled_at", Float),
    Column("books_at", Float),
    Column("plan", JSON, nullable=False),
    Column("asked_as", JSON, nullable=False),
    Index("ux_movement_own", "wallet", "kind", "own_id", unique=True),
    Index("ix_movement_txn", "wallet", "provider_txn_id"),
    Index("ix_movement_original", "original_id"),
    Index("ix_movement_entry", "entry_id"),
    Index("ix_movement_books", "wallet", "books_at"),
)
# Which callbacks left the box: a callback that is held back waits for the next one of its operator.
told = Table(
    "told",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("wallet", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("own_id", Text),
    Column("claim", Text, nullable=False),
    Column("taken", Integer, nullable=False),
    Index("ix_told_wallet", "wallet", "id"),
)
prompts = Table(
    "prompt",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("entry_id", Integer, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("opened", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("closed", Float),
    Column("tries", Integer, nullable=False),
    Index("ix_prompt_phone", "phone", "closed"),
    Index("ix_prompt_entry", "entry_id"),
)
requests = Table(
    "operator_request",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("wallet", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("operation", Text, nullable=False),
    Column("own_id", Text),
    Column("answer", Text, nullable=False),
    Index("ix_request_wallet", "wallet", "id"),
)
faults = Table(
    "fault",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("target", Text, nullable=False),
    Column("fault", Text, nullable=False),
    Column("left", Integer, nullable=False),
    Column("endless", Integer, nullable=False),
    Column("phone", Text),
    Column("params", JSON, nullable=False),
)
errands = Table(
    "errand",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("due", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Index("ix_errand_due", "due"),
)
vodacom_sessions = Table(
    "vodacom_session",
    metadata,
    Column("id", Text, primary_key=True),
    Column("live_at", Float, nullable=False),
    Column("expires", Float, nullable=False),
)
# Daraja keeps one token: a new one ends the one before.
daraja_tokens = Table(
    "daraja_token",
    metadata,
    Column("token", Text, primary_key=True),
    Column("expires", Float, nullable=False),
)
daraja_addresses = Table(
    "daraja_address",
    metadata,
    Column("short_code", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("response_type", Text, nullable=False),
    Column("validate_url", Text, nullable=False),
    Column("confirm_url", Text, nullable=False),
)
keys = Table(
    "operator_key",
    metadata,
    Column("name", Text, primary_key=True),
    Column("pem", LargeBinary, nullable=False),
)
meters = Table(
    "meter",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key_hex", Text, nullable=False),
    Column("supply", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("account", Text),
)
meter_memory = Table(
    "meter_memory",
    metadata,
    Column("id", Text, primary_key=True),
    Column("body", JSON, nullable=False),
)


class Bell:
    """Wakes whoever waits for a change in the database, and everybody when the box closes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self.closed = False

    @property
    def count(self) -> int:
        return self._count

    def ring(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Return at the first ring after `seen`, at the close, or after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._count != seen, timeout=max(timeout_s, 0.0))

    def wait_for(self, found: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `found()` is true; it is asked again after every change. False: time over, or the box closed."""
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self.count
            if found():
                return True
            left = deadline - time.monotonic()
            if self.closed or left <= 0:
                return False
            self.wait(seen, left)


class Store:
    """One SQLite file. `begin` is a write transaction (BEGIN IMMEDIATE) and rings the bell; `read` changes nothing."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.path = data_dir / "sandbox.sqlite3"
        self.bell = Bell()
        self._writing = threading.Lock()
        # Threads of the web server are many and short-lived; a connection waits for its turn rather than failing.
        self._engine = create_engine(
            f"sqlite:///{self.path}", pool_size=8, max_overflow=56, connect_args={"timeout": 30.0}
        )
        event.listen(self._engine, "connect", _on_connect)
        with self.begin() as db:
            metadata.create_all(db)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._writing, self._engine.connect() as db:
            db.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.exec_driver_sql("ROLLBACK")
                raise
            db.exec_driver_sql("COMMIT")
        self.bell.ring()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._engine.connect() as db:
            yield db

    def close(self) -> None:
        self.bell.close()
        self._engine.dispose()


def _on_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
    # Transactions are opened by `begin` alone; the driver's own habit of opening them late is switched off.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def iso(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def major(minor: int, currency: str) -> str:
    """Hundredths as the text operators use: whole francs and shillings without decimals, other currencies with two."""
    whole, cents = divmod(minor, 100)
    if cents == 0:
        return str(whole) if currency in ("CDF", "KES") else f"{whole}.00"
    return f"{whole}.{cents:02d}"


def as_dict(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row)
