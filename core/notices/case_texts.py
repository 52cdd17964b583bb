"""What people are told about a case they reported and a promise they made."""

from __future__ import annotations

from datetime import timedelta

from core.i18n import N_
from core.notices.kinds import Kind, Text

# What staff may write in one answer: with the words around it, three segments of GSM-7.
ANSWER_MAX = 400
_NUMBER = "123 456 7"
_CODE = "*123*45#"

CASE_KINDS = (
    Kind(
        "case.opened",
        (
            Text(
                "case.opened",
                N_("Your report was taken down: number {number}. To see where it stands, dial {code}."),
                {"number": _NUMBER, "code": _CODE},
            ),
        ),
        priority=3,
        quiet=False,
        ttl=timedelta(days=1),
        daily_cap=5,
        over_cap="never",
    ),
    Kind(
        "case.answer",
        (
            Text(
                "case.answer",
                N_("Report {number}: {answer}"),
                {"number": _NUMBER, "answer": "x" * ANSWER_MAX},
                segments_max=3,
            ),
        ),
        priority=3,
        quiet=True,
        ttl=timedelta(days=3),
    ),
    Kind(
        "case.closed",
        (
            Text(
                "case.closed",
                N_("Your report {number} is closed. If it is not solved, dial {code}."),
                {"number": _NUMBER, "code": _CODE},
            ),
        ),
        priority=5,
        quiet=True,
        ttl=timedelta(days=3),
    ),
    Kind(
        "promise.today",
        (
            Text(
                "promise.today",
                N_(
                    "Account {account}: you promised to pay {amount} by today, {promised}. To pay, dial {code}. "
                    "If you have just paid, thank you."
                ),
                {
                    "account": "123 456 789 0",
                    "amount": "123 456 789 FC",
                    "promised": "24/03/2026",
                    "code": _CODE,
                },
            ),
        ),
        priority=4,
        quiet=True,
        # From the morning to midnight.
        ttl=timedelta(hours=16),
        repeats=1,
        daily_cap=6,
    ),
)
