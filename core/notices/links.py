"""What phones are told about links: somebody asks, somebody was confirmed. No name, no amount, no whole number."""

from __future__ import annotations

from datetime import timedelta

from core.i18n import N_
from core.notices.kinds import Kind, Text

_EXAMPLE = {"phone": "+243***0001", "account": "123 456 789 0", "code": "*123*45#"}


def _text(key: str, body: str) -> Text:
    return Text(key, body, {blank: value for blank, value in _EXAMPLE.items() if f"{{{blank}}}" in body})


LINKS = (
    Kind(
        "link.asked",
        (
            _text(
                "link.asked",
                N_(
                    "The number {phone} asks to see and pay your account {account}. "
                    "To say yes or no, dial {code}, then 6 and 1."
                ),
            ),
        ),
        priority=3,
        quiet=True,
        ttl=timedelta(days=3),
        repeats=1,
        daily_cap=3,
    ),
    Kind(
        "link.confirmed",
        (_text("link.confirmed", N_("This phone may now see and pay account {account}. Dial {code}.")),),
        priority=3,
        quiet=True,
        ttl=timedelta(days=3),
    ),
    Kind(
        "link.payer",
        (_text("link.payer", N_("This phone is now known to pay for account {account}. Dial {code}.")),),
        priority=3,
        quiet=True,
        ttl=timedelta(days=3),
    ),
)
