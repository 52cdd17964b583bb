"""Logging in and out, and the language of the console."""

from __future__ import annotations

from typing import Literal, cast

from flask import Blueprint, Response, g, make_response, redirect, request, session, url_for

from admin import auth
from admin.parts import LANGUAGE_COOKIE, LANGUAGES, Parts, page
from core.i18n import N_
from core.rate import TokenBuckets
from core.services.staff import LoggedIn

# A person mistypes a few times; a program does not stop at ten. Accounts rest by themselves besides.
_TRIES_AT_ONCE, _TRIES_PER_MINUTE = 10, 6
_LANGUAGE_AGE_S = 365 * 86_400


def add_pages(admin: Blueprint, parts: Parts) -> None:
    tries = TokenBuckets(parts.clock, burst=_TRIES_AT_ONCE, per_minute=_TRIES_PER_MINUTE)

    def form(status: int, fault: str = "", login: str = "") -> Response:
        wanted = auth.safe_next(request.values.get("next", ""))
        return make_response(page("login.html", parts, fault=fault, login=login, wanted=wanted), status)

    @admin.get("/login")
    def login() -> Response:
        if g.who is not None:
            return make_response(redirect(url_for("admin.today"), 303))
        return form(200)

    @admin.post("/login")
    def log_in() -> Response:
        name = request.form.get("login", "")[:60]
        if not tries.take(request.remote_addr or ""):
            return form(429, N_("Too many tries from here. Wait a minute."), name)
        answer = parts.staff.log_in(
            name,
            request.form.get("password", ""),
            request.form.get("code", "")[:20],
            source=request.remote_addr or "",
            replaces=auth.session_token(parts.secure) or None,
        )
        if not isinstance(answer, LoggedIn):
            return form(
                403,
                N_("Name, password or code do not fit. After several wrong tries an account rests for a while."),
                name,
            )
        # A new form token for a new person.
        session.clear()
        response = make_response(redirect(auth.safe_next(request.form.get("next", "")), 303))
        auth.set_session_cookie(response, answer.token, secure=parts.secure)
        return response

    @admin.post("/logout")
    def log_out() -> Response:
        parts.staff.log_out(auth.session_token(parts.secure))
        session.clear()
        response = make_response(redirect(url_for("admin.login"), 303))
        auth.drop_session_cookie(response, secure=parts.secure)
        return response

    @admin.post("/language")
    def language() -> Response:
        chosen = request.form.get("language", "")
        response = make_response(redirect(_back(request.form.get("next", "")), 303))
        if chosen in LANGUAGES:
            if g.who is not None:
                parts.staff.set_language(g.who.staff_id, cast("Literal['fr', 'en']", chosen))
            response.set_cookie(
                LANGUAGE_COOKIE, chosen, max_age=_LANGUAGE_AGE_S, path="/admin/", secure=parts.secure, httponly=True,
                samesite="Lax",
            )  # fmt: skip
        return response


def _back(target: str) -> str:
    return target if target.startswith("/admin/login") and "//" not in target else auth.safe_next(target)
