"""A look at a whole file: every line read, looked up and told. Reads only; memory for a chunk and the keys seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any

from core.csv_files import BadCsv, CsvFile, Record, open_csv
from core.db import Database
from core.i18n import N_
from core.imports.columns import read_header
from core.imports.model import Kind, Line, Problem, Report
from core.imports.rules import read_line
from core.services.imports.takers import Taker, twice

# Lines looked up together: a handful of statements for so many.
CHUNK = 400
LINES_MAX = 200_000
PROBLEMS_KEPT = 1_000
NOTHING_BELOW = N_("There is a first line with the columns, and nothing below it.")

Found = tuple[Record, Sequence[Problem]]


class Source:
    """A file of one kind, opened: its columns by our names. Raises BadCsv."""

    def __init__(self, kind: Kind, data: bytes, today: date) -> None:
        self.kind = kind
        self.file: CsvFile = open_csv(data)
        self.columns = read_header(kind, self.file.header)
        self.today = today

    def records(self) -> Iterator[Record]:
        for count, record in enumerate(self.file.records(), start=1):
            if count > LINES_MAX:
                raise BadCsv(N_("A file has {n} lines at most. Cut it in parts."), n=str(LINES_MAX))
            yield record

    def chunks(self, size: Callable[[], int]) -> Iterator[list[Record]]:
        """`size`: how many of them next."""
        records = self.records()
        while chunk := list(islice(records, size())):
            yield chunk

    def read(self, record: Record) -> Line | list[Problem]:
        return read_line(self.kind, self.columns, record, self.today)

    def named(self, problem: Problem) -> Problem:
        """The problem with its column as this file calls it."""
        if problem.column not in self.columns:
            return problem
        header = self.file.header[self.columns.index(problem.column)]
        return Problem(problem.line, header, problem.value, problem.text, problem.blanks)


def findings(db: Database, source: Source, taker: Taker) -> Iterator[Found]:
    """Every line with what is wrong with it, in order. Raises BadCsv where the file cannot be read on."""
    seen: dict[str, int] = {}
    for chunk in source.chunks(lambda: CHUNK):
        wrong: dict[int, list[Problem]] = {record.number: [] for record in chunk}
        lines: list[Any] = []
        for record in chunk:
            read = source.read(record)
            if isinstance(read, list):
                wrong[record.number] += read
            else:
                wrong[record.number] += twice(seen, read, taker.keys(read))
                lines.append(read)
        if lines:
            with db.read() as session:
                resolved = taker.resolve(session, lines, lock=False)
            for problem in resolved.problems:
                wrong[problem.line].append(problem)
            for one in resolved.ready:
                wrong[one.line.number] += twice(seen, one.line, one.keys)
        for record in chunk:
            yield record, [source.named(problem) for problem in wrong[record.number]]


def look(db: Database, source: Source, taker: Taker, watch: Callable[[int], None]) -> Report:
    """What is wrong with a file, all of it counted, the first so many told. `watch` hears how many lines are done."""
    lines = bad = 0
    kept: list[Problem] = []
    fault: tuple[str, tuple[tuple[str, str], ...]] | None = None
    try:
        for _, problems in findings(db, source, taker):
            lines += 1
            bad += bool(problems)
            kept += problems[: max(0, PROBLEMS_KEPT - len(kept))]
            if lines % CHUNK == 0:
                watch(lines)
    except BadCsv as error:
        fault = (error.text, tuple(error.blanks.items()))
    if lines == 0 and fault is None:
        fault = (NOTHING_BELOW, ())
    watch(lines)
    return Report(source.kind, lines, bad, tuple(kept), fault)
