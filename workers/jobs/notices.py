"""The queue `notices`: one text a row."""

from __future__ import annotations

from collections.abc import Callable

from core.outbox import Dead, Leased, Outcome
from core.services.notices import Notices


def handlers(notices: Notices) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice is harmless."""

    def send(row: Leased) -> Outcome:
        notice_id = row.body.get("notice_id")
        if not isinstance(notice_id, int):
            return Dead("no notice_id in the row")
        return notices.send(notice_id)

    return {"notice.send": send}
