"""What may be done about a dead row, and what its last error may show. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from core.desk.queue_model import Offer, Planned, RunState, Subject
from core.outbox import KINDS

# A request for money: whether it left may not be known. These are never tried again, only asked about.
REQUESTS = {"attempt.push": "attempt", "refund.push": "refund"}
# States in which nothing ever left for the operator, or nothing is left to ask about.
_NOT_ASKED = {"attempt": ("created", "cancelled"), "refund": ("requested", "approved", "rejected")}

# A run that was opened so much later than it was due had been missed, and was caught up.
CAUGHT_UP_AFTER = timedelta(minutes=10)
# A run that should have begun, or ended, so long ago is late.
LATE_AFTER = timedelta(minutes=15)

_COVERS = (
    (re.compile(r"(https?://[^\s/?#]+)[^\s\"']*"), r"\1/…"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "***@***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 ***"),
    (
        re.compile(r"(?i)\b(authorization|api[-_ ]?key|token|secret|password|passkey|pin)\b[\"']?\s*[=:]+\s*\S+"),
        r"\1 ***",
    ),
    (re.compile(r"\+?\d(?:[ .-]?\d){8,}"), lambda found: f"***{_digits(found.group())[-3:]}"),
)


def offer_of(kind: str, subject: Subject) -> tuple[Offer, str]:
    """What a person may do about a dead row, and why in a word.

    Every kind may run twice, so trying again is harmless; but a request for money is only ever asked about.
    """
    if kind not in KINDS:
        return "none", "nobody_does_it"
    if kind in REQUESTS:
        if subject.thing != REQUESTS[kind]:
            return "none", "gone"
        if subject.state in _NOT_ASKED[subject.thing]:
            return "none", "by_itself"
        return "ask", "asked_once"
    if not subject.thing:
        return "none", "gone"
    if kind == "notice.send" and subject.late:
        return "none", "too_late"
    if kind in ("notice.send", "email.send") and subject.state in ("unknown", "sending"):
        # What may have gone is never sent again from a list.
        return "none", "may_have_gone"
    return "again", "harmless"


def covered(error: str) -> str:
    """The words of an error without secrets, addresses and numbers of people."""
    for pattern, instead in _COVERS:
        error = pattern.sub(instead, error)
    return error[:500]


def run_state(
    planned: Planned, due_at: datetime | None, opened_at: datetime | None, ended_at: datetime | None, *, now: datetime
) -> RunState:
    """How a scheduled run stands. All times are business time; `due_at` and what follows: of the newest run."""
    late = now - planned.last_due > LATE_AFTER
    if due_at is None or opened_at is None:
        return "late" if late else "never"
    if due_at < planned.last_due:
        return "late" if late else "done"
    if ended_at is None:
        return "late" if now - opened_at > LATE_AFTER else "running"
    # What ended in the instant of its beginning is the mark of a first start: nothing had been missed.
    return "caught_up" if opened_at - due_at > CAUGHT_UP_AFTER and ended_at > opened_at else "done"


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
