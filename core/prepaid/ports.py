"""What makes tokens. An adapter stands in `meters/tokens/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Device:
    """What a token is made from. `secret` and `starting_code` are the device's own and shown nowhere.

    `count`: the counter of the newest token there is. `restricted`: a keypad with the digits 1 to 4 only.
    """

    count: int
    restricted: bool
    secret: bytes = field(repr=False)
    starting_code: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """A token with leading zeros, and the counter to keep before anybody sees it."""

    count: int
    token: str = field(repr=False)


class TokenMaker(Protocol):
    """Makes tokens for one kind of keypad meter. Pure: no network, no clock, and fast enough to run under a lock.

    `value_max`: the most steps that one token holds. `stack_max`: how many tokens a device takes in any order.
    """

    value_max: int
    stack_max: int

    def check(self, secret: bytes, starting_code: int) -> None:
        """Raises BadKey when no device can have these."""
        ...

    def add(self, device: Device, value: int) -> Made:
        """The next token that adds `value` steps (1 to `value_max`). Raises BadKey."""
        ...
