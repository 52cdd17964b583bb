"""Six digits that change every half minute (RFC 6238), as authenticator apps show them."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

import pyotp

_STEP_S = 30


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that `code` belongs to, one step of clock drift allowed either way; None when it fits none."""
    digits = "".join(code.split())
    if len(digits) != 6 or not digits.isascii() or not digits.isdecimal():
        return None
    totp = pyotp.TOTP(secret, interval=_STEP_S)
    for drift in (0, -1, 1):
        moment = now + timedelta(seconds=drift * _STEP_S)
        if hmac.compare_digest(totp.at(moment), digits):
            return int(moment.timestamp()) // _STEP_S
    return None
