"""Reporting: no power, a wrong bill, a complaint; a case with a number comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from channels.ussd.menu.engine import WRONG_CHOICE, Act, Again, Context, Go, Gone, Params, Plain, Said, Step
from channels.ussd.menu.screen import Choice, Line, Screen, line
from channels.ussd.menu.states.words import account
from core.customers.model import ContractView, OpenInvoice
from core.i18n import N_
from core.i18n import day as day_text
from core.kernel.clock import WEST, local_date
from core.kernel.digits import grouped

_KINDS: Mapping[str, Line] = {
    "outage": line(N_("No power")),
    "dispute": line(N_("The bill is wrong")),
    "complaint": line(N_("Complaint")),
    "other": line(N_("Something else")),
}
_STATES = {"open": N_("received"), "taken": N_("in hand"), "answered": N_("answered")}
_YES = Choice("yes", line(N_("Yes")), "1")


class Report(Plain):
    """What is wrong. Over it stands how the last case that is not closed gets on."""

    key = "report"

    def show(self, ctx: Context) -> Screen:
        kinds = tuple(Choice(kind, label) for kind, label in _KINDS.items())
        return Screen((*_last(ctx), line(N_("What do you report?"))), kinds)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice is None or said.choice not in _KINDS:
            return Again(line(WRONG_CHOICE))
        # Who has several accounts has chosen one before; a number without any reports all the same.
        if "c" in ctx.params:
            return _about(said.choice, ctx.contract)
        return Go("report.confirm", {"kind": said.choice})


class ReportInvoice(Plain):
    """Which of several open invoices is wrong, oldest first."""

    key = "report.invoice"

    def show(self, ctx: Context) -> Screen:
        choices = tuple(
            Choice(str(i.id), line(N_("{period}: {amount}"), period=_month(i), amount=i.due.text))
            for i in ctx.contract.invoices
        )
        return Screen((line(N_("Which invoice?")),), choices)

    def answer(self, ctx: Context, said: Said) -> Step:
        for invoice in ctx.contract.invoices:
            if said.choice == str(invoice.id):
                return Go("report.confirm", {**ctx.params, "invoice": invoice.id})
        return Again(line(WRONG_CHOICE))


class ReportConfirm(Plain):
    """One yes, so that nobody opens a case by a slip."""

    key = "report.confirm"
    guarded = True

    def show(self, ctx: Context) -> Screen:
        what = _KINDS[str(ctx.params["kind"])]
        if "c" not in ctx.params:
            question = line(N_("{what}: report it? We answer on this number."), what=what)
        elif "invoice" in ctx.params:
            sentence = N_("{what}, {period}, account {account}: report it?")
            question = line(sentence, what=what, period=_month(_invoice(ctx)), account=account(ctx.contract))
        else:
            question = line(N_("{what}, account {account}: report it?"), what=what, account=account(ctx.contract))
        return Screen((question,), (_YES,), whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        if said.choice != "yes":
            return Again(line(WRONG_CHOICE))
        values: dict[str, Any] = {"kind": str(ctx.params["kind"])}
        if "c" in ctx.params:
            values["c"] = ctx.contract.id
        if "invoice" in ctx.params:
            values["invoice"] = _invoice(ctx).id
        return Act("case.open", "report.done", values, {"c": ctx.params["c"]} if "c" in ctx.params else {})


class ReportDone(Plain):
    """The number of the case, to be quoted on the telephone."""

    key = "report.done"

    def show(self, ctx: Context) -> Screen:
        did = ctx.params["did"]
        number = grouped(did["number"])
        if did["joined"]:
            text = line(N_("You reported this already: case {number}. It is not forgotten."), number=number)
        elif did["held_to"]:
            words = N_("Noted. Your case: {number}. We look at the bill: no cut for it before {date}.")
            text = line(words, number=number, date=day_text(date.fromisoformat(did["held_to"])))
        else:
            text = line(N_("Noted. Your case: {number}. The number comes by SMS too."), number=number)
        return Screen((text,), ended=True, whole=True)

    def answer(self, ctx: Context, said: Said) -> Step:
        return Again(line(WRONG_CHOICE))


def _about(kind: str, contract: ContractView) -> Step:
    """On with an account: a dispute is about one bill of it."""
    params: Params = {"kind": kind, "c": contract.id}
    if kind == "dispute" and len(contract.invoices) > 1:
        return Go("report.invoice", params)
    if kind == "dispute" and contract.invoices:
        return Go("report.confirm", {**params, "invoice": contract.invoices[0].id})
    return Go("report.confirm", params)


def _last(ctx: Context) -> tuple[Line, ...]:
    """The newest case of this account, or of anything of this caller's where no account is chosen."""
    chosen = ctx.params.get("c")
    for case in ctx.snapshot.cases:
        if chosen is None or case.contract_id in (None, chosen):
            state = line(_STATES.get(case.state, _STATES["open"]))
            zone = ctx.snapshot.contracts[0].time_zone if ctx.snapshot.contracts else WEST
            sentence = line(
                N_("Case {number} of {date}: {state}."),
                number=grouped(case.number),
                date=day_text(local_date(case.opened_at, zone)),
                state=state,
            )
            return (replace(sentence, optional=True),)
    return ()


def _invoice(ctx: Context) -> OpenInvoice:
    """The bill that is disputed. Raises Gone when it was paid in between."""
    for invoice in ctx.contract.invoices:
        if invoice.id == ctx.params["invoice"]:
            return invoice
    raise Gone


def _month(invoice: OpenInvoice) -> str:
    """`2026-02` as `02/2026`."""
    year, _, month = invoice.period.partition("-")
    return f"{month}/{year}" if month else invoice.period


REPORT_STATES = (Report(), ReportInvoice(), ReportConfirm(), ReportDone())
