"""The receipt: one A5 page that proves a payment, in the customer's language. Pure: facts in, the same bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import segno
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A5
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from core.i18n import N_, day, translate
from core.kernel.digits import grouped
from core.kernel.money import Money

_WIDTH, _HEIGHT = A5
_MARGIN = 34.0
_BAND = 84.0
_INK, _LAMP, _TEXT = HexColor("#101a33"), HexColor("#f6b93b"), HexColor("#1b2233")
_SOFT, _LINE, _PAPER = HexColor("#5a6274"), HexColor("#e3ddcf"), HexColor("#fdf6e3")
_QR_SIDE = 92.0
# So many invoices have a line of their own; the rest share one.
_LINES_MAX = 7


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


@cache
def _own_fonts() -> tuple[str, str]:
    """Helvetica cannot show every letter of every language; ours can, and costs four times the time and the bytes."""
    for name, file in (("MwoloSans", "mwolo-sans.ttf"), ("MwoloSans-Bold", "mwolo-sans-bold.ttf")):
        content = resources.files("core.documents").joinpath("fonts", file).read_bytes()
        pdfmetrics.registerFont(TTFont(name, BytesIO(content)))
    return "MwoloSans", "MwoloSans-Bold"


def _fonts(texts: Sequence[str]) -> tuple[str, str]:
    try:
        "".join(texts).encode("cp1252")
    except UnicodeEncodeError:
        return _own_fonts()
    return "Helvetica", "Helvetica-Bold"


class _Page:
    """Writes from the top down; `y` is where the next line goes."""

    def __init__(self, facts: ReceiptFacts, language: str) -> None:
        self._facts = facts
        self._language = language
        self._rows = self._facts_rows()
        self._table = self._placed_rows()
        self._end = self._standing()
        self._check = [
            self._say(N_("Anybody can check this receipt.")),
            self._say(N_("Scan the square, or open {url} and type the code."), url=self._short_url()),
        ]
        texts = [facts.utility, self._title, self._received, self._code_label, *self._check, *self._end]
        texts += [text for row in (*self._rows, *self._table) for text in row]
        self._plain, self._bold = _fonts(texts)
        self._y = _HEIGHT

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

    def _short_url(self) -> str:
        """The address without the code: short enough to be typed."""
        url = self._facts.verify_url.removeprefix("https://").removeprefix("http://")
        return url.removesuffix(self._facts.code)

    def _facts_rows(self) -> list[tuple[str, str]]:
        facts = self._facts
        rows = [
            (self._say(N_("Receipt")), facts.number),
            (self._say(N_("Account")), grouped(facts.account)),
            (self._say(N_("Paid by")), facts.payer),
            (self._say(N_("Paid with")), facts.wallet),
            (self._say(N_("Operator's transaction")), facts.provider_txn_id),
        ]
        return [row for row in rows if row[1]]

    def _placed_rows(self) -> list[tuple[str, str]]:
        """A line per invoice; when there are many, the last line is the sum of those that found no room."""
        placed = list(self._facts.placed)
        shown = placed if len(placed) <= _LINES_MAX else placed[: _LINES_MAX - 1]
        rest = placed[len(shown) :]
        rows = [
            (self._say(N_("Invoice {number} of {period}"), number=p.number, period=_period(p.period)), p.amount.text)
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
        out = BytesIO()
        canvas = Canvas(out, pagesize=A5, invariant=1, pageCompression=1)
        canvas.setTitle(f"{self._title} {self._facts.number}")
        canvas.setAuthor(self._facts.utility)
        canvas.setCreator("Mwolo")
        self._draw_band(canvas)
        self._draw_amount(canvas)
        self._draw_rows(canvas)
        self._draw_placed(canvas)
        self._draw_check(canvas)
        canvas.showPage()
        canvas.save()
        return out.getvalue()

    def _draw_band(self, canvas: Any) -> None:
        canvas.setFillColor(_INK)
        canvas.rect(0, _HEIGHT - _BAND, _WIDTH, _BAND, stroke=0, fill=1)
        canvas.setFillColor(_LAMP)
        canvas.rect(0, _HEIGHT - _BAND - 3, _WIDTH, 3, stroke=0, fill=1)
        _lamp(canvas, _MARGIN + 17, _HEIGHT - _BAND / 2 - 1)
        left, room = _MARGIN + 48, _WIDTH - 2 * _MARGIN - 48
        canvas.setFillColor(HexColor("#ffffff"))
        self._fitted(canvas, self._facts.utility, left, _HEIGHT - 40, self._bold, 17, room)
        canvas.setFillColor(_LAMP)
        self._fitted(canvas, self._title, left, _HEIGHT - 58, self._plain, 11.5, room)
        self._y = _HEIGHT - _BAND - 48

    def _draw_amount(self, canvas: Any) -> None:
        canvas.setFillColor(_INK)
        self._fitted(canvas, self._facts.amount.text, _MARGIN, self._y, self._bold, 34, _WIDTH - 2 * _MARGIN)
        canvas.setFillColor(_SOFT)
        canvas.setFont(self._plain, 10.5)
        canvas.drawString(_MARGIN, self._y - 18, self._received)
        self._y -= 44

    def _draw_rows(self, canvas: Any) -> None:
        for label, value in self._rows:
            canvas.setFillColor(_SOFT)
            self._fitted(canvas, label, _MARGIN, self._y, self._plain, 9.5, 112)
            canvas.setFillColor(_TEXT)
            self._fitted(canvas, value, _MARGIN + 122, self._y, self._bold, 10.5, _WIDTH - 2 * _MARGIN - 122)
            self._y -= 17
        self._y -= 6

    def _draw_placed(self, canvas: Any) -> None:
        right = _WIDTH - _MARGIN
        canvas.setStrokeColor(_LINE)
        for label, value in self._table:
            canvas.line(_MARGIN, self._y + 12, right, self._y + 12)
            canvas.setFillColor(_TEXT)
            self._fitted(canvas, label, _MARGIN, self._y, self._plain, 10, right - _MARGIN - 110)
            canvas.setFont(self._plain, 10)
            canvas.drawRightString(right, self._y, value)
            self._y -= 17
        self._y -= 6
        canvas.setFillColor(_PAPER)
        canvas.roundRect(_MARGIN - 8, self._y - 9, right - _MARGIN + 16, 24, 5, stroke=0, fill=1)
        canvas.setFillColor(_INK)
        label, value = self._end
        self._fitted(canvas, label, _MARGIN, self._y - 1, self._bold, 10.5, right - _MARGIN - (110 if value else 0))
        canvas.setFont(self._bold, 11)
        canvas.drawRightString(right, self._y - 1, value)

    def _draw_check(self, canvas: Any) -> None:
        facts, bottom = self._facts, 30.0
        canvas.setStrokeColor(_LINE)
        canvas.line(_MARGIN, bottom + _QR_SIDE + 14, _WIDTH - _MARGIN, bottom + _QR_SIDE + 14)
        _qr(canvas, facts.verify_url, _MARGIN, bottom, _QR_SIDE)
        canvas.linkURL(facts.verify_url, (_MARGIN, bottom, _MARGIN + _QR_SIDE, bottom + _QR_SIDE), relative=0)
        left = _MARGIN + _QR_SIDE + 16
        room = _WIDTH - _MARGIN - left
        canvas.setFillColor(_SOFT)
        self._fitted(canvas, self._code_label, left, bottom + _QR_SIDE - 12, self._plain, 9.5, room)
        canvas.setFillColor(_INK)
        self._fitted(canvas, grouped(facts.code), left, bottom + _QR_SIDE - 35, self._bold, 20, room)
        canvas.setFillColor(_SOFT)
        y = bottom + _QR_SIDE - 54
        for text in self._check:
            for line in _wrapped(text, self._plain, 8.5, room):
                canvas.setFont(self._plain, 8.5)
                canvas.drawString(left, y, line)
                y -= 11

    def _fitted(self, canvas: Any, text: str, x: float, y: float, font: str, size: float, room: float) -> None:
        """Smaller letters rather than a cut text: a receipt says all it says."""
        width = pdfmetrics.stringWidth(text, font, size)
        canvas.setFont(font, size if width <= room else max(4.0, size * room / width))
        canvas.drawString(x, y, text)


def _period(period: str) -> str:
    year, _, month = period.partition("-")
    return f"{month}/{year}" if month else period


def _wrapped(text: str, font: str, size: float, room: float) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}".strip()
        if line and pdfmetrics.stringWidth(longer, font, size) > room:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def _lamp(canvas: Any, x: float, y: float) -> None:
    """The mark: a lamp that is on."""
    canvas.saveState()
    canvas.setFillColor(_LAMP)
    canvas.setStrokeColor(_LAMP)
    canvas.circle(x, y + 3, 10, stroke=0, fill=1)
    canvas.rect(x - 4.5, y - 11, 9, 7, stroke=0, fill=1)
    canvas.setLineWidth(2)
    canvas.setLineCap(1)
    for dx, dy in ((0, 1), (0.71, 0.71), (-0.71, 0.71), (1, 0), (-1, 0)):
        canvas.line(x + dx * 14, y + 3 + dy * 14, x + dx * 18, y + 3 + dy * 18)
    canvas.setStrokeColor(HexColor("#f3ead3"))
    canvas.line(x - 4, y - 14.5, x + 4, y - 14.5)
    canvas.setStrokeColor(_INK)
    canvas.line(x - 3.2, y + 2, x - 1, y - 0.4)
    canvas.line(x - 1, y - 0.4, x + 3.6, y + 5)
    canvas.restoreState()


def _qr(canvas: Any, text: str, x: float, y: float, side: float) -> None:
    """The square, as runs of dark cells: an eighth of the rectangles that single cells would be."""
    matrix = segno.make(text, error="m", micro=False).matrix
    cell = side / len(matrix)
    canvas.setFillColor(_INK)
    path = canvas.beginPath()
    for row, cells in enumerate(matrix):
        start: int | None = None
        for column, dark in enumerate((*cells, 0)):
            if dark and start is None:
                start = column
            elif not dark and start is not None:
                path.rect(x + start * cell, y + side - (row + 1) * cell, (column - start) * cell, cell)
                start = None
    canvas.drawPath(path, stroke=0, fill=1)
