"""What the page of queues says instead of codes."""

from __future__ import annotations

from collections.abc import Mapping

from core.desk.queue_model import Subject
from core.i18n import N_

QUEUES: Mapping[str, str] = {
    "push": N_("requests to wallets"),
    "settle": N_("what wallets answer"),
    "notices": N_("messages"),
    "bulk": N_("documents, e-mails, sweeps"),
}

THINGS: Mapping[str, str] = {
    "attempt": N_("request {number}"),
    "refund": N_("refund {number}"),
    "payment": N_("receipt {number}"),
    "invoice": N_("invoice {number}"),
    "notice": N_("to {number}"),
    "callback": N_("callback of {number}"),
    "text": N_("from {number}"),
    "payslip": N_("payslip {number}"),
    "contract": N_("account {number}"),
    "order": N_("month {number}"),
    "payroll": N_("payroll run {number}"),
    "import": N_("file {number}"),
}

# Why a row may be tried again, or not: the words of `core.desk.queue_rules.offer_of`.
OFFERS: Mapping[str, str] = {
    "nobody_does_it": N_("No part of this version carries such work out."),
    "gone": N_("What it was about is not there any more."),
    "by_itself": N_(
        "Nothing left for the operator. It ends, or goes out again, by itself within half an hour, or has already."
    ),
    "asked_once": N_("A wallet is never asked twice for the same money. The operator can be asked what became of it."),
    "too_late": N_("It would come too late to be of use."),
    "may_have_gone": N_("It may have gone: it is not sent a second time from here."),
    "nothing_to_ask": N_("There is nothing to ask the operator."),
    "harmless": N_("Trying again is harmless: what has happened already does not happen twice."),
}

ACTS: Mapping[str, str] = {
    "again": N_("tried again by {by}"),
    "asked": N_("operator asked by {by}"),
    "gave_up": N_("given up by {by}"),
}

# Tones as in `admin.words`.
RUN_STATES: Mapping[str, tuple[str, str]] = {
    "done": (N_("done"), "good"),
    "caught_up": (N_("caught up later"), "wait"),
    "running": (N_("under way"), "wait"),
    "late": (N_("late"), "bad"),
    "never": (N_("not due yet"), "quiet"),
}

RUNS: Mapping[str, str] = {
    "ledger.check": N_("Check of all balances"),
    "dunning.sweep": N_("Unpaid check"),
    "supply.cut": N_("Supply off, where it is due"),
    "supply.reconcile": N_("Meters against what is wanted"),
    "reconcile.fetch": N_("Statements of the operators"),
    "reconcile.match": N_("Match statements again"),
    "agents.hand_overs": N_("Cash of agents that nobody counted"),
    "prepaid.use": N_("Prepaid use at radio meters"),
}

# What a form did, with how many.
DONE: Mapping[str, tuple[str, str]] = {
    "again": (N_("1 row is tried again."), N_("{n} rows are tried again.")),
    "asked": (N_("The operator is asked about 1 request."), N_("The operator is asked about {n} requests.")),
    "gave_up": (N_("1 row is given up."), N_("{n} rows are given up.")),
    "refused": (
        N_("1 row stays as it was: see why beside it."),
        N_("{n} rows stay as they were: see why beside each."),
    ),
    "not_dead": (N_("1 row was taken up by somebody else."), N_("{n} rows were taken up by somebody else.")),
}


def run_name(name: str) -> tuple[str, str]:
    """(msgid or the name itself, zone) of a scheduled run: `supply.cut@Africa/Kinshasa`."""
    plain, _, zone = name.partition("@")
    return RUNS.get(plain, plain), zone.rpartition("/")[2]


def thing_path(subject: Subject, *, money: bool) -> str:
    """Where the console shows it; empty where it has no page. `money`: the reader may see the pages of money."""
    if subject.thing == "attempt" and money:
        return f"/admin/money/attempts/{subject.id}"
    if subject.thing == "refund" and money:
        return f"/admin/money/refunds/{subject.id}"
    if subject.thing == "invoice":
        return f"/admin/invoices/{subject.id}"
    if subject.thing == "order":
        return f"/admin/invoices/months/{subject.number}"
    if subject.thing == "callback" and money:
        return "/admin/money/callbacks"
    if subject.thing == "notice" and subject.customer_id and "@" in subject.number:
        return f"/admin/customers/{subject.customer_id}/emails"
    return ""
