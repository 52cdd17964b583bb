"""When to leave an operator alone for a while, decided from its answers. Pure.

Only the operator's own trouble counts: no connection, a broken or missing answer, 5xx, "overloaded". What it says about
one payment, even "no", shows that it is well. Too many calls (429) are our fault, and the rate limit's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core.payments.answers import Failed, NotAccepted, QueryAnswer, StartAnswer, Unknown

FAILURES_MAX = 5
OPEN_S, OPEN_MAX_S = 30.0, 300.0

_NETWORK = frozenset({"no_connection", "timeout", "cut", "unreadable", "too_long"})
# Said by us about ourselves: nothing was asked, so nothing was learnt.
_OUR_OWN = frozenset({
    "session_warming", "session_refused", "token_awaited", "token_refused", "no_token", "no_token_yet", "no_token_429",
    "left_alone", "429",
})  # fmt: skip

Condition = Literal["well", "troubled", "unclear"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """`failures` in a row, `trips` since it was last well. Open: left alone until `open_until`."""

    failures: int = 0
    trips: int = 0
    open_until: datetime | None = None
    why: str = ""

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until


def condition(call: Literal["start", "query"], answer: StartAnswer | QueryAnswer) -> Condition:
    """What an answer tells about the operator."""
    match answer:
        case NotAccepted(code, _, posted):
            if code in _OUR_OWN:
                return "unclear"
            return "troubled" if not posted or code in _NETWORK or _is_5xx(code) else "unclear"
        case Unknown(why):
            if why == "timeout" and call == "start":
                # Some hold the call until the PIN is typed: a slow thumb is no trouble of theirs.
                return "unclear"
            return "troubled" if why in _NETWORK or _is_5xx(why) else "unclear"
        case Failed(reason="configuration"):
            return "unclear"
        case _:
            return "well"


def _is_5xx(code: str) -> bool:
    """`503`, or `500 ESB000001`: the status first, then what the operator's body said."""
    status, _, _ = code.partition(" ")
    return len(status) == 3 and status.startswith("5") and status.isdecimal()


def after(circuit: Circuit, seen: Condition, *, why: str, now: datetime, scale: float = 1.0) -> Circuit:
    """The circuit after one more answer. The first answer after a pause decides: well closes it, trouble opens it for
    twice as long, up to five minutes."""
    if seen == "well":
        return Circuit()
    if seen == "unclear" or circuit.is_open(now):
        # What was under way when it opened tells nothing new.
        return circuit
    failures = circuit.failures + 1
    if failures < FAILURES_MAX and not circuit.trips:
        return Circuit(failures, 0, None, why[:80])
    pause_s = min(OPEN_S * 2**circuit.trips, OPEN_MAX_S) * scale
    return Circuit(failures, circuit.trips + 1, now + timedelta(seconds=pause_s), why[:80])
