"""`python -m benchmarks.sweep`: the nightly sweep over many open invoices, beside the raw SQL scan of them.

A night of a utility that bills monthly: of a thousand open invoices 545 are under way with nothing due, 300 belong to
customers whose supply is off, 80 are too small to be cut for, 30 are of protected places, 40 are close to their cut and
held by a promise, 4 wait for a crew, and one gets its reminder tonight. The sweep runs twice: the second run finds
nothing to do. The floor is one statement that adds up what is open. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from core.customers.tables import AgencyRow
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import WEST, FixedClock
from core.notices.tables import NoticeRow
from core.services.billing import Billing, Swept

# Tuesday 24 March 2026, 04:00 in Kinshasa: the hour of the sweep.
NOW = datetime(2026, 3, 24, 3, tzinfo=UTC)
_CHUNK = 50_000
_ROUNDS = 3
_OPEN = "state = 'sent' AND paid_minor < total_minor"
FLOOR = f"SELECT count(*), sum(total_minor - paid_minor) FROM invoice WHERE {_OPEN}"


def main() -> None:
    """One line for each size and database; each size in a process of its own, so that its peak of memory is its own."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--invoices", default="10000,100000,1000000", help="Sizes, with commas.")
    ask.add_argument("--database", default="sqlite", choices=["sqlite", "postgres"])
    ask.add_argument("--url", default=None, help="An empty PostgreSQL database; one of its own where it is not given.")
    ask.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)
    given = ask.parse_args()
    with _server(given.database, given.url) as url:
        if given.one is not None:
            _measure(given.one, url)
            return
        for size in given.invoices.split(","):
            again = [sys.executable, "-m", "benchmarks.sweep", "--one", size, "--database", given.database]
            with _fresh(url) as empty:
                subprocess.run([*again, *(["--url", empty] if empty else [])], check=True)


@contextmanager
def _server(kind: str, url: str | None) -> Iterator[str | None]:
    if kind == "sqlite" or url:
        yield url
        return
    from tests.realparts import postgres_server

    with postgres_server() as server:
        if server is None:
            raise SystemExit("No PostgreSQL could be started: give --url.")
        yield server.admin_url


@contextmanager
def _fresh(url: str | None) -> Iterator[str | None]:
    if url is None:
        yield None
        return
    from tests.realparts import PostgresServer

    with PostgresServer(url, "given").new_database() as empty:
        yield empty


