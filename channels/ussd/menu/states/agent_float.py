"""The float: how much there is, cash handed over to a cashier, and float bought from a wallet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.ussd.menu.engine import WRONG_CHOICE, Act, Again, Context, Go, Pay, Said, Step
from channels.ussd.menu.screen import Choice, Screen, line
from channels.ussd.menu.states.agent_words import (
    BAD_AMOUNT,
    YES,
    Entered,
    currency_word,
    did,
    money,
    role,
    seller,
    told_no,
)
from channels.ussd.menu.states.pay import PayNumber, PayWallet, Refused
from channels.ussd.menu.states.words import is_down, masked_phone, proposed_brand, wallet, whole_units
from core.i18n import N_

_WALLET = Choice("wallet", line(N_("Other wallet")), "2")


class Float(Entered):
    """Balance, what it still allows, and the day."""

    key = "agent.float"

    def show(self, ctx: Context) -> Screen:
        no = told_no(ctx)
        if no is not None:
            return no
        seen = did(ctx)
        today = N_("Sales today: {count}, {amount}, commission {commission}.")
        lines = (
            line(
                N_("Float {balance}. Left to sell: {free}."),
                balance=money(ctx, seen["balance"]).text,
                free=money(ctx, seen["free"]).text,
            ),
            line(
                today,
                count=str(seen["sales"]),
                amount=money(ctx, seen["sold"]).text,
                commission=money(ctx, seen["gain"]).text,
            ),
            line(N_("Commission owed to you: {amount}."), amount=money(ctx, seen["owed"]).text),
        )
        return Screen(lines)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class Cash(Entered):
    """An offer that waits for the cashier, with the way to take it back; else how much is handed over."""

    key = "agent.cash"
    help = N_("How much cash do you bring to the cashier? Type it in digits, without a point: 50000")
    _BACK = Choice("take_back", line(N_("Take it back")), "1")

    def show(self, ctx: Context) -> Screen:
        no = told_no(ctx)
        if no is not None:
            return no
        waiting = did(ctx)["open"]
        if waiting:
            sentence = N_("{amount} wait for the cashier. Code {code}.")
            told = line(sentence, amount=money(ctx, waiting["minor"]).text, code=str(waiting["code"]))
            return Screen((told,), (self._BACK,))
        sentence = N_("How much cash do you hand over, in {currency}?")
        return Screen((line(sentence, currency=currency_word(role(ctx).currency)),))

    def answer(self, ctx: Context, said: Said) -> Step:
        if "refused" in did(ctx):
            return Again(line(WRONG_CHOICE))
        waiting = did(ctx)["open"]
        if waiting:
            if said.choice != "take_back":
                return Again(line(WRONG_CHOICE))
            values = {**seller(ctx), "code": waiting["code"]}
            return Act("agent.take_back", "agent.taken_back", values, {"minor": waiting["minor"]}, forget=True)
        amount = whole_units(said.text, role(ctx).currency)
        if amount is None:
            return Again(line(BAD_AMOUNT))
        return Go("agent.hand_over", {"minor": amount.minor})


class HandOver(Entered):
    """The agent's half of the confirmation. The cashier's is the other: nothing is booked before."""

    key = "agent.hand_over"
    help = N_("Type 1 to hand over, or 0 to go back.")

    def show(self, ctx: Context) -> Screen:
        sentence = N_("Hand over {amount} in cash? The float goes up when the cashier has counted it.")
        return Screen((line(sentence, amount=money(ctx, ctx.params["minor"]).text),), (YES,), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        minor = int(ctx.params["minor"])
        return Act("agent.offer", "agent.offered", {**seller(ctx), "minor": minor}, {"minor": minor})


class Offered(Entered):
    """END with the code for the cashier."""

    key = "agent.offered"

    def show(self, ctx: Context) -> Screen:
        no = told_no(ctx)
        if no is not None:
            return no
        sentence = N_("Give the cashier {amount} and the code {code}. It is good for 24 hours.")
        amount = money(ctx, ctx.params["minor"]).text
        return Screen((line(sentence, amount=amount, code=str(did(ctx)["code"])),), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class TakenBack(Entered):
    """The offer is void; nothing had been booked."""

    key = "agent.taken_back"

    def show(self, ctx: Context) -> Screen:
        taken = line(N_("Taken back: {amount}. Nothing was booked."), amount=money(ctx, ctx.params["minor"]).text)
        return told_no(ctx) or Screen((taken,))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class Buy(Entered):
    """How much float to buy from a wallet."""

    key = "agent.buy"
    help = N_("How much float do you want to buy? Type it in digits, without a point: 50000")

    def show(self, ctx: Context) -> Screen:
        sentence = N_("How much float do you buy, in {currency}?")
        return Screen((line(sentence, currency=currency_word(role(ctx).currency)),))

    def answer(self, ctx: Context, said: Said) -> Step:
        currency = role(ctx).currency
        amount = whole_units(said.text, currency)
        if amount is None:
            return Again(line(BAD_AMOUNT))
        brand = proposed_brand(ctx, currency)
        if brand is None or is_down(ctx, currency, brand):
            return Go("agent.wallet", {"minor": amount.minor})
        return Go("agent.buy_confirm", {"minor": amount.minor, "brand": brand, "payer": ctx.phone})


class ConfirmBuy(Entered):
    """The one confirmation: amount and payer."""

    key = "agent.buy_confirm"
    help = N_("Type 1 to buy, or 0 to go back.")

    def show(self, ctx: Context) -> Screen:
        question = line(N_("Buy float for {amount} from {wallet} {phone}?"), **_asked(ctx))
        return Screen((question,), (YES, _WALLET), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice == "wallet":
            return Go("agent.wallet", {"minor": ctx.params["minor"]})
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        sentence = N_("{wallet} will ask for your PIN on {phone} for {amount}. Then your float goes up.")
        return Pay(
            contract_id=None,
            amount=money(ctx, ctx.params["minor"]),
            brand=str(ctx.params["brand"]),
            payer_phone=str(ctx.params["payer"]),
            invoice_ids=(),
            end=Screen((line(sentence, **_asked(ctx)),), ended=True, whole=True),
            float_agent_id=role(ctx).agent_id,
            refused="agent.buy_refused",
        )


class BuyWallet(PayWallet):
    """Any wallet that collects in the float's currency."""

    key = "agent.wallet"
    number = "agent.number"

    def currency(self, ctx: Context) -> str:
        return role(ctx).currency


class BuyNumber(PayNumber):
    """The number of the wallet that pays for the float."""

    key = "agent.number"
    confirm = "agent.buy_confirm"

    def currency(self, ctx: Context) -> str:
        return role(ctx).currency


class BuyRefused(Refused):
    """The float was not bought, and why."""

    key = "agent.buy_refused"
    wallets = "agent.wallet"
    words: Mapping[str, str] = {
        **Refused.words,
        "already_open": N_("You are buying float already: {state}. Wait, do not pay again."),
        "float_closed": N_("You cannot buy float now. Nothing was charged. Ask your agency."),
    }


def _asked(ctx: Context) -> dict[str, Any]:
    brand, payer = str(ctx.params["brand"]), str(ctx.params["payer"])
    return {"amount": money(ctx, ctx.params["minor"]).text, "wallet": wallet(brand), "phone": masked_phone(payer)}


FLOAT_STATES = (
    Float(),
    Cash(),
    HandOver(),
    Offered(),
    TakenBack(),
    Buy(),
    ConfirmBuy(),
    BuyWallet(),
    BuyNumber(),
    BuyRefused(),
)
