"""`RECU`: the last receipt once more. Only of accounts that this phone may see."""

from __future__ import annotations

from channels.sms.command import Asked, Command, Doors
from channels.sms.phrases import not_linked
from core.i18n import day
from core.kernel.clock import local_date
from core.kernel.digits import grouped
from core.services.inbox import Answer

_NAME = "receipt"


def _answer(asked: Asked, _doors: Doors) -> Answer:
    contracts = asked.caller.contracts
    if not contracts:
        return not_linked(asked, _NAME)
    meant = (asked.one,) if asked.one is not None else contracts
    own = {view.account_number: view for view in meant if view is not None}
    last = next((receipt for receipt in asked.caller.receipts if receipt.account_number in own), None)
    if last is None:
        return Answer("sms.receipt.none", {}, _NAME, contracts[0].time_zone)
    blanks = {
        "day": day(local_date(last.at, last.time_zone)),
        "amount": last.amount.text,
        "account": grouped(last.account_number),
        "receipt": last.number,
        "verification": grouped(last.code),
    }
    return Answer("sms.receipt", blanks, _NAME, last.time_zone, own[last.account_number].id)


RECEIPT = Command(
    _NAME,
    {
        "fr": ("RECU", "RECUS", "QUITTANCE", "JUSTIFICATIF"),
        "en": ("RECEIPT", "RECEIPTS", "PROOF"),
        "sw": ("RISITI", "STAKABADHI"),
        "ln": ("RECU", "BARECU"),
        "kg": ("RECU", "BARECU"),
        "lua": ("RECU", "MARECU"),
    },
    _answer,
)
