"""What staff read instead of the codes of invoices, billing months and the counter."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

INVOICE_STATES: Mapping[str, tuple[str, str]] = {
    "draft": (N_("draft"), "quiet"),
    "validated": (N_("validated"), "quiet"),
    "sent": (N_("open"), "wait"),
    "partially_paid": (N_("partly paid"), "wait"),
    # Its balance is nothing: by money, credit notes, or because the rest was given up.
    "paid": (N_("settled"), "good"),
    "cancelled": (N_("void"), "quiet"),
    "overdue": (N_("overdue"), "bad"),
    "disputed": (N_("disputed"), "wait"),
}

# Where money stands that no wallet tells of.
COUNTER_NAMES: Mapping[str, str] = {"cash": N_("Cash"), "bank": N_("Bank")}

ORDER_STATES: Mapping[str, tuple[str, str]] = {
    "waiting": (N_("waiting"), "wait"),
    "running": (N_("being done"), "wait"),
    "stopping": (N_("about to stop"), "wait"),
    "stopped": (N_("stopped"), "quiet"),
    "done": (N_("done"), "good"),
}
ORDERS: Mapping[str, str] = {
    "draft": N_("Draft the invoices"),
    "validate": N_("Validate the drafts"),
    "send": N_("Send what is validated"),
}
REFUSED: Mapping[str, str] = {
    "closed": N_("its contract is closed"),
    "amount": N_("its amount cannot be charged"),
    "other": N_("its state changed meanwhile"),
}

# Why a run left a contract out, and what a person does about it.
LEFT_OUT: Mapping[str, tuple[str, str]] = {
    "reading_held": (N_("a reading waits for review"), N_("decide about the reading")),
    "no_reading": (N_("no reading, and nothing to estimate from"), N_("read the meter")),
    "month_not_over": (N_("nothing new in a month that still runs"), N_("wait for the end of the month")),
    "billed_later": (
        N_("a later month has billed this energy already"),
        N_("cancel the invoice of the later month first"),
    ),
    "meter_changed": (N_("the meter was changed"), N_("bill the old meter's last energy by hand")),
    "no_meter": (N_("the contract has no meter"), N_("mend the contract")),
    "no_tariff": (N_("the contract has no tariff"), N_("mend the contract")),
    "wrong_tariff": (N_("the tariff is of another kind or currency"), N_("mend the contract")),
    "no_price": (N_("no price is in force on a billed day"), N_("add a version of the tariff")),
    "nothing_to_bill": (N_("the lines come to nothing"), N_("nothing, unless something should be billed")),
}

MOVES: Mapping[str, str] = {
    "wallet_money": N_("paid by wallet"),
    "exchanged_money": N_("paid by wallet, exchanged"),
    "suspense_placed": N_("money that was placed"),
    "cash_taken": N_("paid in cash"),
    "bank_money": N_("paid to the bank"),
    "credit_applied": N_("credit was used"),
    "agent_sale": N_("paid at an agent"),
    "credit_note": N_("credit note"),
    "written_off": N_("given up"),
    "operator_reversed": N_("the operator took the money back"),
    "opening_debit": N_("taken over from another system"),
    "opening_credit": N_("taken over from another system"),
}

ACTS: Mapping[str, str] = {
    "invoice.written": N_("wrote it by hand"),
    "invoice.validated": N_("validated it"),
    "invoice.sent": N_("sent it"),
    "invoice.cancelled": N_("cancelled it"),
    "invoice.credited": N_("wrote a credit note"),
    "invoice.written_off": N_("gave the rest up"),
    "invoice.paper": N_("had its PDF made"),
    "invoice.validated.refused": N_("tried to validate it"),
    "invoice.sent.refused": N_("tried to send it"),
    "invoice.cancelled.refused": N_("tried to cancel it"),
    "invoice.credited.refused": N_("tried to credit it"),
    "invoice.written_off.refused": N_("tried to give it up"),
}

# Every code of `HandRefused` and `OrderRefused`.
REFUSALS: Mapping[str, str] = {
    "no_contract": N_("This account is closed, or there is none."),
    "no_lines": N_("An invoice has one line or more."),
    "bad_line": N_("Each line has words and an amount that can be charged: whole francs, more than nothing."),
    "currency": N_("The amounts are in another currency than the contract."),
    "month_taken": N_("This month has an invoice already. Write it besides that one, or cancel that one first."),
    "under_way": N_("The same is under way for this month. Wait until it has ended."),
    "unknown_agency": N_("Choose an agency."),
    "ended": N_("It has ended already."),
}
BAD_PERIOD = N_("This is no month that has begun. Write it as 2026-11.")
