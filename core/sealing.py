"""Small secrets at rest (a meter's signing key), sealed with the product's secret key.

Not in the kernel: the standard library has no authenticated cipher, and the kernel is standard library only.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.kernel.errors import ServiceError

_FORMAT = "s1."
_NONCE_BYTES = 12  # What AES-GCM wants (NIST SP 800-38D).


class SealBroken(ServiceError):
    """The sealed text was altered, belongs to another purpose, or was sealed with another secret key."""


class Sealer:
    """Seals and unseals with a key derived from the product's secret key (HKDF-SHA256, AES-256-GCM)."""

    def __init__(self, secret_key: str) -> None:
        if not secret_key:
            raise ValueError("an empty secret key seals nothing")
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mwolo sealing 1")
        self._cipher = AESGCM(derive.derive(secret_key.encode()))

    def seal(self, plain: bytes, *, purpose: str) -> str:
        """Text that only this secret key opens, and only for the same `purpose` ("meter:M000123")."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, purpose.encode())
        return _FORMAT + base64.urlsafe_b64encode(sealed).decode()

    def unseal(self, text: str, *, purpose: str) -> bytes:
        """What was sealed. Raises SealBroken; never says why, because nobody may learn from it."""
        try:
            if not text.startswith(_FORMAT):
                raise ValueError
            sealed = base64.b64decode(text.removeprefix(_FORMAT), altchars=b"-_", validate=True)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except (ValueError, InvalidTag) as error:
            raise SealBroken(f"a sealed secret for {purpose} cannot be opened with this secret key") from error
