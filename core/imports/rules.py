"""A record of a file as a line that can be taken, or as what is wrong with it: every cell, not only the first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

from core.csv_files import Record
from core.i18n import N_
from core.imports import cells
from core.imports.errors import Wrong
from core.imports.model import BalanceLine, ContractLine, CustomerLine, Kind, Line, MeterLine, Named, Problem
from core.kernel.money import Money

T = TypeVar("T")
_SHOWN = 60


class _Row:
    """A record by the names of its columns. Keeps what is wrong, so that a person sees all of it at once."""

    def __init__(self, columns: Sequence[str], record: Record) -> None:
        self.number = record.number
        self.problems: list[Problem] = []
        self._cells = {name: cell for name, cell in zip(columns, record.cells, strict=False) if name}

    def cell(self, name: str) -> str:
        return self._cells.get(name, "")

    def take(self, name: str, read: Callable[[str], T], otherwise: T) -> T:
        try:
            return read(self.cell(name))
        except Wrong as wrong:
            self.wrong(name, wrong.text, *wrong.blanks)
            return otherwise

    def wrong(self, name: str, text: str, *blanks: tuple[str, str]) -> None:
        self.problems.append(Problem(self.number, name, self.cell(name)[:_SHOWN], text, blanks))


def read_line(kind: Kind, columns: Sequence[str], record: Record, today: date) -> Line | list[Problem]:
    """One line, or all that is wrong with it. `columns`: our names, as `read_header` gives them."""
    extra = record.cells[len(columns) :]
    if len(record.cells) < len(columns) or any(extra):
        sentence = N_("{n} cells instead of {m}: is a separator or a quotation mark missing?")
        counts = (("n", str(len(record.cells))), ("m", str(len(columns))))
        return [Problem(record.number, "", record.cells[0][:_SHOWN], sentence, counts)]
    row = _Row(columns, record)
    line = _READERS[kind](row, today)
    return row.problems or line


def _customer(row: _Row, _today: date) -> Line:
    nobody: tuple[str, ...] = ()
    phones = row.take("phone", cells.phones, nobody)
    confirmed = row.take("phone_confirmed", cells.yes, False)
    if confirmed and not phones and not row.problems:
        row.wrong("phone_confirmed", N_("It is confirmed, and there is no number."))
    return CustomerLine(
        number=row.number,
        reference=row.take("reference", lambda cell: cells.reference(cell, needed=True), ""),
        name=row.take("name", lambda cell: cells.text(cell, 120), ""),
        kind=row.take("kind", lambda cell: cells.one_of(cell, cells.CUSTOMER_KINDS, "household"), ""),
        language=row.take("language", cells.language, ""),
        email=row.take("email", cells.email, None),
        phones=phones,
        confirmed=confirmed,
    )


def _contract(row: _Row, today: date) -> Line:
    customer = row.take("customer", cells.reference, "")
    customer_id = row.take("customer_id", cells.our_id, None)
    if not row.problems and bool(customer) == (customer_id is not None):
        row.wrong("customer", N_("Say which customer: by her reference, or by our number of her."))
    return ContractLine(
        number=row.number,
        named=_named(row, "reference"),
        customer=customer,
        customer_id=customer_id,
        kind=row.take("kind", lambda cell: cells.one_of(cell, cells.CONTRACT_KINDS), ""),
        currency=row.take("currency", cells.currency, ""),
        tariff=row.take("tariff", lambda cell: cells.text(cell, 20, needed=False), ""),
        opened_on=row.take("opened_on", lambda cell: cells.day(cell, latest=cells.soon(today)), None),
        agency=row.take("agency", lambda cell: cells.text(cell, 12).upper(), ""),
        address=row.take("address", lambda cell: cells.text(cell, 160), ""),
        commune=row.take("commune", lambda cell: cells.text(cell, 60), ""),
        city=row.take("city", lambda cell: cells.text(cell, 60, needed=False), ""),
        time_zone=row.take("time_zone", cells.time_zone, None),
        protected=row.take("protected", cells.protected, None),
    )


def _meter(row: _Row, today: date) -> Line:
    return MeterLine(
        number=row.number,
        meter=row.take("meter", cells.meter, ""),
        named=_named(row, "contract"),
        control_kind=row.take("control_kind", lambda cell: cells.one_of(cell, cells.CONTROL_KINDS, "manual"), ""),
        installed_on=row.take("installed_on", lambda cell: cells.day(cell, latest=today), None),
    )


def _balance(row: _Row, today: date) -> Line:
    named = _named(row, "contract")
    as_of = row.take("as_of", lambda cell: cells.day(cell, latest=today), None)
    code = row.take("currency", cells.currency, "")
    return BalanceLine(row.number, named, _amount(row, code or "CDF"), as_of)


def _amount(row: _Row, code: str) -> Money:
    nothing = Money(0, code)
    if row.cell("amount"):
        return row.take("amount", lambda cell: cells.amount(cell, code, signed=True), nothing)
    filled = [name for name in ("debit", "credit") if row.cell(name)]
    sides = [row.take(name, lambda cell: cells.amount(cell, code, signed=False), nothing) for name in filled]
    owed = [money if name == "debit" else nothing - money for name, money in zip(filled, sides, strict=True)]
    if not owed:
        row.wrong("amount", cells.REQUIRED)
    elif len([money for money in owed if money]) > 1:
        row.wrong("credit", N_("There is a debit and a credit: say the difference on one side."))
    return next((money for money in owed if money), nothing)


def _named(row: _Row, column: str) -> Named:
    """The contract of a line, by either of its names; both are allowed where a contract is made."""
    before = len(row.problems)
    named = Named(row.take("account", cells.account, ""), row.take(column, cells.reference, ""))
    if len(row.problems) == before:
        if not named.text:
            row.wrong(column, N_("Say which contract: by its account number, or by its reference."))
        elif named.account and named.reference and column == "contract":
            row.wrong(column, N_("Name the contract once: by its account number, or by its reference."))
    return named


_READERS: dict[Kind, Callable[[_Row, date], Line]] = {
    Kind.CUSTOMERS: _customer,
    Kind.CONTRACTS: _contract,
    Kind.METERS: _meter,
    Kind.BALANCES: _balance,
}
