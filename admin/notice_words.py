"""What a person reads for the kind of an SMS: a few words, one set for each kind there is (a test compares)."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import N_

_ANSWERS = {
    "sms.balance.clear": N_("answer: nothing due"),
    "sms.balance.credit": N_("answer: nothing due, credit"),
    "sms.balance.cut": N_("answer: amount due, cut date"),
    "sms.balance.due": N_("answer: amount due"),
    "sms.balance.off": N_("answer: amount due, supply off"),
    "sms.balance.overdue": N_("answer: amount overdue"),
    "sms.balance.several": N_("answer: amounts of several accounts"),
    "sms.balance.under_way": N_("answer: amount due, payment under way"),
    "sms.help": N_("answer: help"),
    "sms.not_linked": N_("answer: number not linked"),
    "sms.pay.again": N_("order to pay: came twice"),
    "sms.pay.amount": N_("order to pay: amount not possible"),
    "sms.pay.asked": N_("order to pay: taken"),
    "sms.pay.asked_for": N_("order to pay: taken, other account"),
    "sms.pay.closed": N_("order to pay: account closed"),
    "sms.pay.currency": N_("order to pay: other currency"),
    "sms.pay.down": N_("order to pay: operator down"),
    "sms.pay.enough": N_("order to pay: too many today"),
    "sms.pay.how": N_("answer: how to pay"),
    "sms.pay.how_clear": N_("answer: how to pay in advance"),
    "sms.pay.how_due": N_("answer: how to pay what is due"),
    "sms.pay.late": N_("order to pay: came too late"),
    "sms.pay.no_account": N_("order to pay: no such account"),
    "sms.pay.no_wallet": N_("order to pay: no wallet for this number"),
    "sms.pay.unclear": N_("order to pay: not understood"),
    "sms.pay.under_way": N_("order to pay: one under way already"),
    "sms.pay.which": N_("order to pay: which account?"),
    "sms.receipt": N_("answer: last receipt"),
    "sms.receipt.none": N_("answer: no receipt yet"),
    "sms.secret": N_("answer: never send a PIN"),
    "sms.start": N_("answer: reminders on again"),
    "sms.stop": N_("answer: reminders stopped"),
    "sms.unknown": N_("answer: not understood"),
    "sms.unknown.filed": N_("answer: message noted as a case"),
    "sms.verify.how": N_("answer: how to check a receipt"),
    "sms.verify.none": N_("answer: unknown receipt code"),
    "sms.verify.real": N_("answer: receipt is real"),
    "sms.verify.reversed": N_("answer: receipt taken back"),
}

NOTICES: Mapping[str, str] = {
    "invoice.sent": N_("invoice"),
    "payslip.ready": N_("payslip"),
    "dunning.reminder": N_("reminder"),
    "dunning.warning": N_("warning with the date"),
    "dunning.announcement": N_("announcement of the cut"),
    "payment.receipt": N_("receipt"),
    "payment.receipt_payer": N_("receipt for the payer"),
    "payment.failed": N_("payment failed"),
    "payment.pending_long": N_("payment still pending"),
    "payment.refunded": N_("money given back"),
    "prepaid.token": N_("token"),
    "link.asked": N_("a phone asks to be linked"),
    "link.confirmed": N_("phone linked"),
    "link.payer": N_("phone of a payer"),
    "agent.float_up": N_("float went up"),
    "supply.off": N_("supply off"),
    "supply.on": N_("supply on"),
    **_ANSWERS,
}
