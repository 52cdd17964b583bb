"""How an SMS gateway says no. What happens next hangs on the class; `code` is the gateway's word.

PartnerRefused
├── RouteRefused     this gateway cannot carry it: the next one is asked
├── NotTaken         not now: asked again later
├── BadRecipient     no such number: nobody is asked again
└── OptedOut         the person does not want it: recorded, and nobody is asked again
"""

from __future__ import annotations

from core.kernel.errors import PartnerRefused


class RouteRefused(PartnerRefused):
    """The gateway has no way to this number, no credit, or does not know us. Nothing was sent.

    `pause_s`: leave this gateway alone for so long (0: the refusal speaks of this number only).
    """

    def __init__(self, partner: str, code: str, detail: str = "", *, pause_s: int = 0) -> None:
        super().__init__(partner, code, detail)
        self.pause_s = pause_s


class NotTaken(PartnerRefused):
    """Answered, not taken on, may be later. `after_s`: when to ask again; `tries`: how often it is worth asking."""

    retry = True

    def __init__(self, partner: str, code: str, detail: str = "", *, after_s: int = 60, tries: int = 5) -> None:
        super().__init__(partner, code, detail)
        self.after_s = after_s
        self.tries = tries


class BadRecipient(PartnerRefused):
    """Not a number that can get a text."""


class OptedOut(PartnerRefused):
    """The person asked the gateway to be left alone."""
