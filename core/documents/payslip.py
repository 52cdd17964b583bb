"""The payslip: what somebody earned in a month, one A4 page. Pure: facts in, the same bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class PayLine:
    """One line, its words in the payee's language. `amount` is positive, among earnings and deductions alike.

    `basis`: how it comes about, where there is something to say (`26 d x 12 000 FC`, `3 % of 4 200 000 FC`).
    """

    label: str
    amount: Money
    basis: str = ""


@dataclass(frozen=True, slots=True)
class PayslipFacts:
    """What stands on the payslip. All amounts in one currency; gross and net follow from the lines.

    `number`: of the payslip. `period`: `2026-02`. `closed_on`: the day the run was closed; None while it is reviewed:
    then it is marked as a draft. `paid_by`: how the money comes (`M-Pesa 081***0001`, `Bank`), '' when not said.
    `year_to_date`: net of the year up to and with this month, None when not kept.
    """

    utility: str
    number: str
    period: str
    closed_on: date | None
    name: str
    staff_number: str
    role: str
    agency: str
    earnings: Sequence[PayLine]
    deductions: Sequence[PayLine]
    currency: str
    paid_by: str = ""
    year_to_date: Money | None = None

    @property
    def gross(self) -> Money:
        return Money(sum(line.amount.minor for line in self.earnings), self.currency)

    @property
    def deducted(self) -> Money:
        return Money(sum(line.amount.minor for line in self.deductions), self.currency)

    @property
    def net(self) -> Money:
        """May be below nothing where deductions exceed what was earned: then it is carried over, not paid."""
        return Money(self.gross.minor - self.deducted.minor, self.currency)
