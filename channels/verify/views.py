"""The public page that says whether a receipt or a bill is real. Small enough for a keypad phone's browser; no script.

Whoever guesses codes is slowed down: ten digits of which nine are random, and a bucket per address.
"""

from __future__ import annotations

from typing import Any, Protocol

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from core.i18n import DEFAULT_LANGUAGE, LANGUAGES, OWN_NAMES, day, translate
from core.kernel.clock import Clock, SystemClock
from core.kernel.digits import grouped, normalise
from core.kernel.errors import NotRecorded
from core.rate import TokenBuckets
from core.services.documents import NotFound, Verified, VerifiedBill

# A person checks a handful of receipts. With a million receipts out, one guess in a thousand hits: at this pace one in
# three hours, and what it tells is worth nothing to somebody who does not hold the paper.
_AT_ONCE, _PER_MINUTE = 20, 6.0

_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Verifier(Protocol):
    def verify(self, typed: str) -> Verified | VerifiedBill | NotFound: ...


def verify_blueprint(documents: Verifier, *, utility: str, clock: Clock | None = None) -> Blueprint:
    """The page at `/verify/`. `utility`: the name in its head."""
    verify = Blueprint("verify", __name__, url_prefix="/verify", template_folder="templates", static_folder="static")
    buckets = TokenBuckets(clock or SystemClock(), burst=_AT_ONCE, per_minute=_PER_MINUTE)

    def show(status: int, **values: Any) -> Response:
        language = _language()

        def say(text: str, **blanks: str) -> str:
            return translate(text, language, **blanks)

        found = {"asked": "", "answer": None, "bill": None, "mistyped": False, "slow": False, "busy": False, **values}
        return make_response(
            render_template(
                "verify/page.html", _=say, day=day, grouped=grouped, lang=language, languages=OWN_NAMES,
                utility=utility, **found,
            ),
            status,
        )  # fmt: skip

    @verify.get("/")
    def form() -> Response:
        typed = normalise(request.args.get("code", "")[:40])
        if typed:
            code = "".join(c for c in typed if c.isalnum())[:40] or "0"
            return make_response(redirect(url_for("verify.check", code=code, lang=_chosen()), 303))
        return show(200)

    @verify.get("/<code>")
    def check(code: str) -> Response:
        code = normalise(code[:40])
        if not buckets.take(request.remote_addr or ""):
            return show(429, asked=code, slow=True)
        try:
            answer = documents.verify(code)
        except NotRecorded:
            return show(503, asked=code, busy=True)
        if isinstance(answer, NotFound):
            return show(404, asked=code, mistyped=answer.mistyped, answer=None)
        if isinstance(answer, VerifiedBill):
            return show(200, asked=code, bill=answer)
        return show(200, asked=code, answer=answer)

    @verify.after_request
    def dress(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = _CSP
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["X-Frame-Options"] = "DENY"
        headers["X-Robots-Tag"] = "noindex"
        static = request.endpoint == "verify.static"
        headers["Cache-Control"] = "public, max-age=86400" if static else "no-store"
        return response

    return verify


def _chosen() -> str | None:
    """The language named in the address, if it is one of ours."""
    asked = request.args.get("lang", "")
    return asked if asked in LANGUAGES else None


def _language() -> str:
    return _chosen() or request.accept_languages.best_match(LANGUAGES, DEFAULT_LANGUAGE) or DEFAULT_LANGUAGE
