"""What pawaPay accepts in the DR Congo, and its words for how a deposit can end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# provider → (our brand, its name, prefixes of national numbers). Decimals and limits: what `active-conf` answers.
PROVIDERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "VODACOM_MPESA_COD": ("mpesa", "Vodacom", ("81", "82", "83", "86")),
    "AIRTEL_COD": ("airtel", "Airtel", ("96", "97", "98", "99")),
    "ORANGE_COD": ("orange", "Orange", ("80", "84", "85", "89")),
}
CURRENCIES: Mapping[str, tuple[str, int]] = {"CDF": ("FC", 0), "USD": ("$", 2)}
_LIMITS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("VODACOM_MPESA_COD", "USD"): ("0.5", "2500"),
    ("AIRTEL_COD", "USD"): ("0.1", "2500"),
    ("ORANGE_COD", "USD"): ("0.01", "2500"),
}
_CDF_LIMITS = ("100", "7000000")

# Codes of `failureReason` that are given at once, instead of taking the deposit on.
AT_INITIATION = frozenset(
    {
        "AMOUNT_OUT_OF_BOUNDS",
        "DEPOSITS_NOT_ALLOWED",
        "DUPLICATE_METADATA_FIELD",
        "HTTP_SIGNATURE_ERROR",
        "INVALID_AMOUNT",
        "INVALID_CURRENCY",
        "INVALID_INPUT",
        "INVALID_PARAMETER",
        "INVALID_PHONE_NUMBER",
        "INVALID_PROVIDER",
        "MISSING_PARAMETER",
        "PROVIDER_TEMPORARILY_UNAVAILABLE",
        "UNSUPPORTED_PARAMETER",
    }
)
# How an entry ended, in the ledger's words → their code. A code stands for itself.
ENDINGS: Mapping[str, str] = {
    "declined": "PAYMENT_NOT_APPROVED",
    "wrong_pin": "PAYMENT_NOT_APPROVED",
    "expired": "PAYMENT_NOT_APPROVED",
    "no_funds": "INSUFFICIENT_BALANCE",
    "busy": "PAYMENT_IN_PROGRESS",
    "payer_unknown": "PAYER_NOT_FOUND",
}
# Last digits of pawaPay's own sandbox numbers → (state, reason): an end without anybody typing a PIN.
TEST_ENDINGS: Mapping[str, tuple[str, str | None]] = {
    "789": ("paid", None),
    "039": ("failed", "PAYMENT_NOT_APPROVED"),
    "029": ("failed", "PAYER_NOT_FOUND"),
    "048": ("failed", "INSUFFICIENT_BALANCE"),
    "049": ("failed", "INSUFFICIENT_BALANCE"),
    "068": ("failed", "UNSPECIFIED_FAILURE"),
    "069": ("failed", "UNSPECIFIED_FAILURE"),
    "129": ("asked", None),
    "138": ("asked", None),
}
_TEST_NUMBER = re.compile(r"243(81|97|89)3456(\d{3})")
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_AMOUNT = re.compile(r"(0|[1-9]\d{0,17})(\.\d{1,3})?")
_MESSAGE = re.compile(r"[0-9A-Za-z ]{4,22}")
_FIELDS = frozenset(
    {
        "depositId",
        "amount",
        "currency",
        "payer",
        "clientReferenceId",
        "customerMessage",
        "metadata",
        "preAuthorisationCode",
    }
)
_REFUND_FIELDS = frozenset({"refundId", "depositId", "amount", "currency", "clientReferenceId", "metadata"})

Problem = tuple[str, str]


def automatic_ending(number: str) -> tuple[str, str | None] | None:
    fits = _TEST_NUMBER.fullmatch(number)
    return TEST_ENDINGS.get(fits.group(2)) if fits else None


def limits(provider: str, currency: str) -> tuple[str, str]:
    """(lowest, highest) as amount texts."""
    return _CDF_LIMITS if currency == "CDF" else _LIMITS[provider, currency]


def is_uuid4(text: object) -> bool:
    return isinstance(text, str) and _UUID4.fullmatch(text) is not None


def provider_of(number: str) -> str | None:
    """The provider a number in international digits belongs to."""
    for provider, (_, _, prefixes) in PROVIDERS.items():
        if len(number) == 12 and number.startswith("243") and number[3:5] in prefixes:
            return provider
    return None


def deposit_problem(asked: Mapping[str, Any]) -> Problem | None:
    """(failureCode, failureMessage) for the first thing wrong with a deposit, or None."""
    for name in ("depositId", "amount", "currency", "payer"):
        if asked.get(name) in (None, ""):
            return "MISSING_PARAMETER", f"The parameter '{name}' is missing."
    for name in asked:
        if name not in _FIELDS:
            return "UNSUPPORTED_PARAMETER", f"The parameter '{name}' is not supported."
    if not is_uuid4(asked["depositId"]):
        return "INVALID_PARAMETER", "depositId must be a UUIDv4."
    payer = asked["payer"]
    details = payer.get("accountDetails") if isinstance(payer, dict) else None
    if not isinstance(details, dict) or payer.get("type") != "MMO":
        return "INVALID_PARAMETER", "payer must be of type MMO with accountDetails."
    return _payer_problem(details) or _amount_problem(asked, str(details["provider"])) or _texts_problem(asked)


def refund_problem(asked: Mapping[str, Any], currency: str | None) -> str | None:
    """The failureCode for the first thing wrong with a refund, or None. `currency`: the deposit's."""
    if not is_uuid4(asked.get("refundId")) or not is_uuid4(asked.get("depositId")):
        return "INVALID_PARAMETER"
    if any(name not in _REFUND_FIELDS for name in asked):
        return "UNSUPPORTED_PARAMETER"
    if "amount" not in asked:
        return None
    amount, told = asked["amount"], asked.get("currency")
    if told is None:
        return "MISSING_PARAMETER"
    if told not in CURRENCIES or (currency is not None and told != currency):
        return "INVALID_CURRENCY"
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        return "INVALID_AMOUNT"
    return "INVALID_AMOUNT" if len(amount.partition(".")[2]) > CURRENCIES[told][1] else None


