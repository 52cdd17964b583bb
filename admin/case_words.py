"""What staff read of cases and promises instead of codes; `admin.words` looks here too."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

# Tones as in `admin.words`.
CASE_STATES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "case": {
        "open": (N_("nobody has it yet"), "wait"),
        "taken": (N_("in hand"), "wait"),
        "answered": (N_("answered"), "good"),
        "closed": (N_("closed"), "quiet"),
    },
    "promise": {
        "open": (N_("promised"), "wait"),
        "kept": (N_("kept"), "good"),
        "broken": (N_("broken"), "bad"),
        "cancelled": (N_("cancelled"), "quiet"),
    },
}
CASE_NAMES: Mapping[str, Mapping[str, str]] = {
    "case": {
        "outage": N_("No power"),
        "dispute": N_("The bill is wrong"),
        "complaint": N_("Complaint"),
        "other": N_("Something else"),
    },
    "case_source": {"ussd": N_("phone menu"), "sms": N_("SMS"), "staff": N_("back office")},
    "case_note": {
        "opened": N_("Reported"),
        "again": N_("Reported again"),
        "note": N_("Note"),
        "answer": N_("Answer by SMS"),
        "assigned": N_("Given to"),
        "closed": N_("Closed"),
    },
    "promise_end": {"payment": N_("by the payment"), "sweep": N_("by the calendar")},
    "kind": {"reported": N_("Cases and promises")},
    "cause": {
        "promise.made": N_("a promise to pay"),
        "promise.broken": N_("a promise was not kept"),
        "promise.cancelled": N_("a promise was cancelled"),
        "case.dispute": N_("a bill was disputed"),
        "case.closed": N_("a case was closed"),
    },
    "notice": {
        "case.opened": N_("number of a case"),
        "case.answer": N_("answer to a case"),
        "case.closed": N_("case closed"),
        "promise.today": N_("reminder of a promise"),
    },
}
