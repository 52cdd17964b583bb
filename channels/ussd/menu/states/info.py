"""Looking things up: receipts, agencies, help; and the choice of language."""

from __future__ import annotations

from datetime import datetime

from channels.ussd.menu.engine import WRONG_CHOICE, Again, Context, Go, Plain, Said, Speak, Step
from channels.ussd.menu.screen import Choice, Line, Name, Screen, line, plain
from channels.ussd.menu.states.agency_words import opening_lines
from core.customers.model import AgencyView, ReceiptView
from core.i18n import LANGUAGES, N_, OWN_NAMES, short_day
from core.kernel.clock import local_date
from core.kernel.digits import grouped
from core.phone_numbers import NotCongolese, trunk


class Receipts(Plain):
    """The last three payments, newest first."""

    key = "receipts"

    def show(self, ctx: Context) -> Screen:
        if not ctx.snapshot.receipts:
            return Screen((line(N_("No receipts yet.")),))
        choices = tuple(
            Choice(r.number, line(N_("{date}: {amount}"), date=_day(r), amount=r.amount.text))
            for r in ctx.snapshot.receipts
        )
        return Screen((line(N_("Your last payments:")),), choices)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice is None:
            return Again(line(WRONG_CHOICE))
        return Go("receipt", {"number": said.choice})


class Receipt(Plain):
    """One receipt, with the code by which anybody can check it."""

    key = "receipt"

    def show(self, ctx: Context) -> Screen:
        for receipt in ctx.snapshot.receipts:
            if receipt.number == ctx.params["number"]:
                return Screen((_receipt(receipt),))
        return Screen((line(N_("No receipts yet.")),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class Language(Plain):
    """Each language under its own name."""

    key = "language"

    def show(self, ctx: Context) -> Screen:
        return Screen((), tuple(Choice(code, plain(OWN_NAMES[code])) for code in LANGUAGES))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Speak(said.choice) if said.choice in LANGUAGES else Again(line(WRONG_CHOICE))


class Agencies(Plain):
    key = "agencies"

    def show(self, ctx: Context) -> Screen:
        if not ctx.agencies:
            return Screen((line(N_("No agency is listed yet.")),))
        choices = tuple(Choice(str(a.id), line("{name}", name=Name(a.name))) for a in ctx.agencies)
        return Screen((line(N_("Which agency?")),), choices)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE)) if said.choice is None else Go("agency", {"agency": said.choice})


class Agency(Plain):
    """Where it is, when it is open, and its number."""

    key = "agency"

    def show(self, ctx: Context) -> Screen:
        for agency in ctx.agencies:
            if str(agency.id) == ctx.params["agency"]:
                return Screen(_agency(agency, ctx.snapshot.at))
        return Screen((line(N_("No agency is listed yet.")),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


class Help(Plain):
    """What the shortcuts are."""

    key = "help"

    def show(self, ctx: Context) -> Screen:
        root = ctx.service_code.rstrip("#")
        sentence = N_("To see your bill dial {balance}. To pay 5 000 dial {pay}. For anything else ask your agency.")
        return Screen((line(sentence, balance=f"{root}*7#", pay=f"{root}*8*5000#"),))

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


def _day(receipt: ReceiptView) -> str:
    return short_day(local_date(receipt.at, receipt.time_zone))


def _receipt(receipt: ReceiptView) -> Line:
    return line(
        N_("{date}: {amount} paid for account {account}. Receipt {number}, code {code}."),
        date=_day(receipt),
        amount=receipt.amount.text,
        account=grouped(receipt.account_number),
        number=receipt.number,
        code=grouped(receipt.code),
    )


def _agency(agency: AgencyView, now: datetime) -> tuple[Line, ...]:
    lines = (line("{name}", name=Name(agency.name)), line("{address}", address=Name(agency.address)))
    return (*lines, plain(_spoken(agency.phone)), *opening_lines(agency, now))


def _spoken(phone: str) -> str:
    try:
        return trunk(phone)
    except NotCongolese:
        return phone


INFO_STATES = (Receipts(), Receipt(), Language(), Agencies(), Agency(), Help())