def _measure(size: int, url: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(url or f"sqlite:///{Path(folder) / 'bench.db'}", busy_timeout_s=20)
        metadata.create_all(db.engine)
        began = time.monotonic()
        fill(db, size)
        _say("filled", size, time.monotonic() - began, "")
        clock = FixedClock(NOW)
        billing = Billing(db, clock)
        floor = _floor(db)
        statements = _counted(db)
        first, done = _timed(billing)
        some = statements()
        second, rest = _timed(billing)
        _say("floor: one scan", size, floor, "")
        _say("night", size, first, f"{done.looked_at} evaluated, {done.steps} steps, {some} statements")
        _say("again", size, second, f"{rest.looked_at} evaluated, {rest.steps} steps, {statements()} statements")
        print(f"{size:>9} night / floor {first / floor:8.1f}   again / floor {second / floor:8.1f}")
        # ru_maxrss is in KB on Linux.
        print(f"{size:>9} peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB", flush=True)
        db.dispose()


def _timed(billing: Billing) -> tuple[float, Swept]:
    began = time.monotonic()
    made = billing.sweep()
    return time.monotonic() - began, made


def _floor(db: Database) -> float:
    """Median of a few scans of what is open: what any look at all of it costs at least."""
    took = []
    for _ in range(_ROUNDS):
        began = time.monotonic()
        with db.read() as session:
            session.execute(text(FLOOR)).one()
        took.append(time.monotonic() - began)
    return statistics.median(took)


def _counted(db: Database) -> Callable[[], int]:
    """Statements of reads since it was last asked."""
    from sqlalchemy import Engine, event

    seen = 0

    @event.listens_for(Engine, "before_cursor_execute")
    def note(*_: object) -> None:
        nonlocal seen
        seen += 1

    def since() -> int:
        nonlocal seen
        count, seen = seen, 0
        return count

    return since


def _say(what: str, size: int, wall: float, more: str) -> None:
    print(f"{size:>9} {what:<16} {wall:9.2f} s {wall / size * 1e6:8.2f} us each  {more}".rstrip(), flush=True)


def fill(db: Database, count: int) -> None:
    """Write `count` contracts, each with an open invoice and the steps that were made for it. SQL alone, in chunks."""
    place = f"'-', 'Kinshasa', '{WEST}'"
    at = "'2026-03-01 08:00:00'" if db.is_sqlite else "TIMESTAMPTZ '2026-03-01 08:00:00+00'"
    with db.begin() as session:
        session.add(
            AgencyRow(
                id=1, code="KIN", name="-", phone="-", hours="-", address="-", city="Kinshasa", time_zone=WEST
            )
        )  # fmt: skip
        session.add(
            NoticeRow(
                key="all", kind="dunning.reminder", recipient="-", language="fr", zone=WEST, body="-",
                segments=1, state="delivered", created_at=NOW, not_before=NOW, expires_at=NOW,
            )
        )  # fmt: skip
    for low in range(1, count + 1, _CHUNK):
        high = min(low + _CHUNK - 1, count)
        numbers = f"WITH RECURSIVE n(i) AS (SELECT {low} UNION ALL SELECT i + 1 FROM n WHERE i < {high})"
        with db.begin() as session:
            for into, values in _rows(place, at, sqlite=db.is_sqlite):
                session.execute(text(f"INSERT INTO {into} {numbers} SELECT {values}"))
    if not db.is_sqlite:
        with db.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")


# Of a thousand: who is due tonight, under way, cut, small, protected, promised, in a crew's hands.
_GROUP = (
    "CASE WHEN i % 1000 = 7 THEN 'due' WHEN i % 1000 < 546 THEN 'young' WHEN i % 1000 < 846 THEN 'cut'"
    " WHEN i % 1000 < 926 THEN 'small' WHEN i % 1000 < 956 THEN 'protected' WHEN i % 1000 < 996 THEN 'promised'"
    " ELSE 'crew' END"
)
_AGES = {
    "due": "3", "young": "CASE i % 4 WHEN 0 THEN 1 WHEN 1 THEN 2 WHEN 2 THEN 5 ELSE 9 END", "cut": "45",
    "small": "40", "protected": "40", "promised": "15", "crew": "40",
}  # fmt: skip
_AGE = f"CASE {_GROUP} " + " ".join(f"WHEN '{group}' THEN ({age})" for group, age in _AGES.items()) + " END"
# Step → the day from which it was made, and for whom.
_STEPS = {
    "sent": (0, "1 = 1"),
    "reminder": (3, f"{_GROUP} <> 'due'"),
    "warning": (7, f"{_GROUP} NOT IN ('small', 'protected')"),
    "announcement": (14, f"{_GROUP} = 'cut'"),
}


def _rows(place: str, at: str, *, sqlite: bool) -> Iterator[tuple[str, str]]:
    """(table and columns, what to select for each number i)."""
    account = "substr('0000000000' || i, -10)" if sqlite else "lpad(i::text, 10, '0')"
    meter = "'M' || i"

    def day(ago: str) -> str:
        return f"date('2026-03-24', '-' || ({ago}) || ' days')" if sqlite else f"(DATE '2026-03-24' - ({ago}))"

    def moment(ago: str) -> str:
        return f"{day(ago)} || ' 08:00:00.000000'" if sqlite else f"({day(ago)} + TIME '08:00') AT TIME ZONE 'UTC'"

    true, false = ("1", "0") if sqlite else ("true", "false")
    later = "'2026-04-02 08:00:00.000000'" if sqlite else "TIMESTAMPTZ '2026-04-02 08:00:00+00'"
    until = "'2027-01-01 08:00:00.000000'" if sqlite else "TIMESTAMPTZ '2027-01-01 08:00:00+00'"
    owed = f"CASE {_GROUP} WHEN 'small' THEN 300000 ELSE 2850000 END"
    yield "customer (id, name, kind, language, created_at)", f"i, 'C' || i, 'household', 'fr', {at} FROM n"
    yield (
        "site (id, agency_id, commune, address, city, time_zone, protected)",
        f"i, 1, '-', {place}, CASE {_GROUP} WHEN 'protected' THEN 'health' ELSE NULL END FROM n",
    )
    yield (
        "meter (id, site_id, control_kind, key_version, installed_on)",
        f"{meter}, i, 'mqtt_relay', 0, {day('400')} FROM n",
    )
    yield (
        "phone_link (id, phone, customer_id, role, confirmed_at, fresh_until, created_at)",
        f"i, '+24381' || {account}, i, 'holder', {at}, {until}, {at} FROM n",
    )
    yield (
        "contract (id, account_number, customer_id, site_id, meter_id, kind, currency, state, opened_on, version)",
        f"i, {account}, i, i, {meter}, 'monthly', 'CDF', 'active', {day('400')}, 0 FROM n",
    )
    yield (
        "invoice (id, number, contract_id, period, currency, total_minor, tax_minor, paid_minor, state, issued_on,"
        " sent_on, sent_at, cycle, disputed, estimated)",
        f"i, 'T-' || i, i, '2026-02', 'CDF', {owed}, 0, 0, 'sent', {day(_AGE)}, {day(_AGE)}, {moment(_AGE)}, 1,"
        f" {false}, {false} FROM n",
    )
    yield "dunning_cycle (invoice_id, cycle, started_on, cause)", f"i, 1, {day(_AGE)}, 'sent' FROM n"
    for step, (after, whom) in _STEPS.items():
        made = moment(f"({_AGE}) - {after}")
        crew = "'crew'" if step == "reminder" else "''"
        told = f"CASE {_GROUP} WHEN {crew} THEN NULL ELSE"
        yield (
            "reminder (invoice_id, cycle, step, policy_version, created_at, notice_id, leaves_at, delivered_at)",
            f"i, 1, '{step}', 1, {made}, {told} 1 END, {told} {made} END, {told} {made} END FROM n"
            f" WHERE ({_AGE}) >= {after} AND {whom}",
        )
    yield (
        'hold (contract_id, kind, from_at, until_at, "by", reason)',
        f"i, 'promise', {moment('2')}, {later}, 'bench', '' FROM n WHERE {_GROUP} = 'promised'",
    )
    yield (
        "meter_desired (meter_id, version, supply, reason, set_by, set_at)",
        f"{meter}, 1, 'off', 'nonpayment', 'bench', {at} FROM n WHERE {_GROUP} = 'cut'",
    )
    yield (
        "meter_reported (meter_id, version, supply, relay, online, session_no, at, raw)",
        f"{meter}, 1, 'off', 'open', {true}, 1, {at}, '{{}}' FROM n WHERE {_GROUP} = 'cut'",
    )


if __name__ == "__main__":
    main()
