"""`python -m benchmarks.billing_run`: drafting, validating and sending the invoices of a month, beside inserts alone.

Seven contracts in ten are for consumption with three readings, the rest flat. The first month has nothing to compare
with; the second is billed from where the first one ended, and explained. The first floor inserts the same rows in one
transaction; the second writes eight rows and commits, as often as invoices are sent. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import DeclarativeBase

from core.billing.run_tables import InvoiceMeasureRow
from core.billing.tables import InvoiceLineRow, InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import WEST, FixedClock
from core.outbox import OutboxRow
from core.readings.model import TOTAL
from core.readings.tables import ReadingRow
from core.services.billing import Billing
from core.services.billing_run import BillingRun
from core.services.tariffs import Tariffs

NOW = datetime(2026, 12, 2, 8, tzinfo=UTC)
_OPENED = date(2024, 1, 1)
_VAT = [{"code": "vat", "name": "TVA", "percent": "16"}]
_BODIES: dict[str, dict[str, Any]] = {
    "consumption": {
        "blocks": [
            {"upto_kwh": 50, "per_kwh": "70"},
            {"upto_kwh": 150, "per_kwh": "140"},
            {"per_kwh": "165"},
        ],
        "standing": "3000",
        "levies": _VAT,
    },
    "flat": {"flat": "15000", "levies": _VAT},
}
_REGISTERS = (
    (datetime(2026, 9, 30, 23, tzinfo=UTC), 0),
    (datetime(2026, 10, 31, 23, tzinfo=UTC), 90_000),
    (datetime(2026, 11, 30, 23, tzinfo=UTC), 215_000),
)


def main() -> None:
    """Print one line for each month and one for the floor."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--contracts", type=int, default=20_000)
    ask.add_argument("--sent", type=int, default=1_000, help="how many of the second month are validated and sent")
    ask.add_argument("--url", default=None, help="An empty database; a new SQLite file where it is not given.")
    given = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Database(given.url or f"sqlite:///{Path(folder) / 'bench.db'}", busy_timeout_s=20)
        metadata.create_all(db.engine)
        clock = FixedClock(NOW)
        _write(db, clock, given.contracts)
        billing = Billing(db, clock)
        runs = BillingRun(db, clock, billing)
        for period in ("2026-10", "2026-11"):
            wall, cpu = time.monotonic(), time.process_time()
            ran = runs.run(period)
            _say(f"{period}, slowest write {ran.slowest_write_s * 1000:.0f} ms", ran.made, wall, cpu)
        _floor(db)
        _send(db, billing, given.sent)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"peak memory {peak} MB")
        db.dispose()


def _say(what: str, rows: int, wall: float, cpu: float) -> None:
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    each = f"{wall / rows * 1e6:.0f} us and {cpu / rows * 1e6:.0f} us CPU each"
    print(f"{what}: {rows} invoices, {wall:.1f} s, {cpu:.1f} s CPU, {each}", flush=True)


def _floor(db: Database) -> None:
    """The rows of the second month once more, as another table's: nothing but inserts, in one transaction."""
    kept: dict[type[DeclarativeBase], list[dict[str, Any]]]
    with db.read() as session:
        kept = {
            table: [
                dict(row._mapping)
                for row in session.execute(select(cast(Table, table.__table__)).where(_second(table)))
            ]
            for table in (InvoiceRow, InvoiceLineRow, InvoiceMeasureRow)
        }
    count = len(kept[InvoiceRow])
    shift = max(row["id"] for row in kept[InvoiceRow])
    for row in kept[InvoiceRow]:
        row.update(id=row["id"] + shift, number=f"F{row['id']}", period="2026-09")
    for row in kept[InvoiceLineRow] + kept[InvoiceMeasureRow]:
        row["invoice_id"] += shift
        row.pop("id", None)
    wall, cpu = time.monotonic(), time.process_time()
    with db.begin() as session:
        for table, rows in kept.items():
            session.execute(insert(cast(Table, table.__table__)), rows)
    _say("floor: the inserts alone", count, wall, cpu)


