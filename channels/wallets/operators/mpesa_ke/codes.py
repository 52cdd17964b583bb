"""What Daraja says, in our words: error codes with their messages, results of an STK push, moments in East Africa Time.

One error code may have several meanings (500.001.1001 has four), so code and message are read together.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from channels.wallets.doubt import doubt
from core.kernel.money import BadAmount, Money
from core.partner_http import Reply
from core.payments.ports import Failed, FailureReason, NotAccepted, Paid, Pending, Unknown

CURRENCY = "KES"
# Kenya keeps no summer time. Daraja's moments carry no zone and are meant so.
EAST_AFRICA = timezone(timedelta(hours=3), "EAT")
_MOMENT = "%Y%m%d%H%M%S"

_IN_PROCESS = re.compile(r"being processed|under processing|still processing|in process", re.IGNORECASE)
_DUPLICATE = re.compile(r"\bduplicate", re.IGNORECASE)
_TOKEN_CODES = frozenset({"404.001.03", "400.003.01", "keymanagement.service.invalid_access_token"})
_TOKEN_WORDS = re.compile(r"(invalid|expired).{0,20}access token|access token.{0,20}(invalid|expired)", re.IGNORECASE)
# Nothing was taken on; so many seconds later it may be asked once more.
_NOT_TAKEN_ON: Mapping[str, int] = {
    "500.003.02": 30,
    "500.003.03": 60,
    "policies.ratelimit.SpikeArrestViolation": 30,
    "policies.ratelimit.QuotaViolation": 60,
}
_CONFIGURATION = frozenset({
    "400.002.05", "400.003.02", "404.001.01", "404.003.01", "404.001.04", "405.001", "401.003.01", "400.008.01",
    "400.008.02",
})  # fmt: skip
# Within one code, the message decides.
_INVALID_FIELD: tuple[tuple[str, FailureReason], ...] = (
    (r"phone\s*number|party\s*a|msisdn", "payer_unknown"),
    (r"amount", "amount_refused"),
    ("", "configuration"),
)
_REFUSED_BY_THE_CORE: tuple[tuple[str, FailureReason], ...] = (
    ("merchant does not exist", "configuration"),
    ("wrong credentials", "configuration"),
    ("unable to lock subscriber", "busy"),
)

_FINAL: Mapping[str, FailureReason] = {
    "1": "no_funds",
    "2": "amount_refused",
    "3": "amount_refused",
    "4": "limit_reached",
    "8": "other",  # the receiver's balance is full: ours to mend, nothing the payer can do
    "11": "configuration",
    "17": "busy",  # the same amount to the same receiver within two minutes
    "21": "configuration",
    "1001": "busy",
    "1025": "unreachable",
    "9999": "unreachable",
    "2001": "wrong_pin",
    "2006": "other",
    "2028": "configuration",
    "2040": "payer_unknown",
    "8006": "other",
    "SFC_IC0003": "other",  # said of a number and of a receiver that do not exist
}
# Money has been seen to come after these.
_WATCHED: Mapping[str, FailureReason] = {"1019": "prompt_expired", "1032": "cancelled", "1037": "unreachable"}
_NO_ID = frozenset({"", "N/A", "NA", "NULL", "NONE", "-1", "0"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an answer that is no success says: Daraja's own shape, or that of the gateway before it."""

    code: str
    message: str
    status: int = 0

    @property
    def token_refused(self) -> bool:
        return self.code in _TOKEN_CODES or _TOKEN_WORDS.search(self.message) is not None

    @property
    def why(self) -> str:
        """What is said of it where nobody knows. One that speaks of this very request is no trouble of Daraja's."""
        clear = self.in_process or _DUPLICATE.search(self.message) is not None
        return self.code if clear else doubt(self.status, self.code)

    @property
    def in_process(self) -> bool:
        return _IN_PROCESS.search(self.message) is not None


def trouble_in(reply: Reply) -> Trouble | None:
    """None for an answer that names no error and came with a good status."""
    code = reply.text_at("errorCode") or reply.text_at("fault.detail.errorcode")
    if code is None and reply.ok:
        return None
    message = reply.text_at("errorMessage") or reply.text_at("fault.faultstring") or ""
    return Trouble(code or f"http_{reply.status}", message, reply.status)


def ending_of(trouble: Trouble) -> Failed | NotAccepted | Unknown:
    """What an STK push that was answered with an error came to. A code we do not know is asked about, if it can be."""
    code = trouble.code
    if code in _NOT_TAKEN_ON:
        return NotAccepted(code, retry_after_s=_NOT_TAKEN_ON[code])
    if code in _CONFIGURATION:
        return Failed("configuration", code)
    meanings = {"400.002.02": _INVALID_FIELD, "500.001.1001": _REFUSED_BY_THE_CORE}.get(code, ())
    for words, reason in meanings:
        if re.search(words, trouble.message, re.IGNORECASE):
            return Failed(reason, code)
    return Unknown(trouble.why)


def result_of(code: str, description: str, paid: Paid) -> Paid | Pending | Failed | Unknown:
    """A ResultCode, which comes as a number or as text. `paid`: what is known of the payment, should it be one."""
    if code == "0":
        return paid
    if code in _WATCHED:
        return Failed(_WATCHED[code], code, final=False)
    if code in _FINAL:
        return Failed(_FINAL[code], code)
    return Pending() if code == "4999" or _IN_PROCESS.search(description) else Unknown(code)


def real_id(text: str | None) -> str | None:
    """An id, or None for what stands where there is none. Such words must never become keys."""
    return None if text is None or text.upper() in _NO_ID else text


def amount_in(text: str | None) -> Money | None:
    """An amount as Daraja writes it ("5.00", 5, 1.0), None when nobody can read it."""
    try:
        return Money.parse(text or "", CURRENCY)
    except BadAmount:
        return None


def moment_in(text: str | None) -> datetime | None:
    """`20260105101532`, which is East Africa Time, as UTC; None when it is none."""
    if text is None or not re.fullmatch(r"[0-9]{14}", text):
        return None
    try:
        return datetime.strptime(text, _MOMENT).replace(tzinfo=EAST_AFRICA).astimezone(UTC)
    except ValueError:
        return None


def timestamp(now: datetime) -> str:
    return now.astimezone(EAST_AFRICA).strftime(_MOMENT)


def password(short_code: str, passkey: str, at: str) -> str:
    """Plain concatenation, no separator; `at` must also be sent as the Timestamp."""
    return base64.b64encode(f"{short_code}{passkey}{at}".encode()).decode()
