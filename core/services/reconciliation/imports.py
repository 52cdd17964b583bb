"""Taking reports in: files by a mapping, and what an operator's API gives. One transaction a report, then matching."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.db.engine import assert_outside_transaction
from core.i18n import N_
from core.kernel.clock import WEST, local_date
from core.kernel.errors import NotRecorded, PartnerError
from core.kernel.money import CURRENCIES
from core.payments.ports import StatementLine, Statements
from core.payments.tables import AttemptRow, PaymentRow
from core.reconciliation import mappings, queries
from core.reconciliation.errors import BadFile, BadMapping, ReconciliationRefused
from core.reconciliation.mapping import (
    TWICE_WITH_OTHER_CONTENT,
    Mapped,
    Options,
    check_columns,
    missing_columns,
    read_lines,
    short,
)
from core.reconciliation.model import Imported, ImportView, Preview, Problem, ReadLine, SavedMapping
from core.reconciliation.reading import Table, read_table
from core.reconciliation.tables import StatementImportRow, StatementLineRow, StatementMappingRow
from core.services.reconciliation.context import Context
from core.services.reconciliation.holds import held_lines
from core.services.reconciliation.matching import match, match_all

log = structlog.get_logger(__name__)

PROBLEMS_KEPT = 100
# Bound variables have a limit on both databases.
_PIECE = 500
# Lines with a transaction of their own that are settled while somebody waits for the page; `match_all` does the rest.
INLINE = 1_000
# The day before yesterday again: what an operator shows late is not missed, and what is known costs nothing. After
# days without an answer from where the reports leave off, but no further back than operators tell.
FETCHED_DAYS, FETCHED_DAYS_MAX = 2, 31
# How the source of a fetched report begins; no file's does.
_FETCHED = "API "
MATCHED_AT_ONCE = 5_000

OTHER_CONTENT = N_("The transaction {txn} was taken before, with other content.")
NOT_POSITIVE = N_("There is no amount.")


def saved_mapping(ctx: Context, wallet: str, currency: str) -> SavedMapping | None:
    """See `Reconciliation.saved_mapping`."""
    with ctx.db.read() as session:
        row = _mapping_row(session, wallet, currency)
    if row is None:
        return mappings.guess(wallet, currency)
    return SavedMapping(wallet, currency, row.columns, row.options, False, row.saved_by, row.saved_at)


def _mapping_row(session: Session, wallet: str, currency: str) -> StatementMappingRow | None:
    return session.scalar(
        select(StatementMappingRow).where(
            StatementMappingRow.wallet == wallet, StatementMappingRow.currency == currency
        )
    )


def preview(
    ctx: Context,
    wallet: str,
    currency: str,
    filename: str,
    data: bytes,
    columns: Mapping[str, str],
    options: Mapping[str, object],
    *,
    rows: int,
) -> Preview:
    """See `Reconciliation.preview`."""
    _check_target(ctx, wallet, currency)
    table = read_table(data, options, list(columns.values()))
    cells = tuple(row.cells for row in table.rows[:rows])
    try:
        check_columns(columns)
        mapped = read_lines(table, columns, Options.read(options), currency)
    except BadMapping as bad:
        problem = Problem(0, bad.text, bad.blanks)
        return Preview(table.headers, cells, (), (problem,), len(table.rows), missing_columns(table, columns))
    lines = tuple(
        ReadLine(
            number, line.kind, line.amount, line.at, line.provider_txn_id, line.payer, line.reference, line.own_ids,
            line.fee,
        )
        for number, line in list(zip(mapped.numbers, mapped.lines, strict=True))[:rows]
    )  # fmt: skip
    return Preview(table.headers, cells, lines, mapped.problems[:PROBLEMS_KEPT], len(table.rows), mapped.missing)


def import_file(
    ctx: Context,
    wallet: str,
    currency: str,
    filename: str,
    data: bytes,
    columns: Mapping[str, str],
    options: Mapping[str, object],
    by: str,
) -> Imported:
    """See `Reconciliation.import_file`."""
    _check_target(ctx, wallet, currency)
    check_columns(columns)
    how = json.dumps([currency, dict(columns), dict(options)], sort_keys=True, default=list)
    digest = hashlib.sha256(data + how.encode()).hexdigest()
    before = _import_with(ctx, wallet, digest)
    if before is None:
        table = read_table(data, options, list(columns.values()))
        mapped = _mapped(table, columns, options, currency)
        saved = StatementMappingRow(
            wallet=wallet,
            currency=currency,
            columns=dict(columns),
            options=json.loads(json.dumps(dict(options), default=list)),
            saved_by=by,
            saved_at=ctx.clock.now(),
        )
        report = _Report(wallet, _named(filename), digest, mapped, _span(mapped.lines), by, saved)
        before = _take(ctx, report)
    match_now(ctx, wallet)
    return before


def _check_target(ctx: Context, wallet: str, currency: str) -> None:
    """A name that was mistyped would book all its money again: a wallet is configured, or was used by us before."""
    if not wallet or len(wallet) > 16 or currency not in CURRENCIES:
        raise ReconciliationRefused(N_("Say which wallet and currency the report is about."))
    if wallet in ctx.wallets:
        return
    with ctx.db.read() as session:
        used = session.scalar(select(PaymentRow.id).where(PaymentRow.wallet == wallet).limit(1))
        used = used or session.scalar(select(AttemptRow.id).where(AttemptRow.wallet == wallet).limit(1))
    if used is None:
        raise ReconciliationRefused(N_("We know no wallet {wallet}."), wallet=wallet)


def _mapped(table: Table, columns: Mapping[str, str], options: Mapping[str, object], currency: str) -> Mapped:
    """A file that lacks a column we were told of is refused whole: without its kind or state a line means something
    else. Whoever knows that it does not matter takes the column out of the mapping."""
    missing = missing_columns(table, columns)
    if missing:
        names = ", ".join(columns[name] for name in missing)
        raise BadFile(N_("The file lacks these columns: {columns}"), columns=names[:200])
    return read_lines(table, columns, Options.read(options), currency)


def import_api(ctx: Context, wallet: str, start: datetime, end: datetime, by: str) -> Imported:
    """See `Reconciliation.import_api`."""
    adapter = ctx.wallets.get(wallet)
    if adapter is None or not adapter.can.statements or not isinstance(adapter, Statements):
        raise ReconciliationRefused(N_("The wallet {wallet} has no report that can be fetched."), wallet=wallet)
    assert_outside_transaction()
    fetched = list(adapter.statement(start, end))
    keyed: dict[str, StatementLine] = {}
    problems: list[Problem] = []
    for number, line in enumerate(fetched, start=1):
        if line.amount.minor <= 0:
            problems.append(Problem(number, NOT_POSITIVE))
        elif replace(keyed.setdefault(line.row_key, line), raw={}) != replace(line, raw={}):
            problems.append(Problem(number, TWICE_WITH_OTHER_CONTENT, {"txn": short(line)}))
    lines = tuple(keyed.values())
    digest = hashlib.sha256(f"{start.isoformat()} {end.isoformat()} {lines!r}".encode()).hexdigest()
    mapped = Mapped(lines, tuple(range(1, len(lines) + 1)), tuple(problems), 0, ())
    source = f"{_FETCHED}{start:%Y-%m-%d %H:%M} - {end:%Y-%m-%d %H:%M}"
    report = _Report(wallet, source, digest, mapped, (start, end), by)
    done = _import_with(ctx, wallet, digest) or _take(ctx, report)
    match_now(ctx, wallet)
    return done


def fetch_yesterday(ctx: Context, by: str) -> dict[str, Imported]:
    """See `Reconciliation.fetch_yesterday`."""
    today = local_date(ctx.clock.now(), WEST)
    end = datetime.combine(today, time(), ZoneInfo(WEST)).astimezone(UTC)
    done: dict[str, Imported] = {}
    for name, adapter in sorted(ctx.wallets.items()):
        if not adapter.can.statements:
            continue
        try:
            done[name] = import_api(ctx, name, _fetched_until(ctx, name, end), end, by)
        except PartnerError as error:
            log.warning("statement.not_fetched", wallet=name, code=error.code)
        except NotRecorded:
            log.warning("statement.not_fetched", wallet=name, code="busy")
    match_all(ctx, MATCHED_AT_ONCE)
    return done


def _fetched_until(ctx: Context, wallet: str, end: datetime) -> datetime:
    """Where the next fetch begins: two days back, or where what was fetched before has its first gap."""
    usual, oldest = end - timedelta(days=FETCHED_DAYS), end - timedelta(days=FETCHED_DAYS_MAX)
    fetched = select(StatementImportRow.covers_from, StatementImportRow.covers_until).where(
        StatementImportRow.wallet == wallet, StatementImportRow.source.startswith(_FETCHED)
    )
    with ctx.db.read() as session:
        before = session.execute(fetched.where(StatementImportRow.covers_until <= oldest).limit(1)).first()
        spans = session.execute(
            fetched.where(StatementImportRow.covers_until > oldest).order_by(StatementImportRow.covers_from)
        ).all()
    until = oldest if before is not None else None
    for start, stop in spans:
        if start is None or stop is None:
            continue
        if until is not None and start > until:
            break
        until = stop if until is None else max(until, stop)
    return usual if until is None else max(oldest, min(usual, until))


def match_now(ctx: Context, wallet: str) -> None:
    """Match what can be matched while somebody waits for the page."""
    try:
        match(ctx, wallet, INLINE)
    except NotRecorded:
        # The lines are in; the next run takes them up.
        log.warning("statement.match_later", wallet=wallet)


# -- one transaction


@dataclass(frozen=True, slots=True)
class _Report:
    """A report as it is taken in. `covers`: [from, until), None where no line of it can be read."""

    wallet: str
    source: str
    digest: str
    mapped: Mapped
    covers: tuple[datetime, datetime] | None
    by: str
    saved: StatementMappingRow | None = None


def _named(filename: str) -> str:
    name = filename[-120:] or "file"
    return f"file {name}"[:120] if name.startswith(_FETCHED) else name


def _span(lines: Sequence[StatementLine]) -> tuple[datetime, datetime] | None:
    times = [line.at for line in lines]
    return (min(times), max(times) + timedelta(microseconds=1)) if times else None


def _take(ctx: Context, report: _Report) -> Imported:
    try:
        return _write(ctx, report)
    except IntegrityError:
        # Somebody took the same report, or a line of it, at this moment: now it is known.
        return _import_with(ctx, report.wallet, report.digest) or _write(ctx, report)


def _write(ctx: Context, report: _Report) -> Imported:
    now = ctx.clock.now()
    wallet, mapped = report.wallet, report.mapped
    covers_from, covers_until = report.covers or (None, None)
    with ctx.db.begin() as session:
        queries.lock_reports(session, wallet)
        stored = _stored(session, wallet, [line.row_key for line in mapped.lines])
        problems = list(mapped.problems)
        fresh: list[StatementLine] = []
        known = 0
        for number, line in zip(mapped.numbers, mapped.lines, strict=True):
            before = stored.get(line.row_key)
            if before is None:
                fresh.append(line)
            elif before == (line.amount.minor, line.amount.currency):
                known += 1
            else:
                problems.append(Problem(number, OTHER_CONTENT, {"txn": short(line)}))
        row = StatementImportRow(
            wallet=wallet,
            source=report.source,
            digest=report.digest,
            imported_by=report.by,
            imported_at=now,
            lines_new=len(fresh),
            lines_known=known,
            lines_bad=len(problems),
            lines_skipped=mapped.skipped,
            covers_from=covers_from,
            covers_until=covers_until,
            problems=[
                {"line": p.line, "why": p.why, "blanks": dict(p.blanks)}
                for p in sorted(problems, key=lambda p: p.line)[:PROBLEMS_KEPT]
            ],
        )
        session.add(row)
        session.flush()
        for piece in _pieces(fresh):
            session.execute(insert(StatementLineRow), [_as_row(row.id, wallet, line) for line in piece])
        if report.saved is not None:
            _remember(session, report.saved)
    return _imported(row, repeated=False)


def _stored(session: Session, wallet: str, keys: Sequence[str]) -> dict[str, tuple[int, str]]:
    """row key → what is stored under it already."""
    found: dict[str, tuple[int, str]] = {}
    for piece in _pieces(keys):
        rows = session.execute(
            select(StatementLineRow.row_key, StatementLineRow.amount_minor, StatementLineRow.currency).where(
                StatementLineRow.wallet == wallet, StatementLineRow.row_key.in_(piece)
            )
        )
        found.update({key: (minor, currency) for key, minor, currency in rows})
    return found


def _pieces(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(items), _PIECE):
        yield items[at : at + _PIECE]


def _as_row(import_id: int, wallet: str, line: StatementLine) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "wallet": wallet,
        "row_key": line.row_key,
        "kind": line.kind,
        "currency": line.amount.currency,
        "amount_minor": line.amount.minor,
        "fee_minor": line.fee.minor if line.fee else None,
        "at": line.at,
        "day": local_date(line.at, WEST),
        "provider_txn_id": line.provider_txn_id,
        "original_txn_id": line.original_txn_id,
        "own_ids": list(line.own_ids),
        "payer": line.payer[:40] if line.payer else None,
        "reference": line.reference[:60] if line.reference else None,
        "raw": dict(line.raw),
        "outcome": "new",
        "note": "",
    }


def _remember(session: Session, saved: StatementMappingRow) -> None:
    row = _mapping_row(session, saved.wallet, saved.currency)
    if row is None:
        session.add(saved)
        return
    row.columns, row.options = saved.columns, saved.options
    row.saved_by, row.saved_at = saved.saved_by, saved.saved_at


def _import_with(ctx: Context, wallet: str, digest: str) -> Imported | None:
    with ctx.db.read() as session:
        row = session.scalar(
            select(StatementImportRow).where(StatementImportRow.wallet == wallet, StatementImportRow.digest == digest)
        )
    return _imported(row, repeated=True) if row else None


def _imported(row: StatementImportRow, *, repeated: bool) -> Imported:
    return Imported(
        id=row.id,
        new=row.lines_new,
        known=row.lines_known,
        bad=row.lines_bad,
        problems=_problems(row),
        skipped=row.lines_skipped,
        repeated=repeated,
    )


def _problems(row: StatementImportRow) -> tuple[Problem, ...]:
    return tuple(Problem(p["line"], p["why"], p.get("blanks") or {}) for p in row.problems)


def listed(ctx: Context, wallet: str | None, limit: int) -> Sequence[ImportView]:
    """See `Reconciliation.imports`."""
    newest = select(StatementImportRow).order_by(StatementImportRow.id.desc()).limit(limit)
    if wallet is not None:
        newest = newest.where(StatementImportRow.wallet == wallet)
    with ctx.db.read() as session:
        rows = session.scalars(newest).all()
        held = held_lines(session, [row.id for row in rows])
    return [
        ImportView(
            row.id, row.wallet, row.source, row.imported_by, row.imported_at, row.lines_new, row.lines_known,
            row.lines_bad, _problems(row), held.get(row.id, 0), row.released_by,
        )
        for row in rows
    ]  # fmt: skip
