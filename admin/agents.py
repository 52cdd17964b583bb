"""What the pages about field agents are built from and share: the services, and each refusal as a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from flask import g
from werkzeug.exceptions import NotFound

from admin.money import Refusal
from admin.parts import Parts, day_time, say
from core.agents.errors import AgentRefused
from core.agents.model import AgentLine
from core.i18n import N_
from core.kernel.clock import WEST
from core.kernel.errors import NotRecorded
from core.services.agents import Agents
from core.services.agents.desk import AgentDesk

T = TypeVar("T")
# Past it a day has no midnight after it that every database can keep.
_LAST_YEAR = 2999

# Every code of `core.agents.errors`; a test holds this table complete.
WORDS: Mapping[str, str] = {
    "not_active": N_("This agent is unknown, or switched off."),
    "pin_must_change": N_("The agent must first choose a PIN of their own."),
    "pin_weak": N_("This PIN is too easy to guess."),
    "pin_same": N_("The new PIN is the old one."),
    "pin_differs": N_("The two PINs are not the same."),
    "account_unknown": N_("There is no such account."),
    "account_closed": N_("This account is closed."),
    "currency_differs": N_("That is another currency than the agent's."),
    "amount_not_whole": N_("This amount cannot be charged: whole francs or shillings, more than nothing."),
    "below_limit": N_("The least is {amount}."),
    "above_limit": N_("The most is {amount}."),
    "day_limit": N_("Only {amount} is left of today's limit."),
    "sim_hold": N_("Another SIM is in the agent's phone: sales from {amount} on wait until {until}."),
    "float_short": N_("The float allows {amount} and no more."),
    "sold_just_now": N_("The same amount was sold to the same account a moment ago."),
    "same_key": N_("This was recorded already, with other figures."),
    "sale_unknown": N_("This agent made no such sale."),
    "proofs_used_up": N_("The proof was sent three times already."),
    "no_phone": N_("No confirmed phone is linked to this account."),
    "hand_over_open": N_("The agent has another hand-over open, of {amount}."),
    "hand_over_unknown": N_("There is no hand-over with this code. Have the agent read it out again."),
    "hand_over_ended": N_("This hand-over has ended: somebody else took it, or the agent took it back."),
    "hand_over_expired": N_("This code is more than 24 hours old. The agent must ask for another one."),
    "cashier_unknown": N_("Your account may not take cash."),
    "phone_taken": N_("Another agent has this phone."),
    "code_taken": N_("Another agent has this code."),
    "agency_unknown": N_("Choose an agency."),
    "phone_invalid": N_("This is no telephone number."),
    "limits_invalid": N_("These limits do not fit together: whole amounts, and a sale is no more than a day."),
    "limit_below_debt": N_("The float is {amount} below zero already. The limit cannot be less than that."),
    "rule_invalid": N_(
        "A rule needs 0 to 10 000 basis points, a most that is not below its least, and a beginning that is not in the "
        "past."
    ),
}


@dataclass(frozen=True, slots=True)
class AgentParts:
    """The services behind /admin/agents."""

    agents: Agents
    desk: AgentDesk

    def line(self, agent_id: int) -> AgentLine:
        """One agent. Raises NotFound for a number that nobody has."""
        try:
            return self.desk.agent(agent_id)
        except AgentRefused:
            raise NotFound from None


def refused(parts: Parts, error: AgentRefused) -> Refusal:
    until = day_time(error.until, parts.zone) if error.until else ""
    return Refusal(say(WORDS[error.code], amount=error.amount or "", until=until), 409)


def tried(parts: Parts, what: str, subject: str, do: Callable[[], T]) -> T | Refusal:
    """Do it, or say in the reader's language why not.

    The service writes the entry of the audit log, in the transaction that changes something; a refusal gets one here.
    """
    try:
        return do()
    except AgentRefused as error:
        _note_refused(parts, what, subject, str(error))
        return refused(parts, error)
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


def read_day(typed: str) -> date | None:
    """A day as a date field sends it. Raises ValueError for anything else than that or nothing."""
    day = date.fromisoformat(typed) if typed else None
    if day is not None and day.year > _LAST_YEAR:
        raise ValueError(typed)
    return day


def begins(day: date, now: datetime) -> datetime | None:
    """Midnight in Kinshasa before that day; None, from now on, for today."""
    if day == now.astimezone(ZoneInfo(WEST)).date():
        return None
    return datetime.combine(day, time(), ZoneInfo(WEST))


def ends(day: date) -> datetime:
    """Midnight in Kinshasa after that day."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(WEST))
