"""The queue `bulk`, imports: a part of one file a row, until nothing is left."""

from __future__ import annotations

from collections.abc import Callable

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, Outcome, Retry
from core.services.imports import Imports

# A large file makes room for others of the queue from time to time.
_AT_ONCE_S = 40.0
_BUSY_AGAIN_S = 5.0


def handlers(imports: Imports) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running a row twice, or after a crash, writes no line twice."""

    def carry_on(row: Leased) -> Outcome:
        import_id = row.body.get("import_id")
        if not isinstance(import_id, int):
            return Dead("no import_id in the row")
        try:
            finished = imports.carry_on(import_id, patience_s=_AT_ONCE_S)
        except NotRecorded as error:
            return Retry(_BUSY_AGAIN_S, str(error), counts=False)
        return Done() if finished else Retry(0.0, "more lines are to come", counts=False)

    return {"import.run": carry_on}
