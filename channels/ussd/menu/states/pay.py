"""Paying: what, how much, from which wallet, one confirmation, and the word that says what happens next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.ussd.menu.engine import WRONG_CHOICE, Again, Context, Go, Gone, Pay, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Line, Screen, line
from channels.ussd.menu.states.meter_words import is_keypad
from channels.ussd.menu.states.words import (
    account,
    doing,
    failed_lately,
    failure,
    is_down,
    masked_name,
    masked_phone,
    offered,
    open_attempt,
    proposed_brand,
    wallet,
    whole_units,
)
from core.i18n import N_
from core.kernel.money import Money
from core.payments.model import AMOUNT_BOUNDS, Offer
from core.phone_numbers import example_number, may_pay_in, payer_number

_ALL = N_("All: {amount}")
_ONE = Choice("one", line(N_("One invoice")))
_AMOUNT = Choice("amount", line(N_("Another amount")))
_LATER = Choice("later", line(N_("Pay later")))
_YES = Choice("yes", line(N_("Yes")), "1")
_WALLET = Choice("wallet", line(N_("Other wallet")), "2")

_BAD_AMOUNT = N_("Type a whole amount, digits only.")
_BAD_PHONE = N_("Type a number of this country, such as {example}.")
_DOWN = N_("{wallet} is down now. Choose another.")


class PayMenu(Plain):
    """All, one invoice, or another amount. Pressing 1 pays everything."""

    key = "pay.menu"

    def show(self, ctx: Context) -> Screen:
        contract = ctx.contract
        whole = Choice("all", line(_ALL, amount=contract.due.rounded_up().text))
        one = (_ONE,) if len(contract.invoices) > 1 else ()
        later = (_LATER,) if contract.own else ()
        choices = (whole, *one, _AMOUNT, *later)
        return Screen((line(N_("Account {account}. Pay:"), account=account(contract)),), choices)

    def answer(self, ctx: Context, said: Said) -> Step:
        contract = ctx.contract
        match said.choice:
            case "all" if contract.invoices:
                minor = contract.due.rounded_up().minor
                return confirmation(ctx, {**ctx.params, "what": "all", "minor": minor})
            case "one":
                return Go("pay.invoice", ctx.params)
            case "amount":
                return Go("pay.amount", ctx.params)
            case "later":
                return Go("promise", {"c": contract.id})
            case "all":
                return Again(line(_NOTHING_DUE))
        return Again(line(WRONG_CHOICE))


class PayInvoice(Plain):
    """The open invoices, oldest first."""

    key = "pay.invoice"

    def show(self, ctx: Context) -> Screen:
        choices = tuple(
            Choice(str(i.id), line(N_("{period}: {amount}"), period=_month(i.period), amount=i.due.rounded_up().text))
            for i in ctx.contract.invoices
        )
        return Screen((line(N_("Which invoice?")),), choices)

    def answer(self, ctx: Context, said: Said) -> Step:
        for invoice in ctx.contract.invoices:
            if said.choice == str(invoice.id):
                chosen = {"what": "invoice", "invoice": invoice.id, "minor": invoice.due.rounded_up().minor}
                return confirmation(ctx, {**ctx.params, **chosen})
        return Again(line(WRONG_CHOICE))


class PayAmount(Plain):
    """An amount in whole francs or dollars. With several accounts and none chosen, the account is asked next."""

    key = "pay.amount"
    help = N_("How much do you want to pay? Type it in digits, without a point: 5000")

    def show(self, ctx: Context) -> Screen:
        if "c" not in ctx.params:
            return Screen((line(N_("How much do you want to pay?")),))
        contract = ctx.contract
        sentence = (
            N_("Account {account}. How much do you want to top up, in {currency}?")
            if contract.own and contract.kind == "prepaid"
            else N_("Account {account}. How much do you want to pay, in {currency}?")
        )
        return Screen((line(sentence, account=account(contract), currency=_currency(contract.currency)),))

    def answer(self, ctx: Context, said: Said) -> Step:
        if "c" not in ctx.params:
            if whole_units(said.text, "CDF") is None:
                return Again(line(_BAD_AMOUNT))
            return Go("pay.account", {"units": said.text})
        amount = whole_units(said.text, ctx.contract.currency)
        if amount is None:
            return Again(line(_BAD_AMOUNT))
        least, most = (Money(minor, amount.currency) for minor in AMOUNT_BOUNDS[amount.currency])
        if amount < least:
            return Again(line(N_("The smallest amount is {amount}."), amount=least.text))
        if amount > most:
            return Again(line(N_("Too much at once: {amount} at most."), amount=most.text))
        return confirmation(ctx, {**ctx.params, "what": "amount", "minor": amount.minor})


class PayAccount(Plain):
    """Which of several accounts an amount is for."""

    key = "pay.account"

    def show(self, ctx: Context) -> Screen:
        choices = tuple(Choice(str(c.id), line("{account}", account=account(c))) for c in ctx.snapshot.contracts)
        return Screen((line(N_("Which account?")),), choices)

    def answer(self, ctx: Context, said: Said) -> Step:
        for contract in ctx.snapshot.contracts:
            if said.choice == str(contract.id):
                amount = whole_units(str(ctx.params["units"]), contract.currency)
                if amount is not None:
                    return confirmation(ctx, {"c": contract.id, "what": "amount", "minor": amount.minor})
        return Again(line(WRONG_CHOICE))


class Confirm(Plain):
    """The one confirmation: amount, account, payer. What is confirmed is what stands on the screen."""

    key = "pay.confirm"
    guarded = True
    help = N_("Type 1 to pay, or 0 to go back.")

    def show(self, ctx: Context) -> Screen:
        brand, payer, contract = str(ctx.params["brand"]), str(ctx.params["payer"]), ctx.contract
        running = open_attempt(ctx, contract.id, payer)
        if running is not None:
            return Screen((_running(running.amount, running.payer_phone, running.state),), (_WALLET,))
        blanks: dict[str, Any] = {
            "amount": _amount(ctx).text,
            "account": account(contract),
            "wallet": wallet(brand),
            "phone": masked_phone(payer),
        }
        if contract.own:
            question = line(N_("Pay {amount} for account {account} from {wallet} {phone}?"), **blanks)
        else:
            sentence = N_("Pay {amount} for account {account} of {name} from {wallet} {phone}?")
            question = line(sentence, name=masked_name(contract.name), **blanks)
        return Screen((*_failed(ctx, contract.id, payer), question), (_YES, _WALLET), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        contract = ctx.contract
        if said.choice == "wallet":
            return Go("pay.wallet", {k: v for k, v in ctx.params.items() if k not in ("brand", "payer")})
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        now_due = _due_now(ctx)
        if now_due != ctx.params["minor"]:
            # A payment or a new invoice came in between: what she said yes to is not what would be paid.
            if now_due == 0:
                return Go("pay.refused", {"why": "nothing_to_pay", "brand": ctx.params["brand"]})
            return Again(line(N_("What is due has changed.")), {**ctx.params, "minor": now_due})
        payer, brand = str(ctx.params["payer"]), str(ctx.params["brand"])
        invoices = (int(ctx.params["invoice"]),) if "invoice" in ctx.params else ()
        end = _promised(_amount(ctx), brand, payer, token=is_keypad(contract))
        return Pay(contract.id, _amount(ctx), brand, payer, invoices, end)


class PayWallet(Plain):
    """Any of the wallets that collect in the account's currency. One whose operator is down stands last and says so.

    `number`: the state that asks whose wallet it is. Buying float asks both in the same words.
    """

    key = "pay.wallet"
    number = "pay.number"

    def currency(self, ctx: Context) -> str:
        return ctx.contract.currency

    def show(self, ctx: Context) -> Screen:
        currency = self.currency(ctx)
        offers = offered(ctx, currency)
        if not offers:
            return Screen((line(_NOBODY_COLLECTS),), ended=True)
        if all(offer.down for offer in offers):
            return Screen((line(_ALL_DOWN),), ended=True)
        usual = proposed_brand(ctx, currency)
        if usual is not None and is_down(ctx, currency, usual):
            question = line(_DOWN, wallet=wallet(usual))
        else:
            question = line(N_("Pay with which wallet?"))
        return Screen((question,), tuple(_choice(offer) for offer in offers))

    def answer(self, ctx: Context, said: Said) -> Step:
        currency = self.currency(ctx)
        for offer in offered(ctx, currency):
            if offer.brand == said.choice:
                if offer.down:
                    # Where the screen says so of this very wallet, once is enough.
                    said_above = offer.brand == proposed_brand(ctx, currency)
                    hint = line(WRONG_CHOICE) if said_above else line(_DOWN, wallet=wallet(offer.brand))
                    return Again(hint)
                return Go(self.number, {**ctx.params, "brand": offer.brand})
        return Again(line(WRONG_CHOICE))


class PayNumber(Plain):
    """The number that the chosen wallet belongs to: this phone's, or one that is typed. `confirm`: what comes next."""

    key = "pay.number"
    confirm = "pay.confirm"
    help = N_("Type the 10 digits of the number that pays, or 1 for this phone.")

    def currency(self, ctx: Context) -> str:
        return ctx.contract.currency

    def show(self, ctx: Context) -> Screen:
        brand = wallet(str(ctx.params["brand"]))
        if not may_pay_in(ctx.phone, self.currency(ctx)):
            return Screen((line(N_("Which {wallet} number pays? Type it."), wallet=brand),))
        this = Choice("this", line(N_("This phone, {phone}"), phone=masked_phone(ctx.phone)), "1")
        return Screen((line(N_("Which {wallet} number pays? Type it, or choose."), wallet=brand),), (this,))

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice == "this":
            return Go(self.confirm, {**ctx.params, "payer": ctx.phone}, forget=True)
        currency = self.currency(ctx)
        phone = payer_number(said.text, currency)
        if phone is None:
            return Again(line(_BAD_PHONE, example=example_number(currency)))
        return Go(self.confirm, {**ctx.params, "payer": phone}, forget=True)


