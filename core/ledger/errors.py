"""What the books refuse.

LedgerError(StateConflict)
├── SameKeyOtherContent     an event came back under its key with other content: nothing is booked
├── BelowFloor              an account with a floor (an agent's float) would fall below it
└── UnknownAccount          a code that the chart does not have
"""

from __future__ import annotations

from core.kernel.errors import StateConflict


class LedgerError(StateConflict):
    """The books refuse; nothing was changed."""


class SameKeyOtherContent(LedgerError):
    """Same key, other content."""


class BelowFloor(LedgerError):
    """The account has a floor and this would pass it."""


class UnknownAccount(LedgerError):
    """Not in the chart of accounts."""
