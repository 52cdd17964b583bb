"""The queue `bulk`, payroll: the slips of a run that was closed."""

from __future__ import annotations

from collections.abc import Callable

from core.kernel.errors import NotRecorded
from core.outbox import Dead, Done, Leased, Outcome, Retry
from core.services.payroll import Payroll

_RETRY_S = 10


def handlers(payroll: Payroll) -> dict[str, Callable[[Leased], Outcome]]:
    """What this queue does with a row, by its kind. Running it twice, or by two at once, closes each slip once."""

    def close(row: Leased) -> Outcome:
        run_id = row.body.get("run_id")
        if not isinstance(run_id, int):
            return Dead("no run_id in the row")
        try:
            return Done(f"{payroll.runs.finish(run_id)} slips")
        except NotRecorded as error:
            return Retry(_RETRY_S, str(error)[:200])

    return {"payroll.close": close}
