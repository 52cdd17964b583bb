"""What Daraja accepts and how it puts things: field rules, error codes, results, moments, masked numbers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from mwolo.sandbox.store import Row

EAST_AFRICA = timezone(timedelta(hours=3), "EAT")
_MOMENT = "%Y%m%d%H%M%S"

# Code → the message that goes with it, where only one does.
ERRORS: Mapping[str, str] = {
    "400.003.02": "Bad Request",
    "400.008.01": "Invalid Authentication passed",
    "400.008.02": "Invalid grant type passed",
    "404.001.03": "Invalid Access Token",
    "404.001.04": "Invalid Authentication Header",
    "500.003.02": "System is busy. Please try again in few minutes.",
    "500.003.1001": "Internal Server Error",
}
# The one code that says many things.
CORE = "500.001.1001"
NO_MERCHANT, WRONG_CREDENTIALS = "Merchant does not exist", "Wrong credentials"
LOCKED = "Unable to lock subscriber, a transaction is already in process for the current subscriber"
IN_PROCESS = "The transaction is being processed"
SPIKE_ARREST = {
    "fault": {
        "faultstring": "Spike arrest violation. Allowed rate : 5pm",
        "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
    }
}

RESULTS: Mapping[str, str] = {
    "0": "The service request is processed successfully.",
    "1": "The balance is insufficient for the transaction.",
    "4": "The amount would exceed the daily transfer limit.",
    "17": "Rule limited.",
    "1001": "Unable to lock subscriber.",
    "1019": "Transaction has expired.",
    "1032": "Request cancelled by user.",
    "1037": "DS timeout user cannot be reached.",
    "2001": "The initiator information is invalid.",
    "4999": "The transaction is still under processing.",
    "SFC_IC0003": "The operator does not exist.",
}
# How an entry ended, in the ledger's words → the result. A code stands for itself.
_ENDINGS: Mapping[str, str] = {
    "declined": "1032",
    "wrong_pin": "2001",
    "no_funds": "1",
    "payer_unknown": "SFC_IC0003",
    "busy": "1001",
    "expired": "1037",
}

_FORBIDDEN = re.compile(r"m[-_. ]?pesa|safaricom|exe|cmd|sql|query", re.IGNORECASE)
_MSISDN = re.compile(r"254[17]\d{8}")
_PUSH: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("Timestamp", "Timestamp", re.compile(r"\d{14}")),
    ("TransactionType", "TransactionType", re.compile(r"CustomerPayBillOnline|CustomerBuyGoodsOnline")),
    ("Amount", "Amount", re.compile(r"[1-9]\d{0,5}")),
    ("PartyA", "PartyA", _MSISDN),
    ("PhoneNumber", "PhoneNumber", _MSISDN),
    ("PartyB", "PartyB", re.compile(r"\d{5,7}")),
    ("CallBackURL", "CallBackURL", re.compile(r"https?://\S+")),
    ("AccountReference", "AccountReference", re.compile(r"[0-9A-Za-z ]{1,12}")),
    ("TransactionDesc", "Remarks", re.compile(r"[0-9A-Za-z ]{1,13}")),
)
_HIGHEST = 250_000


def result_of(entry: Row | Mapping[str, Any]) -> str:
    """The result of an entry that has reached an end."""
    if entry["state"] == "paid":
        return "0"
    reason = str(entry["reason"] or "")
    return _ENDINGS.get(reason, reason if re.fullmatch(r"\d{1,4}|SFC_\w+", reason) else "2006")


def text_of(code: str) -> str:
    return RESULTS.get(code, "The request cannot be processed.")


def push_fault(fields: Mapping[str, Any]) -> str | None:
    """The name of the first field of an STK push that is wrong, or None. Numbers may come as text or as numbers."""
    for field, name, shape in _PUSH:
        if not shape.fullmatch(_text(fields.get(field))):
            return name
    if int(fields["Amount"]) > _HIGHEST:
        return "Amount"
    return "CallBackURL" if forbidden(str(fields["CallBackURL"])) else None


def register_fault(fields: Mapping[str, Any], short_code: str) -> str | None:
    """The same for a registration of addresses."""
    if _text(fields.get("ShortCode")) != short_code:
        return "ShortCode"
    if fields.get("ResponseType") not in ("Completed", "Cancelled"):
        return "ResponseType"
    for name in ("ConfirmationURL", "ValidationURL"):
        address = _text(fields.get(name))
        if not re.fullmatch(r"https?://\S+", address) or forbidden(address):
            return name
    return None


def simulate_fault(fields: Mapping[str, Any], short_code: str) -> str | None:
    """The same for a simulated payment by bill number."""
    if _text(fields.get("ShortCode")) != short_code:
        return "ShortCode"
    if fields.get("CommandID") not in ("CustomerPayBillOnline", "CustomerBuyGoodsOnline"):
        return "CommandID"
    if not re.fullmatch(r"[1-9]\d{0,5}", _text(fields.get("Amount"))):
        return "Amount"
    if not _MSISDN.fullmatch(_text(fields.get("Msisdn"))):
        return "Msisdn"
    return "BillRefNumber" if len(_text(fields.get("BillRefNumber"))) > 20 else None


def signed(fields: Mapping[str, Any], passkey: str) -> bool:
    """Whether the password fits short code, passkey and timestamp."""
    plain = f"{_text(fields.get('BusinessShortCode'))}{passkey}{_text(fields.get('Timestamp'))}"
    return fields.get("Password") == base64.b64encode(plain.encode()).decode()


def forbidden(address: str) -> bool:
    return _FORBIDDEN.search(address) is not None


def moment(at: float) -> str:
    """`20260105101532`, the time of day in Nairobi."""
    return datetime.fromtimestamp(at, UTC).astimezone(EAST_AFRICA).strftime(_MOMENT)


def payer(phone: str, version: str) -> str:
    """A payer as a notice names him: version 1 a digest of the number, version 2 a part of it."""
    msisdn = phone.removeprefix("+")
    return hashlib.sha256(msisdn.encode()).hexdigest() if version == "v1" else f"{msisdn[:4]} ***** {msisdn[-3:]}"


def _text(value: object) -> str:
    """A field as text; floats, lists and the like are no field."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
