"""What payroll is made of: rates, what goes into a payslip, its lines, and what pages show of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Literal

from core.kernel.money import Money

Payer = Literal["employee", "employer"]
PayeeKind = Literal["employee", "agent"]
Side = Literal["earning", "deduction", "employer"]
ItemKind = Literal["bonus", "deduction"]
RunState = Literal["open", "review", "closing", "closed", "cancelled"]
# What a line is. The two last are an agent's: commission that was taken back, and a float below its limit.
LineKind = Literal["base", "bonus", "commission", "contribution", "tax", "deduction", "commission_back", "float_debt"]
# What a person reads of how a line comes about: days, a rate and its base, the month it was carried over from.
Basis = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Contribution:
    """A flat share of pay. `payer`: whose pay it comes out of; the employer's is no part of anybody's pay.

    `on`: `salary`, of employees, or `commission`, of agents. `ceiling_minor`: no more than this is counted, None: all.
    """

    code: str
    name: str
    payer: Payer
    percent: Fraction
    on: Literal["salary", "commission"] = "salary"
    ceiling_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Bracket:
    """`upto_minor`: where it ends, None for the last."""

    upto_minor: int | None
    percent: Fraction


@dataclass(frozen=True, slots=True)
class IncomeTax:
    """A month's tax on what is left of the salary after the employee's own contributions.

    Brackets one upon the other; then never more than `cap_percent` of the whole; then `relief_percent` of the tax less
    for each dependant, `relief_most` of them at most; then never less than `least_minor`.
    """

    code: str
    name: str
    brackets: tuple[Bracket, ...]
    cap_percent: Fraction | None = None
    least_minor: int = 0
    relief_percent: Fraction = Fraction(0)
    relief_most: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """What is kept from pay in one currency."""

    currency: str
    contributions: tuple[Contribution, ...] = ()
    tax: IncomeTax | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A bonus or a deduction that is due in a run. `carried_from`: the month in which there was not enough."""

    id: int
    kind: ItemKind
    words: str
    amount_minor: int
    taxable: bool = False
    carried_from: str = ""


@dataclass(frozen=True, slots=True)
class PayInputs:
    """All that a payslip follows from. Minor units of `currency`.

    `days` of `of_days` of the month somebody was employed. `commission_minor`: what the ledger owes the agent; below
    zero where sales were taken back. `float_debt_minor`: how far an agent's float is below its limit.
    """

    kind: PayeeKind
    currency: str
    base_minor: int = 0
    days: int = 0
    of_days: int = 30
    dependants: int = 0
    commission_minor: int = 0
    float_debt_minor: int = 0
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """`amount_minor`: what is paid or taken. `asked_minor`: what should have been taken; more, where pay was too small.

    `label`: somebody's own words, or a levy's name; '' where the kind says it all.
    """

    side: Side
    kind: LineKind
    amount_minor: int
    asked_minor: int
    label: str = ""
    levy: str = ""
    item_id: int | None = None
    basis: Basis = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    gross_minor: int
    deducted_minor: int
    employer_minor: int

    @property
    def net_minor(self) -> int:
        """Never below nothing."""
        return self.gross_minor - self.deducted_minor


# -- what pages show


@dataclass(frozen=True, slots=True)
class EmployeeFacts:
    """What the office says of an employee. `base`: of a whole month. `pay_to`: how the money comes (`Rawbank …4410`).
    `number`: '' for the next one."""

    name: str
    job: str
    agency_id: int
    base: Money
    starts_on: date
    number: str = ""
    phone: str = ""
    email: str = ""
    language: str = "fr"
    pay_to: str = ""
    dependants: int = 0
    ends_on: date | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class EmployeeView:
    id: int
    number: str
    agency: str
    facts: EmployeeFacts


@dataclass(frozen=True, slots=True)
class Payee:
    """Who an item or a slip belongs to."""

    kind: PayeeKind
    id: int

    @property
    def owner(self) -> str:
        """Whose account in the ledger."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class ItemView:
    """`once`: it is due until it was on a slip. `until_period`: '' where it goes on."""

    id: int
    payee: Payee
    kind: ItemKind
    words: str
    amount: Money
    taxable: bool
    once: bool
    from_period: str
    until_period: str
    carried_from: str
    made_by: str
    made_at: datetime
    ended_by: str
    slip_id: int | None


@dataclass(frozen=True, slots=True)
class RatesView:
    """`confirmed_by`: '' while no accountant has said that they are right."""

    id: int
    version: int
    from_period: str
    rates: Rates
    body: Mapping[str, object]
    made_by: str
    made_at: datetime
    confirmed_by: str
    confirmed_at: datetime | None
    confirmation: str


@dataclass(frozen=True, slots=True)
class Look:
    """`version`: which computation of the run was looked at. `note`: '' for "nothing to say"."""

    by: str
    at: datetime
    version: int
    note: str
    sent_back: bool


@dataclass(frozen=True, slots=True)
class RunView:
    """`slips`: how many, `done`: of them with a number. Sums of all slips."""

    id: int
    period: str
    currency: str
    state: RunState
    version: int
    opened_by: str
    opened_at: datetime
    computed_by: str
    computed_at: datetime
    closed_by: str
    closed_at: datetime | None
    commission_until: datetime
    rates_id: int | None
    slips: int
    done: int
    paid: int
    gross: Money
    deducted: Money
    net: Money
    employer: Money


@dataclass(frozen=True, slots=True)
class SlipView:
    id: int
    run_id: int
    period: str
    state: RunState
    payee: Payee
    number: str
    name: str
    staff_number: str
    job: str
    agency: str
    language: str
    email: str
    pay_to: str
    gross: Money
    deducted: Money
    net: Money
    employer: Money
    paid_at: datetime | None
    paid_reference: str
