"""Words about dials and texts: how they ended, in which language, and what proves that somebody read them."""

from __future__ import annotations

from core.i18n import N_

DIAL_STATES = {
    "reached_end": (N_("to its end"), "good"),
    "hung_up": (N_("hung up"), "wait"),
    "timed_out": (N_("ran out of time"), "wait"),
    "left": (N_("broken off"), "wait"),
    "failed": (N_("failed"), "bad"),
}
LANGUAGE_NAMES = {
    "fr": "Français",
    "en": "English",
    "sw": "Kiswahili",
    "ln": "Lingála",
    "kg": "Kikongo",
    "lua": "Tshiluba",
}
EVIDENCE = {
    "report": N_("delivery report"),
    "screen": N_("seen on the phone's screen"),
    "crew": N_("handed over by a crew"),
}

# The codes that aggregators send, mobile country code and network; a brand is the same word in every language.
NETWORK_NAMES = {
    "63001": "Vodacom",
    "63002": "Airtel",
    "63086": "Orange",
    "63089": "Orange",
    "63090": "Africell",
}
