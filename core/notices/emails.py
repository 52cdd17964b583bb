"""Every e-mail we send. Its sentence is that of the SMS of the same kind, and so are the hours at which it may leave.

What an e-mail has besides: a subject, a greeting, and the document that goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from core.i18n import N_
from core.notices.kinds import Kind, Text, text_of
from core.notices.texts import KINDS, UnknownKind, pick

Paper = Literal["invoice", "receipt", "payslip"]


@dataclass(frozen=True, slots=True)
class EmailKind:
    """How e-mails of one kind are handled. `rule`: whose hours, priority and life they have."""

    rule: Kind
    subject: Text
    paper: Paper | None = None

    @property
    def name(self) -> str:
        return self.rule.name


PAYSLIP = Kind(
    "payslip.ready",
    (
        text_of(
            "payslip.ready",
            N_("Your payslip for {period} is ready. Net: {amount}. Questions: ask the person who pays you."),
        ),
    ),
    priority=6,
    quiet=True,
    ttl=timedelta(days=14),
)

GREETING = N_("Good day {name},")
ATTACHED: Mapping[Paper, str] = {
    "invoice": N_("The bill is attached to this e-mail as a PDF."),
    "receipt": N_("The receipt is attached to this e-mail as a PDF."),
    "payslip": N_("The payslip is attached to this e-mail as a PDF."),
}
# A mailbox is read by others as well: nobody is told more than is needed to know whose account it is.
WHY_YOU = N_("This address is noted for account {account}. Is that wrong? Tell your agency.")


def _subject(key: str, body: str) -> Text:
    return text_of(f"{key}.subject", body)


_ALL = (
    EmailKind(
        KINDS["invoice.sent"],
        _subject("invoice.sent", N_("Your electricity bill for {period}, account {account}")),
        "invoice",
    ),
    EmailKind(
        KINDS["payment.receipt"],
        _subject("payment.receipt", N_("Receipt {receipt}: {amount} for account {account}")),
        "receipt",
    ),
    EmailKind(
        KINDS["dunning.reminder"],
        _subject("dunning.reminder", N_("Reminder: {amount} to pay for account {account}")),
        "invoice",
    ),
    EmailKind(
        KINDS["dunning.warning"],
        _subject("dunning.warning", N_("Account {account}: power will be cut from {cut_date}")),
        "invoice",
    ),
    EmailKind(
        KINDS["dunning.announcement"],
        _subject("dunning.announcement", N_("Account {account}: power is about to be cut")),
        "invoice",
    ),
    EmailKind(KINDS["supply.off"], _subject("supply.off", N_("Account {account}: power was cut"))),
    EmailKind(KINDS["supply.on"], _subject("supply.on", N_("Account {account}: power is back on"))),
    EmailKind(PAYSLIP, _subject("payslip.ready", N_("Your payslip for {period}")), "payslip"),
)
EMAILS: Mapping[str, EmailKind] = {kind.name: kind for kind in _ALL}


def sentence(kind: EmailKind, blanks: Mapping[str, str]) -> Text:
    """The sentence that fits what is known. Raises UnknownKind when none can be filled."""
    if kind.rule is not PAYSLIP:
        return pick(kind.name, blanks)
    [text] = PAYSLIP.texts
    if not text.blanks <= {name for name, value in blanks.items() if value}:
        raise UnknownKind(kind.name)
    return text
