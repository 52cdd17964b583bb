"""Readings: what meters, files and callers bring, and what a person decides about those nobody believes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy.orm import Session

from core.db import Database
from core.i18n import N_
from core.kernel.clock import Clock
from core.kernel.errors import StateConflict
from core.readings import csv_file, queries, rules
from core.readings.errors import UnknownReading
from core.readings.model import (
    EDITED,
    ESTIMATED,
    TOTAL,
    BadLine,
    Expected,
    HeldView,
    Imported,
    Judged,
    Known,
    Point,
    ReadingView,
    Taken,
)
from core.readings.tables import ReadingRow, RegisterRow

log = structlog.get_logger(__name__)

# Lines of a file written at a time: some ten milliseconds on SQLite, where everybody waits for the one writer.
CHUNK = 40
BAD_LINES_KEPT = 1_000
_GAP_MAX_S = 0.05


class _DryRun(Exception):
    """Inside this module: leaves a transaction without writing it."""


class Readings:
    """Owns its transactions. `by` is a staff login or the name of an API token."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def take(
        self, meter_id: str, points: Sequence[Point], *, source: str, register: str = TOTAL, by: str | None = None
    ) -> Taken:
        """Write down what a register said, in one transaction. The same points again change nothing.

        What cannot be believed is kept and held for a person (`held`), and is neither billed nor cut for. Raises
        StateConflict for a moment that no clock says (before 1970, after 2199): nothing is taken.
        """
        if not all(rules.MOMENTS[0] <= point.at < rules.MOMENTS[1] for point in points):
            raise StateConflict("no reading is of before 1970 or after 2199")
        with self._db.begin() as session:
            return self._take(session, meter_id, register, points, source=source, by=by)

    def import_csv(self, content: str | bytes, *, by: str, dry_run: bool = False) -> Imported:
        """Take a file of readings; bad lines are told by number and reason, the others are taken.

        The same file again changes nothing, so a mended one may be given whole. Raises BadFile.
        """
        done, count, bad = Taken(), 0, 0
        kept: list[BadLine] = []
        lines = csv_file.lines(content)
        while chunk := list(islice(lines, CHUNK)):
            count += len(chunk)
            result, wrong = self._import_chunk(chunk, by=by, dry_run=dry_run)
            done += result
            bad += len(wrong)
            kept += wrong[: BAD_LINES_KEPT - len(kept)]
        log.info("readings.imported", by=by, lines=count, bad=bad, dry_run=dry_run)
        return Imported(count, done, bad, tuple(kept))

    def set_modulus(self, meter_id: str, modulus_wh: int, *, register: str = TOTAL) -> None:
        """Say where a register begins again at nothing (100 000 000 Wh for one that ends at 99 999,9 kWh)."""
        with self._db.begin() as session:
            if not queries.lock_meter(session, meter_id):
                raise UnknownReading(N_("There is no meter {meter}."), meter=meter_id)
            row = session.get(RegisterRow, (meter_id, register))
            if row is None:
                session.add(RegisterRow(meter_id=meter_id, register=register, modulus_wh=modulus_wh))
            else:
                row.modulus_wh = modulus_wh

    # What a person decides.

    def held(
        self, *, after_id: int = 0, limit: int = 100, meter_id: str | None = None, doubt: str | None = None
    ) -> list[HeldView]:
        """Readings that wait for a person, the oldest first. `meter_id`, `doubt`: only those."""
        with self._db.read() as session:
            return queries.held(session, after_id=after_id, limit=limit, meter_id=meter_id, doubt=doubt)

    def held_counts(self) -> dict[str, int]:
        """Why readings wait → how many."""
        with self._db.read() as session:
            return queries.held_counts(session)

    def one(self, reading_id: int) -> tuple[ReadingView, Expected] | None:
        """A reading, and what it was measured against. None: there is no such reading."""
        with self._db.read() as session:
            seen = queries.one(session, reading_id)
            if seen is None:
                return None
            place = (session, seen.meter_id, seen.register, seen.at)
            before, after = queries.before(*place), queries.after(*place)
            highest = rules.highest_day(queries.days_before(*place))
            used = None if before is None else seen.wh - before.wh
            most = None if before is None else rules.jump_limit(seen.at - before.at, highest)
            return seen, Expected(before, after, used, highest, most)

    def of_meter(
        self, meter_id: str, *, register: str | None = None, before: datetime | None = None, limit: int = 50
    ) -> list[ReadingView]:
        """Readings of a meter, the newest first."""
        with self._db.read() as session:
            return queries.of_meter(session, meter_id, register=register, before_at=before, limit=limit)

    def accept(self, reading_id: int, *, by: str, reason: str) -> None:
        """Believe a held reading. One that went back starts its register anew: nothing is billed for the step itself.

        Those after it that are believable now are taken too. Raises UnknownReading, or StateConflict's words when
        another accepted reading says the contrary.
        """
        with self._db.begin() as session:
            row = self._locked(session, reading_id)
            if row.state != "held":
                raise UnknownReading(N_("Somebody has decided about this reading already."))
            row.total_wh = self._settled(session, row, row.wh)
            self._decide(row, "accepted", by, reason)
            session.flush()
            self._judge_again(session, row.meter_id, row.register)

    def reject(self, reading_id: int, *, by: str, reason: str) -> None:
        """Believe it not: it stays to be seen, and counts for nothing."""
        with self._db.begin() as session:
            row = self._locked(session, reading_id)
            if row.state == "rejected":
                raise UnknownReading(N_("Somebody has decided about this reading already."))
            self._decide(row, "rejected", by, reason)
            session.flush()
            self._judge_again(session, row.meter_id, row.register)

    def correct(self, reading_id: int, wh: int, *, by: str, reason: str) -> None:
        """Write what the register really said. What it said before stays on the row, with who changed it and why."""
        with self._db.begin() as session:
            row = self._locked(session, reading_id)
            total = self._settled(session, row, wh)
            row.said_wh = row.wh if row.said_wh is None else row.said_wh
            row.wh, row.total_wh, row.quality = wh, total, EDITED
            self._decide(row, "accepted", by, reason)
            session.flush()
            self._judge_again(session, row.meter_id, row.register)

    # Inside.

    def _take(
        self,
        session: Session,
        meter_id: str,
        register: str,
        points: Sequence[Point],
        *,
        source: str,
        by: str | None,
    ) -> Taken:
        if not queries.lock_meter(session, meter_id):
            return Taken(unknown=len(points))
        there = queries.at_moments(session, meter_id, register, [point.at for point in points])
        fresh = {point.at: point for point in points if point.at not in there}
        for point in points:
            if point.at in there and there[point.at].wh != point.wh and there[point.at].said_wh != point.wh:
                log.warning("readings.differs", meter=meter_id, at=point.at.isoformat(), said=point.wh)
        held = 0
        judge = _Judge(session, meter_id, register, self._clock.now())
        for point in sorted(fresh.values(), key=lambda one: one.at):
            judged = judge.of(point)
            held += judged.doubt is not None
            session.add(
                ReadingRow(
                    meter_id=meter_id,
                    register=register,
                    at=point.at,
                    arrived_at=self._clock.now(),
                    wh=point.wh,
                    total_wh=judged.total_wh,
                    quality=point.quality,
                    source=source,
                    state="held" if judged.doubt else "accepted",
                    doubt=judged.doubt,
                    by=by,
                )
            )
        session.flush()
        return Taken(taken=len(fresh) - held, held=held, repeated=len(points) - len(fresh))

    def _import_chunk(
        self, chunk: Sequence[csv_file.FileLine | BadLine], *, by: str, dry_run: bool
    ) -> tuple[Taken, list[BadLine]]:
        wrong = [line for line in chunk if isinstance(line, BadLine)]
        good = [line for line in chunk if isinstance(line, csv_file.FileLine)]
        with self._db.read() as session:
            meters = queries.meters_of_accounts(session, {line.account for line in good if line.account})
            named = {line.number: line.meter or meters.get(line.account, "") for line in good}
            zones = queries.zones_of(session, set(named.values()))
        batches: dict[tuple[str, str], list[Point]] = defaultdict(list)
        for line in good:
            meter_id = named[line.number]
            if meter_id not in zones:
                wrong.append(
                    BadLine(
                        line.number, N_("nobody knows meter or account {name}"), {"name": line.meter or line.account}
                    )
                )
                continue
            point = Point(line.moment(zones[meter_id]), line.wh, line.quality)
            batches[meter_id, line.register].append(point)
        wrong.sort(key=lambda line: line.number)
        return self._write(batches, by=by, dry_run=dry_run), wrong

    def _write(self, batches: dict[tuple[str, str], list[Point]], *, by: str, dry_run: bool) -> Taken:
        done = Taken()
        began = time.monotonic()
        try:
            with self._db.begin() as session:
                # In the order of meters, so that two files never wait for each other in a circle.
                for (meter_id, register), points in sorted(batches.items()):
                    done += self._take(session, meter_id, register, points, source="csv", by=by)
                if dry_run:
                    raise _DryRun
        except _DryRun:
            pass
        if self._db.is_sqlite:
            # Leave as long a gap: a writer that waits for SQLite looks only every 100 ms.
            time.sleep(min(time.monotonic() - began, _GAP_MAX_S))
        return done

    def _judge_again(self, session: Session, meter_id: str, register: str) -> None:
        """After a decision, what was held only because of it is taken. Held by a rule, taken by the same rule."""
        judge = _Judge(session, meter_id, register, self._clock.now(), in_order=False)
        for row in queries.held_rows(session, meter_id, register):
            judged = judge.of(Point(row.at, row.wh, row.quality))
            row.total_wh, row.doubt = judged.total_wh, judged.doubt
            if judged.doubt is None:
                row.state = "accepted"
            session.flush()

    def _settled(self, session: Session, row: ReadingRow, wh: int) -> int:
        """The total of a reading that a person vouches for. Raises UnknownReading when others speak against it."""
        if row.at > self._clock.now() + rules.CLOCK_OFF:
            raise UnknownReading(N_("This reading is of a time that has not come."))
        before = queries.before(session, row.meter_id, row.register, row.at)
        after = queries.after(session, row.meter_id, row.register, row.at)
        total = wh if before is None else before.total_wh + max(0, wh - before.wh)
        if after is not None and total > after.total_wh:
            raise UnknownReading(
                N_("A reading of {date}, after it, says less: reject that one first."), date=f"{after.at:%d/%m/%Y}"
            )
        return total

    def _locked(self, session: Session, reading_id: int) -> ReadingRow:
        meter_id = queries.meter_of(session, reading_id)
        if meter_id is None:
            raise UnknownReading(N_("There is no such reading."))
        queries.lock_meter(session, meter_id)
        return session.get_one(ReadingRow, reading_id, populate_existing=True)

    @staticmethod
    def _decide(row: ReadingRow, state: str, by: str, reason: str) -> None:
        row.state, row.by, row.reason = state, by[:80], reason[:200]
        if state == "accepted":
            row.doubt = None


