"""Files as portals write them and people bring them: dressed in every way, broken in every way."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.money import Money
from core.reconciliation import mappings
from core.reconciliation.errors import BadFile, BadMapping, ReconciliationRefused
from core.reconciliation.mapping import Mapped, Options, check_columns, read_lines
from core.reconciliation.model import FIELDS
from core.reconciliation.reading import MAX_CELL, read_table
from tests.core.reconciliation.clerk import COLUMNS, OPTIONS, Clerk, Line, as_csv


def as_xlsx(rows: list[list[Any]], *, sheet: str = "Report") -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def mapped(data: bytes, options: dict[str, Any] | None = None, columns: dict[str, str] | None = None) -> Mapped:
    columns, options = columns or COLUMNS, {**OPTIONS, **(options or {})}
    return read_lines(read_table(data, options, list(columns.values())), columns, Options.read(options), "CDF")


LINES = [Line("TX1", own="E1", ref="Père Élie"), Line("TX2", amount="12500.50", currency="USD")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_every_dress_of_csv_reads_the_same(delimiter: str, encoding: str) -> None:
    read = mapped(as_csv(LINES, delimiter=delimiter, encoding=encoding))
    assert read.problems == ()
    one, two = read.lines
    assert (one.reference, one.own_ids, one.amount) == ("Père Élie", ("E1",), Money.units(28_500, "CDF"))
    assert two.amount == Money(1_250_050, "USD")
    assert one.at == datetime(2026, 3, 10, 8, 1, tzinfo=UTC)


def test_headers_stand_under_a_letterhead() -> None:
    data = b"Orange Money RDC;;\r\nPeriode du 10/03/2026;;\r\n\r\n" + as_csv(LINES, delimiter=";")
    read = mapped(data)
    assert [line.provider_txn_id for line in read.lines] == ["TX1", "TX2"]
    assert read.numbers == (5, 6)


def test_a_workbook_with_real_numbers_and_dates() -> None:
    head = list(COLUMNS.values())
    rows: list[list[Any]] = [
        ["Airtel Money"],
        head,
        [
            "TX1",
            "",
            datetime(2026, 3, 10, 9, 1),  # noqa: DTZ001 (a spreadsheet's cells have no zone)
            28500.5,
            "CDF",
            12,
            "Payment",
            "Completed",
            243815551111,
            "0012",
            None,
        ],
        [None] * len(head),
        ["TX2", "", "10/03/2026 10:00", 700, "CDF", None, "Payment", "Completed", None, '=HYPERLINK("x")', None],
    ]
    read = mapped(as_xlsx(rows))
    assert read.problems == ()
    one, two = read.lines
    assert (one.amount, one.fee, one.payer, one.reference) == (
        Money(2_850_050, "CDF"), Money.units(12, "CDF"), "243815551111", "0012",
    )  # fmt: skip
    assert one.at == datetime(2026, 3, 10, 8, 1, tzinfo=UTC)
    # A formula is never worked out: what it last gave counts, and this one never gave anything.
    assert (two.amount, two.reference) == (Money.units(700, "CDF"), None)


def test_a_sheet_by_name(clerk: Clerk) -> None:
    data = as_xlsx([list(COLUMNS.values()), LINES[0].cells], sheet="Mars")
    assert len(mapped(data, {"sheet": "Mars"}).lines) == 1
    with pytest.raises(BadFile, match="no sheet Avril"):
        mapped(data, {"sheet": "Avril"})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \r\n \r\n", "empty"),
        (b"\xd0\xcf\x11\xe0" + b"\x00" * 600, "old Excel"),
        (b"PK\x03\x04" + b"junk" * 100, "no workbook"),
        (b"\x00\x01\x02\x03" * 50, "no text"),
        (b"a,b\r\n\x81\x8d\x8f,1\r\n", "no text"),
        (b"%PDF-1.7\n\x00\x00", "no text"),
        (b'a,b\n"' + b"x" * 200_000, "cannot be read as CSV"),
    ],
    ids=["nothing", "blank", "xls", "broken zip", "binary", "neither encoding", "pdf", "endless quote"],
)
def test_what_is_no_table_is_refused_whole(clerk: Clerk, data: bytes, says: str) -> None:
    with pytest.raises(BadFile, match=says):
        clerk.office.import_file("vodacom", "CDF", "bad.csv", data, COLUMNS, OPTIONS, "nadine")
    assert clerk.office.imports() == []
    assert clerk.lines() == []


def test_an_archive_that_is_no_workbook(clerk: Clerk) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadFile, match="no workbook"):
        clerk.office.import_file("vodacom", "CDF", "bad.xlsx", out.getvalue(), COLUMNS, OPTIONS, "nadine")


def test_a_named_encoding_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadFile, match="no text"):
        mapped(as_csv(LINES, encoding="cp1252"), {"encoding": "utf-8"})
    with pytest.raises(BadFile, match="no text"):
        mapped(as_csv(LINES), {"encoding": "klingon"})


def test_missing_columns_are_named_and_nothing_is_taken(clerk: Clerk) -> None:
    data = as_csv(LINES).replace(b"Status", b"Etat").replace(b"Linked to", b"Lien")
    with pytest.raises(BadFile, match="Status, Linked to"):
        clerk.office.import_file("vodacom", "CDF", "r.csv", data, COLUMNS, OPTIONS, "nadine")
    shown = clerk.office.preview("vodacom", "CDF", "r.csv", data, COLUMNS, OPTIONS)
    assert shown.missing == ("state", "original_txn_id")
    assert (shown.rows, len(shown.cells)) == (2, 2)


def test_a_preview_without_columns_shows_what_there_is(clerk: Clerk) -> None:
    shown = clerk.office.preview("vodacom", "CDF", "r.csv", as_csv(LINES), {}, {})
    assert shown.headers == tuple(COLUMNS.values())
    assert (shown.lines, shown.problems[0].line) == ((), 0)
    whole = clerk.office.preview("vodacom", "CDF", "r.csv", as_csv(LINES), COLUMNS, OPTIONS, rows=1)
    assert [(line.line, line.provider_txn_id) for line in whole.lines] == [(2, "TX1")]
    assert clerk.lines() == []


BAD = [
    (Line("B1", amount="12,500"), "is no amount"),
    (Line("B2", amount="-500"), "nothing says what for"),
    (Line("B3", amount="0"), "no amount"),
    (Line("B4", amount=""), "no amount"),
    (Line("B5", amount="=1+1"), "is no amount"),
    (Line("B6", amount="1e9"), "is no amount"),
    (Line("B7", amount="10.005"), "is no amount"),
    (Line("B8", at="31/02/2026 10:00:00"), "is no date"),
    (Line("B9", at="03/25/2026 10:00:00"), "is no date"),
    (Line("B10", at=""), "is no date"),
    (Line("B11", currency="EUR"), "no books"),
    (Line("B12", kind="Mystery"), "kind"),
    (Line("B13", state="Perhaps"), "state"),
    (Line("B14", amount="99999999999999999999"), "is no amount"),
    (Line("B15", fee="x"), "is no amount"),
]


def test_bad_lines_cost_only_themselves(clerk: Clerk) -> None:
    good = [Line("TX1", ref="?", payer=""), Line("TX9", state="Failed"), Line("TX2", ref="?", payer="", amount="5")]
    taken = clerk.take(good[0], good[1], *(line for line, _ in BAD), good[2])
    assert (taken.new, taken.bad, taken.skipped) == (2, len(BAD), 1)
    assert [p.line for p in taken.problems] == list(range(4, 4 + len(BAD)))
    for problem, (line, says) in zip(taken.problems, BAD, strict=True):
        assert says in problem.why.format(**problem.blanks), line
    assert [line.provider_txn_id for line in clerk.lines()] == ["TX1", "TX2"]
    assert clerk.office.imports()[0].problems == taken.problems


def test_a_number_twice_in_one_file(clerk: Clerk) -> None:
    one = Line("TX1", ref="?", payer="")
    taken = clerk.take(one, one, replace(one, amount="1"))
    assert (taken.new, [p.line for p in taken.problems]) == (1, [3, 4])
    later = clerk.take(replace(one, amount="2"), name="later.csv")
    assert (later.new, later.known, later.bad) == (0, 0, 1)
    assert "TX1" in later.problems[0].why.format(**later.problems[0].blanks)


def test_two_lines_alike_without_a_number_are_two(clerk: Clerk) -> None:
    fee = Line("-", kind="Fee", amount="15")
    assert clerk.take(fee, fee).new == 2
    assert clerk.take(fee, fee, fee, name="longer.csv").new == 1


def test_a_better_mapping_takes_what_the_first_one_could_not_read(clerk: Clerk) -> None:
    data = as_csv([Line("TX1", amount="12,500", payer="", ref="?"), Line("TX2", amount="500", payer="", ref="?")])
    first = clerk.office.import_file("vodacom", "CDF", "r.csv", data, COLUMNS, OPTIONS, "nadine")
    assert (first.new, first.bad) == (1, 1)
    better = {**OPTIONS, "thousands": ","}
    second = clerk.office.import_file("vodacom", "CDF", "r.csv", data, COLUMNS, better, "nadine")
    assert (second.new, second.known, second.bad) == (1, 1, 0)
    saved = clerk.office.saved_mapping("vodacom", "CDF")
    assert saved is not None
    assert (saved.options["thousands"], saved.guessed, saved.saved_by) == (",", False, "nadine")
    assert saved.columns == COLUMNS


def test_cells_that_would_be_formulas_stay_text(clerk: Clerk) -> None:
    line = Line("TX1", ref="=cmd|' /C calc'!A0", payer='="0815551111"')
    clerk.take(line)
    (seen,) = clerk.lines()
    assert (seen.reference, seen.payer) == (line.ref, "0815551111")
    assert clerk.payment_with("TX1").reference == line.ref[:40]


def test_long_cells_are_cut_and_wide_rows_too(clerk: Clerk) -> None:
    data = as_csv([Line("TX1", ref="x" * 5_000, payer="")])[:-2] + b",extra" * 500 + b"\r\n"
    clerk.office.import_file("vodacom", "CDF", "r.csv", data, COLUMNS, OPTIONS, "nadine")
    (seen,) = clerk.lines()
    assert len(seen.reference or "") == 60
    assert max(len(text) for text in seen.raw.values()) <= MAX_CELL


def test_ten_thousand_rows(any_clerk: Clerk) -> None:
    any_clerk.paid("TX77", amount=Money.units(700, "CDF"))
    lines = [Line(f"TX{n}", kind="Top up", amount=str(n)) for n in range(1, 10_001)]
    lines[76] = Line("TX77", amount="700")
    taken = any_clerk.take(*lines)
    assert (taken.new, taken.bad) == (10_000, 0)
    assert any_clerk.take(*lines, Line("X", kind="Top up"), name="b.csv").known == 10_000
    counted = any_clerk.office.day("vodacom", any_clerk.lines(limit=1)[0].day, "CDF")
    assert (counted.matched.count, counted.open_lines) == (1, 0)
    any_clerk.check()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"decimal": ","}, None),
        ({"decimal": ",", "thousands": ","}, "decimal mark"),
        ({"decimal": "x"}, "decimal mark"),
        ({"zone": "Mars/Base"}, "no time zone"),
        ({"kinds": {"a": "gift"}}, "no kind gift"),
        ({"kinds": ["a"]}, "pairs"),
        ({"done": "yes"}, "list of words"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], says: str | None) -> None:
    if says is None:
        Options.read(options)
        return
    with pytest.raises(BadMapping, match=says):
        Options.read(options)


@pytest.mark.parametrize("columns", [{}, {"amount": "A"}, {"at": "T"}, {"amount": "A", "at": "T", "colour": "C"}])
def test_columns_that_make_no_line(columns: dict[str, str]) -> None:
    with pytest.raises(BadMapping):
        check_columns(columns)


def test_a_report_is_about_a_wallet_and_a_currency_we_keep(clerk: Clerk) -> None:
    with pytest.raises(ReconciliationRefused):
        clerk.office.import_file("vodacom", "EUR", "r.csv", as_csv(LINES), COLUMNS, OPTIONS, "nadine")


@pytest.mark.parametrize("wallet", ["vodacom", "airtel", "orange", "mpesa_ke", "pawapay"])
def test_every_operator_has_a_guess_that_can_be_used(wallet: str) -> None:
    guess = mappings.guess(wallet, "CDF")
    assert guess is not None
    assert guess.guessed
    check_columns(guess.columns)
    assert set(guess.columns) <= set(FIELDS)
    Options.read(guess.options)


def test_the_organisation_portal_of_kenya() -> None:
    data = (
        b"Short Code:,600000\r\n"
        b"Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,Balance,"
        b"Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No.\r\n"
        b"SKM1,10-03-2026 12:00:00,10-03-2026 12:00:00,Pay Bill from 254708***149 - JOHN Acc. 1000000017,Completed,"
        b'"1,250.00",,"1,250.00",true,Pay Bill,254708***149 - JOHN,,1000000017\r\n'
        b"SKM2,10-03-2026 12:00:00,10-03-2026 12:00:00,Pay Bill Charge,Completed,,-12.00,1238.00,true,Charge,,SKM1,\r\n"
    )
    guess = mappings.guess("mpesa_ke", "KES")
    assert guess is not None
    read = read_lines(read_table(data, guess.options, list(guess.columns.values())), guess.columns,
                      Options.read(guess.options), "KES")  # fmt: skip
    assert read.problems == ()
    paid, fee = read.lines
    assert (paid.kind, paid.amount, paid.reference) == ("payment", Money(125_000, "KES"), "1000000017")
    assert paid.at == datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
    assert (fee.kind, fee.amount, fee.original_txn_id) == ("fee", Money(1_200, "KES"), "SKM1")


@given(st.integers(1, 10**12), st.sampled_from([(".", ""), (".", ","), (",", " "), (",", "."), (",", "")]))
def test_every_amount_is_read_as_it_was_written(minor: int, marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    text = f"{minor // 100:,}".replace(",", thousands) + f"{decimal}{minor % 100:02d}"
    read = mapped(as_csv([Line("T", amount=text)], delimiter="\t"), {"decimal": decimal, "thousands": thousands})
    assert [line.amount.minor for line in read.lines] == [minor]


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fall_over(data: bytes) -> None:
    with contextlib.suppress(BadFile):
        mapped(data)


@given(st.lists(st.lists(st.text(max_size=12), min_size=11, max_size=11), max_size=5))
def test_no_cells_make_it_fall_over(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([list(COLUMNS.values()), *rows])
    data = out.getvalue().replace("\x00", "").encode("utf-8", "ignore")
    read = mapped(data)
    assert all(line.amount.minor > 0 for line in read.lines)


@pytest.mark.parametrize("kind", ["Reversal", "Refund", "Fee", "Payout"])
def test_money_that_came_in_is_none_that_goes_out_whatever_its_word(kind: str) -> None:
    columns = {"provider_txn_id": "No.", "at": "Time", "amount_in": "In", "amount_out": "Out", "kind": "Type"}
    data = f"No.,Time,In,Out,Type\nA,10/03/2026 09:00:00,28500,,{kind}\nB,10/03/2026 09:00:00,,28500,{kind}\n".encode()
    read = mapped(data, columns=columns)
    assert [line.provider_txn_id for line in read.lines] == ["B"]
    assert [(p.line, p.blanks) for p in read.problems] == [(2, {"word": kind})]
