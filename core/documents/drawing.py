"""What all papers share: letters, colours, the mark, the square, and a sheet that is written from the top down."""

from __future__ import annotations

from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any

import segno
from reportlab.lib.colors import Color, HexColor
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

INK, LAMP, TEXT = HexColor("#101a33"), HexColor("#f6b93b"), HexColor("#1b2233")
SOFT, LINE, PAPER, WHITE = HexColor("#5a6274"), HexColor("#e3ddcf"), HexColor("#fdf6e3"), HexColor("#ffffff")


@cache
def fonts() -> tuple[str, str]:
    """(plain, bold): ours, which have every letter of every language, and go into the file as far as they are used.

    A printer or a phone that puts its own letters in place of Helvetica cannot spoil a paper then.
    """
    for name, file in (("MwoloSans", "mwolo-sans.ttf"), ("MwoloSans-Bold", "mwolo-sans-bold.ttf")):
        content = resources.files("core.documents").joinpath("fonts", file).read_bytes()
        pdfmetrics.registerFont(TTFont(name, BytesIO(content)))
    return "MwoloSans", "MwoloSans-Bold"


def period_text(period: str) -> str:
    """`2026-02` as people write it: 02/2026."""
    year, _, month = period.partition("-")
    return f"{month}/{year}" if month else period


