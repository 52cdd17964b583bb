"""Files as offices save them, and what is no such file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.csv_files import MAX_BYTES, BadCsv, open_csv, plain, plain_cell, written

TEXT = "nom;ville\nMbuyi Élodie;Lubumbashi\n\nKalala;Kinshasa\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("mark", [";", ",", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_one_file_in_every_dress(encoding: str, mark: str, ending: str) -> None:
    file = open_csv(TEXT.replace(";", mark).replace("\n", ending).encode(encoding))
    assert file.header == ("nom", "ville")
    read = [(record.number, record.cells) for record in file.records()]
    assert read == [(2, ("Mbuyi Élodie", "Lubumbashi")), (4, ("Kalala", "Kinshasa"))]
    assert list(file.records()) == list(file.records()), "as often as it is asked for"


def test_a_line_is_numbered_where_it_begins() -> None:
    file = open_csv(b'sep=,\nname,note\nA,"two\nlines"\nB,one\n')
    assert [(record.number, record.cells) for record in file.records()] == [(3, ("A", "two\nlines")), (5, ("B", "one"))]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf \r\n", "The file is empty."),
        (b"PK\x03\x04" + b"x" * 50, "This is a workbook."),
        (b"\x89PNG\r\n\x1a\n\x01\x02", "This is no text file."),
        (b"a;b\n1;2\n3;\x004\n", "Line 3 holds a zero byte"),
        (b"a;b\n\x81\x8d;2\n", "an encoding that we do not know"),
        (b'a;b\n1;"2\n3;4\n', "Line 2: a quotation mark is not closed"),
        (b'a;b\n1;2\n"3"x;4\n', "Line 3: a quotation mark"),
        (b"a;b\n" + b"1;2\n" * (MAX_BYTES // 4), "larger than 25 MB"),
    ],
)
def test_nonsense_is_one_clear_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadCsv) as refused:
        list(open_csv(data).records())
    assert sentence in str(refused.value)


@pytest.mark.parametrize("cell", ["=1+1", "+243815550001", "@x", "-5", " =cmd|'/c calc'!A0"])
def test_a_formula_is_defused_on_its_way_out_and_read_as_it_was(cell: str) -> None:
    line = next(written([[cell]]))
    assert line.startswith("\"'")
    assert open_csv(b"head\n" + line.encode()).records().__next__().cells == (cell.strip(),)


def test_what_spreadsheets_put_around_a_number() -> None:
    assert [plain('="0812"'), plain("'0812"), plain("\u00a012\u202f500 "), plain("'t Huis")] == [
        "0812",
        "0812",
        "12 500",
        "'t Huis",
    ]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_what_is_written_is_read_again(cells: list[str]) -> None:
    """But for what no line of text can keep: control characters, and blanks at the ends."""
    shown = [plain(plain_cell(cell)) for cell in cells]
    if not any(shown) or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in "".join(cells)):
        return
    head = ";".join(f"h{n}" for n in range(len(cells))) + "\r\n"
    (record,) = open_csv(("\ufeff" + head + next(written([cells]))).encode()).records()
    assert record.cells == tuple(shown)
