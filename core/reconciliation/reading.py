"""A file that an office worker got from an operator's portal, as rows of text: CSV in any usual dress, or XLSX.

Nothing in a cell is ever evaluated: a formula is its text (CSV) or the value it last had (XLSX).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

import openpyxl

from core.i18n import N_
from core.reconciliation.errors import BadFile

MAX_BYTES = 20_000_000
# What a workbook may unpack to: a small archive can hold a machine's whole memory.
MAX_UNPACKED = 200_000_000
# One transaction takes a file in, and SQLite's other writers wait for it: two seconds is what a customer's turn bears.
MAX_ROWS = 30_000
MAX_COLUMNS = 100
# No cell of a report is longer; what follows is cut, never read.
MAX_CELL = 500
# How far down the headers may stand, under logos and addresses.
HEADER_WITHIN = 50

_DELIMITERS = ",;\t|"
_ENCODINGS = ("utf-8", "cp1252")
_XLSX, _OLD_XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `line` counts from 1 as an editor or a spreadsheet does."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's headers and what stands below them; empty rows are left out."""

    headers: tuple[str, ...]
    rows: Sequence[Row]
    header_line: int


def read_table(data: bytes, options: Mapping[str, object], wanted: Sequence[str] = ()) -> Table:
    """Read a whole file. `wanted`: headers we look for, to find the row in which they stand.

    `options`: `delimiter`, `encoding`, `sheet`, `header_line`; what is missing is found out. Raises BadFile.
    """
    if not data.strip():
        raise BadFile(N_("The file is empty."))
    if len(data) > MAX_BYTES:
        raise BadFile(N_("The file is larger than {megabytes} MB."), megabytes=str(MAX_BYTES // 1_000_000))
    if data.startswith(_OLD_XLS):
        raise BadFile(N_("This is an old Excel file. Save it as XLSX or CSV."))
    source = _xlsx(data, _text(options, "sheet")) if data.startswith(_XLSX) else _csv(data, options)
    rows = [row for row in _limited(source) if any(row.cells)]
    if not rows:
        raise BadFile(N_("The file is empty."))
    at = _header_at(rows, options, wanted)
    return Table(rows[at].cells, rows[at + 1 :], rows[at].line)


def folded(header: str) -> str:
    """How two headers are compared: no case, single blanks."""
    return " ".join(header.casefold().split())


def _text(options: Mapping[str, object], name: str) -> str:
    value = options.get(name)
    return value if isinstance(value, str) else ""


def _limited(rows: Iterator[Row]) -> Iterator[Row]:
    for count, row in enumerate(rows):
        if count >= MAX_ROWS:
            raise BadFile(N_("The file has more than {rows} rows. Ask for a shorter period."), rows=str(MAX_ROWS))
        yield row


def _header_at(rows: Sequence[Row], options: Mapping[str, object], wanted: Sequence[str]) -> int:
    """The row with most of the headers we look for; without any, the first of the widest."""
    given = options.get("header_line")
    if isinstance(given, int) and given > 0:
        return next((i for i, row in enumerate(rows) if row.line == given), 0)
    names = {folded(name) for name in wanted if name}
    head = rows[:HEADER_WITHIN]
    hits = [len(names & {folded(cell) for cell in row.cells}) for row in head]
    if names and max(hits) > 0:
        return hits.index(max(hits))
    widths = [sum(1 for cell in row.cells if cell) for row in head]
    return widths.index(max(widths))


# -- CSV


def _csv(data: bytes, options: Mapping[str, object]) -> Iterator[Row]:
    text = _decoded(data, _text(options, "encoding"))
    delimiter = _text(options, "delimiter") or _delimiter(text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise BadFile(N_("The separator must be one character."))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            yield Row(reader.line_num, tuple(_cell(c) for c in cells[:MAX_COLUMNS]))
    except csv.Error as error:
        raise BadFile(N_("Line {line} cannot be read as CSV."), line=str(reader.line_num)) from error


def _decoded(data: bytes, encoding: str) -> str:
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            tries: tuple[str, ...] = (name,)
            break
    else:
        tries = (encoding,) if encoding else _ENCODINGS
    for name in tries:
        try:
            text = data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if "\x00" not in text:
            return text
    raise BadFile(N_("The file is no text in an encoding that we know (UTF-8, Windows-1252)."))


def _delimiter(text: str) -> str:
    """The separator that cuts most of the first lines into the same, largest number of columns."""
    lines = text.splitlines()[:HEADER_WITHIN]
    best, best_score = ",", 0
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(cells) for cells in csv.reader(lines, delimiter=delimiter) if len(cells) > 1)
        except csv.Error:
            continue
        score = max((width * count for width, count in widths.items()), default=0)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _cell(text: str) -> str:
    """Plain text. `="0812"` is how portals keep Excel from eating a nought; the number is meant."""
    text = text.strip().lstrip("\ufeff")
    if text.startswith('="') and text.endswith('"') and len(text) >= 3:
        text = text[2:-1]
    elif text.startswith("'") and text[1:].isdigit():
        text = text[1:]
    return text[:MAX_CELL]


# -- XLSX


def _xlsx(data: bytes, sheet: str) -> Iterator[Row]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED:
            raise BadFile(N_("The file is larger than {megabytes} MB."), megabytes=str(MAX_UNPACKED // 1_000_000))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except BadFile:
        raise
    except Exception as error:  # a stranger's archive makes the library raise nearly anything
        raise BadFile(N_("This is no workbook that can be read.")) from error
    try:
        if sheet and sheet not in book.sheetnames:
            raise BadFile(N_("The workbook has no sheet {sheet}."), sheet=sheet[:40])
        page = book[sheet] if sheet else book[book.sheetnames[0]]
        # Portals write a wrong size into their files; what is there is read all the same.
        page.reset_dimensions()
        for number, cells in enumerate(_values(page), start=1):
            yield Row(number, tuple(_plain(value) for value in cells[:MAX_COLUMNS]))
    finally:
        book.close()


def _values(page: object) -> Iterator[tuple[object, ...]]:
    rows = page.iter_rows(values_only=True)  # type: ignore[attr-defined]
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except Exception as error:  # as above: the rows are read one by one
            raise BadFile(N_("This is no workbook that can be read.")) from error
        yield cells


def _plain(value: object) -> str:
    """A cell's value as it would stand in a CSV: numbers with a point, moments as ISO."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case float():
            number = Decimal(repr(value))
            return str(int(number)) if number == number.to_integral_value() else format(number, "f")
        case datetime() | date() | time():
            return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        case _:
            return _cell(str(value))
