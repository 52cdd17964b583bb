"""The bill: A4, in the customer's language, with all that makes up what is asked. Pure: facts in, same bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from reportlab.lib.pagesizes import A4

from core.documents.drawing import (
    INK,
    LAMP,
    PAPER,
    SOFT,
    WHITE,
    Sheet,
    band,
    period_text,
    qr,
    short_url,
    wrapped,
)
from core.i18n import N_, day, translate
from core.kernel.digits import grouped
from core.kernel.money import Money

_WIDTH, _HEIGHT = A4
_MARGIN = 44.0
_LEFT, _RIGHT = _MARGIN, _WIDTH - _MARGIN
_BAND = 92.0
_QR_SIDE = 84.0
# What stands at the foot of the last page needs so much; what comes before it may use the rest.
_FOOT = 136.0
_BOTTOM = 40.0
_ROW = 17.0
# Where the columns of the lines end: quantity, price, amount.
_QUANTITY, _PRICE = _RIGHT - 168, _RIGHT - 92

Mark = Literal["", "draft", "cancelled"]


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line, its words in the customer's language. `quantity` (`120 kWh`), `price` (`118,5`): '' where none.

    `is_tax`: the line is a levy, and stands below the others.
    """

    label: str
    amount: Money
    quantity: str = ""
    price: str = ""
    is_tax: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What the bill was measured by, in whole watt-hours. `until_on`: the day of the second reading."""

    meter: str
    from_on: date
    until_on: date
    from_wh: int
    until_wh: int
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """The bill before this one, and in sentences why this one differs."""

    period: str
    total: Money
    why: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Office:
    """Where the customer may ask."""

    name: str
    address: str
    phone: str
    hours: str


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """What stands on the bill. Lines add up to the total, in one currency.

    `days`: the first day it covers and the last one, None where it covers no days. `code`: '' for what is no bill
    (yet); then there is no square either. `verify_url`: with the code in it. `short_code`: what is dialled to pay.
    """

    utility: str
    number: str
    code: str
    mark: Mark
    period: str
    issued_on: date
    name: str
    address: Sequence[str]
    account: str
    meter: str
    currency: str
    lines: Sequence[BillLine]
    short_code: str
    office: Office
    verify_url: str
    days: tuple[date, date] | None = None
    measured: Measured | None = None
    before: Before | None = None

    @property
    def net(self) -> Money:
        return Money(sum(line.amount.minor for line in self.lines if not line.is_tax), self.currency)

    @property
    def total(self) -> Money:
        return Money(sum(line.amount.minor for line in self.lines), self.currency)


def render_invoice(facts: InvoiceFacts, language: str) -> bytes:
    """The PDF. The same facts and language give the same bytes, whenever and wherever."""
    return _Bill(facts, language).pdf()


class _Bill:
    def __init__(self, facts: InvoiceFacts, language: str) -> None:
        self._facts = facts
        self._language = language
        marks = {"draft": self._say(N_("DRAFT")), "cancelled": self._say(N_("CANCELLED")), "": ""}
        self._title = self._say(N_("Electricity bill of {period}"), period=period_text(facts.period))
        self._sheet = Sheet(
            A4, title=f"{self._title} {facts.number}".strip(), author=facts.utility,
            mark=marks[facts.mark], language=language,
        )  # fmt: skip

    def _say(self, text: str, **blanks: str) -> str:
        return translate(text, self._language, **blanks)

    def _how_to_pay(self) -> str:
        """Nobody is asked to pay what is no bill."""
        if self._facts.mark == "draft":
            return self._say(N_("This is a draft. Nothing is to be paid yet."))
        if self._facts.mark == "cancelled":
            return self._say(N_("This bill was cancelled. Do not pay it."))
        return self._say(
            N_("To pay, dial {code} on any phone and choose 1. Account {account}."),
            code=self._facts.short_code,
            account=grouped(self._facts.account),
        )

    def _head_rows(self) -> list[tuple[str, str]]:
        facts = self._facts
        first_last = f"{day(facts.days[0])} - {day(facts.days[1])}" if facts.days else ""
        rows = [
            (self._say(N_("Bill")), facts.number),
            (self._say(N_("Date")), day(facts.issued_on)),
            (self._say(N_("Account")), grouped(facts.account)),
            (self._say(N_("Meter")), facts.meter),
            (self._say(N_("Days billed")), first_last),
        ]
        return [row for row in rows if row[1]]

    # -- drawing

    def pdf(self) -> bytes:
        sheet, facts = self._sheet, self._facts
        band(sheet.canvas, A4, _BAND, _MARGIN, (sheet.plain, sheet.bold), facts.utility, self._title)
        sheet.y = _HEIGHT - _BAND - 34
        self._who()
        self._total_card()
        self._lines()
        if facts.measured:
            self._readings(facts.measured)
        if facts.before:
            self._difference(facts.before)
        self._need(_FOOT - _BOTTOM)
        self._foot()
        return sheet.pdf()

    def _need(self, height: float) -> None:
        """Room for what must not be torn apart; a new page where this one has none left."""
        if self._sheet.y - height < _BOTTOM:
            self._sheet.next_page()
            self._sheet.y -= 48
            head = f"{self._title}  {self._facts.number}"
            self._sheet.text(head, _LEFT, size=9.5, room=_RIGHT - _LEFT - 80, color=SOFT)
            page = self._say(N_("Page {n}"), n=str(self._sheet.pages))
            self._sheet.text(page, _RIGHT, size=9.5, room=76, color=SOFT, right=True)
            self._sheet.rule(_LEFT, _RIGHT, above=-7)
            self._sheet.y -= 30

    def _who(self) -> None:
        """The customer on the left, the bill's particulars on the right."""
        sheet, facts, top = self._sheet, self._facts, self._sheet.y
        half = (_RIGHT - _LEFT) / 2 - 12
        sheet.paragraph(facts.name, _LEFT, size=13, room=half, leading=16, bold=True, color=INK)
        sheet.y -= 1
        for line in facts.address:
            sheet.paragraph(line, _LEFT, size=10.5, room=half, leading=14)
        lowest = sheet.y
        sheet.y = top
        left = _LEFT + half + 24
        for label, value in self._head_rows():
            sheet.text(label, left, size=9.5, room=96, color=SOFT)
            sheet.text(value, _RIGHT, size=10.5, room=half - 102, bold=True, right=True)
            sheet.y -= 15.5
        sheet.y = min(lowest, sheet.y) - 12

    def _total_card(self) -> None:
        sheet, height = self._sheet, 66.0
        bottom = sheet.y - height + 12
        sheet.box(_LEFT - 10, bottom, _RIGHT - _LEFT + 20, height, color=INK)
        sheet.canvas.setFillColor(LAMP)
        sheet.canvas.rect(_LEFT - 10, bottom + 8, 4, height - 16, stroke=0, fill=1)
        sheet.y = bottom + height - 22
        sheet.text(self._say(N_("Total of this bill")), _LEFT + 6, size=11, room=220, color=LAMP)
        sheet.y = bottom + 24
        sheet.text(self._facts.total.text, _RIGHT, size=28, room=260, bold=True, color=WHITE, right=True)
        sheet.y = bottom + height - 38
        for line in self._pay_lines(232):
            sheet.text(line, _LEFT + 6, size=10, room=236, color=WHITE)
            sheet.y -= 12.5
        sheet.y = bottom - 30

    def _pay_lines(self, room: float) -> list[str]:
        return wrapped(self._how_to_pay(), self._sheet.plain, 10, room)

    def _lines(self) -> None:
        sheet, facts = self._sheet, self._facts
        self._heading(self._say(N_("What it is made of")))
        room = _QUANTITY - 74 - _LEFT
        for text, at in ((N_("Quantity"), _QUANTITY), (N_("Price"), _PRICE), (N_("Amount"), _RIGHT)):
            sheet.text(self._say(text), at, size=8.5, room=70, color=SOFT, right=True)
        sheet.y -= _ROW - 1
        for line in facts.lines:
            if not line.is_tax:
                self._row(line, room)
        taxes = [line for line in facts.lines if line.is_tax]
        if taxes:
            self._sum_row(self._say(N_("Without taxes")), facts.net)
            for line in taxes:
                self._row(line, room)
        self._need(34)
        sheet.y -= 6
        sheet.box(_LEFT - 10, sheet.y - 9, _RIGHT - _LEFT + 20, 25)
        sheet.text(self._say(N_("Total of this bill")), _LEFT, size=11, room=room, bold=True, color=INK)
        sheet.text(facts.total.text, _RIGHT, size=12, room=200, bold=True, color=INK, right=True)
        sheet.y -= 40

    def _row(self, line: BillLine, room: float) -> None:
        self._need(_ROW)
        sheet = self._sheet
        sheet.rule(_LEFT, _RIGHT, above=12)
        sheet.text(line.label, _LEFT, size=10, room=room)
        sheet.text(line.quantity, _QUANTITY, size=10, room=72, right=True)
        sheet.text(line.price, _PRICE, size=10, room=70, right=True)
        sheet.text(line.amount.text, _RIGHT, size=10, room=86, right=True)
        sheet.y -= _ROW

    def _sum_row(self, label: str, amount: Money) -> None:
        self._need(_ROW)
        sheet = self._sheet
        sheet.rule(_LEFT, _RIGHT, above=12, color=SOFT)
        sheet.text(label, _LEFT, size=10, room=260, bold=True)
        sheet.text(amount.text, _RIGHT, size=10, room=120, bold=True, right=True)
        sheet.y -= _ROW

    def _readings(self, measured: Measured) -> None:
        self._need(92)
        self._heading(self._say(N_("Your meter")))
        self._sheet.y -= 18
        used = measured.until_wh - measured.from_wh
        cells = [
            (self._say(N_("Reading of {day}"), day=day(measured.from_on)), f"{_kwh(measured.from_wh)} kWh"),
            (self._say(N_("Reading of {day}"), day=day(measured.until_on)), f"{_kwh(measured.until_wh)} kWh"),
            (self._say(N_("Energy used")), f"{_kwh(used)} kWh"),
        ]
        sheet, width = self._sheet, (_RIGHT - _LEFT) / len(cells)
        top = sheet.y
        for place, (label, value) in enumerate(cells):
            left = _LEFT + place * width
            sheet.box(left, top - 34, width - 8 if place < 2 else width, 42, color=PAPER)
            sheet.y = top - 6
            sheet.text(label, left + 10, size=8.5, room=width - 28, color=SOFT)
            sheet.y = top - 23
            sheet.text(value, left + 10, size=12.5, room=width - 28, bold=True, color=INK)
        sheet.y = top - 48
        if measured.estimated:
            words = self._say(N_("The second reading is an estimate; the next real one puts it right."))
            sheet.paragraph(words, _LEFT, size=9, room=_RIGHT - _LEFT, leading=12, color=SOFT)
        sheet.y -= 14

    def _difference(self, before: Before) -> None:
        self._need(62 + 14 * len(before.why))
        self._heading(self._say(N_("Compared with the bill before")))
        sheet = self._sheet
        sheet.y -= 18
        difference = self._facts.total - before.total
        sheet.text(period_text(before.period), _LEFT, size=10, room=80, color=SOFT)
        sheet.text(before.total.text, _LEFT + 70, size=10, room=120)
        sign = "+" if difference.minor > 0 else ""
        words = self._say(N_("Difference: {amount}"), amount=f"{sign}{difference.text}")
        sheet.text(words, _RIGHT, size=10, room=250, bold=True, right=True)
        sheet.y -= 16
        for sentence in before.why:
            sheet.canvas.setFillColor(LAMP)
            sheet.canvas.circle(_LEFT + 3, sheet.y + 3, 2, stroke=0, fill=1)
            sheet.text(sentence, _LEFT + 12, size=9.5, room=_RIGHT - _LEFT - 12)
            sheet.y -= 14
        sheet.y -= 12

    def _heading(self, text: str) -> None:
        sheet = self._sheet
        sheet.text(text, _LEFT, size=11.5, room=_QUANTITY - 74 - _LEFT, bold=True, color=INK)

    def _foot(self) -> None:
        """At the bottom of the last page: how to check it, and where to ask."""
        sheet, facts = self._sheet, self._facts
        sheet.y = _FOOT
        sheet.rule(_LEFT, _RIGHT, above=0)
        left = _LEFT
        if facts.code:
            qr(sheet.canvas, facts.verify_url, _LEFT, _FOOT - 12 - _QR_SIDE, _QR_SIDE)
            left = _LEFT + _QR_SIDE + 16
            self._check(left, room=200)
        sheet.y = _FOOT - 22
        at = _LEFT + _QR_SIDE + 240 if facts.code else left
        room = _RIGHT - at
        sheet.text(facts.office.name, at, size=9.5, room=room, bold=True, color=INK)
        sheet.y -= 13
        for line in (facts.office.address, facts.office.hours, facts.office.phone):
            if line:
                sheet.paragraph(line, at, size=8.5, room=room, leading=11, color=SOFT)

    def _check(self, left: float, room: float) -> None:
        sheet, facts = self._sheet, self._facts
        sheet.y = _FOOT - 22
        sheet.text(self._say(N_("Verification code")), left, size=9, room=room, color=SOFT)
        sheet.y -= 20
        sheet.text(grouped(facts.code), left, size=16, room=room, bold=True, color=INK)
        sheet.y -= 15
        for text in (
            self._say(N_("Anybody can check this bill.")),
            self._say(
                N_("Scan the square, or open {url} and type the code."), url=short_url(facts.verify_url, facts.code)
            ),
        ):
            sheet.paragraph(text, left, size=8, room=room, leading=10, color=SOFT)


def _kwh(wh: int) -> str:
    """Kilowatt-hours with one decimal where there is one: `12 345,6`."""
    tenths = (wh + 50) // 100
    whole = f"{tenths // 10:,}".replace(",", " ")
    return f"{whole},{tenths % 10}" if tenths % 10 else whole
