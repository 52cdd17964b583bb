"""The words of a payslip's lines, in the payee's language."""

from __future__ import annotations

from collections.abc import Mapping

from core.documents.drawing import period_text
from core.i18n import N_, translate
from core.kernel.money import Money
from core.payroll.model import Line

# Lines that a person wrote, and levies, have their own words.
LABELS: Mapping[str, str] = {
    "base": N_("Base pay"),
    "commission": N_("Commission"),
    "commission_back": N_("Commission on sales taken back"),
    "float_debt": N_("Float below its limit"),
}
DAYS = N_("{days} of {of_days} days")
SHARE = N_("{percent} % of {amount}")
COUNTED = N_("on {amount}")
CARRIED = N_("carried over from {period}")
SHORT = N_("{amount} asked, the rest next month")


def label_of(line: Line, language: str) -> str:
    """What the line is."""
    return line.label or translate(LABELS.get(line.kind, line.kind), language)


def basis_of(line: Line, currency: str, language: str) -> str:
    """How it comes about; '' where there is nothing to say. Where pay was too small, that comes first."""
    if line.asked_minor > line.amount_minor:
        return translate(SHORT, language, amount=Money(line.asked_minor, currency).text)
    basis = line.basis
    if "days" in basis:
        return translate(DAYS, language, days=str(basis["days"]), of_days=str(basis["of_days"]))
    if "from" in basis:
        return translate(CARRIED, language, period=period_text(str(basis["from"])))
    if "of" not in basis:
        return ""
    amount = Money(int(basis["of"]), currency).text
    if "percent" in basis:
        return translate(SHARE, language, percent=str(basis["percent"]), amount=amount)
    return translate(COUNTED, language, amount=amount)
