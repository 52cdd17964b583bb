"""`SOLDE`: what is owed, and the next date that matters."""

from __future__ import annotations

from channels.sms.command import Asked, Command, Doors
from channels.sms.phrases import account, debts, not_linked, order, running
from core.customers.model import ContractView
from core.i18n import day
from core.kernel.clock import local_date
from core.services.inbox import Answer

_NAME = "balance"


def _answer(asked: Asked, _doors: Doors) -> Answer:
    contracts, view = asked.caller.contracts, asked.one
    if not contracts:
        return not_linked(asked, _NAME)
    if view is None:
        return Answer("sms.balance.several", {"debts": debts(contracts)}, _NAME, contracts[0].time_zone)
    kind, blanks = _owed(asked, view)
    return Answer(kind, {"account": account(view), **blanks}, _NAME, view.time_zone, view.id)


def _owed(asked: Asked, view: ContractView) -> tuple[str, dict[str, str]]:
    if not view.invoices:
        if view.has_credit and view.credit is not None:
            return "sms.balance.credit", {"credit": view.credit.text}
        return "sms.balance.clear", {}
    under_way = running(asked, view)
    if under_way is not None:
        return "sms.balance.under_way", {"due": view.due.text, "amount": under_way.amount.text}
    blanks = {"due": view.due.text, "order": order(asked, view)}
    if view.supply == "off":
        return "sms.balance.off", blanks
    if view.cut_on is None:
        return "sms.balance.due", blanks
    if view.cut_on <= local_date(asked.caller.at, view.time_zone):
        return "sms.balance.overdue", blanks
    return "sms.balance.cut", {**blanks, "cut_date": day(view.cut_on)}


BALANCE = Command(
    _NAME,
    {
        "fr": ("SOLDE", "SOLDES", "FACTURE", "FACTURES", "DETTE", "COMBIEN"),
        "en": ("BALANCE", "BILL", "BAL", "DEBT", "OWE"),
        "sw": ("SALIO", "DENI", "BILI", "BAKI"),
        "ln": ("NYONGO", "NIONGO", "FAKTIRE"),
        "kg": ("MFUKA", "FAKTIRE"),
        "lua": ("DIBANZA", "MABANZA", "FAKTIRE"),
    },
    _answer,
)
