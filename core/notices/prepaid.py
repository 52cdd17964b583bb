"""What a prepaid customer is sent: the tokens to type on the meter, and how the credit of a radio meter stands."""

from __future__ import annotations

from datetime import timedelta

from core.i18n import N_
from core.notices.kinds import Kind, Text, blanks_of

# The longest there are: fifteen digits on a keypad without 5 to 9, eight of them in one issue, the most they hold.
_ONE = "444 444 444 444 444"
_EXAMPLE = {
    "token": _ONE,
    "tokens": ", ".join([_ONE] * 8),
    "days": "7960",
    "kwh": "7960",
    "account": "123 456 789 0",
    "credit": "123 456 789 FC",
    "code": "*123*45#",
}


def _text(key: str, body: str, segments_max: int = 1) -> Text:
    return Text(key, body, {name: _EXAMPLE[name] for name in sorted(blanks_of(body))}, segments_max)


PREPAID = (
    Kind(
        "prepaid.token",
        (
            _text(
                "prepaid.token.days",
                N_(
                    "Token {token}. Days: {days}. Account {account}. Type it on your meter. "
                    "To see it again, dial {code}."
                ),
            ),
            _text(
                "prepaid.token.kwh",
                N_(
                    "Token {token}. kWh: {kwh}. Account {account}. Type it on your meter. To see it again, dial {code}."
                ),
            ),
            _text(
                "prepaid.tokens.days.more",
                N_(
                    "Type each of these tokens on your meter: {tokens}. Days in all: {days}. Account {account}. "
                    "The rest stays as credit: {credit}."
                ),
                segments_max=2,
            ),
            _text(
                "prepaid.tokens.kwh.more",
                N_(
                    "Type each of these tokens on your meter: {tokens}. kWh in all: {kwh}. Account {account}. "
                    "The rest stays as credit: {credit}."
                ),
                segments_max=2,
            ),
            _text(
                "prepaid.tokens.days",
                N_(
                    "Type each of these tokens on your meter: {tokens}. Days in all: {days}. Account {account}. "
                    "To see them again, dial {code}."
                ),
                segments_max=2,
            ),
            _text(
                "prepaid.tokens.kwh",
                N_(
                    "Type each of these tokens on your meter: {tokens}. kWh in all: {kwh}. Account {account}. "
                    "To see them again, dial {code}."
                ),
                segments_max=2,
            ),
        ),
        priority=1,
        quiet=False,
        ttl=timedelta(days=3),
        # A second copy does no harm: a meter takes a token once.
        repeats=1,
    ),
    Kind(
        "prepaid.low",
        (
            _text("prepaid.low", N_("Account {account}: {credit} of credit left. Top up in time: dial {code}.")),
            _text("prepaid.low.plain", N_("Account {account}: little credit is left. Top up in time: dial {code}.")),
        ),
        priority=3,
        quiet=True,
        ttl=timedelta(hours=24),
        repeats=1,
    ),
    Kind(
        "prepaid.used_up",
        (
            _text(
                "prepaid.used_up",
                N_("Account {account}: your credit is used up. Top up before your power is cut: dial {code}."),
            ),
        ),
        priority=2,
        quiet=True,
        ttl=timedelta(hours=24),
        repeats=1,
    ),
)
