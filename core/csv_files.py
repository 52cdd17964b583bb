"""CSV that people bring, and cells that people get: one reader for every kind of file, one defence for every export.

A file may be UTF-8 with or without its mark, UTF-16 with one, or Windows-1252; its cells are parted by commas,
semicolons or tabs. Nothing in a cell is ever evaluated. What is wrong with a file as a whole is one sentence.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.i18n import N_
from core.kernel.errors import CustomerError

MAX_BYTES = 25_000_000
_DELIMITERS = ",;\t"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# No text has these; a picture, a program or a damaged disk does. Tab, line feed, form feed and return are text.
_NO_TEXT = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f]")
# A first line by which some spreadsheets say how their cells are parted.
_SAYS_SEPARATOR = re.compile(r"sep=(.)\r?\n?")

# A cell that begins like this is a formula to a spreadsheet. Source: OWASP, CSV injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class BadCsv(CustomerError):
    """Nothing of the file was taken. `text` is a whole sentence; as a string it has its blanks filled."""

    def __str__(self) -> str:
        return self.text.format(**self.blanks)


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a file. `number`: where it begins, counted from 1 as an editor does; a cell may hold line breaks."""

    number: int
    cells: tuple[str, ...]


class CsvFile:
    """A file that can be read as CSV: its header, and its records as often as they are asked for. Bytes are decoded as
    they are read, so that a large file costs its own size and no more. Built by `open_csv`."""

    def __init__(self, data: bytes, encoding: str, delimiter: str, *, skip: int) -> None:
        self._data = data
        self._encoding = encoding
        self._skip = skip
        self.delimiter = delimiter
        first = next(self._all(), None)
        self.header: tuple[str, ...] = first.cells if first else ()
        self._header_line = first.number if first else 0

    def records(self) -> Iterator[Record]:
        """Everything below the header; empty lines are left out. Raises BadCsv where quotation marks are broken."""
        return (record for record in self._all() if record.number != self._header_line)

    def _all(self) -> Iterator[Record]:
        text = io.TextIOWrapper(io.BytesIO(self._data), encoding=self._encoding, newline="")
        for _ in range(self._skip):
            text.readline()
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        begins = 1 + self._skip
        try:
            for cells in reader:
                record = Record(begins, tuple(plain(cell) for cell in cells))
                begins = reader.line_num + 1 + self._skip
                if any(record.cells):
                    yield record
        except csv.Error as error:
            raise BadCsv(
                N_("Line {line}: a quotation mark is not closed, or stands in the middle of a cell."), line=str(begins)
            ) from error


def open_csv(data: bytes) -> CsvFile:
    """Find out how a file is written. Raises BadCsv for what is empty, too large, or no text."""
    if not data.strip(b" \t\r\n\0\xef\xbb\xbf"):
        raise BadCsv(N_("The file is empty."))
    if len(data) > MAX_BYTES:
        raise too_large()
    encoding = _encoding(data)
    start = io.TextIOWrapper(io.BytesIO(data[:200_000]), encoding=encoding, errors="replace", newline="")
    first = start.readline()
    said = _SAYS_SEPARATOR.fullmatch(first)
    if said:
        return CsvFile(data, encoding, said[1], skip=1)
    while first and not first.strip():
        first = start.readline()
    return CsvFile(data, encoding, _delimiter(first), skip=0)


def too_large() -> BadCsv:
    """What is said of a file above the limit."""
    return BadCsv(N_("The file is larger than {n} MB. Cut it in parts."), n=str(MAX_BYTES // 1_000_000))


def plain(cell: str) -> str:
    """What a cell says, without what spreadsheets and our own exports put around it: blanks, an apostrophe before what
    looks like a formula, `="0812"`."""
    text = cell.replace("\u00a0", " ").replace("\u202f", " ").strip().lstrip("\ufeff")
    if text.startswith('="') and text.endswith('"') and len(text) >= 3:
        return text[2:-1].strip()
    if text.startswith("'") and (text[1:].lstrip().startswith(_FORMULA) or text[1:].isdigit()):
        return text[1:].strip()
    return text


def plain_cell(value: object) -> str:
    """`value` as text that stays text: an apostrophe before what would be read as a formula."""
    text = "" if value is None else str(value)
    text = "".join(c for c in text if c in "\t\n\r" or c >= " ")
    if text.lstrip(" \u00a0").startswith(_FORMULA):
        return "'" + text
    return text


def written(rows: Iterable[Sequence[object]], delimiter: str = ";") -> Iterator[str]:
    """Rows as the lines of a CSV, each cell defused and quoted."""
    for row in rows:
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(
            [plain_cell(value) for value in row]
        )
        yield out.getvalue()


def _encoding(data: bytes) -> str:
    if data.startswith(_WORKBOOKS):
        raise BadCsv(N_("This is a workbook. Save it as CSV (UTF-8) and give that file."))
    named = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")
    if named == "utf-16":
        return _checked(data, named)
    at = data.find(b"\0")
    if at >= 0:
        line = str(data.count(b"\n", 0, at) + 1)
        raise BadCsv(N_("Line {line} holds a zero byte: the file is damaged, or no text. Export it again."), line=line)
    if _NO_TEXT.search(data):
        raise BadCsv(N_("This is no text file. Export it as CSV (UTF-8)."))
    if named:
        return _checked(data, named)
    try:
        return _checked(data, "utf-8")
    except BadCsv:
        return _checked(data, "cp1252")


def _checked(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadCsv(N_("The file is in an encoding that we do not know. Save it as CSV (UTF-8).")) from error
    if encoding == "utf-16" and "\0" in text:
        raise BadCsv(N_("This is no text file. Export it as CSV (UTF-8)."))
    return encoding


def _delimiter(header: str) -> str:
    """The separator that cuts the header into most cells."""
    outside = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=lambda mark: (outside.count(mark), -_DELIMITERS.index(mark)))
