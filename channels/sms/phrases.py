"""Pieces of answers that several keywords share. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from channels.sms.command import Asked
from core.customers.model import AttemptView, ContractView
from core.kernel import gsm7
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.services.inbox import Answer

# So many accounts fit into one text.
LISTED = 3


def account(view: ContractView) -> str:
    return grouped(view.account_number)


def listed(items: Sequence[str]) -> str:
    """`one, two, three +4`: as many as fit, and how many more there are."""
    more = f" +{len(items) - LISTED}" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def accounts(views: Sequence[ContractView]) -> str:
    return listed([account(view) for view in views])


def debts(views: Sequence[ContractView]) -> str:
    """What is owed on each account, those with debts first."""
    by_debt = sorted(views, key=lambda view: not view.invoices)
    return listed([f"{account(view)}: {view.due.text}" for view in by_debt])


def typed(amount: Money) -> str:
    """An amount as it is typed in an order: `12500`, `25.50`."""
    whole, cents = divmod(amount.minor, 100)
    return f"{whole}.{cents:02d}" if cents else str(whole)


def order(asked: Asked, view: ContractView) -> str:
    """The text that pays what is due: `PAYER 12500`, with the account where there are several."""
    parts = [asked.word("pay"), typed(view.due.rounded_up())]
    if len(asked.caller.contracts) > 1:
        parts.append(view.account_number)
    return " ".join(parts)


def masked_name(name: str) -> str:
    """`J*** M***`: enough to see that the account is the right one, too little to learn whose it is."""
    return gsm7.fold(" ".join(f"{part[0]}***" for part in name.split()[:2])) or "***"


def running(asked: Asked, view: ContractView) -> AttemptView | None:
    """A payment for this account that has not ended."""
    return next((one for one in asked.caller.attempts if one.is_open and one.contract_id == view.id), None)


def not_linked(asked: Asked, handled: str) -> Answer:
    """Nothing about anybody's account, and a way on."""
    return Answer("sms.not_linked", {"word": asked.word("pay")}, handled)
