"""What the office is told "no" to. One class with a code: pages put it in words.

StateConflict
└── PayrollRefused    `code` says why; `detail` fills the sentence where there is one
"""

from __future__ import annotations

from typing import Literal, get_args

from core.kernel.errors import StateConflict

RefusalCode = Literal[
    # Who is paid.
    "employee_unknown",
    "employee_invalid",  # a name, a job, an amount or a day that cannot be
    "number_taken",
    "agency_unknown",
    "phone_invalid",
    "email_invalid",
    "item_invalid",
    "item_unknown",
    "item_ended",
    # Rates.
    "rates_invalid",  # `detail`: what is wrong with them, in English, for the log
    "rates_unknown",
    "rates_closed_month",  # `detail`: the newest month that was paid by older ones
    # A run.
    "period_invalid",
    "period_future",
    "period_passed",  # `detail`: the month that was closed after it, or is it
    "run_open",  # `detail`: the month whose run is not closed yet
    "run_unknown",
    "run_state",  # not in a state that allows this any more
    "no_rates",  # employees are paid in this currency, and no rates are in force
    "nobody",  # there is nobody to pay
    "same_person",  # who opened or computed a run does not close it
    "not_looked",  # who closes has looked at it before, as it stands now
    "changed",  # it would come out differently now: compute again
    "slip_unknown",
    "words_missing",  # a note, a reference, who confirmed it
]
REFUSAL_CODES: frozenset[str] = frozenset(get_args(RefusalCode))


class PayrollRefused(StateConflict):
    """Nothing was changed."""

    def __init__(self, code: RefusalCode, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code: RefusalCode = code
        self.detail = detail
