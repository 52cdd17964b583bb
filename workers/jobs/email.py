"""The queue `bulk`, e-mails: one a row."""

from __future__ import annotations

from collections.abc import Callable

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Leased, Outcome, Retry
from core.services.emails import Emails

_BUSY_AGAIN_S = 30.0


def handlers(emails: Emails) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice sends nothing twice."""

    def send(row: Leased) -> Outcome:
        notice_id = row.body.get("notice_id")
        if not isinstance(notice_id, int):
            return Dead("no notice_id in the row")
        try:
            return emails.send(notice_id)
        except NotRecorded as error:
            # Before the call nothing has left; after it the row says "sending", and the next look calls that doubt.
            return Retry(_BUSY_AGAIN_S, str(error), counts=False)
        except OSError as error:
            # The document could not be written or read: nothing was handed over yet.
            return Retry(_BUSY_AGAIN_S, f"{type(error).__name__}: {error}"[:200])

    return {"email.send": send}
