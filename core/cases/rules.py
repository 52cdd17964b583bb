"""Numbers of cases, and what may follow what. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from core.kernel.digits import with_check

Kind = Literal["outage", "dispute", "complaint", "other"]
KINDS: tuple[Kind, ...] = ("outage", "dispute", "complaint", "other")
# The same, reported once more within this time, belongs to the case there is.
JOIN_WITHIN = timedelta(hours=24)
SERIES = "case"
# The first number has six digits before its check digit, and none begins with 0.
_FIRST = 100_000
CLOSED = "closed"


def number_of(count: int) -> str:
    """The number of the `count`-th case: digits only, the last one a check digit."""
    return with_check(str(_FIRST + count))
