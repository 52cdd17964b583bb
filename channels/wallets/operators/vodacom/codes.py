"""The response codes of the OpenAPI, and what they mean to us. Decide by the code, never by the HTTP status."""

from __future__ import annotations

from collections.abc import Mapping

from channels.wallets.doubt import doubt
from core.partner_http import Reply
from core.payments.ports import Failed, FailureReason, NotAccepted, Unknown

_CONFIGURATION = ("INS-13", "INS-14", "INS-17", "INS-19", "INS-20", "INS-21", "INS-22", "INS-24", "INS-25", "INS-26",
                  "INS-28", "INS-30", "INS-998", "INS-2001")  # fmt: skip
# Final without asking: at least two independent sources agree on their meaning. Whatever is not here is queried.
_REFUSALS: Mapping[str, FailureReason] = {
    **dict.fromkeys(_CONFIGURATION, "configuration"),
    "INS-15": "amount_refused",
    "INS-990": "limit_reached",
    "INS-991": "limit_reached",
    "INS-2002": "other",
    "INS-2006": "no_funds",
    "INS-2051": "payer_unknown",
}
# Codes that are a clear word only about a session that is asked for.
TRY_SESSION_AGAIN = frozenset({"INS-1", "INS-9", "INS-16", "INS-23", "INS-989"})
_NO_ID = frozenset({"", "N/A", "NA", "NULL", "NONE", "-1", "0"})


def ending_of(code: str | None, *, status: int = 0) -> Failed | NotAccepted | Unknown:
    """Read a code other than INS-0. One that we do not know is not a failure: it is queried."""
    if code is None:
        return Unknown(doubt(status, None if status >= 500 else f"no_code_http_{status}"))
    if code == "INS-5":
        # Cancelled by the payer, and also said of a prompt that ran out: money may still come.
        return Failed("cancelled", code, final=False)
    if code == "INS-16":
        return NotAccepted(code, retry_after_s=30)
    reason = _REFUSALS.get(code)
    return Failed(reason, code) if reason else Unknown(doubt(status, code))


def code_of(reply: Reply) -> str | None:
    return reply.text_at("output_ResponseCode")


def real_id(text: str | None) -> str | None:
    """An id, or None for what the operator writes where it has none. Such words must never become keys."""
    return None if text is None or text.upper() in _NO_ID else text
