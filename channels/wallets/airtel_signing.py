"""How Airtel's messages are proved: ours to them (message signing, v2), theirs to us (the hash of a callback)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_public_key

from core.kernel.clock import Clock

HashForm = Literal["off", "transaction", "wrapped", "raw"]
HASH_FORMS = ("off", "transaction", "wrapped", "raw")

_AES_BLOCK_BITS = 128
# A key is not used in its last minute: it must still hold when they read the request.
_LAST_MINUTE = timedelta(minutes=1)
# `valid_upto` names no zone. Read as the most eastern one that Airtel works in: never too long.
_EASTMOST = timezone(timedelta(hours=4))
_VALIDITY_FORMS = ("%d-%m-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def signed_headers(key: RSAPublicKey, body: bytes) -> dict[str, str]:
    """The headers that go with exactly these bytes: the body under a new AES key, and that key under theirs."""
    aes_key, iv = os.urandom(32), os.urandom(16)
    padder = PKCS7(_AES_BLOCK_BITS).padder()
    cipher = Cipher(AES256(aes_key), CBC(iv)).encryptor()
    sealed = cipher.update(padder.update(body) + padder.finalize()) + cipher.finalize()
    opener = base64.b64encode(aes_key) + b":" + base64.b64encode(iv)
    return {
        "x-signature": base64.b64encode(sealed).decode(),
        "x-key": base64.b64encode(key.encrypt(opener, PKCS1v15())).decode(),
    }


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Airtel's public key, and until when it may be used."""

    key: RSAPublicKey
    valid_until: datetime


class KeyCache:
    """The key in force, fetched when there is none or when its time is over. Shared by the threads of a process."""

    def __init__(self, fetch: Callable[[], SigningKey], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: SigningKey | None = None

    def take(self) -> RSAPublicKey:
        """Raises what `fetch` raises."""
        with self._lock:
            if self._kept is None or self._clock.real_now() >= self._kept.valid_until - _LAST_MINUTE:
                self._kept = self._fetch()
            return self._kept.key

    def forget(self) -> None:
        """They could not read what was signed: have the next one signed with a key of now."""
        with self._lock:
            self._kept = None


def load_signing_key(text: str) -> RSAPublicKey:
    """Read base64 of a DER (as they send it), or PEM. Raises ValueError."""
    plain = re.sub(r"-----[A-Z ]+-----|\s", "", text)
    try:
        key = load_der_public_key(base64.b64decode(plain, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA public key")
    return key


def read_validity(text: str | None) -> datetime | None:
    """`valid_upto` as a moment, or None when it cannot be read: `12-08-2026 21:29:26`, ISO, or seconds since 1970."""
    if text is None:
        return None
    if re.fullmatch(r"\d{10}|\d{13}", text):
        return datetime.fromtimestamp(int(text[:10]), UTC)
    for form in _VALIDITY_FORMS:
        try:
            return datetime.strptime(text[:19], form).replace(tzinfo=_EASTMOST)
        except ValueError:
            continue
    return None


def hash_fits(form: str, key: str, body: bytes, callback: Mapping[str, Any]) -> bool:
    """Whether the callback carries the HMAC of its own words. `callback` is `body` parsed.

    The forms: `transaction`: the inner object as compact JSON; `wrapped`: the same inside `{"transaction": …}`;
    `raw`: the bytes that came, with the hash cut out. Sources differ; the application in the portal tells.
    """
    given = callback.get("hash")
    if not isinstance(given, str) or not key:
        return False
    wanted = given.strip().encode("utf-8", "replace")
    fits = False
    for text in _hashed(form, body, callback):
        digest = base64.b64encode(hmac.new(key.encode(), text, hashlib.sha256).digest())
        fits = hmac.compare_digest(digest, wanted) or fits
    return fits


def fitting_form(key: str, body: bytes, callback: Mapping[str, Any]) -> str | None:
    """Which of the forms this hash was made in with this key; what the tests with Airtel are to find out."""
    return next((form for form in HASH_FORMS[1:] if hash_fits(form, key, body, callback)), None)


def _hashed(form: str, body: bytes, callback: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The bytes that may have been hashed. Compact JSON is written with or without escapes for letters over ASCII."""
    inner = callback.get("transaction")
    if form == "raw":
        return (_without_hash(body),)
    said = inner if form == "transaction" else {"transaction": inner}
    return tuple(
        # A number with decimals cannot be repeated as it was written; such a callback has no hash that fits.
        json.dumps(said, ensure_ascii=escaped, separators=(",", ":"), default=str).encode("utf-8", "replace")
        for escaped in (False, True)
    )


def _without_hash(body: bytes) -> bytes:
    last = re.sub(rb'\s*,\s*"hash"\s*:\s*"[^"]*"', b"", body, count=1)
    return last if last != body else re.sub(rb'"hash"\s*:\s*"[^"]*"\s*,\s*', b"", body, count=1)
