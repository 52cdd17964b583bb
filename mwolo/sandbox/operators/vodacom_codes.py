"""The response codes of the Vodacom M-Pesa OpenAPI, with the HTTP status each arrives on, and the rules for fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

# code → (HTTP status, text). The texts are those on which published clients agree.
CODES: Mapping[str, tuple[int, str]] = {
    "INS-0": (201, "Request processed successfully"),
    "INS-1": (500, "Internal Error"),
    "INS-2": (401, "Invalid API Key"),
    "INS-4": (401, "User is not active"),
    "INS-5": (401, "Transaction cancelled by customer"),
    "INS-6": (401, "Transaction Failed"),
    "INS-9": (408, "Request timeout"),
    "INS-10": (409, "Duplicate Transaction"),
    "INS-13": (400, "Invalid Shortcode Used"),
    "INS-14": (400, "Invalid Reference Used"),
    "INS-15": (400, "Invalid Amount Used"),
    "INS-16": (503, "Unable to handle the request due to a temporary overloading"),
    "INS-17": (400, "Invalid Transaction Reference. Length Should Be Between 1 and 20."),
    "INS-18": (400, "Invalid TransactionID Used"),
    "INS-19": (400, "Invalid ThirdPartyReference Used"),
    "INS-20": (400, "Not All Parameters Provided. Please try again."),
    "INS-21": (400, "Parameter validations failed. Please try again."),
    "INS-22": (400, "Invalid Operation Type"),
    "INS-23": (400, "Unknown Status. Contact M-Pesa Support"),
    "INS-24": (400, "Invalid InitiatorIdentifier Used"),
    "INS-25": (400, "Invalid SecurityCredential Used"),
    "INS-26": (400, "Invalid Currency Used"),
    "INS-28": (400, "Invalid ThirdPartyConversationID Used"),
    "INS-30": (400, "Invalid Purchased Items Description Used"),
    "INS-990": (400, "Customer Transaction Value Limit Breached"),
    "INS-991": (400, "Customer Transaction Count Limit Breached"),
    "INS-995": (400, "API Single Transaction Limit Breached"),
    "INS-996": (400, "Organization Transaction Value Limit Breached"),
    "INS-998": (400, "Invalid Market"),
    "INS-2001": (400, "Initiator authentication error."),
    "INS-2002": (400, "Receiver invalid."),
    "INS-2006": (422, "Insufficient balance"),
    "INS-2051": (400, "MSISDN invalid."),
    "INS-2057": (400, "Language code invalid."),
}

# How an entry ended, in the ledger's words → the operator's code. A code stands for itself.
_ENDINGS: Mapping[str, str] = {
    "declined": "INS-5",
    "wrong_pin": "INS-6",
    # What the platform says of a phone that cannot show a prompt: the push failed, nothing more precise.
    "busy": "INS-6",
    "no_funds": "INS-2006",
    "payer_unknown": "INS-2051",
    "expired": "INS-9",
}

MARKETS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "vodacomDRC": ("DRC", ("USD", "CDF")),
    "vodacomTZN": ("TZN", ("TZS",)),
    "vodacomLES": ("LES", ("LSL",)),
    "vodafoneGHA": ("GHA", ("GHS",)),
    "vodacomMOZ": ("MOZ", ("MZN",)),
}

# The operator's own sandbox numbers → (state, reason): an end without anybody typing a PIN.
TEST_NUMBERS: Mapping[str, tuple[str, str | None]] = {
    "000000000001": ("paid", None),
    "000000000002": ("expired", "INS-9"),
    "000000000003": ("expired", "INS-9"),
    "000000000004": ("failed", "wrong_pin"),
    "000000000005": ("failed", "INS-1"),
    "000000000006": ("failed", "INS-6"),
    "000000000007": ("failed", "INS-15"),
    "000000000008": ("failed", "no_funds"),
    "000000000009": ("failed", "INS-16"),
}

_C2B_FIELDS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    "input_Amount": ("INS-15", re.compile(r"\d+(\.\d{1,2})?")),
    "input_Country": ("INS-21", re.compile(r"[A-Z]{3}")),
    "input_Currency": ("INS-26", re.compile(r"[A-Z]{3}")),
    "input_CustomerMSISDN": ("INS-2051", re.compile(r"\d{12,14}")),
    "input_ServiceProviderCode": ("INS-13", re.compile(r"[0-9A-Za-z]{4,12}")),
    "input_ThirdPartyConversationID": ("INS-28", re.compile(r"[\w ]{1,40}", re.ASCII)),
    "input_TransactionReference": ("INS-17", re.compile(r"[0-9A-Za-z]{1,20}")),
    "input_PurchasedItemsDesc": ("INS-30", re.compile(r"[0-9A-Za-z ]{1,256}")),
}
QUERY_FIELDS = (
    "input_QueryReference",
    "input_ServiceProviderCode",
    "input_ThirdPartyConversationID",
    "input_Country",
)


def ending_code(reason: str | None) -> str:
    return _ENDINGS.get(reason or "", reason or "INS-6")


def c2b_fault(fields: Mapping[str, object], market: str) -> str | None:
    """The code for the first thing wrong with a customer-to-business request, or None."""
    country, currencies = MARKETS[market]
    if any(name not in fields for name in _C2B_FIELDS):
        return "INS-20"
    for name, (code, shape) in _C2B_FIELDS.items():
        value = fields[name]
        if not isinstance(value, str) or not shape.fullmatch(value):
            return code
    amount, currency = str(fields["input_Amount"]), fields["input_Currency"]
    if float(amount) <= 0 or (currency == "CDF" and "." in amount):
        return "INS-15"
    if fields["input_Country"] != country:
        return "INS-21"
    return None if currency in currencies else "INS-26"
