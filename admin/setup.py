"""What the pages of what is set up once are built from and share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import g

from admin.money import Refusal
from admin.parts import Parts, say
from core.i18n import N_
from core.kernel.errors import CustomerError, NotRecorded
from core.services.agencies import Agencies
from core.services.api_tokens import ApiTokens
from core.services.places import Places
from core.services.staff_office import StaffOffice

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SetupParts:
    """The services behind /admin/settings/agencies, tokens and staff."""

    agencies: Agencies
    places: Places
    tokens: ApiTokens
    staff: StaffOffice


def tried(parts: Parts, what: str, subject: str, do: Callable[[], T]) -> T | Refusal:
    """Do it, or say in the reader's language why not.

    The service writes the entry of the audit log, in the transaction that changes something; a refusal gets one here.
    """
    try:
        return do()
    except CustomerError as error:
        _note_refused(parts, what, subject, error.text.format(**error.blanks))
        return Refusal(say(error.text, **error.blanks), 409)
    except NotRecorded:
        return Refusal(say(N_("The system is busy. Nothing was recorded. Wait a few seconds and try again.")), 503)


def _note_refused(parts: Parts, what: str, subject: str, why: str) -> None:
    """May be lost when the database is busy: nothing was done that it would tell of."""
    try:
        parts.staff.note(g.who.login, f"{what}.refused", subject[:120], why[:1000])
    except NotRecorded:
        return
