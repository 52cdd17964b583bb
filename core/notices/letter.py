"""An e-mail as text and as simple HTML, from the same words. Pure."""

from __future__ import annotations

import re
from html import escape

_INK, _LAMP, _PAPER = "#101a33", "#f6b93b", "#fdf6e3"
# Numbers in groups, and their currency, are not torn apart at the end of a line.
_GROUPED = re.compile(r"(?<=\d) (?=\d|FC\b|USD\b)")
# What the eye looks for first: how much, and what to dial.
_STRONG = re.compile(r"(?<![\d,])\d[\d,]*(?:&#160;\d{3})*(?:,\d\d)?&#160;(?:FC|USD)\b|\*\d{2,6}#")
_FONT = "font-family:Arial,Helvetica,sans-serif"


def text_of(body: str, utility: str) -> str:
    """The plain part: the paragraphs, and who wrote them."""
    return f"{body}\n\n-- \n{utility}\n"


def html_of(subject: str, body: str, utility: str, language: str, *, noted: bool = False) -> str:
    """The HTML part: tables and inline style only, because that is what mail programs agree on. No picture and nothing
    to load: it costs the reader no megabyte, and nobody sees whether it was opened.

    `noted`: the last paragraph says why this address is written to, and stands small at the foot.
    """
    parts = [part for part in body.split("\n\n") if part.strip()]
    note = f"{_lines(parts.pop())}<br>" if noted and len(parts) > 1 else ""
    paragraphs = "".join(
        f'<p style="margin:0 0 14px;{_FONT};font-size:15px;line-height:1.5;color:#1b2233">'
        f"{_STRONG.sub(_bold, _lines(part))}</p>"
        for part in parts
    )
    return (
        f'<!doctype html><html lang="{escape(language)}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(subject)}</title></head>'
        '<body style="margin:0;padding:0;background:#f2f2f4">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" '
        'style="max-width:560px;background:#ffffff">'
        f'<tr><td style="background:{_INK};border-bottom:4px solid {_LAMP};padding:18px 24px;{_FONT};'
        f'font-size:18px;font-weight:bold;color:#ffffff">{escape(utility)}</td></tr>'
        f'<tr><td style="padding:24px 24px 8px">'
        f'<h1 style="margin:0 0 16px;{_FONT};font-size:17px;line-height:1.4;color:{_INK}">{_whole(subject)}</h1>'
        f"{paragraphs}</td></tr>"
        f'<tr><td style="background:{_PAPER};padding:12px 24px;{_FONT};font-size:12px;line-height:1.5;'
        f'color:#5a6274">{note}{escape(utility)}</td></tr></table></td></tr></table></body></html>'
    )


def _bold(found: re.Match[str]) -> str:
    return f"<b>{found.group()}</b>"


def _lines(paragraph: str) -> str:
    return "<br>".join(_whole(line) for line in paragraph.strip().split("\n"))


def _whole(text: str) -> str:
    return _GROUPED.sub("&#160;", escape(text))
