"""Files of another system: looked at, mended, looked at again, and taken in by a person who may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from flask import Blueprint, Response, g, make_response, redirect, request, stream_with_context
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import Refusal, by, tried
from admin.parts import Parts, language, page, say
from core.csv_files import MAX_BYTES, written
from core.i18n import N_
from core.imports.columns import COLUMNS, template
from core.imports.model import ImportView, Kind, Problem, State
from core.kernel.errors import NotRecorded
from core.services.imports import Imports

_PAGE = 50
_EXPORT_LIMIT = 2_000
_PROBLEMS_A_PAGE = 100
# What a person waits for; the queue does the rest.
_PATIENCE_S = 1.5
NAMES = {
    Kind.CUSTOMERS: N_("Customers"),
    Kind.CONTRACTS: N_("Contracts"),
    Kind.METERS: N_("Meters"),
    Kind.BALANCES: N_("Opening balances"),
}
_HEAD = (
    N_("Kind"),
    N_("File"),
    N_("State"),
    N_("Lines"),
    N_("Bad"),
    N_("Imported"),
    N_("Left out"),
    N_("Uploaded by"),
    N_("Time"),
    N_("Imported by"),
    N_("SHA-256"),
)


def add_pages(admin: Blueprint, parts: Parts, imports: Imports) -> None:
    def show(refusal: Refusal | None = None, kind: str = "") -> Response:
        before = request.args.get("before", type=int)
        found = imports.all(before_id=before, limit=_PAGE)
        body = page(
            "imports.html",
            parts,
            imports=found,
            older=found[-1].id if len(found) == _PAGE else None,
            names=NAMES,
            columns=COLUMNS,
            kind=kind,
            megabytes=MAX_BYTES // 1_000_000,
            refusal=refusal,
            zone=parts.zone,
        )
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/imports")
    def imports_() -> Response:
        return show(kind=request.args.get("kind", ""))

    @admin.get("/imports.csv")
    def export_imports() -> Response:
        found = imports.all(limit=_EXPORT_LIMIT)
        parts.staff.note(by(), "export.imports", "all", f"{len(found)} rows")
        return as_csv("imports.csv", _HEAD, map(_row, found))

    @admin.get("/imports/templates/<kind>.csv")
    def import_template(kind: str) -> Response:
        chosen = _kind(kind)
        if chosen is None:
            raise NotFound
        return _download(written(template(chosen), ";" if language() == "fr" else ","), f"{chosen}.csv")

    @admin.post("/imports")
    def upload_import() -> Response:
        kind, file = _kind(request.form.get("kind", "")), request.files.get("file")
        if kind is None or file is None or not file.filename:
            return show(Refusal(say(N_("Choose what the file is about, and the file.")), 400))
        name, data = file.filename, file.stream.read(MAX_BYTES + 1)
        made = tried(lambda: imports.take(kind, name, data, by=by()))
        if isinstance(made, Refusal):
            return show(made, kind)
        return make_response(redirect(f"/admin/imports/{made}", 303))

    _add_one(admin, parts, imports)


def _add_one(admin: Blueprint, parts: Parts, imports: Imports) -> None:
    def show(import_id: int, refusal: Refusal | None = None) -> Response:
        one = _found(imports, import_id)
        start = max(0, request.args.get("from", default=0, type=int))
        body = page(
            "import_one.html",
            parts,
            one=one,
            about=NAMES[one.kind],
            problems=one.report.problems[start : start + _PROBLEMS_A_PAGE],
            start=start,
            step=_PROBLEMS_A_PAGE,
            fault=say(one.report.fault[0], **dict(one.report.fault[1])) if one.report.fault else "",
            why=_why,
            own_money=one.kind is Kind.BALANCES and one.uploaded_by == by(),
            refusal=refusal,
            zone=parts.zone,
        )
        response = make_response(body, refusal.status if refusal else 200)
        if one.state in (State.WAITING, State.APPLYING):
            # The queue is at it: the page looks again by itself, without a script.
            response.headers["Refresh"] = "4"
        return response

    @admin.get("/imports/<int:import_id>")
    def import_one(import_id: int) -> Response:
        return show(import_id)

    @admin.get("/imports/<int:import_id>/lines.csv")
    def import_lines(import_id: int) -> Response:
        which = request.args.get("which", "bad")
        if which not in ("bad", "good", "all"):
            raise NotFound
        lines = tried(lambda: imports.lines(import_id, which, _why))
        if isinstance(lines, Refusal):
            return show(import_id, lines)
        parts.staff.note(g.who.login, "import.exported", str(import_id), which)
        return _download(lines, f"import-{import_id}-{which}.csv")

    @admin.post("/imports/<int:import_id>/run")
    def run_import(import_id: int) -> Response:
        _found(imports, import_id)
        refused = tried(lambda: imports.accept(import_id, by=by()))
        if isinstance(refused, Refusal):
            return show(import_id, refused)
        # A busy database stops nothing: it is accepted, and the queue goes on.
        with suppress(NotRecorded):
            imports.carry_on(import_id, patience_s=_PATIENCE_S)
        return make_response(redirect(f"/admin/imports/{import_id}", 303))


def _row(one: ImportView) -> tuple[object, ...]:
    return (
        say(NAMES[one.kind]), one.filename, one.state, one.report.lines, one.report.bad, one.made,
        one.left_out, one.uploaded_by, one.uploaded_at.isoformat(timespec="seconds"), one.accepted_by or "",
        one.sha256,
    )  # fmt: skip


def _found(imports: Imports, import_id: int) -> ImportView:
    one = imports.view(import_id)
    if one is None:
        raise NotFound
    return one


def _kind(text: str) -> Kind | None:
    return Kind(text) if text in {kind.value for kind in Kind} else None


def _why(problem: Problem) -> str:
    return say(problem.text, **dict(problem.blanks))


def _download(lines: Iterator[str], filename: str) -> Response:
    """As it is made, line by line, with the mark by which spreadsheets see the accents."""
    response = Response(stream_with_context(chain(("\ufeff",), lines)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response
