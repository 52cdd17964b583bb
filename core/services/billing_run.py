"""The billing run: every contract of a month, once, in short transactions, whoever else runs at the same time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import run_queries as queries
from core.billing.run_model import BadPeriod, LeftOut, Month, Planned, Previous, Registers, Subject, midnight
from core.billing.run_rules import plan
from core.billing.tables import BillingRunRow
from core.billing.tariff_queries import versions
from core.customers.tables import AgencyRow, ContractRow
from core.db import Database
from core.kernel.clock import EAST, WEST, Clock, local_date
from core.kernel.errors import NotRecorded, StateConflict
from core.kernel.money import Money
from core.readings import queries as readings
from core.services.billing import Billing

log = structlog.get_logger(__name__)
T = TypeVar("T")

# SQLite has one writer, and a customer at a phone waits 2 s for it: a chunk is to take less than this.
WRITE_S = 0.05
_CHUNK_FIRST, _CHUNK_MIN, _CHUNK_MAX = 60, 40, 400
_PAUSES_S = (0.1, 0.5, 2.0)
# How far back an estimate looks.
_HISTORY = timedelta(days=120)
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: contracts (or invoices) looked at, of how many there were to look at when it began.

    `moved`: how many were drafted, validated or sent; `after`: the last one looked at.
    """

    done: int
    of: int
    moved: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did, or (`dry`) would do. `totals`: per currency; `left_out`: reason → how many.

    `slowest_write_s`: the longest that it kept SQLite's one writer. `planned`: of a dry run, the first few. `ended`
    False: it stopped after the part that was asked for.
    """

    period: str
    dry: bool
    looked_at: int = 0
    made: int = 0
    totals: tuple[Money, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()
    slowest_write_s: float = 0.0
    planned: tuple[Planned, ...] = ()
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """Invoices that went one state further, and those that did not: (invoice id, why). `ended`: as in `Ran`."""

    moved: int
    refused: tuple[tuple[int, str], ...] = ()
    ended: bool = True


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run: it goes on after a contract or invoice, and stops where `enough` says so.

    `run_id`: the run whose drafts these are; None begins one.
    """

    run_id: int | None = None
    after: int = 0
    enough: Callable[[], bool] = _never


WHOLE = Part()


@dataclass
class _Tally:
    made: int = 0
    looked_at: int = 0
    minor: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    first: list[Planned] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Scope:
    month: Month
    agency_id: int | None
    contract_id: int | None


def _silent(_progress: Progress) -> None:
    """Nobody watches."""


