"""What the lines of an invoice are called, in the customer's language. Frozen on the invoice when it is made."""

from __future__ import annotations

from core.billing.tariff_rules import Charge
from core.i18n import N_, translate

LABEL_MAX = 120


def label_of(charge: Charge, language: str, *, blocks: int) -> str:
    """The words of one line. `blocks`: how many the tariff has; the first of several is the social one."""
    match charge.component:
        case "energy" if blocks <= 1:
            text = translate(N_("Energy"), language)
        case "energy" if charge.block == 1:
            text = translate(N_("Energy, social block"), language)
        case "energy":
            text = translate(N_("Energy, block {number}"), language, number=str(charge.block))
        case "standing":
            text = translate(N_("Standing charge"), language)
        case "subscription":
            text = translate(N_("Subscription"), language)
        case "flat":
            text = translate(N_("Price for the month"), language)
        case _:
            text = f"{charge.name} {charge.price.replace('.', ',')} %"
    return text[:LABEL_MAX]
