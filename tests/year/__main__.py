"""`python -m tests.year`: a year of a utility with a thousand customers, compared with a clerk's books every week."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import structlog

from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from tests.year.utility import Year


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--customers", type=int, default=1_000)
    ask.add_argument("--days", type=int, default=365)
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--url", default=None, help="An empty database; a new SQLite file where it is not given.")
    given = ask.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        db = Database(given.url or f"sqlite:///{Path(folder) / 'year.db'}", busy_timeout_s=20)
        metadata.create_all(db.engine)
        wall, cpu = time.monotonic(), time.process_time()
        year = Year(db, FixedClock(datetime(2026, 1, 1, 1, tzinfo=UTC)), given.customers, given.seed, given.days)
        year.run(watch=_watch)
        db.dispose()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    print(f"seed {given.seed}: {given.customers} customers, {given.days} days, {wall:.1f} s, {cpu:.1f} s CPU")
    print(", ".join(f"{count} {what}" for what, count in sorted(year.counts.items())))
    print(f"{year.clerk.events} movements in the clerk's books, 0 differences")


def _watch(today: date) -> None:
    if today.day == 1:
        print(f"{today:%Y-%m} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
