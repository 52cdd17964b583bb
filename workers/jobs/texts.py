"""The queue `notices`, the other way: one text that somebody sent us a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Leased, Outcome, Retry

# Somebody holds the phone in her hand.
_BUSY_AGAIN_S = 3.0


class Answers(Protocol):
    """`channels.sms.answering.Answering`."""

    def answer(self, inbound_id: int) -> Outcome: ...


def handlers(answering: Answers) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice is harmless."""

    def answer(row: Leased) -> Outcome:
        inbound_id = row.body.get("inbound_id")
        if not isinstance(inbound_id, int):
            return Dead("no inbound_id in the row")
        try:
            return answering.answer(inbound_id)
        except NotRecorded as error:
            return Retry(_BUSY_AGAIN_S, str(error), counts=False)

    return {"sms.answer": answer}
