"""Phone links: ask to be linked to an account, and decide, as its holder, who else sees it."""

from __future__ import annotations

from typing import Any

from channels.ussd.menu.engine import WRONG_CHOICE, Act, Again, Context, Go, Gone, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Line, Screen, line
from channels.ussd.menu.states.words import account, masked_phone
from core.customers.links import HOLDER, MEMBER, PAYER, LinkRequestView, MemberView
from core.customers.model import ContractView
from core.i18n import N_
from core.kernel.digits import ACCOUNT_LENGTH, grouped, is_account_number, normalise

_YES = Choice("yes", line(N_("Yes")), "1")
_NO = Choice("no", line(N_("No")), "2")
_ANOTHER = Choice("another", line(N_("Link another account")))
_NOTED = N_(
    "Noted. If account {account} exists, its holder decides: {code}, then 6 and 1. Or show your ID at an agency."
)
_ASKS = N_("{phone} asks to see and pay account {account}. Say yes only if you know this number.")
_ASKS_FOR_ALL = N_(
    "{phone} asks to see and pay account {account} and your others. Say yes only if you know this number."
)
# A link in the list: what it may do, in one or two words.
_MEMBERS = {HOLDER: N_("{phone}: holder"), MEMBER: N_("{phone}: sees, pays"), PAYER: N_("{phone}: pays")}


class LinkAccount(Plain):
    """Which account this phone wants to see. Whether anybody has the number is not said, here or later."""

    key = "link.account"
    help = N_("The account number stands on the invoice and on every SMS: 10 digits. Type them all.")

    def show(self, ctx: Context) -> Screen:
        return Screen((line(N_("Which account do you want to see on this phone? Type its 10 digits.")),))

    def answer(self, ctx: Context, said: Said) -> Step:
        number = normalise(said.text)
        if not number.isdecimal() or len(number) != ACCOUNT_LENGTH:
            return Again(line(N_("An account number has 10 digits.")))
        if not is_account_number(number):
            return Again(line(N_("One digit is wrong. Look again.")))
        return Go("link.confirm", {"account": number})


