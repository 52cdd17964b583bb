"""What a cell may say in either language, and what is told when it cannot be right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from core.csv_files import BadCsv, Record, open_csv
from core.imports import cells
from core.imports.columns import COLUMNS, folded, read_header, template
from core.imports.errors import Wrong
from core.imports.model import BalanceLine, Kind, Problem
from core.imports.rules import read_line
from core.kernel.money import Money

TODAY = date(2026, 3, 10)


def francs(minor: int) -> Money:
    return Money(minor, "CDF")


@pytest.mark.parametrize(
    ("cell", "minor"),
    [
        ("12500", 1_250_000),
        ("12 500", 1_250_000),
        ("12'500,00", 1_250_000),
        ("-300.00", -30_000),
        ("+7", 700),
        ("0", 0),
        ("0012", 1_200),
    ],
)
def test_an_amount(cell: str, minor: int) -> None:
    assert cells.amount(cell, "CDF", signed=True) == francs(minor)


@pytest.mark.parametrize("cell", ["12.500", "12,500.00", "1e3", "12,345", "", "--5", "5 FC", "١٢", "9" * 20, "12,50"])
def test_what_is_no_amount_of_francs(cell: str) -> None:
    with pytest.raises(Wrong):
        cells.amount(cell, "CDF", signed=True)


def test_dollars_have_cents() -> None:
    assert cells.amount("12,50", "USD", signed=True) == Money(1_250, "USD")


@pytest.mark.parametrize("cell", ["2026-02-28", "28/02/2026", "28.2.2026", "2026-02-28 00:00:00"])
def test_a_day(cell: str) -> None:
    assert cells.day(cell, latest=TODAY) == date(2026, 2, 28)


@pytest.mark.parametrize("cell", ["02/28/2026", "31/02/2026", "28/02/26", "11/03/2026", "1949-12-31", "hier", "46081"])
def test_what_is_no_day(cell: str) -> None:
    with pytest.raises(Wrong):
        cells.day(cell, latest=TODAY)


@pytest.mark.parametrize(
    ("read", "cell", "value"),
    [
        (cells.language, "Français", "fr"),
        (cells.language, "", "fr"),
        (cells.language, "Tshiluba", "lua"),
        (cells.currency, "FC", "CDF"),
        (cells.currency, " usd", "USD"),
        (cells.time_zone, "Lubumbashi", "Africa/Lubumbashi"),
        (cells.time_zone, "africa/kinshasa", "Africa/Kinshasa"),
        (cells.protected, "École", "school"),
        (cells.yes, "OUI", True),
        (cells.account, "100 000 001 8", "1000000018"),
        (cells.meter, "mw-0001", "MW-0001"),
        (cells.phones, "0815550001 / +243 97 555 0002, 0815550001", ("+243815550001", "+243975550002")),
        (cells.email, "a.b@c.cd", "a.b@c.cd"),
        (cells.our_id, "417", 417),
    ],
)
def test_what_cells_say(read: Callable[[str], object], cell: str, value: object) -> None:
    assert read(cell) == value


@pytest.mark.parametrize(
    ("read", "cell"),
    [
        (cells.language, "klingon"),
        (cells.currency, ""),
        (cells.yes, "peut-être"),
        (cells.account, "1000000019"),
        (cells.account, "1,00E+09"),
        (cells.meter, "M W/1"),
        (cells.phones, "081555"),
        (cells.phones, "8,15E+08"),
        (cells.email, "mbuyi@"),
        (cells.our_id, "-4"),
        (lambda cell: cells.text(cell, 5), "too long"),
        (lambda cell: cells.text(cell, 50), "Mbuyi\u202e"),
        (lambda cell: cells.text(cell, 50), "Kal\ufffdla"),
    ],
)
def test_what_cells_cannot_say(read: Callable[[str], object], cell: str) -> None:
    with pytest.raises(Wrong):
        read(cell)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_template_is_a_file_of_its_kind(kind: Kind) -> None:
    head, example = template(kind)
    columns = read_header(kind, head)
    line = read_line(kind, columns, Record(2, example), date(2027, 1, 1))
    assert not isinstance(line, list), line


@pytest.mark.parametrize("kind", list(Kind))
def test_no_name_means_two_columns(kind: Kind) -> None:
    names = [name for column in COLUMNS[kind] for name in {column.name, *column.others}]
    assert len(set(names)) == len(names)
    assert all(folded(name) == name for name in names)


@pytest.mark.parametrize(
    ("kind", "header", "sentence"),
    [
        (Kind.CUSTOMERS, "nom", "These columns are missing in the first line: reference."),
        (Kind.CUSTOMERS, "Référence;Nom;NOM ", "The column name stands twice in the first line."),
        (Kind.CUSTOMERS, "reference;nom;shoe size", "There is no column shoe size in such a file."),
        (Kind.BALANCES, "compte;devise", "These columns are missing in the first line: amount/debit/credit."),
        (Kind.BALANCES, "compte;devise;solde;avoir", "either the column amount, or debit and credit"),
    ],
)
def test_a_wrong_first_line_is_told_by_its_column(kind: Kind, header: str, sentence: str) -> None:
    with pytest.raises(BadCsv) as refused:
        read_header(kind, open_csv(f"{header}\n1;2\n".encode()).header)
    assert sentence in str(refused.value)


def test_everything_that_is_wrong_with_a_line_is_told_at_once() -> None:
    columns = read_header(Kind.CUSTOMERS, ("reference", "nom", "langue", "téléphone"))
    told = read_line(Kind.CUSTOMERS, columns, Record(7, ("C-1", "", "klingon", "12")), TODAY)
    assert isinstance(told, list)
    assert [(one.line, one.column, one.value) for one in told] == [
        (7, "phone", "12"),
        (7, "name", ""),
        (7, "language", "klingon"),
    ]


def test_a_line_with_too_few_or_too_many_cells() -> None:
    columns = read_header(Kind.CUSTOMERS, ("reference", "name"))
    for cells_ in (("C-1",), ("C-1", "Mbuyi", "x")):
        told = read_line(Kind.CUSTOMERS, columns, Record(2, cells_), TODAY)
        assert isinstance(told, list)
        assert "cells instead of 2" in told[0].sentence
    assert not isinstance(read_line(Kind.CUSTOMERS, columns, Record(2, ("C-1", "Mbuyi", "")), TODAY), list)


def _balance(header: str, line: str) -> BalanceLine | list[Problem]:
    columns = read_header(Kind.BALANCES, tuple(header.split(";")))
    read = read_line(Kind.BALANCES, columns, Record(2, tuple(line.split(";"))), TODAY)
    assert isinstance(read, BalanceLine | list)
    return read


def test_a_balance_on_either_side() -> None:
    debit, credit = (
        _balance("contrat;doit;avoir;devise", "K1;500;;FC"),
        _balance("contrat;doit;avoir;devise", "K1;0;70;FC"),
    )
    assert isinstance(debit, BalanceLine)
    assert isinstance(credit, BalanceLine)
    assert (debit.amount, credit.amount) == (francs(50_000), francs(-7_000))
    for line in ("K1;5;7;FC", "K1;;;FC", "K1;-5;;FC", ";5;;FC"):
        assert isinstance(_balance("contrat;doit;avoir;devise", line), list), line


@pytest.mark.parametrize("cell", ["a..b@example.cd", ".a@example.cd", "é@example.cd", '"a"@example.cd', "a@example"])
def test_an_address_that_no_letter_can_be_written_to_is_none(cell: str) -> None:
    with pytest.raises(Wrong):
        cells.email(cell)
    assert cells.email("marie.k@example.cd") == "marie.k@example.cd"
