"""What staff read instead of codes: states with their tone, kinds, reasons. A code without a word is shown as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admin.case_words import CASE_NAMES, CASE_STATES
from admin.invoice_words import COUNTER_NAMES, INVOICE_STATES
from admin.metering_words import METERING_NAMES, METERING_STATES
from admin.notice_words import NOTICES
from admin.search_words import HOW
from admin.short_code_words import DIAL_STATES, EVIDENCE, LANGUAGE_NAMES, NETWORK_NAMES
from admin.text_words import HANDLED
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
    "invoice": INVOICE_STATES,
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
    "payroll": {
        "open": (N_("being prepared"), "wait"),
        "review": (N_("being looked at"), "wait"),
        "closing": (N_("being closed"), "wait"),
        "closed": (N_("closed"), "good"),
        "cancelled": (N_("given up"), "quiet"),
    },
    "dial": DIAL_STATES,
    "task": {"open": (N_("to do"), "wait"), "done": (N_("done"), "good")},
    "contract": {"active": (N_("active"), "good"), "closed": (N_("closed"), "quiet")},
    "callback": {
        "new": (N_("not read yet"), "wait"),
        "done": (N_("dealt with"), "good"),
        "duplicate": (N_("the same again"), "quiet"),
        "unmatched": (N_("belongs to nothing we know"), "wait"),
        "malformed": (N_("nobody can read it"), "bad"),
    },
    "hand_over": {
        "offered": (N_("to be counted"), "wait"),
        "accepted": (N_("counted"), "good"),
        "withdrawn": (N_("taken back"), "quiet"),
        "expired": (N_("expired"), "quiet"),
    },
    "proof": {
        "under_way": (N_("under way"), "wait"),
        "delivered": (N_("delivered"), "good"),
        "failed": (N_("not delivered"), "bad"),
        "none": (N_("no phone"), "quiet"),
    },
    "import": {
        "waiting": (N_("being looked at"), "wait"),
        "good": (N_("ready"), "good"),
        "bad": (N_("to be mended"), "bad"),
        "applying": (N_("being imported"), "wait"),
        "done": (N_("imported"), "good"),
    },
    "refund": {
        "requested": (N_("waits for a second person"), "wait"),
        "rejected": (N_("rejected"), "quiet"),
        "approved": (N_("approved, about to leave"), "wait"),
        "submitting": (N_("being sent"), "wait"),
        "pending": (N_("the operator is at it"), "wait"),
        "unknown": (N_("not known yet"), "wait"),
        "paid": (N_("given back"), "good"),
        "failed": (N_("not given back"), "bad"),
        "needs_attention": (N_("needs a person"), "bad"),
    },
    "line": {
        "new": (N_("not compared yet"), "wait"),
        "matched": (N_("matches"), "good"),
        "theirs_only": (N_("was only theirs"), "wait"),
        "differs": (N_("differs"), "bad"),
        "ignored": (N_("left aside"), "quiet"),
    },
}

_NAMES: Mapping[str, Mapping[str, str]] = {
    "handled": HANDLED,
    "brand": {"mpesa": "M-Pesa", "airtel": "Airtel Money", "orange": "Orange Money", "agent": "Agents"},
    "wallet": {
        "vodacom": "Vodacom M-Pesa",
        "pawapay": "pawaPay",
        "airtel": "Airtel Money",
        "orange": "Orange Money",
        "mpesa_ke": "Safaricom M-Pesa",
        # Money that an agent took stands where a wallet does; the word is the same in both languages.
        "agent": "Agents",
        **COUNTER_NAMES,
    },
    "origin": {"ussd": "USSD", "sms": "SMS", "api": "API"},
    "callback_kind": {
        "callback": N_("About a payment"),
        "validate": N_("Before a payment by bill number"),
        "confirm": N_("About a payment by bill number"),
        "result": N_("About a refund"),
        "timeout": N_("The operator gave up waiting"),
    },
    "float_entry": {
        "agent_sale": N_("sale"),
        "float_bought": N_("bought by wallet"),
        "cash_handed_over": N_("cash handed over"),
        "operator_reversed": N_("taken back by the operator"),
    },
    "line_kind": {
        "payment": N_("payment"),
        "refund": N_("refund"),
        "reversal": N_("taken back"),
        "fee": N_("fee"),
        "payout": N_("paid out to the bank"),
        "other": N_("something else"),
    },
    "decision": {
        "match": N_("It is a payment of ours, as we booked it"),
        "settle": N_("It is the money of an attempt of ours"),
        "book": N_("It is money we did not know of: book it"),
        "reverse": N_("The operator took a payment of ours back"),
        "accept": N_("Leave both as they are"),
    },
    "field": {
        "provider_txn_id": N_("Operator's transaction"),
        "own_id": N_("Our reference"),
        "own_id_2": N_("Our reference, another column"),
        "at": N_("Date and time"),
        "date": N_("Date alone"),
        "time": N_("Time alone"),
        "amount": N_("Amount"),
        "amount_in": N_("Amount that came in"),
        "amount_out": N_("Amount that went out"),
        "currency": N_("Currency"),
        "fee": N_("Fee"),
        "kind": N_("Kind"),
        "state": N_("State"),
        "payer": N_("Payer"),
        "reference": N_("What the payer typed"),
        "original_txn_id": N_("Transaction that is taken back"),
    },
    "trouble": {
        "no_connection": N_("no connection"),
        "timeout": N_("no answer in time"),
        "cut": N_("the connection broke"),
        "unreadable": N_("an answer that nobody can read"),
        "too_long": N_("an answer that is too long"),
    },
    "source": {"credit": N_("from the contract's credit"), "suspense": N_("from the money not placed")},
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
    "link_role": {"holder": N_("holder, decides"), "member": N_("sees and pays"), "payer": N_("pays, sees no amount")},
    "link_change": {
        "confirmed": N_("linked"),
        "renewed": N_("renewed"),
        "removed": N_("taken off"),
        "denied": N_("refused"),
        "sim_changed": N_("another SIM"),
    },
    "role": {"holder": N_("holder"), "member": N_("family"), "payer": N_("payer")},
    "reason": {
        "no_funds": N_("not enough money in the wallet"),
        "cancelled": N_("refused by the payer"),
        "wrong_pin": N_("wrong PIN"),
        "prompt_expired": N_("nobody answered in time"),
        "unreachable": N_("phone not reached"),
        "payer_unknown": N_("this number has no wallet"),
        "limit_reached": N_("limit of the wallet reached"),
        "busy": N_("the operator is busy"),
        "amount_refused": N_("the operator does not take this amount"),
        "configuration": N_("our own settings at the operator"),
        "not_found": N_("the operator never heard of it"),
        "other": N_("another reason"),
        "failed": N_("failed"),
        "expired": N_("expired"),
        "needs_attention": N_("needs a person"),
    },
    "outcome": {
        "accepted": N_("taken on"),
        "failed": N_("refused"),
        "notaccepted": N_("not taken on"),
        "paid": N_("paid"),
        "unknown": N_("no clear answer"),
    },
    "flag": {
        "two_transactions": N_("two transactions for one request"),
        "transaction_elsewhere": N_("transaction already known elsewhere"),
        "currency": N_("another currency than asked"),
        "amount": N_("another amount than asked"),
        "success_then_failure": N_("first paid, then said to have failed"),
        "statement": N_("the operator's report says something else"),
    },
    # What a person does about it.
    "flag_more": {
        "two_transactions": N_(
            "The payer was debited twice. Both payments are booked, the second to credit. Ask whether it is to be "
            "given back."
        ),
        "transaction_elsewhere": N_(
            "The operator named a transaction that is booked for another attempt. Compare both with its statement."
        ),
        "statement": N_("Open the line among the days of this wallet, and settle it."),
        "currency": N_("The money waits among what is not placed until somebody decides what it pays."),
        "amount": N_("What came was booked as it came. See whether the rest is still owed, or went to credit."),
        "success_then_failure": N_(
            "The success stays booked. The operator's statement decides: if the money is not in it, settle the line "
            "there."
        ),
    },
    "cause": {
        "sweep": N_("the nightly look at all invoices"),
        "cut_batch": N_("the hourly round of cuts"),
        "invoice_sent": N_("an invoice was sent"),
        "opening_debit": N_("what was owed before was taken over"),
        "opening_credit": N_("credit from before was taken over"),
        "wallet_money": N_("money arrived"),
        "exchanged_money": N_("money arrived"),
        "suspense_placed": N_("money was placed"),
        "cash_taken": N_("cash was taken"),
        "bank_money": N_("money came to the bank"),
        "credit_applied": N_("credit was used"),
        "agent_sale": N_("an agent sold"),
        "credit_note": N_("a credit note"),
        "written_off": N_("a debt was written off"),
        "operator_reversed": N_("the operator took money back"),
        "hold.put": N_("a hold was put"),
        "hold.released": N_("a hold was ended"),
        "site.protected": N_("the place was protected"),
        "site.unprotected": N_("the place is not protected any more"),
        "nonpayment": N_("not paid"),
        "paid": N_("paid"),
    },
    "why": {
        "never_cut": N_("never cut by machine"),
        "off_already": N_("is off already"),
        "small_balance": N_("the debt is too small"),
        "below_floor": N_("the debt is too small"),
        "hold": N_("something holds it"),
        "not_due_yet": N_("a step is not due yet"),
        "undelivered": N_("no evidence that a step reached the customer"),
        "warning_age": N_("the warning will be too old or too young"),
        "warning_too_young": N_("the warning is not 48 hours old"),
        "warning_too_old": N_("the warning is too old"),
        "later_day_named": N_("the warning named a later day"),
        "not_announced": N_("not announced yet"),
        "announcement_too_old": N_("the announcement is too old"),
        "announcement_too_fresh": N_("just announced"),
        "day_of_week": N_("not on this day of the week"),
        "weekday": N_("not on this day of the week"),
        "holiday": N_("public holiday"),
        "eve_of_holiday": N_("eve of a public holiday"),
        "brake": N_("all cuts are stopped"),
        "hours": N_("not at this hour"),
        "protected": N_("protected place"),
        "no_floor": N_("no smallest debt is set for this currency"),
        "arrears_too_small": N_("the debt is too small"),
        "dispute": N_("the invoice is disputed"),
        "estimated": N_("the reading is an estimate"),
        "reading_jump": N_("the reading jumped"),
        "meter_silent": N_("the meter has been silent"),
        "outage": N_("outage in the area"),
        "interrupted_supply": N_("supply was interrupted too often"),
        "rate_hour": N_("enough cuts this hour"),
        "rate_day": N_("enough cuts today"),
    },
    "how": HOW,
    "notice": NOTICES,
    "step": {
        "sent": N_("invoice sent"),
        "reminder": N_("reminder"),
        "warning": N_("warning with the date"),
        "announcement": N_("announcement of the cut"),
    },
    "evidence": EVIDENCE,
    "queue": {
        "attempt.push": N_("ask a wallet to collect"),
        "attempt.query": N_("ask a wallet what became of it"),
        "callback.settle": N_("read what a wallet called back"),
        "refund.push": N_("give money back"),
        "refund.query": N_("ask what became of a refund"),
        "notice.send": N_("send a message"),
        "email.send": N_("send an e-mail"),
        "document.invoice": N_("make a bill"),
        "billing.order": N_("a part of a month's invoices"),
        "import.run": N_("a part of an import"),
        "document.payslip": N_("make a payslip"),
        "payroll.close": N_("close a payroll run"),
        "sms.answer": N_("answer a message"),
        "document.receipt": N_("make a receipt"),
        "prepaid.token": N_("make a token"),
        "prepaid.short": N_("tell the office of an account below zero"),
        "schedule.run": N_("scheduled work"),
    },
    "language": LANGUAGE_NAMES,
    "network": NETWORK_NAMES,
    "by": {
        "push": N_("request"),
        "answer": N_("answer"),
        "query": N_("question"),
        "callback": N_("callback"),
        "reconcile": N_("reconciliation"),
        "statement": N_("statement"),
        "console": N_("back office"),
        "counter": N_("counter"),
        "rescue": N_("rescue"),
        "bill": N_("bill number"),
        "bridge": N_("radio"),
        "clock": N_("time"),
        "guards": N_("guards"),
        "meter": N_("meter"),
    },
}


def state(group: str, value: str | None) -> tuple[str, str]:
    """(msgid, tone) of a state; ('', 'quiet') when there is no word for it."""
    known = _STATES.get(group) or CASE_STATES.get(group) or METERING_STATES.get(group, {})
    return known.get(value or "", ("", "quiet"))


def name(group: str, value: str | None) -> str:
    """The msgid for a code, or the code itself."""
    if value is None:
        return ""
    for names in (_NAMES, CASE_NAMES, METERING_NAMES):
        if found := names.get(group, {}).get(value):
            return found
    return value


def step(value: str) -> tuple[str, str]:
    """(msgid of a dunning step, which time it was said): `warning.2` is the warning, said a second time."""
    plain, _, time = value.partition(".")
    return name("step", plain), time


def reason_lines(reasons: Any) -> list[tuple[str, str, str]]:
    """Reasons as rules wrote them: (code, facts, until). They are text, or a code with facts and an end."""
    lines: list[tuple[str, str, str]] = []
    for reason in reasons:
        if isinstance(reason, dict):
            # Which invoice and which notice stands with the decision's facts.
            known = ("code", "until", "facts", "invoice_id", "detail")
            facts = {key: value for key, value in reason.items() if key not in known}
            inner = reason.get("facts")
            facts |= inner if isinstance(inner, dict) else {}
            said = ", ".join(f"{key} {value}" for key, value in facts.items())
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
