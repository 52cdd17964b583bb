"""What staff read instead of codes: states with their tone, kinds, reasons. A code without a word is shown as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.i18n import N_

# Tones: good, wait, bad, quiet. They colour a chip; the word beside them says the same.
_STATES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "attempt": {
        "created": (N_("noted"), "wait"),
        "submitting": (N_("being asked"), "wait"),
        "pending": (N_("waiting for the PIN"), "wait"),
        "unknown": (N_("not known yet"), "wait"),
        "expired": (N_("expired"), "bad"),
        "failed": (N_("failed"), "bad"),
        "succeeded": (N_("paid"), "good"),
        "cancelled": (N_("cancelled"), "quiet"),
        "needs_attention": (N_("needs a person"), "bad"),
    },
    "invoice": {
        "validated": (N_("validated"), "quiet"),
        "sent": (N_("open"), "wait"),
        "partially_paid": (N_("partly paid"), "wait"),
        "paid": (N_("paid"), "good"),
        "cancelled": (N_("cancelled"), "quiet"),
    },
    "notice": {
        "queued": (N_("waiting"), "wait"),
        "sending": (N_("being sent"), "wait"),
        "sent": (N_("sent"), "wait"),
        "delivered": (N_("delivered"), "good"),
        "failed": (N_("not delivered"), "bad"),
        "unknown": (N_("not known whether sent"), "wait"),
        "expired": (N_("too late to send"), "bad"),
        "suppressed": (N_("not sent on purpose"), "quiet"),
    },
    "command": {
        "held": (N_("held back"), "wait"),
        "queued": (N_("waiting"), "wait"),
        "publishing": (N_("being sent"), "wait"),
        "sent": (N_("sent to the meter"), "wait"),
        "acknowledged": (N_("meter has it"), "wait"),
        "applied": (N_("meter did it"), "good"),
        "rejected": (N_("meter refused"), "bad"),
        "failed": (N_("failed"), "bad"),
        "expired": (N_("expired"), "bad"),
        "superseded": (N_("replaced by a newer one"), "quiet"),
        "cancelled": (N_("cancelled"), "quiet"),
    },
    "supply": {"on": (N_("on"), "good"), "off": (N_("off"), "bad")},
    "task": {"open": (N_("to do"), "wait"), "done": (N_("done"), "good")},
    "contract": {"active": (N_("active"), "good"), "closed": (N_("closed"), "quiet")},
}

_NAMES: Mapping[str, Mapping[str, str]] = {
    "brand": {"mpesa": "M-Pesa", "airtel": "Airtel Money", "orange": "Orange Money"},
    "kind": {
        "dial": N_("Phone menu"),
        "asked": N_("Wallet asked"),
        "paid": N_("Money"),
        "billed": N_("Invoices"),
        "told": N_("Messages"),
        "dunned": N_("Reminders and decisions"),
        "switched": N_("Supply"),
    },
    "contract": {
        "monthly": N_("monthly"),
        "consumption": N_("by consumption"),
        "flat": N_("flat rate"),
        "prepaid": N_("prepaid"),
    },
    "customer": {"household": N_("household"), "business": N_("business"), "public": N_("public service")},
    "role": {"holder": N_("holder"), "member": N_("family"), "payer": N_("payer")},
    "control": {
        "mqtt_relay": N_("by radio"),
        "openpaygo_token": N_("by keypad code"),
        "sts_token": N_("by keypad code"),
        "manual": N_("by a crew"),
        "none": N_("cannot be switched"),
    },
    "reason": {
        "no_funds": N_("not enough money in the wallet"),
        "payer_cancelled": N_("refused by the payer"),
        "cancelled_by_payer": N_("refused by the payer"),
        "declined": N_("refused by the payer"),
        "wrong_pin": N_("wrong PIN"),
        "no_wallet": N_("this number has no wallet"),
        "payer_not_found": N_("this number has no wallet"),
        "limit": N_("limit of the wallet reached"),
        "limit_reached": N_("limit of the wallet reached"),
        "timeout": N_("nobody answered in time"),
        "expired": N_("nobody answered in time"),
        "no_answer": N_("nobody answered in time"),
        "duplicate": N_("asked twice"),
        "operator": N_("the operator could not do it"),
        "operator_error": N_("the operator could not do it"),
        "our_fault": N_("our own settings at the operator"),
        "configuration": N_("our own settings at the operator"),
    },
    "outcome": {
        "accepted": N_("taken on"),
        "refused": N_("refused"),
        "not_accepted": N_("not taken on"),
        "unknown": N_("no clear answer"),
    },
    "how": {
        "phone": N_("phone"),
        "payer": N_("paid from this phone"),
        "account": N_("account"),
        "meter": N_("meter"),
        "receipt": N_("receipt"),
        "code": N_("verification code"),
        "operator": N_("operator's transaction"),
        "reference": N_("our reference"),
        "name": N_("name"),
    },
    "notice": {
        "invoice.sent": N_("invoice"),
        "dunning.reminder": N_("reminder"),
        "dunning.warning": N_("warning with the date"),
        "dunning.announcement": N_("announcement of the cut"),
        "payment.receipt": N_("receipt"),
        "payment.receipt_credit": N_("receipt"),
        "payment.receipt_payer": N_("receipt for the payer"),
        "payment.failed": N_("payment failed"),
        "payment.pending_long": N_("payment still pending"),
        "supply.off": N_("supply off"),
        "supply.on": N_("supply on"),
    },
    "step": {
        "sent": N_("invoice sent"),
        "reminder": N_("reminder"),
        "warning": N_("warning with the date"),
        "announcement": N_("announcement of the cut"),
    },
    "evidence": {
        "report": N_("delivery report"),
        "delivery": N_("delivery report"),
        "sms": N_("delivery report"),
        "screen": N_("seen on the phone's screen"),
        "crew": N_("handed over by a crew"),
    },
    "queue": {
        "attempt.push": N_("ask a wallet to collect"),
        "attempt.query": N_("ask a wallet what became of it"),
        "callback.settle": N_("read what a wallet called back"),
        "notice.send": N_("send a message"),
        "document.receipt": N_("make a receipt"),
        "schedule.run": N_("scheduled work"),
    },
    "language": {
        "fr": "Français",
        "en": "English",
        "sw": "Kiswahili",
        "ln": "Lingála",
        "kg": "Kikongo",
        "lua": "Tshiluba",
    },
    "by": {"system": N_("the system"), "worker": N_("the system"), "query": N_("question"), "callback": N_("callback")},
}


def state(group: str, value: str | None) -> tuple[str, str]:
    """(msgid, tone) of a state; ('', 'quiet') when there is no word for it."""
    return _STATES.get(group, {}).get(value or "", ("", "quiet"))


def name(group: str, value: str | None) -> str:
    """The msgid for a code, or the code itself."""
    if value is None:
        return ""
    return _NAMES.get(group, {}).get(value, value)


def step(value: str) -> tuple[str, str]:
    """(msgid of a dunning step, which time it was said): `warning.2` is the warning, said a second time."""
    plain, _, time = value.partition(".")
    return name("step", plain), time


def reason_lines(reasons: Any) -> list[tuple[str, str, str]]:
    """Reasons as rules wrote them, as (code, facts, until). They are text, or a code with facts and an end."""
    lines: list[tuple[str, str, str]] = []
    for reason in reasons:
        if isinstance(reason, dict):
            facts = reason.get("facts", {})
            said = ", ".join(f"{key} {value}" for key, value in facts.items()) if isinstance(facts, dict) else ""
            lines.append((str(reason.get("code", "")), said, str(reason.get("until", ""))))
        else:
            lines.append((str(reason), "", ""))
    return lines


def fact_lines(facts: dict[str, Any], *, limit: int = 40) -> list[tuple[str, str]]:
    """Facts of a decision as name and value, nested ones flattened with a dot."""
    lines: list[tuple[str, str]] = []

    def walk(prefix: str, value: Any) -> None:
        if len(lines) >= limit:
            return
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
            for count, inner in enumerate(value, start=1):
                walk(f"{prefix}.{count}", inner)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append((prefix, shown if value not in (None, "", []) else "–"))

    walk("", facts)
    return lines
