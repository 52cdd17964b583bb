"""Tokens of programs that use the JSON API: which there are, a new one (shown once), the end of one."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, g, make_response, redirect, request

from admin.csv_export import as_csv
from admin.money import Refusal
from admin.parts import Parts, day_time, page, say
from admin.setup import SetupParts, tried
from core.api_access.rules import LIFE_MAX, SCOPE_MEANINGS
from core.i18n import N_
from core.services.api_tokens import LIST_LIMIT, TokenView

_HEAD = [
    N_("Name"), N_("Begins with"), N_("It may"), N_("State"), N_("Issued"), N_("By"), N_("Last use"), N_("Ends"),
    N_("Revoked"),
]  # fmt: skip
_DAYS = 365
_STATES = {"active": N_("active"), "expired": N_("expired"), "revoked": N_("revoked")}


def add_pages(admin: Blueprint, parts: Parts, setup: SetupParts) -> None:
    def show(
        refusal: Refusal | None = None, typed: dict[str, object] | None = None, made: tuple[str, str] | None = None
    ) -> Response:
        """`made`: (name, token), in this answer and nowhere else."""
        now = parts.clock.real_now()
        tokens = [(token, _state(token, now)) for token in setup.tokens.all_tokens()]
        body = page(
            "api_tokens.html", parts, tokens=tokens, states=_STATES, scopes=SCOPE_MEANINGS, days_most=LIFE_MAX.days,
            typed=typed or {"days": str(_DAYS), "scopes": []}, made=made, refusal=refusal, limit=LIST_LIMIT, now=now,
            zone=parts.zone, done=N_("Revoked: it opens nothing any more.") if request.args.get("done") else "",
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    # Not `tokens`: those of meters are called so.
    @admin.get("/settings/tokens")
    def api_tokens() -> Response:
        return show()

    @admin.get("/settings/tokens.csv")
    def export_api_tokens() -> Response:
        now, tokens = parts.clock.real_now(), setup.tokens.all_tokens()
        parts.staff.note(g.who.login, "export.api_tokens", "all", f"{len(tokens)} rows")
        return as_csv("api-tokens.csv", _HEAD, [_row(token, now, parts.zone) for token in tokens])

    @admin.post("/settings/tokens")
    def issue_api_token() -> Response:
        name, days = request.form.get("name", "").strip()[:60], request.form.get("days", "").strip()[:6]
        scopes = request.form.getlist("scope")[:40]
        typed: dict[str, object] = {"name": name, "days": days, "scopes": scopes}
        life = int(days) if days.isascii() and days.isdecimal() else 0
        made = tried(
            parts, "api.token.created", name, lambda: setup.tokens.create(name, scopes, days=life, by=g.who.login)
        )
        return show(made, typed) if isinstance(made, Refusal) else show(made=(name, made))

    @admin.post("/settings/tokens/revoke")
    def revoke_api_token() -> Response:
        name = request.form.get("name", "")[:60]
        refusal = tried(parts, "api.token.revoked", name, lambda: setup.tokens.revoke(name, by=g.who.login))
        return show(refusal) if refusal else make_response(redirect("/admin/settings/tokens?done=1", 303))


def _state(token: TokenView, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "active" if token.expires_at > now else "expired"


def _row(token: TokenView, now: datetime, zone: str) -> list[object]:
    return [
        token.name,
        token.hint,
        " ".join(token.scopes),
        say(_STATES[_state(token, now)]),
        day_time(token.created_at, zone),
        token.created_by,
        day_time(token.last_used_at, zone),
        day_time(token.expires_at, zone),
        day_time(token.revoked_at, zone),
    ]
