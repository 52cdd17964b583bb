"""Phone links as data and rules: who may see what, who asks to be linked, when a link goes stale. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.kernel.errors import CustomerError

# What a link may be. A holder sees everything and decides who else does; a member sees amounts and pays; a payer is
# known to pay and sees no amount.
HOLDER, MEMBER, PAYER = "holder", "member", "payer"
ROLES = (HOLDER, MEMBER, PAYER)
SEES_AMOUNTS = (HOLDER, MEMBER)

# A number that was silent for so long may be somebody else's: operators give unused numbers to new people.
SILENCE = timedelta(days=180)
# A dial makes a link fresh again at most this often: one write a day and link.
REFRESH_EVERY = timedelta(days=1)
# How long the holder has to answer a request.
REQUEST_LIFE = timedelta(days=7)
# After a no, the same phone's next request for the account sends the holder no SMS.
QUIET_AFTER_NO = timedelta(days=7)
# Requests in a day: what a person may need, and too few to find accounts with or to pester a holder.
ASKS_A_DAY_BY_PHONE = 3
ASKS_A_DAY_FOR_ACCOUNT = 3


@dataclass(frozen=True, slots=True)
class LinkRequestView:
    """An open request of `phone` to be linked to the customer of a contract, as its holder sees it."""

    id: int
    contract_id: int
    customer_id: int
    phone: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class MemberView:
    """Another phone linked to a customer, as the holder sees it. `fresh`: confirmed, and neither silent for long nor
    with another SIM."""

    link_id: int
    customer_id: int
    phone: str
    role: str
    fresh: bool


def is_fresh(confirmed_at: datetime | None, fresh_until: datetime | None, now: datetime) -> bool:
    """Whether a link still speaks for its customer at business time `now`."""
    return confirmed_at is not None and fresh_until is not None and fresh_until > now


def limit_reached(*, by_phone: int, for_account: int) -> bool:
    """Whether another request is too many, given those of the last day. The same for accounts that do not exist."""
    return by_phone >= ASKS_A_DAY_BY_PHONE or for_account >= ASKS_A_DAY_FOR_ACCOUNT


class LinkRefused(CustomerError):
    """What the office wanted done with a link cannot be: somebody else was faster, or it is not there any more."""
