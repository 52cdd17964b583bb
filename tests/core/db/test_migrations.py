"""From an empty database to the newest shape, on both; what the code has is what the migrations make."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, func, inspect, select, table

from core.db import Database
from core.db.tables import metadata
from core.db.upgrade import _config, drift, revision_of, upgrade
from core.ledger.tables import AccountRow
from core.payments.tables import PaymentRow


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}", busy_timeout_s=30)
        yield database
        database.dispose()
        return
    with request.getfixturevalue("postgres").new_database() as url:
        database = Database(url)
        yield database
        database.dispose()


def test_from_empty_to_the_newest(empty: Database) -> None:
    assert revision_of(empty) is None
    upgrade(empty)
    newest = revision_of(empty)
    assert newest is not None
    assert drift(empty) == []
    made = set(inspect(empty.engine).get_table_names())
    assert set(metadata.tables) <= made
    # Twice is quiet.
    upgrade(empty)
    assert revision_of(empty) == newest


def test_two_processes_that_start_at_once_migrate_once(empty: Database) -> None:
    together = threading.Barrier(2)

    def start(_: int) -> str | None:
        database = Database(empty.url.render_as_string(hide_password=False), busy_timeout_s=30)
        together.wait()
        try:
            upgrade(database)
            return revision_of(database)
        finally:
            database.dispose()

    with ThreadPoolExecutor(2) as pool:
        revisions = set(pool.map(start, range(2)))
    assert len(revisions) == 1
    assert drift(empty) == []


def test_what_an_older_release_wrote_is_kept(empty: Database) -> None:
    """The first shapes with rows in them, brought to the newest."""
    at = "2026-03-10 08:00:00+00:00"
    with empty.engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
        for statement in (
            "INSERT INTO agency (id, code, name, city, address, phone, hours, time_zone)"
            " VALUES (1, 'G', 'Gombe', 'Kinshasa', 'Av. 1', '+243810000009', '8-16', 'Africa/Kinshasa')",
            "INSERT INTO agent (id, code, name, phone, agency_id, currency, credit_limit_minor, pin_hash, pin_failures,"
            f" active, created_at) VALUES (9, 'A009', 'A', '+243810000001', 1, 'CDF', 500000, 'x', 0, true, '{at}')",
            "INSERT INTO account (id, code, owner, currency, balance_minor, floor_minor)"
            " VALUES (1, 'agent_float', '9', 'CDF', 100, 0)",
            "INSERT INTO payment (id, wallet, provider_txn_id, currency, amount_minor, received_at, found_by,"
            " receipt_number, verification_code, in_suspense)"
            f" VALUES ('p', 'vodacom', 'T1', 'CDF', 5000, '{at}', 'query', 'R1', 'V1', true)",
        ):
            connection.exec_driver_sql(statement)
    upgrade(empty)
    assert drift(empty) == []
    with empty.begin() as session:
        payment = session.get_one(PaymentRow, "p")
        assert (payment.amount_minor, payment.refunded_minor, payment.reference) == (5000, 0, None)
        account = session.get_one(AccountRow, 1)
        assert (account.balance_minor, account.floor_minor) == (100, -500_000), (
            "a float may go down to its credit limit"
        )


def _filled(connection: Connection, table: Table, **given: object) -> None:
    """One row, with something in every column that must have something."""
    row = dict(given)
    for column in table.columns:
        if column.name in row or column.nullable or column.server_default is not None:
            continue
        row[column.name] = _SOMETHING[column.type.python_type]
    connection.execute(table.insert().values(row))


_SOMETHING = {
    int: 1,
    str: "x",
    bool: False,
    object: {},
    date: date(2026, 3, 10),
    datetime: datetime(2026, 3, 10, 8, 0, tzinfo=UTC),
}


def test_what_stands_in_the_tables_outlives_every_migration(empty: Database) -> None:
    """SQLite changes a column by making the table anew; rows of other tables point at it, and triggers hang on it."""
    with empty.engine.begin() as connection:
        command.upgrade(_config(connection), "0003")
    with empty.engine.begin() as connection:
        old = MetaData()
        old.reflect(connection)
        _filled(connection, old.tables["agency"])
        _filled(connection, old.tables["customer"])
        _filled(connection, old.tables["site"])
        _filled(connection, old.tables["meter"], control_kind="manual")
        _filled(connection, old.tables["tariff"])
        _filled(connection, old.tables["contract"], currency="CDF", account_number="1", kind="monthly", state="active")
        _filled(connection, old.tables["invoice"], currency="CDF", state="draft", total_minor=100)
        _filled(connection, old.tables["invoice_line"])
        _filled(connection, old.tables["notice"], channel="sms", state="sent")
        _filled(connection, old.tables["document"])
        before = {name: connection.scalar(select(func.count()).select_from(t)) for name, t in old.tables.items()}
        triggers = _triggers(connection)
    upgrade(empty)
    with empty.engine.begin() as connection:
        del before["alembic_version"]
        for name, rows in before.items():
            assert connection.scalar(select(func.count()).select_from(table(name))) == rows, name
        assert triggers <= _triggers(connection)
        assert not empty.is_sqlite or connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert drift(empty) == []


def _triggers(connection: Connection) -> set[str]:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    else:
        found = connection.exec_driver_sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    return set(found.scalars())
