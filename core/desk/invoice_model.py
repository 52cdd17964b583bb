"""What the pages of invoices and of billing months show. Plain values; times are business time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from core.kernel.money import Money

# What the list can be narrowed to; `overdue` and `disputed` are told from dates, cases and holds.
STATES = ("draft", "validated", "sent", "partially_paid", "paid", "cancelled", "overdue", "disputed")


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """Empty asks for nothing. `text`: an account number (digits only) or the beginning of an invoice's number."""

    state: str = ""
    period: str = ""
    agency: str = ""
    currency: str = ""
    text: str = ""
    customer_id: int | None = None


@dataclass(frozen=True, slots=True)
class InvoiceEntry:
    """A line of the list. `days_open`: since it was sent, None where nothing is open."""

    id: int
    number: str
    period: str
    account: str
    customer_id: int
    customer: str
    agency: str
    state: str
    total: Money
    due: Money
    issued_on: date
    sent_on: date | None
    days_open: int | None
    overdue: bool
    disputed: bool
    estimated: bool


@dataclass(frozen=True, slots=True)
class Sum:
    """Of one currency: how many, what they come to, what of it is still due."""

    count: int
    total: Money
    due: Money


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """`older`: the id to go on below; None at the end. `sums`: of the newest `counted` that the filter finds, one a
    currency; `more`: there are others beyond those."""

    entries: tuple[InvoiceEntry, ...]
    older: int | None
    sums: tuple[Sum, ...] = ()
    counted: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class LineView:
    position: int
    label: str
    quantity: str
    price: str
    amount: Money
    levy: str | None
    tariff: str
    tariff_from: date | None
    from_on: date | None
    until_on: date | None


@dataclass(frozen=True, slots=True)
class MeasureView:
    meter_id: str
    from_at: datetime
    until_at: datetime
    from_wh: int
    until_wh: int
    until_measured_wh: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class NoteView:
    """A credit note."""

    number: str
    amount: Money
    tax: Money
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class MoveView:
    """One movement of the invoice's balance. `lowers`: it was paid, credited or given up; otherwise it is owed again.

    `payment_id`, `receipt`, `wallet`, `attempt_id`: of the payment behind it, where there is one.
    """

    at: datetime
    kind: str
    amount: Money
    lowers: bool
    actor: str
    memo: str
    payment_id: str | None
    receipt: str
    wallet: str
    attempt_id: str | None


@dataclass(frozen=True, slots=True)
class StepView:
    """A reminder: a step that was due, when its notice left and what is known of its arrival."""

    cycle: int
    step: str
    at: datetime
    leaves_at: datetime | None
    delivered_at: datetime | None
    evidence: str
    notice_state: str
    cut_on: date | None


@dataclass(frozen=True, slots=True)
class LetterView:
    """An e-mail about this invoice."""

    at: datetime
    kind: str
    recipient: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class DisputeView:
    number: str
    state: str
    opened_at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class ActView:
    """A row of the audit log about this invoice."""

    at: datetime
    actor: str
    act: str
    detail: str


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """One invoice with all that is known of it. `explained`: parts that `core.billing.explained` says in words.

    `left`: what no credit note has given back and nobody gave up. `before`: (id, number) of the invoice of the month
    before. `sent_by`: as the books have it, also where a run sent it.
    """

    entry: InvoiceEntry
    contract_id: int
    kind: str
    language: str
    address: str
    zone: str
    tax: Money
    paid: Money
    left: Money
    cycle: int
    besides: bool
    by_hand: bool
    run_id: int | None
    from_on: date | None
    until_on: date | None
    explained: tuple[Mapping[str, object], ...]
    before: tuple[int, str] | None
    lines: tuple[LineView, ...]
    measure: MeasureView | None
    notes: tuple[NoteView, ...]
    moves: tuple[MoveView, ...]
    steps: tuple[StepView, ...]
    letters: tuple[LetterView, ...]
    disputes: tuple[DisputeView, ...]
    sent_by: str
    acts: tuple[ActView, ...]

    @property
    def last_on(self) -> date | None:
        """The last day it covers."""
        return self.until_on - timedelta(days=1) if self.until_on else None


@dataclass(frozen=True, slots=True)
class MonthSum:
    """Of one currency and month: how many invoices stand in a state, and what they come to."""

    state: str
    count: int
    total: Money


@dataclass(frozen=True, slots=True)
class Jump:
    """An invoice that differs a lot from the one of the month before; `change`: in whole per cent."""

    entry: InvoiceEntry
    before: Money
    change: int
    explained: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class LeftOutView:
    contract_id: int
    account: str
    customer_id: int
    customer: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunView:
    id: int
    period: str
    agency: str | None
    started_at: datetime
    finished_at: datetime | None
    started_by: str
    made: int
    left_out: int


@dataclass(frozen=True, slots=True)
class MonthView:
    """A month's billing. `before`: per currency what the month before came to, cancelled ones aside. `biggest`: those
    that changed by more than half, the largest difference first. `left_out`: (reason, how many), the most first."""

    period: str
    agency: str | None
    sums: tuple[MonthSum, ...]
    before: tuple[Sum, ...]
    runs: tuple[RunView, ...]
    left_out: tuple[tuple[str, int], ...]
    left_out_first: tuple[LeftOutView, ...]
    biggest: tuple[Jump, ...]

    def count(self, state: str) -> int:
        return sum(one.count for one in self.sums if one.state == state)

    @property
    def billed(self) -> tuple[Sum, ...]:
        """Per currency, cancelled ones aside."""
        found: dict[str, tuple[int, Money]] = {}
        for one in self.sums:
            if one.state != "cancelled":
                count, total = found.get(one.total.currency, (0, Money(0, one.total.currency)))
                found[one.total.currency] = (count + one.count, total + one.total)
        return tuple(Sum(count, total, Money(0, code)) for code, (count, total) in sorted(found.items()))


@dataclass(frozen=True, slots=True)
class DeclaredView:
    """Cash or bank money that somebody declared. `state`: `declared` until it is confirmed."""

    id: str
    way: str
    state: str
    account: str
    customer_id: int
    customer: str
    amount: Money
    reference: str
    paid_on: date | None
    at: datetime
    by: str
    confirmed_by: str