class Refused(Plain):
    """The payment was not begun, and why. Nothing was changed. Where the wallet is to blame, another is offered:
    `wallets` is the state that does so."""

    key = "pay.refused"
    wallets = "pay.wallet"
    help = N_("Type 1 to choose another wallet, or 0 to go back.")

    words: Mapping[str, str] = {
        "already_open": N_(
            "A payment for this account is already under way: {state}. Wait for the SMS, do not pay again."
        ),
        "contract_closed": N_("This account is closed. Nothing was charged."),
        "invoice_not_open": N_("This invoice is not open any more. Nothing was charged. Dial again to see your bill."),
        "nothing_to_pay": N_("Nothing is due any more. Nothing was charged."),
        "amount_out_of_range": N_("{wallet} does not take this amount. Nothing was charged."),
        "no_wallet": N_("{wallet} cannot be reached now. Nothing was charged. Try another wallet."),
        "wallet_down": N_("{wallet} is down now. Nothing was charged."),
    }
    _OTHER = Choice("wallet", _WALLET.label, "1")

    def show(self, ctx: Context) -> Screen:
        why = self.words[str(ctx.params["why"])]
        blanks: dict[str, Any] = {"state": doing(ctx.params.get("state")), "wallet": wallet(str(ctx.params["brand"]))}
        sentence = Line(why, {k: v for k, v in blanks.items() if f"{{{k}}}" in why})
        if ctx.params["why"] in ("no_wallet", "wallet_down"):
            return Screen((sentence,), (self._OTHER,))
        return Screen((sentence,), ended=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice == "wallet":
            ours = ("why", "state", "brand", "payer")
            return Go(self.wallets, {k: v for k, v in ctx.params.items() if k not in ours}, forget=True)
        return Again(line(WRONG_CHOICE))


_NOTHING_DUE = N_("Nothing is due any more.")
_ALL_DOWN = N_("No wallet can be reached now. Nothing was charged. Please try again later.")
_NOBODY_COLLECTS = N_("No wallet collects for this account yet. Nothing was charged. Please ask your agency.")


def confirmation(ctx: Context, params: Mapping[str, Any]) -> Step:
    """On to the confirmation, with the caller's own wallet; where it is unknown or down, the wallet is asked first."""
    contract = ctx.snapshot.contract(int(params["c"]))
    if contract is None:
        raise Gone
    brand = proposed_brand(ctx, contract.currency)
    if brand is None or is_down(ctx, contract.currency, brand):
        return Go("pay.wallet", params)
    return Go("pay.confirm", {**params, "brand": brand, "payer": ctx.phone})


def _choice(offer: Offer) -> Choice:
    label = line(N_("{wallet}: down now") if offer.down else "{wallet}", wallet=wallet(offer.brand))
    return Choice(offer.brand, label)


def _amount(ctx: Context) -> Money:
    return Money(int(ctx.params["minor"]), ctx.contract.currency)


def _due_now(ctx: Context) -> int:
    """What the choice comes to now, in minor units: bills are looked at again, a typed amount stays."""
    contract = ctx.contract
    match ctx.params["what"]:
        case "all":
            return contract.due.rounded_up().minor if contract.invoices else 0
        case "invoice":
            return next((i.due.rounded_up().minor for i in contract.invoices if i.id == ctx.params["invoice"]), 0)
        case "amount":
            return int(ctx.params["minor"])
    raise Gone


def _running(amount: Money, payer: str, state: str) -> Line:
    sentence = N_("A payment of {amount} from {phone} is under way: {state}. Wait for the SMS, do not pay again.")
    return line(sentence, amount=amount.text, phone=masked_phone(payer), state=doing(state))


def _failed(ctx: Context, contract_id: int, payer: str) -> tuple[Line, ...]:
    failed = failed_lately(ctx, contract_id, payer)
    if failed is None:
        return ()
    return (Line(N_("Last try failed: {reason}."), {"reason": failure(failed.reason)}, optional=True),)


def _promised(amount: Money, brand: str, payer: str, *, token: bool) -> Screen:
    sentence = (
        N_("{wallet} will ask for your PIN on {phone} for {amount}. The token comes by SMS.")
        if token
        else N_("{wallet} will ask for your PIN on {phone} for {amount}. The receipt comes by SMS.")
    )
    words = line(sentence, wallet=wallet(brand), phone=masked_phone(payer), amount=amount.text)
    return Screen((words,), ended=True, whole=True)


def _month(period: str) -> str:
    """`2026-02` as `02/2026`."""
    year, _, month = period.partition("-")
    return f"{month}/{year}" if month else period


def _currency(currency: str) -> str:
    return {"CDF": "FC"}.get(currency, currency)


PAY_STATES = (PayMenu(), PayInvoice(), PayAmount(), PayAccount(), Confirm(), PayWallet(), PayNumber(), Refused())
