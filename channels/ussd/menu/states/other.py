"""Paying for somebody else's account: anybody may, knowing its number. Amounts and names of others stay hidden."""

from __future__ import annotations

from channels.ussd.menu.engine import Again, Context, Go, Plain, Said, Step
from channels.ussd.menu.screen import Screen, line
from core.i18n import N_
from core.kernel.digits import ACCOUNT_LENGTH, is_account_number, normalise


class OtherAccount(Plain):
    """The account number: nine digits and a check digit, which finds every single wrong digit before we look it up."""

    key = "other.account"
    help = N_("The account number stands on the invoice and on every SMS: 10 digits. Type them all.")

    def show(self, ctx: Context) -> Screen:
        return Screen((line(N_("Which account do you pay for? Type its 10 digits.")),))

    def answer(self, ctx: Context, said: Said) -> Step:
        number = normalise(said.text)
        if not number.isdecimal() or len(number) != ACCOUNT_LENGTH:
            return Again(line(N_("An account number has 10 digits.")))
        if not is_account_number(number):
            return Again(line(N_("One digit is wrong. Look again.")))
        contract = ctx.snapshot.other
        if contract is None or contract.account_number != number:
            return Again(line(N_("There is no such account.")))
        if contract.state != "active":
            return Again(line(N_("This account is closed.")))
        params = {"c": contract.id, "account": number}
        return Go("pay.menu" if contract.invoices else "pay.amount", params)


OTHER_STATES = (OtherAccount(),)
