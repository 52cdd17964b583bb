"""What agents are told by SMS."""

from __future__ import annotations

from datetime import timedelta

from core.i18n import N_
from core.notices.kinds import Kind, Text

AGENT_KINDS = (
    Kind(
        "agent.float_up",
        (
            Text(
                "agent.float_up",
                N_("Your float went up by {amount}. Float now: {balance}."),
                {"amount": "123 456 789 FC", "balance": "-123 456 789 FC"},
            ),
        ),
        priority=2,
        quiet=False,
        ttl=timedelta(days=1),
    ),
)
