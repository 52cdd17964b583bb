"""What staff read of texts that came in instead of codes; `admin.words` takes it in."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

# What was made of a text.
HANDLED: Mapping[str, str] = {
    "balance": N_("asked for the balance"),
    "pay": N_("an order to pay"),
    "receipt": N_("asked for the receipt"),
    "verify": N_("checked a receipt"),
    "help": N_("asked for help"),
    "stop": N_("wants no reminders"),
    "opt_out": N_("wants no reminders"),
    "start": N_("wants reminders again"),
    "unknown": N_("not understood"),
    "no_phone": N_("not a person's number: not answered"),
    "ourselves": N_("our own number: not answered"),
    "other_code": N_("sent to another number: not answered"),
    "abroad": N_("a foreign number nobody gave: not answered"),
}