def _payer_problem(details: Mapping[str, Any]) -> Problem | None:
    if details.get("provider") not in PROVIDERS:
        return "INVALID_PROVIDER", "The provider is not supported."
    number = details.get("phoneNumber")
    if not isinstance(number, str) or not re.fullmatch(r"243\d{9}", number):
        return "INVALID_PHONE_NUMBER", "The phone number format is invalid."
    return None


def _amount_problem(asked: Mapping[str, Any], provider: str) -> Problem | None:
    currency, amount = asked["currency"], asked["amount"]
    if currency not in CURRENCIES:
        return "INVALID_CURRENCY", "The currency is not supported by the provider."
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        return "INVALID_AMOUNT", "The amount must be text: digits without leading zeros."
    if len(amount.partition(".")[2]) > CURRENCIES[currency][1]:
        return "INVALID_AMOUNT", "The provider does not support that many decimal places."
    lowest, highest = limits(provider, currency)
    if not Decimal(lowest) <= Decimal(amount) <= Decimal(highest):
        return "AMOUNT_OUT_OF_BOUNDS", f"The amount must be between {lowest} and {highest} {currency}."
    return None


def _texts_problem(asked: Mapping[str, Any]) -> Problem | None:
    message = asked.get("customerMessage")
    if message is not None and (not isinstance(message, str) or not _MESSAGE.fullmatch(message)):
        return "INVALID_PARAMETER", "customerMessage must be 4 to 22 letters, digits and spaces."
    metadata = asked.get("metadata", [])
    if not isinstance(metadata, list) or len(metadata) > 10 or any(not isinstance(one, dict) for one in metadata):
        return "INVALID_PARAMETER", "metadata must be a list of at most 10 objects."
    names = [name for one in metadata for name in one if name != "isPII"]
    if len(names) != len(set(names)):
        return "DUPLICATE_METADATA_FIELD", "A metadata field stands twice."
    return None