class BillingRun:
    """Owns its transactions. May be stopped at any moment and started again, and run twice at once: a contract gets
    one invoice a month."""

    def __init__(self, db: Database, clock: Clock, billing: Billing) -> None:
        self._db = db
        self._clock = clock
        self._billing = billing

    def run(
        self,
        period: str,
        *,
        agency: str | None = None,
        account: str | None = None,
        dry_run: bool = False,
        by: str = "system",
        watch: Callable[[Progress], None] = _silent,
        part: Part = WHOLE,
    ) -> Ran:
        """Draft an invoice for every contract that has none for `period` (`2026-11`), of one agency or of all.

        `account`: one contract only; one whose invoice was cancelled is billed anew. What cannot be billed is left out
        and listed with its reason. Raises BadPeriod for a month that has not begun, StateConflict for a code or number
        that nobody has.
        """
        scope = self._scope(period, agency, account)
        with self._db.read() as session:
            wanted = queries.unbilled(scope.month, agency_id=scope.agency_id, contract_id=scope.contract_id)
            of = queries.count(session, wanted)
            tariffs = versions(session)
        run_id = 0 if dry_run else part.run_id or self._begin(scope, by)
        tally, after, chunk, ended = _Tally(), part.after, _CHUNK_FIRST, True
        while True:
            with self._db.read() as session:
                subjects = self._subjects(session, scope, after, chunk)
            if not subjects:
                break
            after = subjects[-1].contract_id
            results = [plan(one, scope.month, tariffs, over=self._is_over(scope.month, one.zone)) for one in subjects]
            if dry_run:
                _count(tally, results)
            else:
                chunk = self._write(scope.month, run_id, results, tally, chunk)
            tally.looked_at += len(subjects)
            watch(Progress(tally.looked_at, max(of, tally.looked_at), tally.made, after))
            if part.enough():
                ended = False
                break
        if not dry_run:
            self._add_up(scope.month, run_id, tally, ended=ended)
        return Ran(
            period=scope.month.text,
            dry=dry_run,
            looked_at=tally.looked_at,
            made=tally.made,
            totals=tuple(Money(minor, currency) for currency, minor in sorted(tally.minor.items())),
            left_out=tuple(sorted(tally.reasons.items())),
            slowest_write_s=tally.slowest_s,
            planned=tuple(tally.first) if dry_run else (),
            ended=ended,
        )

    def check(self, period: str) -> None:
        """Raises BadPeriod for what is no month, or one that has not begun."""
        self._scope(period, None, None)

    def begin(self, period: str, *, agency: str | None = None, by: str) -> int:
        """Write down that a run begins, for one that is made in parts; its id. Raises as `run` does."""
        return self._begin(self._scope(period, agency, None), by)

    def validate_all(
        self,
        period: str,
        *,
        agency: str | None = None,
        account: str | None = None,
        watch: Callable[[Progress], None] = _silent,
        part: Part = WHOLE,
    ) -> Moved:
        """Validate the drafts that runs made for a month, one transaction each: each gets its number."""
        return self._move(self._scope(period, agency, account), "draft", self._validate, watch, part)

    def send_all(
        self,
        period: str,
        *,
        agency: str | None = None,
        account: str | None = None,
        by: str = "system",
        watch: Callable[[Progress], None] = _silent,
        part: Part = WHOLE,
    ) -> Moved:
        """Send the validated invoices that runs made for a month, one transaction each; credit is used first."""

        def send(invoice_id: int) -> None:
            self._billing.send_invoice(invoice_id, by=by)

        return self._move(self._scope(period, agency, account), "validated", send, watch, part)

    def left_out(self, period: str, *, after: int = 0, limit: int = 100) -> list[tuple[LeftOut, str, str]]:
        """(who could not be billed and why, account number, customer). What a person works through."""
        with self._db.read() as session:
            return queries.left_out(session, Month.read(period), after=after, limit=limit)

    # Inside.

    def _scope(self, period: str, agency: str | None, account: str | None) -> _Scope:
        month = Month.read(period)
        if month.first > max(local_date(self._clock.now(), zone) for zone in (WEST, EAST)):
            raise BadPeriod(f"{month.text} has not begun")
        agency_id = contract_id = None
        with self._db.read() as session:
            if agency is not None:
                agency_id = session.scalar(select(AgencyRow.id).where(AgencyRow.code == agency))
                if agency_id is None:
                    raise StateConflict(f"there is no agency {agency}")
            if account is not None:
                contract_id = session.scalar(select(ContractRow.id).where(ContractRow.account_number == account))
                if contract_id is None:
                    raise StateConflict(f"there is no account {account}")
        return _Scope(month, agency_id, contract_id)

    def _is_over(self, month: Month, zone: str) -> bool:
        return local_date(self._clock.now(), zone) >= month.after

    def _subjects(self, session: Session, scope: _Scope, after: int, limit: int) -> list[Subject]:
        """The next contracts with their past and their registers. At most fifteen statements, whatever `limit`."""
        wanted = queries.unbilled(scope.month, agency_id=scope.agency_id, contract_id=scope.contract_id)
        found = queries.page(session, wanted, after=after, limit=limit)
        ids = [one.contract_id for one in found]
        past = queries.previous(session, ids, scope.month) if ids else {}
        later = queries.billed_from(session, ids, scope.month) if ids else {}
        metered = [one for one in found if one.kind == "consumption" and one.meter_id is not None]
        registers = _registers(session, metered, scope.month)
        return [
            replace(
                one,
                previous=before if isinstance(before, Previous) else None,
                by_hand=before if isinstance(before, Month) else None,
                registers=registers.get(one.meter_id or "", Registers()),
                billed_from=later.get(one.contract_id),
            )
            for one in found
            for before in (past.get(one.contract_id),)
        ]

    def _begin(self, scope: _Scope, by: str) -> int:
        with self._db.begin() as session:
            row = BillingRunRow(
                period=scope.month.text, agency_id=scope.agency_id, started_at=self._clock.now(), started_by=by[:80]
            )
            session.add(row)
            session.flush()
            return row.id

    def _add_up(self, month: Month, run_id: int, tally: _Tally, *, ended: bool) -> None:
        with self._db.begin() as session:
            row = session.get_one(BillingRunRow, run_id)
            # As the tables have it: a part that was killed could not tell.
            row.made, row.left_out = queries.made_by(session, run_id), queries.left_out_by(session, month, run_id)
            if ended:
                row.finished_at = self._clock.now()
        log.info("billing.ran", run=run_id, made=tally.made, left_out=dict(tally.reasons), ended=ended)

    def _write(self, month: Month, run_id: int, results: Sequence[Planned | LeftOut], tally: _Tally, chunk: int) -> int:
        """Write one chunk; how large the next one should be, so that it holds the writer for less than WRITE_S."""
        began = time.monotonic()
        fresh, spent = _patiently(lambda: self._write_once(month, run_id, results))
        tally.slowest_s = max(tally.slowest_s, spent)
        _count(tally, fresh)
        self._leave_a_gap(time.monotonic() - began)
        if spent > WRITE_S * 0.8:
            return max(_CHUNK_MIN, chunk // 2)
        return min(_CHUNK_MAX, chunk + chunk // 4 + 1) if spent < WRITE_S * 0.4 else chunk

    def _write_once(
        self, month: Month, run_id: int, results: Sequence[Planned | LeftOut]
    ) -> tuple[list[Planned | LeftOut], float]:
        """One transaction: (what nobody else had done meanwhile, for how many seconds the writer was held)."""
        issued_on = local_date(self._clock.now(), WEST)
        with self._db.begin() as session:
            # One at a time writes months; what the other wrote meanwhile is seen below.
            queries.lock_months(session)
            held_from = time.monotonic()
            already = queries.billed_already(session, [_contract_of(one) for one in results], month)
            fresh = [one for one in results if _contract_of(one) not in already]
            overtaken = queries.overtaken(session, [one for one in fresh if isinstance(one, Planned)])
            fresh = [one for one in fresh if _contract_of(one) not in overtaken]
            planned = [one for one in fresh if isinstance(one, Planned)]
            queries.write(session, planned, month, run_id=run_id, issued_on=issued_on)
            queries.note_left_out(
                session,
                [one for one in fresh if isinstance(one, LeftOut)],
                [*already, *(_contract_of(one) for one in planned)],
                month,
                run_id=run_id,
            )
        return fresh, time.monotonic() - held_from

    def _move(
        self, scope: _Scope, state: str, act: Callable[[int], object], watch: Callable[[Progress], None], part: Part
    ) -> Moved:
        moved, refused, after, seen = 0, list[tuple[int, str]](), part.after, 0
        with self._db.read() as session:
            of = queries.count_in_state(
                session, scope.month, state, agency_id=scope.agency_id, contract_id=scope.contract_id
            )
        while True:
            with self._db.read() as session:
                ids = queries.in_state(
                    session,
                    scope.month,
                    state,
                    agency_id=scope.agency_id,
                    contract_id=scope.contract_id,
                    after=after,
                    limit=_CHUNK_MAX,
                )
            for invoice_id in ids:
                began = time.monotonic()
                try:
                    _patiently(partial(act, invoice_id))
                    moved += 1
                except StateConflict as error:
                    # Another run took it, or its contract was closed: the others go on.
                    refused.append((invoice_id, str(error)))
                self._leave_a_gap(time.monotonic() - began)
                seen += 1
                watch(Progress(seen, max(of, seen), moved, invoice_id))
                if part.enough():
                    return Moved(moved, tuple(refused), ended=False)
            if not ids:
                return Moved(moved, tuple(refused))
            after = ids[-1]

    def _validate(self, invoice_id: int) -> None:
        self._billing.validate_invoice(invoice_id)

    def _leave_a_gap(self, spent_s: float) -> None:
        """Where all writers share one turn, leave as much time as was taken: a writer that waits for SQLite looks only
        every 100 ms, and back-to-back writes would keep the phones waiting for more than their 2 s."""
        if self._db.is_sqlite:
            time.sleep(min(spent_s, WRITE_S))


def _registers(session: Session, subjects: Sequence[Subject], month: Month) -> dict[str, Registers]:
    """meter → what its register said around a month. Statements: six for each time zone, and one."""
    if not subjects:
        return {}
    zones = {one.meter_id or "": one.zone for one in subjects}
    opened = {one.meter_id or "": one.opened_on for one in subjects}
    starts = {meter: midnight(month.first, zone) for meter, zone in zones.items()}
    ends = {meter: midnight(month.after, zone) for meter, zone in zones.items()}
    late = {meter: midnight(opened[meter], zone) for meter, zone in zones.items() if opened[meter] > month.first}
    history: dict[str, datetime] = {meter: end - _HISTORY for meter, end in ends.items()}
    opening, closing = readings.last_until(session, starts), readings.last_until(session, ends)
    first = readings.first_since(session, {**starts, **late})
    oldest = readings.first_since(session, history)
    held = readings.with_held(session, zones, until=max(ends.values()))
    return {
        meter: Registers(opening.get(meter), first.get(meter), closing.get(meter), oldest.get(meter), meter in held)
        for meter in zones
    }


def _patiently(act: Callable[[], T]) -> T:
    """A busy database has recorded nothing: a run waits for it, a little longer each time. Raises NotRecorded."""
    for pause_s in _PAUSES_S:
        try:
            return act()
        except NotRecorded:
            time.sleep(pause_s)
    return act()


def _contract_of(result: Planned | LeftOut) -> int:
    return result.subject.contract_id if isinstance(result, Planned) else result.contract_id


def _count(tally: _Tally, results: Sequence[Planned | LeftOut]) -> None:
    for one in results:
        if isinstance(one, LeftOut):
            tally.reasons[one.reason] += 1
            continue
        tally.made += 1
        tally.minor[one.subject.currency] += one.total_minor
        if len(tally.first) < _SHOWN:
            tally.first.append(one)
