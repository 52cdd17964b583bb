"""Imports: files of customers, contracts, meters and opening balances. Looked at, reported, and then taken in whole.

Nothing of a file with a bad line is taken. A file that was accepted is written in short transactions; each moves a mark
on the file's own row, so that whoever goes on after a crash goes on behind the last line that is in.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import structlog
from sqlalchemy import delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from core import outbox
from core.csv_files import BadCsv, Record, written
from core.db import Database
from core.i18n import N_
from core.imports.errors import ImportRefused
from core.imports.model import ImportView, Kind, Problem, Report, State
from core.imports.tables import ImportPieceRow, ImportRow
from core.kernel.clock import EAST, WEST, Clock, local_date
from core.kernel.errors import NotRecorded, StateConflict
from core.services.imports.looking import NOTHING_BELOW, PROBLEMS_KEPT, Found, Source, findings, look
from core.services.imports.takers import TAKERS, Origin, Taker

log = structlog.get_logger(__name__)

Audit = Callable[[Session, str, str, str, str], None]
RUN = "import.run"
# So many lines are looked at while a person waits for the page; more go through the queue.
INLINE_LINES = 2_000
# SQLite has one writer: a chunk grows and shrinks so that it holds it for less than this.
WRITE_S = 0.05
# (first, least) lines of a chunk. Money is slower than names: each line is a journal, an invoice and a notice. Of names
# a few more cost hardly more than one, and on a busy machine chunks of one would never end.
_CHUNK, _CHUNK_OF_MONEY, _CHUNK_MAX = (40, 20), (2, 1), 500
_PIECE = 400_000
# A file that nobody imported is forgotten after this; its report stays.
KEPT = timedelta(days=30)
_TRIES = 5


def _silent(_lines: int) -> None:
    """Nobody watches."""


@dataclass
class _Pace:
    """How many lines are written at a time: as many as hold SQLite's one writer for less than WRITE_S."""

    size: int
    least: int

    def next(self) -> int:
        return self.size

    def took(self, spent_s: float) -> None:
        if spent_s > WRITE_S * 0.8:
            self.size = max(self.least, self.size // 2)
        elif spent_s < WRITE_S * 0.4:
            self.size = min(_CHUNK_MAX, self.size + self.size // 4 + 1)


class Imports:
    """Owns its transactions. `by`: a staff login. `audit`: `Staff.audit`, in the caller's transaction."""

    def __init__(self, db: Database, clock: Clock, audit: Audit) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    # Looking.

    def check(self, kind: Kind, data: bytes, *, watch: Callable[[int], None] = _silent) -> Report:
        """What would come of a file. Nothing is written or kept. Raises BadCsv when it is no file of this kind."""
        return look(self._db, Source(kind, data, self._today()), self._taker(kind), watch)

    def take(self, kind: Kind, filename: str, data: bytes, *, by: str) -> int:
        """Keep a file and look at it, at once or, where it is long, by the queue. Gives the import's id.

        The same file again is looked at again. Raises BadCsv for what is no such file; ImportRefused where it was
        imported before.
        """
        source = Source(kind, data, self._today())
        if next(source.records(), None) is None:
            raise BadCsv(NOTHING_BELOW)
        long = data.count(b"\n") > INLINE_LINES
        report = None if long else look(self._db, source, self._taker(kind), _silent)
        # Before the transaction: a second of work on a large file, in which nobody else could write.
        packed, digest = zlib.compress(data, 6), hashlib.sha256(data).hexdigest()
        with self._db.begin() as session:
            import_id = self._keep(session, kind, digest, len(data), packed)
            row = session.get_one(ImportRow, import_id)
            row.filename, row.uploaded_by, row.uploaded_at = _named(filename), by[:80], self._clock.real_now()
            if report is not None:
                self._note(row, report)
            else:
                row.state = State.WAITING
                self._stage(session, import_id, "check")
            detail = f"{kind}, {row.lines} lines, {row.bad} bad" if report else f"{kind}, {len(data)} bytes"
            self._audit(session, by, "import.checked", row.filename, f"{detail}, {row.sha256[:16]}")
            self._forget_old(session)
        return import_id

    def view(self, import_id: int) -> ImportView | None:
        with self._db.read() as session:
            row = session.get(ImportRow, import_id)
            kept = session.scalar(select(exists().where(ImportPieceRow.import_id == import_id)))
            return _view(row, kept=bool(kept)) if row else None

    def all(self, *, before_id: int | None = None, limit: int = 50) -> list[ImportView]:
        """The newest first, without their problems. One statement."""
        wanted = select(ImportRow).options(defer(ImportRow.problems)).order_by(ImportRow.id.desc()).limit(limit)
        if before_id is not None:
            wanted = wanted.where(ImportRow.id < before_id)
        with self._db.read() as session:
            return [_view(row, told=False) for row in session.scalars(wanted)]

    def lines(self, import_id: int, which: str, say: Callable[[Problem], str]) -> Iterator[str]:
        """The file as CSV once more, looked at now: its `bad` lines, its `good` ones, or `all`. Bad and all have a last
        column with the reasons, which is not read when the file comes back. `say`: a problem in somebody's language."""
        row, data = self._file(import_id)
        source = Source(Kind(row.kind), data, self._today())
        return written(self._rows(source, which, say), source.file.delimiter)

    def told(self, kind: Kind, data: bytes, which: str = "bad") -> Iterator[str]:
        """`lines` of a file that is not kept, in English."""
        source = Source(kind, data, self._today())
        return written(self._rows(source, which, lambda problem: problem.sentence), source.file.delimiter)

    # Taking in.

    def accept(self, import_id: int, *, by: str, alone: bool = False) -> None:
        """Say that a file that was looked at and has no bad line goes in. It is written by `carry_on`, here or by the
        queue. Opening balances are money: who uploaded them does not import them, unless `alone`.

        Raises ImportRefused.
        """
        with self._db.begin() as session:
            row = session.get(ImportRow, import_id, with_for_update={"key_share": True}, populate_existing=True)
            if row is None:
                raise ImportRefused(N_("There is no such file."))
            if row.state in (State.APPLYING, State.DONE):
                raise ImportRefused(N_("This file is imported already. Nothing was done."))
            if row.state != State.GOOD:
                raise ImportRefused(N_("This file has bad lines, or was not looked at yet. Nothing was imported."))
            if row.kind == Kind.BALANCES and row.uploaded_by == by and not alone:
                raise ImportRefused(N_("Opening balances are money: somebody else than {who} imports them."), who=by)
            if not _has_pieces(session, import_id):
                raise ImportRefused(N_("This file was looked at too long ago. Upload it again."))
            row.state, row.accepted_by, row.accepted_at = State.APPLYING, by, self._clock.real_now()
            self._stage(session, import_id, "apply")
            self._audit(
                session, by, "import.started", row.filename, f"{row.kind}, {row.lines} lines, {row.sha256[:16]}"
            )

    def carry_on(
        self, import_id: int, *, patience_s: float = float("inf"), watch: Callable[[int], None] = _silent
    ) -> bool:
        """Do what is to be done with a file, for so long; True when nothing is left. Anybody may, at any time, also
        twice at once: a line is written once.

        A file is looked at again before its first line is written: what has become bad since stops all of it.
        """
        until = time.monotonic() + patience_s
        row, data = self._file(import_id, needed=False)
        if row.state not in (State.WAITING, State.APPLYING) or data is None:
            return True
        source, taker = Source(Kind(row.kind), data, self._today()), self._taker(Kind(row.kind))
        if row.state == State.WAITING or row.applied_to == 0:
            report = look(self._db, source, taker, _silent)
            if not self._looked(import_id, report):
                return True
        return self._write(import_id, source, taker, until, watch)

    # Inside.

    def _taker(self, kind: Kind) -> Taker:
        return TAKERS[kind](self._clock)

    def _today(self) -> date:
        return max(local_date(self._clock.now(), zone) for zone in (WEST, EAST))

    def _stage(self, session: Session, import_id: int, step: str) -> None:
        body, key = {"import_id": import_id}, f"import:{import_id}:{step}"
        outbox.stage_again(session, kind=RUN, key=key, body=body, clock=self._clock)

    def _keep(self, session: Session, kind: Kind, digest: str, size: int, packed: bytes) -> int:
        """The row of a file, and the file itself where it is not kept yet."""
        row = session.scalar(
            select(ImportRow)
            .where(ImportRow.kind == kind, ImportRow.sha256 == digest)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if row is not None and row.state in (State.APPLYING, State.DONE):
            who, on = row.accepted_by or "", f"{row.accepted_at:%d/%m/%Y}" if row.accepted_at else ""
            if row.state == State.APPLYING:
                raise ImportRefused(N_("This very file is being imported by {who}. It goes on by itself."), who=who)
            raise ImportRefused(N_("This very file was imported on {day} by {who}. Nothing was done."), day=on, who=who)
        if row is None:
            now = self._clock.real_now()
            row = ImportRow(kind=kind, sha256=digest, size=size, filename="", uploaded_by="", uploaded_at=now)
            session.add(row)
            session.flush()
        if not _has_pieces(session, row.id):
            for position, start in enumerate(range(0, len(packed), _PIECE)):
                content = packed[start : start + _PIECE]
                session.add(ImportPieceRow(import_id=row.id, position=position, content=content))
            session.flush()
        return row.id

    def _file(self, import_id: int, *, needed: bool = True) -> tuple[ImportRow, bytes]:
        with self._db.read() as session:
            row = session.get(ImportRow, import_id)
            pieces = session.scalars(
                select(ImportPieceRow.content)
                .where(ImportPieceRow.import_id == import_id)
                .order_by(ImportPieceRow.position)
            ).all()
        if row is None:
            raise ImportRefused(N_("There is no such file."))
        if not pieces and needed:
            raise ImportRefused(N_("The file itself is not kept any more; its report is."))
        return row, zlib.decompress(b"".join(pieces)) if pieces else b""

    def _rows(self, source: Source, which: str, say: Callable[[Problem], str]) -> Iterator[Sequence[str]]:
        kept = [i for i, name in enumerate(source.columns) if name]
        head = [source.file.header[i] for i in kept]
        yield head if which == "good" else [*head, "reason"]
        for record, problems in _until_broken(findings(self._db, source, self._taker(source.kind))):
            if which != "all" and bool(problems) != (which == "bad"):
                continue
            cells = [record.cells[i] if i < len(record.cells) else "" for i in kept]
            yield cells if which == "good" else [*cells, " · ".join(map(say, problems))]

    def _note(self, row: ImportRow, report: Report) -> None:
        row.lines, row.bad = report.lines, report.bad
        row.problems = [[p.line, p.column, p.value, p.text, dict(p.blanks)] for p in report.problems]
        row.fault = [report.fault[0], dict(report.fault[1])] if report.fault else None
        row.checked_at = self._clock.real_now()
        row.state = State.GOOD if report.is_clean else State.BAD

    def _looked(self, import_id: int, report: Report) -> bool:
        """Write down what a look found. True when the file goes in now."""
        with self._db.begin() as session:
            row = self._locked(session, import_id)
            if row.state not in (State.WAITING, State.APPLYING) or row.applied_to:
                return row.state == State.APPLYING
            goes_in = row.state == State.APPLYING and report.is_clean
            self._note(row, report)
            if goes_in:
                row.state = State.APPLYING
            elif row.accepted_by is not None:
                self._audit(session, row.accepted_by, "import.stopped", row.filename, f"{row.bad} lines are bad now")
                row.accepted_by = row.accepted_at = None
            return goes_in

    def _locked(self, session: Session, import_id: int) -> ImportRow:
        return session.get_one(ImportRow, import_id, with_for_update={"key_share": True}, populate_existing=True)

    def _write(self, import_id: int, source: Source, taker: Taker, until: float, watch: Callable[[int], None]) -> bool:
        pace = _Pace(*(_CHUNK_OF_MONEY if source.kind is Kind.BALANCES else _CHUNK))
        with self._db.read() as session:
            done_to = session.get_one(ImportRow, import_id).applied_to
        seen = 0
        for chunk in source.chunks(pace.next):
            seen += len(chunk)
            if chunk[-1].number <= done_to:
                continue
            began = time.monotonic()
            # Up to the mark somebody, or we in another life, wrote them; it may lie in the middle of a chunk.
            while fresh := [record for record in chunk if record.number > done_to]:
                done_to = self._patiently(import_id, source, taker, fresh, done_to)
            spent = time.monotonic() - began
            pace.took(spent)
            watch(seen)
            if self._db.is_sqlite:
                # Leave as long a gap: a writer that waits for SQLite looks only every 100 ms.
                time.sleep(min(spent, WRITE_S))
            if time.monotonic() >= until:
                return False
        self._finish(import_id)
        return True

    def _patiently(self, import_id: int, source: Source, taker: Taker, records: Sequence[Record], after: int) -> int:
        """Write some lines, waiting for a busy database; one by one where together they are refused. The new mark."""
        for attempt in range(_TRIES):
            try:
                return self._write_once(import_id, source, taker, records, after, refused=None)
            except (IntegrityError, StateConflict) as error:
                # Somebody made the same in the same moment: the next look sees it.
                if len(records) == 1 and attempt:
                    return self._write_once(import_id, source, taker, records, after, refused=str(error))
                if len(records) > 1:
                    for record in (one for one in records if one.number > after):
                        after = self._patiently(import_id, source, taker, [record], after)
                    return after
            except NotRecorded:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(0.05 * 2**attempt)
        raise NotRecorded("the database is busy")

    def _write_once(
        self,
        import_id: int,
        source: Source,
        taker: Taker,
        records: Sequence[Record],
        after: int,
        *,
        refused: str | None,
    ) -> int:
        """One transaction: these lines, and the mark behind them. Gives the mark, which another may have moved."""
        lines = [line for line in map(source.read, records) if not isinstance(line, list)]
        with self._db.begin() as session:
            row = self._locked(session, import_id)
            if row.state != State.APPLYING:
                return records[-1].number
            if row.applied_to != after:
                return row.applied_to
            if refused is not None:
                sentence = N_("It became impossible while the file was written: {why}")
                problems = [Problem(records[0].number, "", "", sentence, (("why", refused[:200]),))]
            else:
                resolved = taker.resolve(session, lines, lock=True)
                taker.write(session, resolved.ready, Origin(import_id, row.accepted_by or "system"))
                row.made += len(resolved.ready)
                problems = [source.named(problem) for problem in resolved.problems]
            if problems:
                row.left_out += len({problem.line for problem in problems})
                told = [[p.line, p.column, p.value, p.text, dict(p.blanks)] for p in problems]
                row.problems = [*row.problems, *told][:PROBLEMS_KEPT]
            row.applied_to = records[-1].number
        return records[-1].number

    def _finish(self, import_id: int) -> None:
        with self._db.begin() as session:
            row = self._locked(session, import_id)
            if row.state != State.APPLYING:
                return
            row.state, row.finished_at = State.DONE, self._clock.real_now()
            session.execute(delete(ImportPieceRow).where(ImportPieceRow.import_id == import_id))
            detail = f"{row.kind}, {row.made} made, {row.left_out} left out"
            self._audit(session, row.accepted_by or "system", "import.done", row.filename, detail)
            log.info("import.done", id=import_id, kind=row.kind, made=row.made, left_out=row.left_out)

    def _forget_old(self, session: Session) -> None:
        """Drop files that nobody imported. They hold names and phones."""
        old = select(ImportRow.id).where(
            ImportRow.uploaded_at < self._clock.real_now() - KEPT, ImportRow.state.in_((State.GOOD, State.BAD))
        )
        session.execute(
            delete(ImportPieceRow).where(ImportPieceRow.import_id.in_(old)).execution_options(synchronize_session=False)
        )


def _until_broken(found: Iterator[Found]) -> Iterator[Found]:
    """What can be read of a file; its report says where it breaks off."""
    try:
        yield from found
    except BadCsv:
        return


def _has_pieces(session: Session, import_id: int) -> bool:
    return bool(session.scalar(select(exists().where(ImportPieceRow.import_id == import_id))))


def _named(filename: str) -> str:
    """A file's own name, without where it lay and without what a terminal would obey."""
    bare = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in bare if c.isprintable()).strip()[-120:] or "file.csv"


def _view(row: ImportRow, *, kept: bool = False, told: bool = True) -> ImportView:
    problems = (
        tuple(
            Problem(line, column, value, text, tuple(blanks.items()))
            for line, column, value, text, blanks in row.problems
        )
        if told
        else ()
    )
    fault = (row.fault[0], tuple(row.fault[1].items())) if row.fault else None
    return ImportView(
        id=row.id,
        kind=Kind(row.kind),
        filename=row.filename,
        sha256=row.sha256,
        size=row.size,
        state=State(row.state),
        report=Report(Kind(row.kind), row.lines, row.bad, problems, fault),
        uploaded_by=row.uploaded_by,
        uploaded_at=row.uploaded_at,
        checked_at=row.checked_at,
        accepted_by=row.accepted_by,
        accepted_at=row.accepted_at,
        made=row.made,
        left_out=row.left_out,
        finished_at=row.finished_at,
        kept=kept,
    )
