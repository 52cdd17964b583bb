"""What Airtel's words about money mean.

Only `data.transaction.status` (TS, TF, TA, TIP, TE) decides. `status.success` may be false beside a success, and two
official tables give the same DP numbers opposite meanings: neither is read. Codes of the service (ESB) and of the
gateway (ROUTER) decide only where nothing was taken on, or nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from channels.wallets.doubt import doubt
from core.partner_http import Reply
from core.payments.ports import (
    Accepted,
    Failed,
    FailureReason,
    NotFound,
    Paid,
    Pending,
    QueryAnswer,
    RefundAnswer,
    StartAnswer,
    Unknown,
)

_CONFIGURATION = (
    "ESB000008", "ESB000034", "ESB000035", "ESB000039", "ROUTER001", "ROUTER003", "ROUTER005", "ROUTER006",
    "ROUTER007", "ROUTER112", "ROUTER114", "ROUTER115", "ROUTER116", "ROUTER119",
)  # fmt: skip
# Final without asking. Whatever is not here is asked about, all of the DP numbers among it.
_REFUSALS: Mapping[str, FailureReason] = {
    **dict.fromkeys(_CONFIGURATION, "configuration"),
    "ESB000033": "payer_unknown",
    "ESB000036": "payer_unknown",
}
_DONE, _FAILED = "ESB000010", "ESB000011"
_STATUS_NOT_AT_HAND, _NO_TRANSACTION = "ESB000014", "ESB000045"
SIGNATURE_DIFFERS = "DP00800001026"
# Where a code may stand; the gateway in front and the service behind it write different bodies.
_CODE_PATHS = ("status.result_code", "status.response_code", "status.code", "status_code", "error_code", "code")
_CODE = re.compile(r"(ESB|ROUTER)\d{3,6}")
_NO_ID = frozenset({"", "N/A", "NA", "NULL", "NONE", "-1", "0"})
# As much of theirs as is kept.
_LONGEST_ID, LONGEST_WORD = 80, 32


def read_start(reply: Reply, own_ref: str) -> StartAnswer:
    """SUCCESS means that the push was taken, never that anybody paid."""
    code, state = code_of(reply), state_of(reply.text_at("data.transaction.status"))
    if _undecided(reply):
        return Unknown(doubt(reply.status, code))
    if reply.text_at("data.transaction.id") not in (own_ref, None):
        return Unknown("another_transaction")
    if code is not None and code in _REFUSALS:
        return Failed(_REFUSALS[code], code) if state in (None, "TF", "FAILED") else Unknown("contradictory_answer")
    if not reply.ok or code not in (None, _DONE):
        return Unknown(code or f"http_{reply.status}")
    if state in ("SUCCESS", "TS", "TIP"):
        return Accepted()
    return Failed("other", state, final=False) if state == "TF" else Unknown(f"status_{state or 'missing'}")


def read_query(reply: Reply, own_ref: str) -> QueryAnswer:
    """The transaction's own status decides; `success` and the DP numbers are not read."""
    code, state = code_of(reply), state_of(reply.text_at("data.transaction.status"))
    if _undecided(reply):
        return Unknown(doubt(reply.status, code))
    if state is None:
        if code == _NO_TRANSACTION:
            return NotFound()
        if code == _STATUS_NOT_AT_HAND:
            return Pending()
        # "Request failed", said of a transaction that was asked for: believed, and watched.
        return Failed("other", code, final=False) if code == _FAILED else Unknown(code or f"http_{reply.status}")
    if not reply.ok:
        return Unknown(f"http_{reply.status}_{state}")
    if reply.text_at("data.transaction.id") not in (own_ref, None):
        return Unknown("another_transaction")
    return ending_of(state, real_id(reply.text_at("data.transaction.airtel_money_id")))


def read_refund(reply: Reply, airtel_money_id: str) -> RefundAnswer:
    """Their own sample of a success says `success: false`: taken on at most, and the statement tells the rest."""
    code, state = code_of(reply), state_of(reply.text_at("data.transaction.status"))
    if _undecided(reply):
        return Unknown(doubt(reply.status, code))
    if code == _NO_TRANSACTION and state is None:
        return Failed("not_found", code)
    if code is not None and code in _REFUSALS and state is None:
        return Failed(_REFUSALS[code], code)
    if reply.ok and code in (None, _DONE) and state in ("SUCCESS", "TS", "TIP"):
        theirs = real_id(reply.text_at("data.transaction.airtel_money_id"))
        return Accepted(theirs if theirs != airtel_money_id else None)
    return Unknown(code or f"http_{reply.status}_{state or 'missing'}")


def ending_of(state: str | None, txn_id: str | None) -> QueryAnswer:
    match state:
        case "TS":
            return Paid(txn_id)
        case "TF":
            return Failed("other", "TF")
        case "TE":
            return Failed("prompt_expired", "TE", final=False)
        case "TIP":
            return Pending()
        case _:
            return Unknown(state or "status_missing")


def state_of(text: str | None) -> str | None:
    """`SUCCESS`, `Success.` and `success` are one word."""
    return text[:LONGEST_WORD].upper().rstrip(".") if text else None


def _undecided(reply: Reply) -> bool:
    """A status on which somebody in between gave up: the push may be out."""
    return reply.status == 408 or reply.status >= 500


def refuses(reply: Reply) -> bool:
    """A clear "no" to who we are or what we ask for. Waiting does not mend it."""
    return reply.status in (400, 401, 403, 404) or code_of(reply) in _CONFIGURATION


def code_of(reply: Reply) -> str | None:
    """The service's or the gateway's code, wherever it stands; never a DP number."""
    found = (reply.text_at(path) for path in _CODE_PATHS)
    return next((text for text in found if text is not None and _CODE.fullmatch(text)), None)


def real_id(text: str | None) -> str | None:
    """An id, or None for what stands where there is none. Such words must never become keys."""
    return None if text is None or text.upper() in _NO_ID or len(text) > _LONGEST_ID else text
