"""Tables as CSV that a spreadsheet opens without running anything in it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from flask import Response

from admin.parts import language, say
from core.csv_files import plain_cell


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
