"""What can stand in the way of a token. The credit stays where it is; a person mends the cause."""

from __future__ import annotations

from datetime import datetime

from core.kernel.errors import Refused, ServiceError


class NoToken(ServiceError):
    """No token can be made until a person has mended the reason, which the text says. Never holds a key or a token."""


class NotProvisioned(NoToken):
    """The meter has no key, no starting code, or is of a kind for which nobody makes tokens."""


class NoPrice(NoToken):
    """No price of this unit and currency is in force. `from_at`: business time from which one will be, if ever."""

    def __init__(self, text: str, from_at: datetime | None = None) -> None:
        super().__init__(text)
        self.from_at = from_at


class BadKey(NoToken):
    """A key or a starting code that no device can have."""


class PriceRefused(Refused):
    """A price that would change the past, or is none."""
