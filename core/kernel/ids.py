"""Ids that are made before anybody is called, so that a retry carries the same one."""

from __future__ import annotations

import secrets
import uuid

# Crockford's base 32: no I, L, O, U, so that nothing is misread over the phone.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_uuid() -> str:
    """A random UUIDv4 as text: attempts (some operators demand one), transfers, journals."""
    return str(uuid.uuid4())


def own_reference() -> str:
    """20 upper-case letters and digits, `E` first: what every operator without a UUID field accepts."""
    return "E" + "".join(secrets.choice(ALPHABET) for _ in range(19))


def verification_code() -> str:
    """9 random digits and a check digit: on a receipt, typed into a keypad by anybody who doubts it."""
    from core.kernel.digits import with_check

    return with_check("".join(secrets.choice("0123456789") for _ in range(9)))


def token() -> str:
    """An opaque 256-bit token, URL-safe."""
    return secrets.token_urlsafe(32)