class _Judge:
    """Judges points of one register, the oldest first, each by those accepted before it."""

    def __init__(self, session: Session, meter_id: str, register: str, now: datetime, *, in_order: bool = True) -> None:
        self._session = session
        self._meter_id = meter_id
        self._register = register
        self._now = now
        self._modulus = queries.modulus_of(session, meter_id, register)
        self._newest = queries.newest(session, meter_id, register) if in_order else None
        self._in_order = in_order
        self._highest: int | None = None
        self._looked = False

    def of(self, point: Point) -> Judged:
        before, after = self._around(point.at)
        judged = rules.judge(
            point,
            arrived_at=self._now,
            before=before,
            after=after,
            highest_day_wh=self._highest_day(point.at),
            modulus_wh=self._modulus,
        )
        if judged.doubt is None and point.quality != ESTIMATED:
            known = Known(point.at, point.wh, judged.total_wh)
            if before is not None and point.at - before.at >= timedelta(days=1):
                # A file of a year brings its own history.
                self._highest = max(self._highest or 0, rules.highest_day((before, known)) or 0)
            if self._in_order:
                self._newest = known
        return judged

    def _around(self, at: datetime) -> tuple[Known | None, Known | None]:
        """What is accepted around a moment. Points come in order nearly always: then nothing need be looked up."""
        if self._in_order and (self._newest is None or self._newest.at < at):
            return self._newest, None
        self._in_order = False
        self._session.flush()
        place = (self._session, self._meter_id, self._register, at)
        return queries.before(*place), queries.after(*place)

    def _highest_day(self, at: datetime) -> int | None:
        """Of the ninety days before the first point; a batch is of hours or days, not of months."""
        if not self._looked:
            self._looked = True
            days = queries.days_before(self._session, self._meter_id, self._register, at)
            self._highest = rules.highest_day(days)
        return self._highest
