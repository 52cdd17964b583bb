"""Selling to a customer: account, amount, one confirmation, and the code in the END. Then the last sales, and the proof
once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.ussd.menu.engine import WRONG_CHOICE, Act, Again, Context, Go, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Line, Name, Screen, line
from channels.ussd.menu.states.agent_words import (
    BAD_AMOUNT,
    YES,
    Entered,
    currency_word,
    did,
    money,
    refusal,
    role,
    seller,
    told_no,
)
from channels.ussd.menu.states.words import whole_units
from core.i18n import N_
from core.kernel.digits import ACCOUNT_LENGTH, grouped, is_account_number, normalise

_AGAIN = Choice("again", line(N_("Sell again")), "1")
_AMOUNT = Choice("amount", line(N_("Other amount")), "1")
_ACCOUNT = Choice("account", line(N_("Other account")), "1")
# Refusals that another account may escape, and those that another amount may.
_ACCOUNTS_FAULT = frozenset({"account_unknown", "account_closed", "currency_differs"})
_AMOUNTS_FAULT = frozenset({"amount_not_whole", "below_limit", "above_limit", "day_limit", "sim_hold", "float_short"})


class Sell(Plain):
    """The customer's account number; a wrong digit is found before anything is looked up."""

    key = "agent.sell"
    help = N_("The account number stands on the invoice and on every SMS: 10 digits. Type them all.")

    def show(self, ctx: Context) -> Screen:
        role(ctx)
        return Screen((line(N_("Sell to which account? Type its 10 digits.")),))

    def answer(self, ctx: Context, said: Said) -> Step:
        number = normalise(said.text)
        if not number.isdecimal() or len(number) != ACCOUNT_LENGTH:
            return Again(line(N_("An account number has 10 digits.")))
        if not is_account_number(number):
            return Again(line(N_("One digit is wrong. Look again.")))
        return Go("agent.amount", {"account": number})


class Amount(Entered):
    """The cash that the customer gives. What comes of it is asked of the books, and shown before anything moves."""

    key = "agent.amount"
    help = N_("How much cash did you get? Type it in digits, without a point: 5000")

    def show(self, ctx: Context) -> Screen:
        sentence = N_("Account {account}. How much, in {currency}?")
        blanks = {"account": grouped(str(ctx.params["account"])), "currency": currency_word(role(ctx).currency)}
        return Screen((line(sentence, **blanks),))

    def answer(self, ctx: Context, said: Said) -> Step:
        amount = whole_units(said.text, role(ctx).currency)
        if amount is None:
            return Again(line(BAD_AMOUNT))
        return _quote(ctx, str(ctx.params["account"]), amount.minor, again=False)


