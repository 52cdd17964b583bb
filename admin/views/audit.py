"""The audit log: who did what, and whether the chain still holds."""

from __future__ import annotations

from flask import Blueprint, Response, g, make_response, request

from admin.csv_export import as_csv
from admin.parts import Parts, day_time, page
from core.i18n import N_

_LIMIT, _EXPORT_LIMIT = 100, 2_000
# The page checks the newest links only, so that it stays quick however long the log is.
_CHECKED = 2_000
_HEAD = [N_("Number"), N_("Time"), N_("Who"), N_("Act"), N_("On"), N_("Details")]
# What every database keeps as a number.
_MOST = 2**62


def add_pages(admin: Blueprint, parts: Parts) -> None:
    @admin.get("/audit")
    def audit() -> Response:
        before = _before()
        entries = parts.staff.newest_audit(limit=_LIMIT, before_id=before)
        report = parts.staff.verify_chain(newest=_CHECKED)
        older = entries[-1].id if len(entries) == _LIMIT else None
        body = page("audit.html", parts, entries=entries, report=report, older=older, before=before, zone=parts.zone)
        return make_response(body)

    @admin.get("/audit.csv")
    def export_audit() -> Response:
        """From where the page stands, back into the past."""
        entries = parts.staff.newest_audit(limit=_EXPORT_LIMIT, before_id=_before())
        parts.staff.note(g.who.login, "export.audit", "all", f"{len(entries)} rows")
        rows = [(e.id, day_time(e.at, parts.zone), e.actor, e.act, e.subject, e.detail) for e in entries]
        return as_csv("audit.csv", _HEAD, rows)


def _before() -> int | None:
    before = request.args.get("before", type=int)
    return before if before is not None and 0 < before < _MOST else None
