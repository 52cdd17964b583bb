"""The door for e-mails that come back: `POST /email/<secret>/inbound`, the message as it is (RFC 5322).

The mail server of the sender's domain hands over what reaches the bounce address (`docs/email.md` has the line). A
wrong secret is 404; 503 when it could not be stored, so that the mail server keeps it and tries again.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from core.kernel.errors import NotRecorded

# A report brings our letter along, sometimes with the PDF; more than this is none of ours.
MAX_BODY_BYTES = 512 * 1024

_log = structlog.get_logger("emails")


class Intake(Protocol):
    """`core.services.emails.Emails`. Raises NotRecorded when it was not committed."""

    def take_mail(self, raw: bytes) -> str: ...


def email_blueprint(
    intake: Intake, secrets: Sequence[str], *, count: Callable[[str], None] = lambda _outcome: None
) -> Blueprint:
    """Build the door. `secrets`: all that are valid now. `count` is called once per request with `bounce`, `opted_out`,
    `nothing`, `not_recorded`, `too_large` or `refused`. Raises ValueError without a secret."""
    if not secrets or not all(secrets):
        raise ValueError("the e-mail door needs at least one secret")
    door = Blueprint("email", __name__, url_prefix="/email")

    @door.post("/<secret>/inbound")
    def inbound(secret: str) -> Response:
        fits = [hmac.compare_digest(valid.encode(), secret.encode()) for valid in secrets]
        if not any(fits):
            count("refused")
            return _plain("not found", 404)
        request.max_content_length = MAX_BODY_BYTES
        try:
            raw = request.get_data(cache=False)
        except RequestEntityTooLarge:
            count("too_large")
            return _plain("too large", 413)
        try:
            what = intake.take_mail(raw)
        except NotRecorded:
            count("not_recorded")
            return _plain("again", 503)
        except Exception:  # noqa: BLE001 - the edge of the process: a letter nobody can read must not come back for days
            _log.exception("emails.unreadable", size=len(raw))
            what = "nothing"
        count(what)
        return _plain("OK", 200)

    return door


def _plain(text: str, status: int) -> Response:
    return Response(text, status=status, content_type="text/plain")