class ConfirmSale(Entered):
    """The one confirmation: to whom, how much, what it earns and what it leaves. Or why it cannot be."""

    key = "agent.confirm"
    help = N_("Type 1 to sell, or 0 to go back.")

    def show(self, ctx: Context) -> Screen:
        no = _no(ctx)
        if no is not None:
            return no
        quote = did(ctx)
        question = line(
            N_("Sell {amount} to {name}, account {account}? Commission {commission}, float then {left}."),
            amount=money(ctx, ctx.params["minor"]).text,
            name=Name(quote["name"]),
            account=grouped(str(ctx.params["account"])),
            commission=money(ctx, quote["commission"]).text,
            left=money(ctx, quote["left"]).text,
        )
        return Screen((question,), (YES,), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        account, minor = str(ctx.params["account"]), int(ctx.params["minor"])
        retry = _retry(ctx, said, account, minor)
        if retry is not None:
            return retry
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        order = {"account": account, "minor": minor}
        values = {**seller(ctx), **order, "again": bool(did(ctx)["again"]), "told": bool(did(ctx)["told"])}
        return Act("agent.sell", "agent.sold", values, order)


class Sold(Entered):
    """END with the code; or why what was true a moment ago is not any more."""

    key = "agent.sold"

    def show(self, ctx: Context) -> Screen:
        no = _no(ctx)
        if no is not None:
            return no
        sale = did(ctx)
        if sale["told"]:
            sentence = N_("Sold: {amount} to account {account}. Code {code}. The customer gets an SMS.")
        else:
            sentence = N_("Sold: {amount} to account {account}. No SMS goes out: give the customer the code {code}.")
        amount, account = money(ctx, ctx.params["minor"]).text, grouped(str(ctx.params["account"]))
        return Screen((line(sentence, amount=amount, account=account, code=str(sale["code"])),), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        retry = _retry(ctx, said, str(ctx.params["account"]), int(ctx.params["minor"]))
        return retry or Again(line(WRONG_CHOICE))


class Sales(Entered):
    """The last five, newest first; one whose SMS did not arrive, or never went out, says so."""

    key = "agent.sales"

    def show(self, ctx: Context) -> Screen:
        no = told_no(ctx)
        if no is not None:
            return no
        sales = did(ctx)["sales"]
        if not sales:
            return Screen((line(N_("No sales yet.")),))
        return Screen((line(N_("Your last sales:")),), tuple(Choice(s["code"], _listed(ctx, s)) for s in sales))

    def answer(self, ctx: Context, said: Said) -> Step:
        for sale in did(ctx).get("sales", ()):
            if said.choice == sale["code"]:
                return Go("agent.sale", {"sale": sale})
        return Again(line(WRONG_CHOICE))


class OneSale(Entered):
    """One sale, what became of its proof, and the proof once more."""

    key = "agent.sale"
    _PROOFS: Mapping[str, str] = {
        "delivered": N_("The customer's SMS has arrived."),
        "under_way": N_("The customer's SMS is under way."),
        "failed": N_("The customer's SMS did not arrive."),
        "none": N_("No SMS went out."),
    }
    _RESEND = Choice("resend", line(N_("Send the SMS again")), "1")

    def show(self, ctx: Context) -> Screen:
        sale = ctx.params["sale"]
        sentence = N_("{date}: {amount} to account {account}. Code {code}. Commission {commission}.")
        told = line(
            sentence,
            date=str(sale["at"]),
            amount=money(ctx, sale["minor"]).text,
            account=grouped(str(sale["account"])),
            code=grouped(str(sale["code"])),
            commission=money(ctx, sale["commission"]).text,
        )
        return Screen((told, line(self._PROOFS[sale["proof"]])), (self._RESEND,) if sale["left"] else ())

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice != "resend":
            return Again(line(WRONG_CHOICE))
        return Act("agent.proof", "agent.proof", {**seller(ctx), "code": ctx.params["sale"]["code"]}, forget=True)


class Proof(Entered):
    """The proof is on its way again: to the account's own phone, which stays masked."""

    key = "agent.proof"

    def show(self, ctx: Context) -> Screen:
        no = told_no(ctx)
        if no is not None:
            return no
        sent = did(ctx)
        sentence = N_("The SMS goes to {phone} again. Sendings left: {count}.")
        return Screen((line(sentence, phone=str(sent["phone"]), count=str(sent["left"])),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


def _quote(ctx: Context, account: str, minor: int, *, again: bool) -> Act:
    order = {"account": account, "minor": minor}
    return Act("agent.quote", "agent.confirm", {**seller(ctx), **order, "again": again}, order)


def _no(ctx: Context) -> Screen | None:
    """Why this sale cannot be, with the way on."""
    why = refusal(ctx)
    if why is None:
        return None
    code = did(ctx)["refused"]
    if code == "sold_just_now":
        return Screen((why,), (_AGAIN,))
    if code in _ACCOUNTS_FAULT:
        return Screen((why,), (_ACCOUNT,))
    return Screen((why,), (_AMOUNT,) if code in _AMOUNTS_FAULT else ())


def _retry(ctx: Context, said: Said, account: str, minor: int) -> Step | None:
    """Where the keys under a refusal lead."""
    match said.choice:
        case "again":
            return _quote(ctx, account, minor, again=True)
        case "amount":
            return Go("agent.amount", {"account": account}, forget=True)
        case "account":
            return Go("agent.sell", forget=True)
    return None


def _listed(ctx: Context, sale: Mapping[str, Any]) -> Line:
    blanks = {"account": grouped(str(sale["account"])), "amount": money(ctx, sale["minor"]).text}
    if sale["proof"] == "failed":
        return line(N_("{account}: {amount}, SMS failed"), **blanks)
    if sale["proof"] == "none":
        return line(N_("{account}: {amount}, no SMS"), **blanks)
    return line(N_("{account}: {amount}"), **blanks)


SALE_STATES = (Sell(), Amount(), ConfirmSale(), Sold(), Sales(), OneSale(), Proof())