def _send(db: Database, billing: Billing, count: int) -> None:
    """One transaction each, as a run does it: to be owed, with its notice and its paper on their way."""
    with db.read() as session:
        drafts = select(InvoiceRow.id).where(InvoiceRow.period == "2026-11", InvoiceRow.state == "draft")
        ids = session.scalars(drafts.order_by(InvoiceRow.id).limit(count)).all()
    for what, act in (("validating", billing.validate_invoice), ("sending", billing.send_invoice)):
        wall, cpu = time.monotonic(), time.process_time()
        for invoice_id in ids:
            act(invoice_id)
        _say(what, len(ids), wall, cpu)
    effects = insert(cast(Table, OutboxRow.__table__))
    wall, cpu = time.monotonic(), time.process_time()
    for invoice_id in ids:
        with db.begin() as session:
            for part in range(8):
                session.connection().execute(effects, _effect(f"floor:{invoice_id}:{part}"))
    _say("floor: eight inserts and a commit", len(ids), wall, cpu)


def _effect(key: str) -> dict[str, Any]:
    return {"kind": "notice.send", "key": key, "queue": "notices", "body": {}, "available_at": NOW, "created_at": NOW}


def _second(table: type[DeclarativeBase]) -> Any:
    ids = select(InvoiceRow.id).where(InvoiceRow.period == "2026-11")
    return InvoiceRow.period == "2026-11" if table is InvoiceRow else cast(Any, table).invoice_id.in_(ids)


def _write(db: Database, clock: FixedClock, count: int) -> None:
    tariffs = Tariffs(db, clock)
    ids = {
        kind: tariffs.add(kind, name=kind, kind=kind, currency="CDF", valid_from=_OPENED, body=body, by="bench")
        for kind, body in _BODIES.items()
    }
    numbers = range(1, count + 1)
    place = {"address": "-", "city": "Kinshasa", "time_zone": WEST}
    agency = {"id": 1, "code": "KIN", "name": "-", "phone": "-", "hours": "-", **place}
    with db.begin() as session:

        def put(table: type[DeclarativeBase], rows: Iterable[dict[str, Any]]) -> None:
            session.execute(insert(table), list(rows))

        put(AgencyRow, [agency])
        put(CustomerRow, ({"id": n, "name": f"C{n}", "created_at": NOW} for n in numbers))
        put(PhoneLinkRow, (_phone(n) for n in numbers))
        put(SiteRow, ({"id": n, "agency_id": 1, "commune": "-", **place} for n in numbers))
        put(
            MeterRow,
            ({"id": f"M{n:09d}", "site_id": n, "control_kind": "manual", "installed_on": _OPENED} for n in numbers),
        )
        put(ContractRow, (_contract(n, ids) for n in numbers))
        for at, wh in _REGISTERS:
            put(ReadingRow, (_reading(n, at, wh + n) for n in numbers if n % 10 < 7))


def _phone(number: int) -> dict[str, Any]:
    return {
        "phone": f"+2438{number:08d}",
        "customer_id": number,
        "role": "holder",
        "confirmed_at": NOW,
        "fresh_until": NOW + timedelta(days=300),
        "created_at": NOW,
    }


def _contract(number: int, tariff_ids: dict[str, int]) -> dict[str, Any]:
    kind = "consumption" if number % 10 < 7 else "flat"
    return {
        "id": number,
        "account_number": f"{number:010d}",
        "customer_id": number,
        "site_id": number,
        "meter_id": f"M{number:09d}",
        "kind": kind,
        "currency": "CDF",
        "tariff_id": tariff_ids[kind],
        "opened_on": _OPENED,
    }


def _reading(number: int, at: datetime, wh: int) -> dict[str, Any]:
    return {
        "meter_id": f"M{number:09d}",
        "register": TOTAL,
        "at": at,
        "arrived_at": at,
        "wh": wh,
        "total_wh": wh,
        "quality": 0,
        "source": "csv",
        "state": "accepted",
    }


if __name__ == "__main__":
    main()