class LinkConfirm(Plain):
    """The number read back, before somebody is asked."""

    key = "link.confirm"
    guarded = True

    def show(self, ctx: Context) -> Screen:
        question = N_("See account {account} on this phone? Its holder is asked first.")
        return Screen((line(question, account=_grouped(ctx)),), (_YES,), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        number = str(ctx.params["account"])
        return Act("link.ask", "link.asked", {"account": number}, {"account": number})


class LinkAsked(Plain):
    """The same words for every account that this phone does not see, so that nobody can find out which ones exist."""

    key = "link.asked"

    def show(self, ctx: Context) -> Screen:
        match ctx.params["did"].get("refused"):
            case "linked":
                return _end(N_("This phone sees account {account} already. Dial {code}."), ctx)
            case "too_often":
                return _end(N_("Too many requests today. Try again tomorrow, or show your ID at your agency."), ctx)
        return _end(_NOTED, ctx)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class Links(Plain):
    """The phones of an account: who asks first, then who is linked. Only its holder sees them."""

    key = "links"

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        if contract.role != HOLDER:
            text = N_("The holder of account {account} decides which phones see it.")
            return Screen((line(text, account=account(contract)),), (_ANOTHER,))
        requests = tuple(
            Choice(f"r:{r.id}", line(N_("{phone} asks"), phone=masked_phone(r.phone))) for r in _requests(ctx, contract)
        )
        members = tuple(
            Choice(f"m:{m.link_id}", line(_MEMBERS[m.role], phone=masked_phone(m.phone)))
            for m in _members(ctx, contract)
        )
        text = N_("Phones of account {account}:") if requests or members else N_("No other phone sees {account}.")
        return Screen((line(text, account=account(contract)),), (*requests, *members, _ANOTHER))

    def answer(self, ctx: Context, said: Said) -> Step:
        contract = _own(ctx)
        kind, _, number = (said.choice or "").partition(":")
        if kind == "another":
            return Go("link.account")
        if kind == "r" and any(r.id == int(number) for r in _requests(ctx, contract)):
            return Go("link.request", {"c": contract.id, "r": int(number)})
        if kind == "m" and any(m.link_id == int(number) for m in _members(ctx, contract)):
            return Go("link.member", {"c": contract.id, "m": int(number)})
        return Again(line(WRONG_CHOICE))


class LinkRequest(Plain):
    """A phone asks to see and pay the account: the holder's yes or no."""

    key = "link.request"
    guarded = True

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        asks = next((r for r in _requests(ctx, contract) if r.id == ctx.params["r"]), None)
        if asks is None:
            raise Gone
        # A link is to the customer: with a yes to one account come the others.
        question = _ASKS_FOR_ALL if _is_one_of_several(ctx, contract) else _ASKS
        return Screen(
            (line(question, phone=masked_phone(asks.phone), account=account(contract)),), (_YES, _NO), whole=True
        )

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice not in ("yes", "no"):
            return Again(line(WRONG_CHOICE))
        values = {"request": int(ctx.params["r"]), "yes": said.choice == "yes"}
        return Act("link.answer", "link.decided", values)


class LinkDecided(Plain):
    """What the holder said, or what another holder had said before."""

    key = "link.decided"

    def show(self, ctx: Context) -> Screen:
        did = ctx.params["did"]
        if did.get("refused") == "decided":
            text = _SAID_BEFORE[did["state"]]
        elif "refused" in did:
            return Screen((line(_REFUSED[did["refused"]]),), ended=True)
        else:
            text = _SAID[did["state"]]
        return Screen((line(text, phone=did["phone"], account=did["account"]),), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class LinkMember(Plain):
    """One of the linked phones, and the way to take it off. A holder is taken off by the agency alone."""

    key = "link.member"
    guarded = True

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        member = next((m for m in _members(ctx, contract) if m.link_id == ctx.params["m"]), None)
        if member is None:
            raise Gone
        blanks: dict[str, Any] = {"phone": masked_phone(member.phone), "account": account(contract)}
        if member.role == HOLDER:
            text = N_("{phone} is a holder of account {account}, as you are. Only an agency can take it off.")
            return Screen((line(text, **blanks),))
        return Screen((line(N_("Take {phone} off account {account}?"), **blanks),), (_YES,), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        return Act("link.remove", "link.removed", {"link": int(ctx.params["m"])})


class LinkRemoved(Plain):
    """A phone was taken off."""

    key = "link.removed"

    def show(self, ctx: Context) -> Screen:
        did = ctx.params["did"]
        if "refused" in did:
            return Screen((line(_REFUSED[did["refused"]]),), ended=True)
        return Screen((line(N_("{phone} does not see your account any more."), phone=did["removed"]),), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


_SAID = {
    "confirmed": N_("{phone} may now see and pay account {account}. It gets an SMS."),
    "denied": N_("Refused. {phone} sees nothing of account {account}."),
}
_SAID_BEFORE = {
    "confirmed": N_("Answered before: {phone} may see and pay account {account}."),
    "denied": N_("Answered before: {phone} was refused for account {account}."),
}
_REFUSED = {
    "gone": N_("That is not open any more. Nothing was changed."),
    "not_holder": N_("Only the holder of the account can do this. Nothing was changed."),
    "holder": N_("Only an agency can take a holder off. Nothing was changed."),
}


def _own(ctx: Context) -> ContractView:
    """The account, if this phone sees it: whoever was taken off meanwhile is at home again. Raises Gone."""
    contract = ctx.contract
    if not contract.own:
        raise Gone
    return contract


def _is_one_of_several(ctx: Context, contract: ContractView) -> bool:
    return sum(c.customer_id == contract.customer_id for c in ctx.snapshot.contracts) > 1


def _requests(ctx: Context, contract: ContractView) -> tuple[LinkRequestView, ...]:
    return tuple(r for r in ctx.snapshot.requests if r.customer_id == contract.customer_id)


def _members(ctx: Context, contract: ContractView) -> tuple[MemberView, ...]:
    return tuple(m for m in ctx.snapshot.members if m.customer_id == contract.customer_id)


def _grouped(ctx: Context) -> str:
    return grouped(str(ctx.params["account"]))


def _end(text: str, ctx: Context) -> Screen:
    blanks = {"account": _grouped(ctx), "code": ctx.service_code}
    return Screen((Line(text, {k: v for k, v in blanks.items() if f"{{{k}}}" in text}),), ended=True)


LINK_STATES = (
    LinkAccount(),
    LinkConfirm(),
    LinkAsked(),
    Links(),
    LinkRequest(),
    LinkDecided(),
    LinkMember(),
    LinkRemoved(),
)
