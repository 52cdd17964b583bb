"""By what a search found somebody."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

HOW: Mapping[str, str] = {
    "phone": N_("phone"),
    "payer": N_("paid from this phone"),
    "account": N_("account"),
    "meter": N_("meter"),
    "receipt": N_("receipt"),
    "code": N_("verification code"),
    "sale": N_("agent's sale"),
    "invoice": N_("invoice"),
    "case": N_("case"),
    "operator": N_("operator's transaction"),
    "reference": N_("our reference"),
    "old_reference": N_("reference of the system before"),
    "name": N_("name"),
}
