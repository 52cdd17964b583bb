"""Words of the pages about tariffs, readings and meters."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

METERING_NAMES: Mapping[str, Mapping[str, str]] = {
    "control": {
        "mqtt_relay": N_("by radio"),
        "openpaygo_token": N_("by keypad code"),
        "sts_token": N_("by keypad code"),
        "manual": N_("by a crew"),
        "none": N_("cannot be switched"),
    },
    "task": {
        "switch": N_("switch by hand"),
        "relay_fault": N_("relay is stuck"),
        "version_ahead": N_("meter knows a newer command than we do"),
        "notice": N_("hand over a notice"),
        "meter_rejected": N_("meter refused a command"),
        "meter_failed": N_("meter failed at a command"),
        "on_late": N_("light is late"),
        "on_expired": N_("light never came back"),
        "meter_silent": N_("meter is silent"),
        "no_key": N_("meter has no key"),
    },
    # Why supply is wanted, and by whose hand, besides what dunning and money say.
    "cause": {
        "prepaid_used": N_("prepaid credit was used"),
        "prepaid_returned": N_("prepaid use was corrected"),
        "token_issued": N_("tokens were made"),
        "no_credit": N_("credit is used up"),
        "off_not_due": N_("off is not due any more"),
        "staff": N_("the office wanted it"),
        "customer_request": N_("the customer asked for it"),
        "safety": N_("for safety"),
        "new": N_("new meter"),
        "settlement": N_("the books"),
        "prepaid": N_("prepaid use"),
        "reconcile": N_("the hourly look at meters"),
        "bridge": N_("radio"),
    },
    "doubt": {
        "jump": N_("jump"),
        "goes_back": N_("went back"),
        "beyond_next": N_("more than a later one"),
        "clock": N_("wrong clock"),
    },
    "reading_source": {
        "mqtt": N_("radio"),
        "report": N_("meter's report"),
        "csv": N_("file"),
        "api": N_("other program"),
        "seed": N_("demo"),
    },
    "quality": {
        "0": N_("measured"),
        "1": N_("clock doubtful"),
        "2": N_("after an outage"),
        "3": N_("estimate"),
        "4": N_("edited by a person"),
    },
    "tariff_kind": {
        "monthly": N_("subscription"),
        "consumption": N_("by consumption"),
        "flat": N_("flat"),
        "prepaid": N_("prepaid"),
    },
    "tariff_part": {
        "energy": N_("energy"),
        "standing": N_("standing charge"),
        "subscription": N_("subscription"),
        "flat": N_("flat price"),
        "levy": N_("tax or levy"),
    },
    "entry": {
        "blocks": N_("Block"),
        "levies": N_("Tax or levy"),
        "standing": N_("Standing charge"),
        "subscription": N_("Subscription"),
        "flat": N_("Flat price"),
        "unit": N_("Unit"),
    },
    "unit": {"kwh": N_("kWh"), "day": N_("day")},
    "odd": {
        "out_of_step": N_("out of step"),
        "silent": N_("silent for 48 h"),
        "task": N_("open crew task"),
    },
}
METERING_STATES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "reading": {
        "accepted": (N_("accepted"), "good"),
        "held": (N_("held"), "wait"),
        "rejected": (N_("refused"), "quiet"),
    },
}