def wrapped(text: str, font: str, size: float, room: float) -> list[str]:
    """The lines of a paragraph. A word that is wider than the room stands alone, and is drawn smaller."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}".strip()
        if line and pdfmetrics.stringWidth(longer, font, size) > room:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def fitted(
    canvas: Any, text: str, x: float, y: float, font: str, size: float, room: float, *, right: bool = False
) -> None:
    """Smaller letters rather than a cut text: a paper says all it says. `right`: `x` is where it ends."""
    width = pdfmetrics.stringWidth(text, font, size)
    canvas.setFont(font, size if width <= room else max(4.0, size * room / width))
    (canvas.drawRightString if right else canvas.drawString)(x, y, text)


def short_url(verify_url: str, code: str) -> str:
    """The address without the code: short enough to be typed."""
    return verify_url.removeprefix("https://").removeprefix("http://").removesuffix(code)


def band(
    canvas: Any,
    size: tuple[float, float],
    height: float,
    margin: float,
    fonts_: tuple[str, str],
    utility: str,
    title: str,
) -> None:
    """The head of a paper: who it is from, and what it is."""
    width, top = size
    plain, bold = fonts_
    canvas.setFillColor(INK)
    canvas.rect(0, top - height, width, height, stroke=0, fill=1)
    canvas.setFillColor(LAMP)
    canvas.rect(0, top - height - 3, width, 3, stroke=0, fill=1)
    lamp(canvas, margin + 17, top - height / 2 - 1)
    left, room = margin + 48, width - 2 * margin - 48
    canvas.setFillColor(WHITE)
    fitted(canvas, utility, left, top - height / 2 + 2, bold, 17, room)
    canvas.setFillColor(LAMP)
    fitted(canvas, title, left, top - height / 2 - 16, plain, 11.5, room)


def lamp(canvas: Any, x: float, y: float) -> None:
    """The mark: a lamp that is on."""
    canvas.saveState()
    canvas.setFillColor(LAMP)
    canvas.setStrokeColor(LAMP)
    canvas.circle(x, y + 3, 10, stroke=0, fill=1)
    canvas.rect(x - 4.5, y - 11, 9, 7, stroke=0, fill=1)
    canvas.setLineWidth(2)
    canvas.setLineCap(1)
    for dx, dy in ((0, 1), (0.71, 0.71), (-0.71, 0.71), (1, 0), (-1, 0)):
        canvas.line(x + dx * 14, y + 3 + dy * 14, x + dx * 18, y + 3 + dy * 18)
    canvas.setStrokeColor(HexColor("#f3ead3"))
    canvas.line(x - 4, y - 14.5, x + 4, y - 14.5)
    canvas.setStrokeColor(INK)
    canvas.line(x - 3.2, y + 2, x - 1, y - 0.4)
    canvas.line(x - 1, y - 0.4, x + 3.6, y + 5)
    canvas.restoreState()


def qr(canvas: Any, text: str, x: float, y: float, side: float) -> None:
    """The square, as runs of dark cells: an eighth of the rectangles that single cells would be."""
    matrix = segno.make(text, error="m", micro=False).matrix
    cell = side / len(matrix)
    canvas.setFillColor(INK)
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
    canvas.linkURL(text, (x, y, x + side, y + side), relative=0)


def watermark(canvas: Any, size: tuple[float, float], bold: str, word: str) -> None:
    """A word across the page that nobody overlooks, under everything else."""
    width, height = size
    canvas.saveState()
    canvas.setFillColor(Color(0.78, 0.16, 0.12, alpha=0.13))
    canvas.translate(width / 2, height / 2)
    canvas.rotate(52)
    wide = pdfmetrics.stringWidth(word, bold, 100)
    size_pt = min(118.0, 100 * 0.92 * (width**2 + height**2) ** 0.5 * 0.82 / wide)
    canvas.setFont(bold, size_pt)
    canvas.drawCentredString(0, -size_pt / 3, word)
    canvas.restoreState()


class Sheet:
    """Pages of one size. `y` is where the next line goes. The same calls, the same bytes."""

    def __init__(
        self,
        size: tuple[float, float],
        *,
        title: str,
        author: str,
        mark: str,
        language: str = "",
    ) -> None:
        self.size = size
        self.width, self.height = size
        self.plain, self.bold = fonts()
        self._mark = mark
        self._out = BytesIO()
        self.canvas: Any = Canvas(
            self._out,
            pagesize=size,
            invariant=1,
            pageCompression=1,
            lang=language or None,
            # Otherwise every file names Helvetica besides, and nothing in it is written with that.
            initialFontName=self.plain,
        )
        self.canvas.setTitle(title)
        self.canvas.setAuthor(author)
        self.canvas.setSubject(title)
        self.canvas.setCreator("Mwolo")
        self.pages = 1
        self.y = self.height
        self._begin()

    def _begin(self) -> None:
        if self._mark:
            watermark(self.canvas, self.size, self.bold, self._mark)

    def next_page(self) -> None:
        self.canvas.showPage()
        self.pages += 1
        self.y = self.height
        self._begin()

    def text(
        self,
        text: str,
        x: float,
        *,
        size: float,
        room: float,
        bold: bool = False,
        color: Any = TEXT,
        right: bool = False,
    ) -> None:
        """One line at `y`; `y` stays."""
        self.canvas.setFillColor(color)
        fitted(self.canvas, text, x, self.y, self.bold if bold else self.plain, size, room, right=right)

    def paragraph(
        self, text: str, x: float, *, size: float, room: float, leading: float, bold: bool = False, color: Any = TEXT
    ) -> None:
        """Lines from `y` down; `y` is below them afterwards."""
        for line in wrapped(text, self.bold if bold else self.plain, size, room):
            self.text(line, x, size=size, room=room, bold=bold, color=color)
            self.y -= leading

    def rule(self, left: float, right: float, *, above: float, color: Any = LINE, width: float = 0.7) -> None:
        self.canvas.setStrokeColor(color)
        self.canvas.setLineWidth(width)
        self.canvas.line(left, self.y + above, right, self.y + above)

    def box(self, left: float, bottom: float, width: float, height: float, *, color: Any = PAPER) -> None:
        self.canvas.setFillColor(color)
        self.canvas.roundRect(left, bottom, width, height, 6, stroke=0, fill=1)

    def pdf(self) -> bytes:
        self.canvas.showPage()
        self.canvas.save()
        return self._out.getvalue()
