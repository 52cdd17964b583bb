"""Africa's Talking USSD: form posts in, `CON` or `END` and a text out.

Source: the aggregator's documentation and captured traffic, summed up in `docs/aggregators/africastalking-ussd.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from channels.ussd.gateway import MAX_TRANSCRIPT, EndNotice, EndReason, EndStatus, Malformed, Turn

_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 20
_SESSION = re.compile(r"[!-~]{1,80}")
# A client that forgets to encode the plus sends a blank: refused, not repaired, or a number is guessed.
_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")
_SERVICE_CODE = re.compile(r"\*[0-9*]{1,37}#")
_NETWORK_CODE = re.compile(r"[0-9A-Za-z]{0,12}")
_ENDINGS: Mapping[str, EndStatus] = {"Success": "reached_end", "Incomplete": "left", "Failed": "failed"}


class AfricasTalkingUssd:
    """Every callback carries the whole transcript; there is no request id, no turn number and no signature."""

    name = "africastalking"
    accumulates = True

    def read(self, body: bytes, content_type: str) -> Turn | Malformed:
        form = _form(body, content_type)
        if isinstance(form, Malformed):
            return form
        who = _who(form)
        if isinstance(who, Malformed):
            return who
        transcript = form.get("text")
        if transcript is None:
            return Malformed("no_text")
        if len(transcript) > MAX_TRANSCRIPT:
            return Malformed("text_too_long")
        session_id, phone, service_code, network_code = who
        return Turn(self.name, session_id, phone, service_code, network_code, transcript)

    def render(self, text: str, *, ended: bool) -> bytes:
        return (("END " if ended else "CON ") + text).encode()

    def read_end(self, body: bytes, content_type: str) -> EndNotice | Malformed:
        """`input` and `lastAppResponse` are not even looked at: they hold PINs and balances."""
        form = _form(body, content_type)
        if isinstance(form, Malformed):
            return form
        who = _who(form)
        if isinstance(who, Malformed):
            return who
        status = _ENDINGS.get(form.get("status", ""))
        if status is None:
            return Malformed("unknown_status")
        session_id, phone, service_code, network_code = who
        duration, hops = _count(form.get("durationInMillis")), _count(form.get("hopsCount"))
        reason = _reason(form.get("errorMessage", ""))
        return EndNotice(self.name, session_id, phone, service_code, network_code, status, duration, hops, reason)


def _reason(error: str) -> EndReason:
    """Their words go no further: nobody knows what they may quote."""
    words = error.lower()
    if not words.strip():
        return ""
    if "time" in words and "out" in words:
        return "timeout"
    return "cancelled" if "cancel" in words or "abort" in words else "other"


def _form(body: bytes, content_type: str) -> dict[str, str] | Malformed:
    if content_type.partition(";")[0].strip().lower() != _FORM:
        return Malformed("content_type")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        return Malformed("not_a_form")
    form = dict(pairs)
    if len(form) != len(pairs):
        return Malformed("duplicate_field")
    return form


def _who(form: Mapping[str, str]) -> tuple[str, str, str, str] | Malformed:
    session_id, phone = form.get("sessionId", ""), form.get("phoneNumber", "")
    service_code, network_code = form.get("serviceCode", ""), form.get("networkCode", "")
    if not _SESSION.fullmatch(session_id):
        return Malformed("session_id")
    if not _PHONE.fullmatch(phone):
        return Malformed("phone")
    if not _SERVICE_CODE.fullmatch(service_code):
        return Malformed("service_code")
    if not _NETWORK_CODE.fullmatch(network_code):
        return Malformed("network_code")
    return session_id, phone, service_code, network_code


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None
