"""Tables as CSV that a spreadsheet opens without running anything in it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from flask import Response

from admin.parts import language, say

# A cell that begins like this is a formula to a spreadsheet. Source: OWASP, CSV injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def plain_cell(value: object) -> str:
    """`value` as text that stays text: an apostrophe before what would be read as a formula."""
    text = "" if value is None else str(value)
    text = "".join(c for c in text if c in "\t\n\r" or c >= " ")
    if text.lstrip(" \u00a0").startswith(_FORMULA):
        return "'" + text
    return text


def as_csv(filename: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """`head`: msgids. UTF-8 with a mark, so that spreadsheets see the accents; `;` between cells in French, where the
    comma stands in numbers."""
    out = StringIO()
    writer = csv.writer(out, delimiter=";" if language() == "fr" else ",", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([plain_cell(say(name)) for name in head])
    for row in rows:
        writer.writerow([plain_cell(value) for value in row])
    response = Response("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response
