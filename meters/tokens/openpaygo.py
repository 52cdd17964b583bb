"""OpenPAYGO tokens: nine digits for a keypad (fifteen where it has the digits 1 to 4 only).

A value of 0 to 995 steps, hidden in a hash chain that is stepped `count` times. The counter's parity is the type: even
adds, odd sets; the next token that adds is one or two counts on. Cost grows with the count, about 9 ms at 1 000.
Source: openpaygo 0.6.3 and the OpenPAYGO Token documentation 2.1.4.
"""

from __future__ import annotations

from openpaygo import TokenType, generate_token

from core.prepaid.errors import BadKey
from core.prepaid.ports import Device, Made

_KEY_BYTES = 16
# A number of nine digits, as on the sticker. The chain is folded to less than 2^30, so more cannot be a code.
_CODE_MAX = 999_999_999


class OpenPaygo:
    """Makes tokens that add time or energy. Called with the counter's row locked."""

    # 996 and 997 are reserved, 998 unlocks for ever, 999 moves the counter. Higher values would wrap silently.
    value_max = 995
    # The device takes tokens that are up to 16 counts older than its newest: 8 of those that add.
    stack_max = 8

    def check(self, secret: bytes, starting_code: int) -> None:
        if len(secret) != _KEY_BYTES:
            raise BadKey(f"a key has {_KEY_BYTES} bytes, this one {len(secret)}")
        # 0 would be taken for "none" by the library, which then derives another one.
        if not 1 <= starting_code <= _CODE_MAX:
            raise BadKey("a starting code has up to nine digits and is not zero")

    def add(self, device: Device, value: int) -> Made:
        self.check(device.secret, device.starting_code)
        if not 1 <= value <= self.value_max or device.count < 0:
            raise ValueError(f"no token holds {value} steps after count {device.count}")
        count, token = generate_token(
            secret_key=device.secret.hex(),
            count=device.count,
            value=value,
            token_type=TokenType.ADD_TIME,
            starting_code=device.starting_code,
            restricted_digit_set=device.restricted,
        )
        return Made(int(count), str(token))
