"""How the menu of the short code is used, and what it looks like."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import date
from operator import attrgetter
from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, request
from werkzeug.exceptions import NotFound

from admin.auth import CSP
from admin.csv_export import as_csv
from admin.parts import Parts, page
from admin.short_code import ShortCodeParts
from core.desk.drop_off import Passage, folded
from core.i18n import N_
from core.services.menu_use import Use

_HEAD = [
    N_("Screen"), N_("Network"), N_("Language"), N_("Shown"), N_("Answered"), N_("Ended by us"), N_("Left"),
    N_("Hung up"), N_("Ran out of time"), N_("Failed"), N_("Seconds to answer (median)"),
]  # fmt: skip
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def add_pages(admin: Blueprint, parts: Parts, code: ShortCodeParts) -> None:
    @admin.get("/ussd/")
    def short_code() -> Response:
        use = _asked_for(code)
        body = page(
            "short_code.html", parts, use=use, asked=urlencode(_said(use)),
            screens=folded(use.passages, attrgetter("state")),
            by_network=folded(use.passages, attrgetter("network")),
            by_language=folded(use.passages, attrgetter("language")),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/ussd/use.csv")
    def export_short_code() -> Response:
        use = _asked_for(code)
        parts.staff.note(g.who.login, "export.ussd", urlencode(_said(use)), f"{len(use.passages)} rows")
        return as_csv("short-code.csv", _HEAD, [_row(passage) for passage in use.passages])

    @admin.get("/ussd/map")
    def menu_map() -> Response:
        return make_response(page("short_code_map.html", parts, chosen=_language(code), all_languages=code.languages))

    @admin.get("/ussd/map.svg")
    def menu_picture() -> Response:
        drawn = code.menu_map(_language(code))
        response = Response(drawn, content_type="image/svg+xml; charset=utf-8")
        # Opened on its own the picture brings its own style: this one, and no other.
        hashes = "".join(f" 'sha256-{_sha256(style)}'" for style in _STYLE.findall(drawn))
        response.headers["Content-Security-Policy"] = CSP.replace("style-src 'self'", f"style-src 'self'{hashes}")
        return response


def _asked_for(code: ShortCodeParts) -> Use:
    asked = request.args
    return code.use.of(
        _day(asked.get("first", "")),
        _day(asked.get("last", "")),
        network=asked.get("network", "")[:12],
        language=asked.get("language", "")[:8],
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise NotFound from None


def _said(use: Use) -> Mapping[str, str]:
    """The address that shows the same again."""
    where = use.where
    asked = {"first": where.first.isoformat(), "last": where.last.isoformat()}
    asked |= {"network": where.network} if where.network else {}
    return asked | ({"language": where.language} if where.language else {})


def _language(code: ShortCodeParts) -> str:
    asked = request.args.get("language", code.languages[0])
    if asked not in code.languages:
        raise NotFound
    return asked


def _row(passage: Passage) -> list[object]:
    return [
        passage.state, passage.network, passage.language, passage.shown, passage.answered, passage.ended, passage.left,
        passage.hung_up, passage.timed_out, passage.failed, passage.median_s,
    ]  # fmt: skip


def _sha256(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
