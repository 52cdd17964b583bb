"""What reconciliation takes and gives: files as read, lines, days, suspense and the three-way totals.

Sentences (`Problem.why`, `LineView.note`, `Proposal.why`) are English msgids; the console translates what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from core.kernel.money import Money
from core.payments.answers import BillPayment, LineKind, Paid

Outcome = Literal["new", "matched", "theirs_only", "differs", "ignored"]

# What a person may decide about a line that differs.
# match: it is this payment, as booked (target: payment id) · settle: it is this attempt's money (target: attempt id)
# book: it is new money (or a payout or fee of its own) · reverse: take this payment back (target: payment id)
# accept: leave both as they are.
Decision = Literal["match", "settle", "book", "reverse", "accept"]
DECISIONS: tuple[Decision, ...] = ("match", "settle", "book", "reverse", "accept")

# Our fields that a column may fill, in the order a form shows them. `amount` or `amount_in` must be there, and `at` or
# `date`.
FIELDS: tuple[str, ...] = (
    "provider_txn_id",
    "own_id",
    "own_id_2",
    "at",
    "date",
    "time",
    "amount",
    "amount_in",
    "amount_out",
    "currency",
    "fee",
    "kind",
    "state",
    "payer",
    "reference",
    "original_txn_id",
)


class Bookings(Protocol):
    """What reconciliation asks of the payments service. Both own their transaction and are harmless when repeated."""

    def record_statement(self, attempt_id: str, paid: Paid) -> object:
        """The operator's report says that this attempt brought money."""
        ...

    def book_bill(self, wallet: str, bill: BillPayment, *, found_by: str) -> str | None:
        """Money without an attempt: onto the contract its reference names, or into suspense. Its payment's id;
        None where a person has to look.

        Once per wallet and `provider_txn_id`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One line that was not taken. `line`: its number in the file, counted from 1, the headers too; 0: the file."""

    line: int
    why: str
    blanks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `repeated`: these very bytes were taken before, and this is what became of them then.

    `skipped`: lines whose state says that no money moved (failed, pending): read, and left out on purpose.
    """

    id: int
    new: int
    known: int
    bad: int
    problems: tuple[Problem, ...] = ()
    skipped: int = 0
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class SavedMapping:
    """How the columns of one operator's file are read. `guessed`: ours, not confirmed by anybody with a real file."""

    wallet: str
    currency: str
    columns: Mapping[str, str]
    options: Mapping[str, object]
    guessed: bool = False
    saved_by: str = ""
    saved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadLine:
    """One line of a file in our words, before it is stored."""

    line: int
    kind: LineKind
    amount: Money
    at: datetime
    provider_txn_id: str | None
    payer: str | None
    reference: str | None
    own_ids: tuple[str, ...]
    fee: Money | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A file before it is imported. `lines`: the first, as they would be taken; `cells`: the same rows as they stand.

    `missing`: fields whose column is not in the file.
    """

    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[ReadLine, ...]
    problems: tuple[Problem, ...]
    rows: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportView:
    """`held`: lines that wait for `Reconciliation.release`, because the report has so many new ones."""

    id: int
    wallet: str
    source: str
    imported_by: str
    imported_at: datetime
    new: int
    known: int
    bad: int
    problems: tuple[Problem, ...] = ()
    held: int = 0
    released_by: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a line may be about; nothing but a proposal. One of the two ids is set."""

    payment_id: str | None
    attempt_id: str | None
    amount: Money
    at: datetime
    payer: str | None
    why: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One line as a person looks at it. `note`: why it differs (a msgid), or what somebody wrote."""

    id: int
    wallet: str
    day: date
    at: datetime
    kind: LineKind
    amount: Money
    fee: Money | None
    provider_txn_id: str | None
    original_txn_id: str | None
    own_ids: tuple[str, ...]
    payer: str | None
    reference: str | None
    outcome: Outcome
    note: str
    payment_id: str | None
    refund_id: str | None
    attempt_id: str | None
    decided_by: str | None
    decided_at: datetime | None
    raw: Mapping[str, str]
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment of ours that no line of the operator's report has shown yet."""

    id: str
    receipt_number: str
    wallet: str
    amount: Money
    provider_txn_id: str | None
    attempt_id: str | None
    contract_id: int | None
    payer: str | None
    at: datetime
    received_at: datetime
    found_by: str


@dataclass(frozen=True, slots=True)
class Figure:
    """How many, and how much together, in minor units of the day's currency."""

    count: int = 0
    minor: int = 0


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One wallet, one Kinshasa day, one currency.

    `ours`: payments that came that day. `theirs`: payment lines of that day; `matched` + `theirs_only` + `differs` are
    their parts. `open_lines`: lines of any kind that wait for a person. `unread_lines`: lines of reports about this day
    that could not be read; they may be of any day of those reports. `ours_only`: payments of that day that no line
    shows. `closing_minor`: what the operator owes us at the end of the day, says the ledger. Of a closed day these are
    the figures as frozen; `after_closing` counts the lines that came later.
    """

    wallet: str
    day: date
    currency: str
    ours: Figure
    theirs: Figure
    matched: Figure
    theirs_only: Figure
    ours_only: Figure
    differs: Figure
    fees: Figure
    refunds: Figure
    reversals: Figure
    payouts: Figure
    open_lines: int
    closing_minor: int
    unread_lines: int = 0
    closed_by: str | None = None
    closed_at: datetime | None = None
    note: str = ""
    after_closing: int = 0

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not None


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where money in suspense may belong. `score`: 100 is best. `fits`: it is open and in the currency of the money.

    `why`: one of WHYS (a msgid); several reasons for one contract make one proposal with the best of them.
    """

    contract_id: int
    account_number: str
    customer: str
    why: str
    score: int
    fits: bool


@dataclass(frozen=True, slots=True)
class Placing:
    """Somebody wants this money on this contract; a second person has to say so too."""

    contract_id: int
    account_number: str
    customer: str
    by: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class SuspenseItem:
    """Money nobody could place. `amount` is what still waits. `asked`: a placing that waits for a second person."""

    payment_id: str
    receipt_number: str
    wallet: str
    amount: Money
    reference: str | None
    payer: str | None
    provider_txn_id: str | None
    received_at: datetime
    age_days: int
    flag: str | None
    proposals: tuple[Proposal, ...] = ()
    asked: Placing | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """`done` False: it was written down and waits for a second person, who calls `place` with the same contract."""

    payment_id: str
    contract_id: int
    done: bool


@dataclass(frozen=True, slots=True)
class AgeBand:
    """Suspense of one wallet and currency that is `from_days` old or older, below the next band."""

    wallet: str
    currency: str
    from_days: int
    count: int
    minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The three ways, for one wallet and currency, in minor units, over all time.

    `ours`: payments less reversals and refunds paid. `theirs`: the same from the operator's lines, without those that a
    person ignored. `ledger`: what `wallet_clearing` holds plus what was paid out to the bank and booked as fees. All
    three are equal when all is matched; `waiting` and `differs` say what is not.
    """

    wallet: str
    currency: str
    ours: int
    theirs: int
    ledger: int
    clearing: int
    paid_out: int
    fees: int
    waiting: int
    differs: int

    @property
    def difference(self) -> int:
        """Operator's report less our payments: zero when all is matched."""
        return self.theirs - self.ours

    @property
    def ledger_difference(self) -> int:
        """Books less our payments: never anything but zero."""
        return self.ledger - self.ours
