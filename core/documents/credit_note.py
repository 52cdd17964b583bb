"""The credit note: one A4 page that lowers a bill, in the customer's language. Pure: facts in, the same bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from reportlab.lib.pagesizes import A4

from core.documents.drawing import INK, LAMP, SOFT, WHITE, Sheet, band, period_text
from core.documents.invoice import Office
from core.i18n import N_, day, translate
from core.kernel.digits import grouped
from core.kernel.money import Money

_WIDTH, _HEIGHT = A4
_MARGIN, _BAND = 44.0, 92.0
_LEFT, _RIGHT = _MARGIN, _WIDTH - _MARGIN
_ROW = 17.0
# Where the office stands, at the foot.
_FOOT = 112.0


@dataclass(frozen=True, slots=True)
class CreditNoteFacts:
    """What stands on a credit note. `levies`: (name, amount) of what is given back of each; `net`: of the rest.

    `bill`, `period`, `bill_total`: of the bill it lowers. `reason`: in the words of whoever wrote it.
    """

    utility: str
    number: str
    issued_on: date
    name: str
    address: Sequence[str]
    account: str
    bill: str
    period: str
    bill_total: Money
    net: Money
    levies: Sequence[tuple[str, Money]]
    reason: str
    office: Office

    @property
    def total(self) -> Money:
        return Money(self.net.minor + sum(amount.minor for _, amount in self.levies), self.net.currency)


def render_credit_note(facts: CreditNoteFacts, language: str) -> bytes:
    """The PDF. The same facts and language give the same bytes, whenever and wherever."""
    return _Note(facts, language).pdf()


class _Note:
    """Writes from the top down."""

    def __init__(self, facts: CreditNoteFacts, language: str) -> None:
        self._facts = facts
        self._language = language
        self._title = self._say(N_("Credit note on an electricity bill"))
        self._particulars = [
            (self._say(N_("Credit note")), facts.number),
            (self._say(N_("Date")), day(facts.issued_on)),
            (self._say(N_("Account")), grouped(facts.account)),
            (self._say(N_("Bill")), facts.bill),
            (self._say(N_("Month")), period_text(facts.period)),
            (self._say(N_("Total of the bill")), facts.bill_total.text),
        ]
        self._words = self._say(N_("Taken off this bill. What was paid already stays on the account as credit."))
        self._sheet = Sheet(A4, title=f"{self._title} {facts.number}", author=facts.utility, mark="", language=language)

    def _say(self, text: str, **blanks: str) -> str:
        return translate(text, self._language, **blanks)

    def pdf(self) -> bytes:
        sheet, facts = self._sheet, self._facts
        band(sheet.canvas, A4, _BAND, _MARGIN, (sheet.plain, sheet.bold), facts.utility, self._title)
        sheet.y = _HEIGHT - _BAND - 34
        self._who()
        self._card()
        self._parts()
        self._why()
        self._foot()
        return sheet.pdf()

    def _who(self) -> None:
        sheet, facts, top = self._sheet, self._facts, self._sheet.y
        half = (_RIGHT - _LEFT) / 2 - 12
        sheet.paragraph(facts.name, _LEFT, size=13, room=half, leading=16, bold=True, color=INK)
        sheet.y -= 1
        for line in facts.address:
            sheet.paragraph(line, _LEFT, size=10.5, room=half, leading=14)
        lowest = sheet.y
        sheet.y = top
        left = _LEFT + half + 24
        for label, value in self._particulars:
            sheet.text(label, left, size=9.5, room=110, color=SOFT)
            sheet.text(value, _RIGHT, size=10.5, room=half - 116, bold=True, right=True)
            sheet.y -= 15.5
        sheet.y = min(lowest, sheet.y) - 12

    def _card(self) -> None:
        sheet, height = self._sheet, 66.0
        bottom = sheet.y - height + 12
        sheet.box(_LEFT - 10, bottom, _RIGHT - _LEFT + 20, height, color=INK)
        sheet.canvas.setFillColor(LAMP)
        sheet.canvas.rect(_LEFT - 10, bottom + 8, 4, height - 16, stroke=0, fill=1)
        sheet.y = bottom + height - 22
        sheet.text(self._say(N_("Taken off the bill")), _LEFT + 6, size=11, room=220, color=LAMP)
        sheet.y = bottom + height - 38
        sheet.paragraph(self._words, _LEFT + 6, size=10, room=232, leading=12.5, color=WHITE)
        sheet.y = bottom + 24
        sheet.text(self._facts.total.text, _RIGHT, size=28, room=260, bold=True, color=WHITE, right=True)
        sheet.y = bottom - 30

    def _parts(self) -> None:
        sheet, facts = self._sheet, self._facts
        room = _RIGHT - _LEFT - 130
        for label, amount in ((self._say(N_("Without taxes")), facts.net), *facts.levies):
            sheet.rule(_LEFT, _RIGHT, above=12)
            sheet.text(label, _LEFT, size=10, room=room)
            sheet.text(amount.text, _RIGHT, size=10, room=120, right=True)
            sheet.y -= _ROW
        sheet.y -= 6
        sheet.box(_LEFT - 10, sheet.y - 9, _RIGHT - _LEFT + 20, 25)
        sheet.text(self._say(N_("Taken off the bill")), _LEFT, size=11, room=room, bold=True, color=INK)
        sheet.text(facts.total.text, _RIGHT, size=12, room=200, bold=True, color=INK, right=True)
        sheet.y -= 44

    def _why(self) -> None:
        sheet = self._sheet
        sheet.text(self._say(N_("Reason")), _LEFT, size=11.5, room=200, bold=True, color=INK)
        sheet.y -= 18
        sheet.paragraph(self._facts.reason, _LEFT, size=10, room=_RIGHT - _LEFT, leading=14)

    def _foot(self) -> None:
        sheet, office = self._sheet, self._facts.office
        sheet.y = _FOOT
        sheet.rule(_LEFT, _RIGHT, above=0)
        sheet.y -= 22
        sheet.text(office.name, _LEFT, size=9.5, room=_RIGHT - _LEFT, bold=True, color=INK)
        sheet.y -= 13
        for line in (office.address, office.hours, office.phone):
            if line:
                sheet.paragraph(line, _LEFT, size=8.5, room=_RIGHT - _LEFT, leading=11, color=SOFT)
