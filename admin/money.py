"""What the money pages are built from and share: whose hand it was, what was refused, where a list goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from flask import g
from werkzeug.exceptions import NotFound

from admin.parts import Parts, phone, say
from core.desk.money_model import Place
from core.i18n import N_
from core.kernel.errors import CustomerError, NotRecorded, StateConflict
from core.payments.ports import Wallet
from core.payments.refund_model import WORDS, RefundRefused
from core.phone_numbers import masked
from core.reconciliation.errors import ReconciliationRefused
from core.services.money_desk import MoneyDesk
from core.services.payments.circuits import CircuitState
from core.services.reconciliation import Reconciliation
from core.services.refunds import Refunds
from core.services.routing import Routing
from core.staff.rules import Permission

T = TypeVar("T")
# Columns that keep who did something hold 40 characters; a login may have more.
_BY_MAX = 40
# A form that carries a statement of 10 MB compressed and in base 64, and the fields of its mapping beside it.
FORM_MAX_BYTES = 15_000_000


class AttemptQuestions(Protocol):
    """Where "query now" goes."""

    def ask_soon(self, attempt_id: str, by: str) -> bool:
        """Stage a question about this attempt. False: there is nothing to ask. Never calls the wallet itself."""
        ...


@dataclass(frozen=True, slots=True)
class MoneyParts:
    """The services behind /admin/money/.

    `circuits`: how the operators fare now. `wallets`: those configured. `routes`: brand → wallets, the preferred first.
    """

    desk: MoneyDesk
    payments: AttemptQuestions
    reconciliation: Reconciliation
    refunds: Refunds
    routing: Routing
    circuits: Callable[[], Sequence[CircuitState]]
    wallets: Mapping[str, Wallet]
    routes: Mapping[str, Sequence[str]]

    def wallet(self, name: str) -> Wallet:
        """A configured wallet by the name in an address. Raises NotFound."""
        if name not in self.wallets:
            raise NotFound
        return self.wallets[name]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an act was not done, as a sentence in the reader's language, and the status of the page that says so."""

    text: str
    status: int


def by() -> str:
    """The login behind this request, as services keep it."""
    login: str = g.who.login
    return login[:_BY_MAX]


def act(parts: Parts, what: str, subject: str, detail: str, do: Callable[[], T]) -> T | Refusal:
    """Do something that changes money, with its entry in the audit log.

    The entry is written first: an act without one must not exist. One that was refused gets a second entry.
    """
    try:
        parts.staff.note(g.who.login, what, subject, detail[:1000])
    except NotRecorded:
        return _busy()
    return tried(do, lambda why: _note_refused(parts, what, subject, why))


def tried(do: Callable[[], T], refused: Callable[[str], None] = lambda _why: None) -> T | Refusal:
    """Do it, or say in the reader's language why it was refused. `refused` is told in English."""
    try:
        return do()
    except NotRecorded:
        refused("not recorded: the database was busy")
        return _busy()
    except (CustomerError, ReconciliationRefused) as error:
        refused(error.text.format(**error.blanks))
        return Refusal(say(error.text, **error.blanks), 409)
    except RefundRefused as error:
        refused(str(error))
        return Refusal(say(WORDS[error.code]), 409)
    except StateConflict as error:
        refused(str(error))
        return Refusal(say(N_("It is not in a state that allows this any more. Load the page again.")), 409)


def _busy() -> Refusal:
    return Refusal(say(N_("The system is busy. Nothing was recorded. Wait a few seconds and try again.")), 503)


def _note_refused(parts: Parts, what: str, subject: str, why: str) -> None:
    """The second entry. It may be lost when the database is busy: the first one then says more than was done."""
    try:
        parts.staff.note(g.who.login, f"{what}.refused", subject, why[:1000])
    except NotRecorded:
        return


def payer(number: str | None) -> str:
    """A payer nobody knows yet: masked unless this person may see whole numbers."""
    if not number:
        return "–"
    if g.who.may(Permission.SEE_PAYERS) or "*" in number:
        return phone(number)
    return masked(number) if number.startswith("+") else f"{number[:3]}***{number[-3:]}" if len(number) > 8 else "***"


def place_text(place: Place | None) -> str:
    return f"{place.at.isoformat()}~{place.id}" if place else ""


def place_read(text: str) -> Place | None:
    """Where a list goes on, as `place_text` wrote it. Raises NotFound for anything else."""
    if not text:
        return None
    moment, _, key = text.partition("~")
    try:
        at = datetime.fromisoformat(moment[:40])
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise NotFound from None
    return Place(at, key[:40])
