"""Promising to pay: until when, one confirmation, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from channels.ussd.menu.engine import WRONG_CHOICE, Act, Again, Context, Go, Gone, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Screen, line
from channels.ussd.menu.states.words import account
from core.customers.model import ContractView
from core.i18n import N_
from core.i18n import day as day_text
from core.kernel.clock import local_date
from core.kernel.money import Money

_YES = Choice("yes", line(N_("Yes")), "1")
_CHANGED = N_("What is due has changed.")
_NOTHING_DUE = N_("Nothing is due. There is nothing to promise.")
_OFF = N_("Supply is off: a promise does not bring it back, only a payment does.")
_NOT_YET = N_("Nothing is cut before {date}: no promise is needed yet.")
_NONE = N_("No promise can be taken for this account now. Please pay, or ask your agency.")
_OPEN = N_("{amount} is promised by {date}. One promise at a time.")
# What the service answers; the dates of some are known to it alone.
_REFUSED: Mapping[str, str] = {
    "nothing_due": _NOTHING_DUE,
    "supply_off": _OFF,
    "broken_lately": N_("A promise was not kept. The next one can be made from {date}."),
    "already_open": N_("A promise stands already, until {date}. One promise at a time."),
    "too_often": N_("No more promises for this bill. Please pay, or ask your agency."),
    "not_yours": N_("This phone may not promise for this account. Ask your agency."),
}


class PromiseDay(Plain):
    """By when all that is due will be paid. Where nothing can be promised, it says why."""

    key = "promise"

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        if not contract.invoices:
            return Screen((line(_NOTHING_DUE),))
        promise = contract.promise
        today = local_date(ctx.snapshot.at, contract.time_zone)
        if promise is not None and promise.state == "open" and promise.promised_on >= today:
            return Screen((line(_OPEN, amount=promise.amount.text, date=day_text(promise.promised_on)),))
        if contract.supply == "off":
            return Screen((line(_OFF),))
        if not contract.promise_days:
            if contract.cut_on is None or contract.cut_on <= today:
                return Screen((line(_NONE),))
            return Screen((line(_NOT_YET, date=day_text(contract.cut_on)),))
        days = tuple(Choice(day.isoformat(), line("{date}", date=day_text(day))) for day in contract.promise_days)
        question = N_("Account {account}: {amount} due. When will you pay?")
        return Screen((line(question, account=account(contract), amount=contract.due.text),), days)

    def answer(self, ctx: Context, said: Said) -> Step:
        contract = _own(ctx)
        if said.choice in {day.isoformat() for day in contract.promise_days} and contract.invoices:
            return Go("promise.confirm", {"c": contract.id, "on": said.choice, "minor": contract.due.minor})
        return Again(line(WRONG_CHOICE))


class PromiseConfirm(Plain):
    """The one confirmation: how much, for which account, by which day."""

    key = "promise.confirm"
    guarded = True

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        question = N_("Promise to pay {amount} for account {account} by {date}? Supply is not cut before.")
        blanks = {"amount": _amount(ctx, contract).text, "account": account(contract), "date": _on(ctx.params["on"])}
        return Screen((line(question, **blanks),), (_YES,), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        contract = _own(ctx)
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        if contract.due.minor != ctx.params["minor"]:
            # A payment or a new invoice came in between: what she said yes to is not what would be promised.
            return Again(line(_CHANGED), {**ctx.params, "minor": contract.due.minor})
        return Act("promise.make", "promise.done", {"c": contract.id, "on": ctx.params["on"]}, {"c": contract.id})


class PromiseDone(Plain):
    """What was promised, or why nothing was."""

    key = "promise.done"

    def show(self, ctx: Context) -> Screen:
        did = ctx.params["did"]
        if "refused" in did:
            text = _REFUSED.get(did["refused"], _NONE)
            if "{date}" in text:
                return Screen((line(text, date=_on(did["until"])),), ended=True)
            return Screen((line(text),), ended=True)
        amount = Money(int(did["minor"]), did["currency"])
        words = N_("Noted: you pay {amount} by {date}. Supply is not cut before. We remind you by SMS on the day.")
        return Screen((line(words, amount=amount.text, date=_on(did["on"])),), ended=True, whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


def _own(ctx: Context) -> ContractView:
    """The contract, which must be the caller's own. Raises Gone."""
    if not ctx.contract.own:
        raise Gone
    return ctx.contract


def _amount(ctx: Context, contract: ContractView) -> Money:
    return Money(int(ctx.params["minor"]), contract.currency)


def _on(iso: str) -> str:
    return day_text(date.fromisoformat(iso))


PROMISE_STATES = (PromiseDay(), PromiseConfirm(), PromiseDone())
