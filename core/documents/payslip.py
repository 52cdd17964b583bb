"""The payslip: what somebody earned in a month, one A4 page. Pure: facts in, the same bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from reportlab.lib.pagesizes import A4

from core.documents.drawing import INK, LAMP, SOFT, WHITE, Sheet, band, period_text
from core.i18n import N_, day, translate
from core.kernel.money import Money

_WIDTH, _HEIGHT = A4
_MARGIN = 44.0
_LEFT, _RIGHT = _MARGIN, _WIDTH - _MARGIN
_BAND = 92.0
_BOTTOM = 60.0
_ROW = 18.0
_BASIS = _RIGHT - 110


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


def render_payslip(facts: PayslipFacts, language: str) -> bytes:
    """The PDF. The same facts and language give the same bytes, whenever and wherever."""
    return _Page(facts, language).pdf()


class _Page:
    def __init__(self, facts: PayslipFacts, language: str) -> None:
        self._facts = facts
        self._language = language
        self._title = self._say(N_("Payslip of {period}"), period=period_text(facts.period))
        mark = "" if facts.closed_on else self._say(N_("DRAFT"))
        self._sheet = Sheet(
            A4, title=f"{self._title} {facts.number}", author=facts.utility, mark=mark,
            language=language,
        )  # fmt: skip

    def _say(self, text: str, **blanks: str) -> str:
        return translate(text, self._language, **blanks)

    def _head_rows(self) -> list[tuple[str, str]]:
        facts = self._facts
        rows = [
            (self._say(N_("Payslip")), facts.number),
            (self._say(N_("Date")), day(facts.closed_on) if facts.closed_on else ""),
            (self._say(N_("Staff number")), facts.staff_number),
            (self._say(N_("Agency")), facts.agency),
            (self._say(N_("Paid with")), facts.paid_by),
        ]
        return [row for row in rows if row[1]]

    def pdf(self) -> bytes:
        sheet, facts = self._sheet, self._facts
        band(sheet.canvas, A4, _BAND, _MARGIN, (sheet.plain, sheet.bold), facts.utility, self._title)
        sheet.y = _HEIGHT - _BAND - 34
        self._who()
        self._table(self._say(N_("Earned")), facts.earnings, self._say(N_("Gross")), facts.gross)
        if facts.deductions:
            self._table(self._say(N_("Deductions")), facts.deductions, self._say(N_("Deducted")), facts.deducted)
        self._net()
        return sheet.pdf()

    def _who(self) -> None:
        sheet, facts, top = self._sheet, self._facts, self._sheet.y
        half = (_RIGHT - _LEFT) / 2 - 12
        sheet.text(facts.name, _LEFT, size=14, room=half, bold=True, color=INK)
        sheet.y -= 18
        sheet.text(facts.role, _LEFT, size=10.5, room=half)
        lowest, sheet.y = sheet.y, top
        for label, value in self._head_rows():
            sheet.text(label, _LEFT + half + 24, size=9.5, room=100, color=SOFT)
            sheet.text(value, _RIGHT, size=10.5, room=half - 106, bold=True, right=True)
            sheet.y -= 15.5
        sheet.y = min(lowest, sheet.y) - 26

    def _table(self, heading: str, lines: Sequence[PayLine], label: str, total: Money) -> None:
        sheet = self._sheet
        self._need(3 * _ROW)
        sheet.text(heading, _LEFT, size=11.5, room=300, bold=True, color=INK)
        sheet.y -= _ROW
        for line in lines:
            self._need(_ROW)
            sheet.rule(_LEFT, _RIGHT, above=12)
            sheet.text(line.label, _LEFT, size=10, room=210)
            sheet.text(line.basis, _BASIS, size=9.5, room=175, color=SOFT, right=True)
            sheet.text(line.amount.text, _RIGHT, size=10, room=104, right=True)
            sheet.y -= _ROW
        self._need(_ROW)
        sheet.rule(_LEFT, _RIGHT, above=12, color=SOFT)
        sheet.text(label, _LEFT, size=10.5, room=300, bold=True)
        sheet.text(total.text, _RIGHT, size=10.5, room=140, bold=True, right=True)
        sheet.y -= 2 * _ROW

    def _net(self) -> None:
        self._need(100)
        sheet, facts, height = self._sheet, self._facts, 58.0
        bottom = sheet.y - height + 16
        sheet.box(_LEFT - 10, bottom, _RIGHT - _LEFT + 20, height, color=INK)
        sheet.canvas.setFillColor(LAMP)
        sheet.canvas.rect(_LEFT - 10, bottom + 8, 4, height - 16, stroke=0, fill=1)
        sheet.y = bottom + height / 2 - 4
        sheet.text(self._say(N_("Net to be paid")), _LEFT + 6, size=12, room=200, color=LAMP)
        sheet.y = bottom + height / 2 - 9
        sheet.text(facts.net.text, _RIGHT, size=26, room=280, bold=True, color=WHITE, right=True)
        sheet.y = bottom - 24
        if facts.year_to_date is not None:
            words = self._say(N_("Net since the beginning of the year"))
            sheet.text(words, _LEFT, size=9.5, room=300, color=SOFT)
            sheet.text(facts.year_to_date.text, _RIGHT, size=10, room=150, right=True)
            sheet.y -= 18
        sheet.text(self._say(N_("Keep this paper.")), _LEFT, size=9.5, room=300, color=SOFT)

    def _need(self, height: float) -> None:
        if self._sheet.y - height < _BOTTOM:
            self._sheet.next_page()
            self._sheet.y -= 60
