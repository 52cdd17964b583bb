"""What the pages about payroll are built from and share: the services, and each refusal as a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from flask import g
from werkzeug.exceptions import NotFound

from admin.money import Refusal
from admin.parts import Parts, say
from core.documents.drawing import period_text
from core.i18n import N_
from core.kernel.errors import NotRecorded
from core.payroll.errors import PayrollRefused
from core.services.payroll import Payroll

T = TypeVar("T")
_PERIOD = re.compile(r"20\d\d-(0[1-9]|1[0-2])")

# Every code of `core.payroll.errors`; a test holds this table complete.
WORDS: Mapping[str, str] = {
    "employee_unknown": N_("There is no such person on the payroll."),
    "employee_invalid": N_(
        "A name, a job, a whole amount and days in order are needed. The currency cannot be changed."
    ),
    "number_taken": N_("Another employee has this number."),
    "agency_unknown": N_("Choose an agency."),
    "phone_invalid": N_("This is no telephone number."),
    "email_invalid": N_("This is no e-mail address."),
    "item_invalid": N_("Words, a whole amount in the currency of the pay, and months in order are needed."),
    "item_unknown": N_("There is no such line."),
    "item_ended": N_("This line has ended, or stands on a payslip already."),
    "rates_invalid": N_("These rates cannot be: {detail}."),
    "rates_unknown": N_("There are no such rates."),
    "rates_closed_month": N_("{detail} was closed with older rates. These can begin in the month after it."),
    "period_invalid": N_("Choose a month and a currency."),
    "period_future": N_("This month has not begun yet."),
    "period_passed": N_("{detail} is closed already. Corrections are lines in the next run."),
    "run_open": N_("The run of {detail} is not closed yet. One at a time."),
    "run_unknown": N_("There is no such run."),
    "run_state": N_("The run is not in a state that allows this any more. Load the page again."),
    "no_rates": N_("No rates are in force for this currency and month. Write them first."),
    "nobody": N_("There is nobody to pay in this currency and month."),
    "same_person": N_("You opened or computed this run. Somebody else must close it."),
    "not_looked": N_("First look at every payslip as it stands now, and say so below."),
    "changed": N_("Something has changed since: it would come out differently. Compute again, and look again."),
    "slip_unknown": N_("There is no such payslip."),
    "words_missing": N_("Say it in words."),
}


@dataclass(frozen=True, slots=True)
class PayrollParts:
    """`paper`: a payslip's PDF by its id; None when there is no such payslip."""

    payroll: Payroll
    paper: Callable[[str], bytes | None]

    def found(self, ask: Callable[[], T]) -> T:
        """What a page is about. Raises NotFound where it asks for what is not there."""
        try:
            return ask()
        except PayrollRefused:
            raise NotFound from None


def tried(parts: Parts, what: str, subject: str, do: Callable[[], T]) -> T | Refusal:
    """Do it, or say in the reader's language why not.

    The service writes the entry of the audit log, in the transaction that changes something; a refusal gets one here.
    """
    try:
        return do()
    except PayrollRefused as error:
        _note_refused(parts, what, subject, str(error))
        detail = period_text(error.detail) if _PERIOD.fullmatch(error.detail) else error.detail
        return Refusal(say(WORDS[error.code], detail=detail), 409)
    except NotRecorded:
        return Refusal(say(N_("The system is busy. Nothing was recorded. Wait a few seconds and try again.")), 503)


def _note_refused(parts: Parts, what: str, subject: str, why: str) -> None:
    """May be lost when the database is busy: nothing was done that it would tell of."""
    try:
        parts.staff.note(g.who.login, f"{what}.refused", subject[:120], why)
    except NotRecorded:
        return


def by() -> str:
    """The login behind this request."""
    login: str = g.who.login
    return login
