"""What a file holds, line by line, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from core.kernel.money import Money


class Kind(StrEnum):
    """What a file is about, in the order in which files are taken in: each names what the one before brought."""

    CUSTOMERS = "customers"
    CONTRACTS = "contracts"
    METERS = "meters"
    BALANCES = "balances"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be taken. `column` as it stands in the file, "" where it is the line as a whole.

    `text` is an English msgid, `blanks` fill it.
    """

    line: int
    column: str
    value: str
    text: str
    blanks: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """In English, for whoever reads no catalogue."""
        return self.text.format(**dict(self.blanks))


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """`reference`: what the old system calls her. `phones`: E.164, each once."""

    number: int
    reference: str
    name: str
    kind: str
    language: str
    email: str | None
    phones: tuple[str, ...]
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Named:
    """A contract as a file names it: by its account number, or by what the old system calls it."""

    account: str
    reference: str

    @property
    def text(self) -> str:
        return self.account or self.reference


@dataclass(frozen=True, slots=True)
class ContractLine:
    """A contract and the place it supplies. `account` "": a number is made. `time_zone` None: the agency's own."""

    number: int
    named: Named
    customer: str
    customer_id: int | None
    kind: str
    currency: str
    tariff: str
    opened_on: date | None
    agency: str
    address: str
    commune: str
    city: str
    time_zone: str | None
    protected: str | None


@dataclass(frozen=True, slots=True)
class MeterLine:
    """A meter at the place of the contract it serves."""

    number: int
    meter: str
    named: Named
    control_kind: str
    installed_on: date | None


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """What a contract owed (above nought) or had in credit (below) at the end of a day."""

    number: int
    named: Named
    amount: Money
    as_of: date | None


Line = CustomerLine | ContractLine | MeterLine | BalanceLine


@dataclass(frozen=True, slots=True)
class Report:
    """A file that was looked at. `bad`: lines with a problem; `problems`: the first so many of them.

    `fault`: why reading stopped altogether (a quotation mark that is never closed); then the counts end there.
    """

    kind: Kind
    lines: int
    bad: int
    problems: tuple[Problem, ...]
    fault: tuple[str, tuple[tuple[str, str], ...]] | None = None

    @property
    def good(self) -> int:
        return self.lines - self.bad

    @property
    def is_clean(self) -> bool:
        return self.bad == 0 and self.fault is None and self.lines > 0


class State(StrEnum):
    """Where a file stands. WAITING: kept and not looked at yet. DONE: everything of it is in."""

    WAITING = "waiting"
    GOOD = "good"
    BAD = "bad"
    APPLYING = "applying"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ImportView:
    """A file and what became of it. `made`: lines that are in; `left_out`: lines that had become impossible when their
    turn came. `problems`: of those, or of the check."""

    id: int
    kind: Kind
    filename: str
    sha256: str
    size: int
    state: State
    report: Report
    uploaded_by: str
    uploaded_at: datetime
    checked_at: datetime | None
    accepted_by: str | None
    accepted_at: datetime | None
    made: int
    left_out: int
    finished_at: datetime | None
    kept: bool
