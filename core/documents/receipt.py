"""The receipt: one A5 page that proves a payment, in the customer's language. Pure: facts in, the same bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from reportlab.lib.pagesizes import A5

from core.documents.drawing import INK, SOFT, Sheet, band, period_text, qr, short_url
from core.i18n import N_, day, translate
from core.kernel.digits import grouped
from core.kernel.money import Money

_WIDTH, _HEIGHT = A5
_MARGIN = 34.0
_BAND = 84.0
_LEFT, _RIGHT = _MARGIN, _WIDTH - _MARGIN
_QR_SIDE = 92.0
# So many invoices have a line of their own; the rest share one.
_LINES_MAX = 7
# Money that no wallet tells of: the way it came, in the customer's language. Names of wallets are the same in all.
_WAYS = {"cash": N_("Cash"), "bank": N_("Bank transfer")}


@dataclass(frozen=True, slots=True)
class Placed:
    """What one invoice got. `period`: `2026-02`."""

    number: str
    period: str
    amount: Money


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What stands on the receipt. `due` and `credit` are the contract's right after this payment.

    `payer`: masked already, '' where nobody is known. `at`: aware; shown in `zone`. `verify_url`: with the code in it.
    """

    utility: str
    number: str
    code: str
    at: datetime
    zone: str
    amount: Money
    account: str
    payer: str
    wallet: str
    provider_txn_id: str
    placed: Sequence[Placed]
    to_credit: Money | None
    due: Money
    credit: Money
    verify_url: str


def render_receipt(facts: ReceiptFacts, language: str) -> bytes:
    """The PDF. The same facts and language give the same bytes, whenever and wherever."""
    return _Page(facts, language).pdf()


class _Page:
    """Writes from the top down."""

    def __init__(self, facts: ReceiptFacts, language: str) -> None:
        self._facts = facts
        self._language = language
        self._rows = self._facts_rows()
        self._table = self._placed_rows()
        self._end = self._standing()
        self._check = [
            self._say(N_("Anybody can check this receipt.")),
            self._say(
                N_("Scan the square, or open {url} and type the code."), url=short_url(facts.verify_url, facts.code)
            ),
        ]
        title = f"{self._title} {facts.number}"
        self._sheet = Sheet(A5, title=title, author=facts.utility, mark="", language=language)

    def _say(self, text: str, **blanks: str) -> str:
        return translate(text, self._language, **blanks)

    @property
    def _title(self) -> str:
        return self._say(N_("Payment receipt"))

    @property
    def _received(self) -> str:
        there = self._facts.at.astimezone(ZoneInfo(self._facts.zone))
        return self._say(N_("received on {date} at {time}"), date=day(there.date()), time=there.strftime("%H:%M"))

    @property
    def _code_label(self) -> str:
        return self._say(N_("Verification code"))

    def _facts_rows(self) -> list[tuple[str, str]]:
        facts = self._facts
        rows = [
            (self._say(N_("Receipt")), facts.number),
            (self._say(N_("Account")), grouped(facts.account)),
            (self._say(N_("Paid by")), facts.payer),
            (self._say(N_("Paid with")), self._say(_WAYS[facts.wallet]) if facts.wallet in _WAYS else facts.wallet),
            (self._say(N_("Operator's transaction")), facts.provider_txn_id),
        ]
        return [row for row in rows if row[1]]

    def _placed_rows(self) -> list[tuple[str, str]]:
        """A line per invoice; when there are many, the last line is the sum of those that found no room."""
        placed = list(self._facts.placed)
        shown = placed if len(placed) <= _LINES_MAX else placed[: _LINES_MAX - 1]
        rest = placed[len(shown) :]
        rows = [
            (
                self._say(N_("Invoice {number} of {period}"), number=p.number, period=period_text(p.period)),
                p.amount.text,
            )
            for p in shown
        ]
        if rest:
            total = Money(sum(p.amount.minor for p in rest), rest[0].amount.currency)
            rows.append((self._say(N_("{count} more invoices"), count=str(len(rest))), total.text))
        if self._facts.to_credit:
            rows.append((self._say(N_("Kept as credit")), self._facts.to_credit.text))
        return rows

    def _standing(self) -> tuple[str, str]:
        facts = self._facts
        if facts.due:
            return self._say(N_("Still to pay after this payment")), facts.due.text
        if facts.credit:
            return self._say(N_("Nothing left to pay. Your credit")), facts.credit.text
        return self._say(N_("Nothing left to pay. Thank you.")), ""

    # -- drawing

    def pdf(self) -> bytes:
        sheet, facts = self._sheet, self._facts
        band(sheet.canvas, A5, _BAND, _MARGIN, (sheet.plain, sheet.bold), facts.utility, self._title)
        sheet.y = _HEIGHT - _BAND - 48
        self._draw_amount()
        self._draw_rows()
        self._draw_placed()
        self._draw_check()
        return sheet.pdf()

    def _draw_amount(self) -> None:
        sheet = self._sheet
        sheet.text(self._facts.amount.text, _LEFT, size=34, room=_RIGHT - _LEFT, bold=True, color=INK)
        sheet.y -= 18
        sheet.text(self._received, _LEFT, size=10.5, room=_RIGHT - _LEFT, color=SOFT)
        sheet.y -= 26

    def _draw_rows(self) -> None:
        sheet = self._sheet
        for label, value in self._rows:
            sheet.text(label, _LEFT, size=9.5, room=112, color=SOFT)
            sheet.text(value, _LEFT + 122, size=10.5, room=_RIGHT - _LEFT - 122, bold=True)
            sheet.y -= 17
        sheet.y -= 6

    def _draw_placed(self) -> None:
        sheet, room = self._sheet, _RIGHT - _LEFT - 110
        for label, value in self._table:
            sheet.rule(_LEFT, _RIGHT, above=12)
            sheet.text(label, _LEFT, size=10, room=room)
            sheet.text(value, _RIGHT, size=10, room=104, right=True)
            sheet.y -= 17
        sheet.y -= 6
        sheet.box(_LEFT - 8, sheet.y - 9, _RIGHT - _LEFT + 16, 24)
        label, value = self._end
        sheet.y -= 1
        sheet.text(label, _LEFT, size=10.5, room=room if value else _RIGHT - _LEFT, bold=True, color=INK)
        sheet.text(value, _RIGHT, size=11, room=104, bold=True, color=INK, right=True)

    def _draw_check(self) -> None:
        sheet, facts, bottom = self._sheet, self._facts, 30.0
        top = bottom + _QR_SIDE
        sheet.y = top
        sheet.rule(_LEFT, _RIGHT, above=14)
        qr(sheet.canvas, facts.verify_url, _LEFT, bottom, _QR_SIDE)
        left = _LEFT + _QR_SIDE + 16
        room = _RIGHT - left
        sheet.y = top - 12
        sheet.text(self._code_label, left, size=9.5, room=room, color=SOFT)
        sheet.y = top - 35
        sheet.text(grouped(facts.code), left, size=20, room=room, bold=True, color=INK)
        sheet.y = top - 54
        for text in self._check:
            sheet.paragraph(text, left, size=8.5, room=room, leading=11, color=SOFT)
