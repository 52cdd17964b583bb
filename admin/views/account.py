"""One's own account: password and second factor."""

from __future__ import annotations

import re

import segno
from flask import Blueprint, Response, g, make_response, redirect, request, session, url_for
from markupsafe import Markup

from admin import auth
from admin.parts import Parts, page
from core.i18n import N_
from core.kernel.errors import CustomerError
from core.staff.rules import ROLE_NAMES

_SECRET = re.compile(r"[A-Z2-7]{16,64}")


def add_pages(admin: Blueprint, parts: Parts) -> None:
    def show(status: int = 200, fault: str = "", done: str = "", secret: str = "") -> Response:
        secret = secret or parts.staff.new_second_factor()
        uri = parts.staff.second_factor_uri(g.who.login, secret, parts.utility)
        # Our own QR of our own text; drawn with attributes only, so that the page needs no inline style.
        qr = Markup(segno.make(uri, micro=False).svg_inline(scale=4, border=2, omitsize=True, svgclass="qr"))  # noqa: S704
        return make_response(
            page("account.html", parts, fault=fault, done=done, secret=secret, qr=qr, role_names=ROLE_NAMES), status
        )

    @admin.get("/account")
    def account() -> Response:
        return show(done=N_("From now on log-in asks for six digits.") if request.args.get("done") == "code" else "")

    @admin.post("/account/password")
    def change_password() -> Response:
        new = request.form.get("new", "")
        if new != request.form.get("again", ""):
            return show(400, N_("The two new passwords are not the same."))
        try:
            parts.staff.change_password(g.who.staff_id, request.form.get("old", ""), new)
        except CustomerError as error:
            return show(400, error.text)
        session.clear()
        response = make_response(redirect(url_for("admin.login"), 303))
        auth.drop_session_cookie(response, secure=parts.secure)
        return response

    @admin.post("/account/second-factor")
    def set_second_factor() -> Response:
        secret = request.form.get("secret", "")
        if not _SECRET.fullmatch(secret):
            return show(400, N_("These digits do not fit. Check the time of your phone."))
        try:
            parts.staff.confirm_second_factor(
                g.who.staff_id, request.form.get("password", ""), secret, request.form.get("code", "")
            )
        except CustomerError as error:
            return show(400, error.text, secret=secret)
        return make_response(redirect(url_for("admin.account", done="code"), 303))
