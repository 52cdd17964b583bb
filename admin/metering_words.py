"""Words of the pages about tariffs, readings and meters."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

METERING_NAMES: Mapping[str, Mapping[str, str]] = {
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
