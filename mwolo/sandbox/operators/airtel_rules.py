"""What Airtel's gateway says of a request that it does not take on: its codes, its checks, its signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

COUNTRY = "CD"
CURRENCIES = ("CDF", "USD")
# code → text. Where a code begins with DP, two of Airtel's own tables differ on most of them.
TEXTS: Mapping[str, str] = {
    "ESB000001": "Something went wrong.",
    "ESB000004": "An error occurred while initiating the payment.",
    "ESB000008": "Field validation failed.",
    "ESB000010": "SUCCESS",
    "ESB000011": "Request failed.",
    "ESB000033": "Invalid MSISDN length.",
    "ESB000034": "Invalid country name.",
    "ESB000035": "Invalid currency provided.",
    "ESB000041": "External transaction ID already exists.",
    "ESB000045": "No transaction found with the provided transaction id.",
    "ROUTER003": "Mandatory parameters are missing in header or body.",
    "ROUTER006": "Invalid country.",
    "ROUTER112": "Invalid currency.",
    "ROUTER119": "Missing currency.",
    "DP00800001005": "Msisdn Not Found",
    "DP00800001026": "Forbidden. X-signature and payload did not match.",
}
_ID = re.compile(r"[A-Za-z0-9_-]{4,64}")


@dataclass(frozen=True)
class PaymentAsk:
    """A request to pay that can be taken on. `minor`: hundredths."""

    own_id: str
    msisdn: str
    minor: int
    currency: str
    reference: str


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a body, empty for anything else. Decimals stay decimals."""
    try:
        found = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def header_fault(country: str | None, currency: str | None) -> str | None:
    """The gateway's code for what is wrong with these two headers."""
    if country is None:
        return "ROUTER003"
    if country != COUNTRY:
        return "ROUTER006"
    if currency is None:
        return "ROUTER119"
    return None if currency in CURRENCIES else "ROUTER112"


def read_payment(asked: Mapping[str, Any], currency: str) -> PaymentAsk | str:
    """The payment a body asks for, or the code for the first thing wrong with it."""
    payer, wanted = asked.get("subscriber"), asked.get("transaction")
    if not isinstance(payer, dict) or not isinstance(wanted, dict):
        return "ESB000008"
    for part in (payer, wanted):
        if part.get("country", COUNTRY) != COUNTRY:
            return "ESB000034"
        if part.get("currency", currency) != currency:
            return "ESB000035"
    msisdn, own_id, reference = str(payer.get("msisdn", "")), wanted.get("id"), asked.get("reference")
    if not re.fullmatch(r"[1-9]\d{8}", msisdn):
        return "ESB000033"
    minor = _hundredths(wanted.get("amount"))
    if minor is None or (currency == "CDF" and minor % 100):
        return "ESB000008"
    if not isinstance(own_id, str) or not _ID.fullmatch(own_id):
        return "ESB000008"
    if not isinstance(reference, str) or not 1 <= len(reference) <= 64:
        return "ESB000008"
    return PaymentAsk(own_id, msisdn, minor, currency, reference)


def _hundredths(amount: object) -> int | None:
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        return None
    minor = Decimal(amount) * 100
    return int(minor) if 0 < minor < 10**15 and minor == minor.to_integral_value() else None


def signature_fits(key: RSAPrivateKey, body: bytes, x_key: str, x_signature: str) -> bool:
    """Whether `x-signature` opens, with what is in `x-key`, to exactly the bytes of the body."""
    try:
        aes_key, _, iv = key.decrypt(base64.b64decode(x_key, validate=True), PKCS1v15()).partition(b":")
        secret, start = base64.b64decode(aes_key, validate=True), base64.b64decode(iv, validate=True)
        cipher = Cipher(AES256(secret), CBC(start)).decryptor()
        padded = cipher.update(base64.b64decode(x_signature, validate=True)) + cipher.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize() == body
    except (binascii.Error, ValueError):
        return False


def callback_body(transaction: Mapping[str, str], form: str, key: str) -> bytes:
    """A callback as it goes out. `form`: what its hash is made over, `off` for none."""
    inner = {"transaction": dict(transaction)}
    if form == "off":
        return _compact(inner)
    # Over the body with the hash cut out is here the same as over the wrapped transaction: one writer made both.
    hashed = _compact(transaction) if form == "transaction" else _compact(inner)
    digest = hmac.new(key.encode(), hashed, hashlib.sha256).digest()
    return _compact({**inner, "hash": base64.b64encode(digest).decode()})


def _compact(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
