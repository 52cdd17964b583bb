"""The audit log: who did what, and whether the chain still holds."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, request

from admin.parts import Parts, page

_LIMIT = 100
# The page checks the newest links only, so that it stays quick however long the log is.
_CHECKED = 2_000


def add_pages(admin: Blueprint, parts: Parts) -> None:
    @admin.get("/audit")
    def audit() -> Response:
        entries = parts.staff.newest_audit(limit=_LIMIT, before_id=request.args.get("before", type=int))
        report = parts.staff.verify_chain(newest=_CHECKED)
        older = entries[-1].id if len(entries) == _LIMIT else None
        return make_response(page("audit.html", parts, entries=entries, report=report, older=older, zone=parts.zone))
