"""The meter: is supply on, what it counted, how long what was paid lasts, the last token again, and why it is dark."""

from __future__ import annotations

from channels.ussd.menu.engine import WRONG_CHOICE, Again, Context, Go, Gone, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Line, Screen, line, plain
from channels.ussd.menu.states import meter_words as words
from channels.ussd.menu.states.words import account
from core.customers.model import ContractView
from core.i18n import N_
from core.kernel.digits import grouped

_TOKEN = Choice("token", line(N_("Token again")))
_WHY = Choice("why", line(N_("Why am I off?")))
_PAY = Choice("pay", line(N_("Pay")))
_TOP_UP = Choice("pay", line(N_("Top up")))
_REPORT = Choice("report", line(N_("Report")))


class Meter(Plain):
    """Supply as we want it and as the meter says, its last reading, and what is left of prepaid days."""

    key = "meter"

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        if contract.meter_id is None:
            return Screen((line(N_("No meter is known for this account.")),), (_REPORT,))
        if words.is_keypad(contract):
            first = line(N_("Meter {meter}."), meter=contract.meter_id)
            return Screen((first, words.left(contract, ctx.snapshot.at), *_stays(contract)), (_TOKEN, _WHY))
        return Screen((words.supply(contract), *_reading(contract), *_credit(contract)), (_WHY,))

    def answer(self, ctx: Context, said: Said) -> Step:
        return _onward(ctx, said)


class Token(Plain):
    """The last tokens again, one a line, as they are read off and typed.

    Those of earlier top-ups too, oldest first: they may lie untyped, and a device far ahead takes them no more.
    """

    key = "meter.token"

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        bought = contract.prepaid
        if bought is None:
            return Screen((line(N_("No token yet. It comes by SMS after you top up.")),), (_TOP_UP,))
        blanks = {"date": words.day_of(bought, contract), "account": account(contract)}
        tokens = max(bought.recent, bought.tokens, key=len)
        if len(tokens) > len(bought.tokens):
            first = line(
                N_(
                    "Account {account}. Last tokens, that of {date} at the end. Type in this order those not typed yet:"
                ),
                **blanks,
            )
        else:
            sentence = (
                N_("Account {account}, {date}. Days: {quantity}. Type on your meter:")
                if bought.unit == "day"
                else N_("Account {account}, {date}. kWh: {quantity}. Type on your meter:")
            )
            first = line(sentence, quantity=str(bought.quantity), **blanks)
        return Screen((first, *(plain(grouped(token)) for token in tokens)))

    def answer(self, ctx: Context, said: Said) -> Step:
        return _onward(ctx, said)


class Why(Plain):
    """Why it is dark, as far as the books and the meter know; and what brings the light back."""

    key = "meter.why"

    def show(self, ctx: Context) -> Screen:
        contract = _own(ctx)
        if words.is_keypad(contract):
            return _why_keypad(contract, ctx)
        if contract.supply == "off":
            return _why_off(contract)
        if contract.reading is not None and contract.reading.supply == "off":
            return Screen((line(_COMING),), (_REPORT,))
        return Screen((line(_ON),), (_REPORT,))

    def answer(self, ctx: Context, said: Said) -> Step:
        return _onward(ctx, said)


_COMING = N_("We have switched your supply on; your meter has not answered yet. If it stays dark, report it.")
_ON = N_("We have not cut your supply. If you have no power, report it.")
_UNPAID = N_("Supply is off: {amount} not paid. Pay, and it comes back by itself.")
_SOON = N_("{amount} not paid: supply is about to be cut. Pay to keep it.")
_NO_CREDIT = N_("Supply is off: your credit is used up. Top up, and it comes back by itself.")
_ASKED = N_("Supply is off because it was asked for. To have it back, report it.")
_SAFETY = N_("Supply is off for your safety. Do not touch the meter. To know more, report it.")
_OTHER = N_("Supply was switched off. To know why, report it.")


def _why_off(contract: ContractView) -> Screen:
    """What the utility wants off, by the reason it wrote down."""
    if contract.why_off == "nonpayment" and contract.invoices:
        still_on = contract.reading is not None and contract.reading.supply == "on"
        return Screen((line(_SOON if still_on else _UNPAID, amount=contract.due.text),), (_PAY, _REPORT))
    if contract.why_off == "no_credit":
        return Screen((line(_NO_CREDIT),), (_TOP_UP, _REPORT))
    sentence = {"customer_request": _ASKED, "safety": _SAFETY}.get(contract.why_off or "", _OTHER)
    return Screen((line(sentence),), (_REPORT,))


def _why_keypad(contract: ContractView, ctx: Context) -> Screen:
    """A keypad switches itself: by what was typed on it. We know what was bought."""
    said = words.left(contract, ctx.snapshot.at)
    if contract.prepaid is None or words.is_over(contract, ctx.snapshot.at):
        return Screen((said, line(N_("Top up, then type the token on your meter."))), (_TOP_UP, _REPORT))
    advice = line(N_("Type your last token on the meter. If it stays off, report it."))
    return Screen((said, advice), (_TOKEN, _TOP_UP, _REPORT))


def _onward(ctx: Context, said: Said) -> Step:
    contract = _own(ctx)
    params = {"c": contract.id}
    match said.choice:
        case "token":
            return Go("meter.token", params)
        case "why":
            return Go("meter.why", params)
        case "pay":
            return Go("pay.menu" if contract.invoices else "pay.amount", params)
        case "report":
            return Go("report", params)
    return Again(line(WRONG_CHOICE))


def _own(ctx: Context) -> ContractView:
    """The contract, if the caller may see its meter. Raises Gone."""
    contract = ctx.contract
    if not contract.own:
        raise Gone
    return contract


def _reading(contract: ContractView) -> tuple[Line, ...]:
    seen = contract.reading
    told = words.reading(contract, seen) if seen is not None else None
    return (told,) if told is not None else ()


def _credit(contract: ContractView) -> tuple[Line, ...]:
    if contract.kind != "prepaid" or contract.credit is None:
        return ()
    return (line(N_("Credit {amount}."), amount=contract.credit.text),)


def _stays(contract: ContractView) -> tuple[Line, ...]:
    """Credit that has become no token: less than a unit, or more than a keypad takes at once."""
    if contract.credit is None or contract.credit.minor <= 0:
        return ()
    return (line(N_("Credit left for your next tokens: {amount}."), amount=contract.credit.text),)


METER_STATES = (Meter(), Token(), Why())
