"""What the pages of invoices, billing months and the counter are built from and share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import request
from werkzeug.exceptions import NotFound

from admin import money
from admin.invoice_words import BAD_PERIOD, REFUSALS
from admin.money import Refusal
from admin.parts import Parts, language
from core.billing.explained import in_words
from core.billing.run_model import BadPeriod, Month
from core.desk.invoice_model import InvoiceView
from core.desk.invoice_one import subject_of
from core.i18n import N_
from core.kernel.errors import CustomerError
from core.services.billing import Billing
from core.services.billing_orders import BillingOrders, OrderRefused
from core.services.counter import Counter
from core.services.credit_notes import CreditNotes
from core.services.hand_invoices import HandInvoices, HandRefused
from core.services.invoice_desk import InvoiceDesk
from core.services.invoice_papers import InvoicePapers
from core.services.write_offs import WriteOffs

T = TypeVar("T")
REASON_MAX = 200


@dataclass(frozen=True, slots=True)
class InvoiceParts:
    """The services behind /admin/invoices and /admin/cash."""

    desk: InvoiceDesk
    billing: Billing
    notes: CreditNotes
    write_offs: WriteOffs
    by_hand: HandInvoices
    orders: BillingOrders
    papers: InvoicePapers
    counter: Counter

    def found(self, invoice_id: int) -> InvoiceView:
        """One invoice. Raises NotFound."""
        found = self.desk.invoice(invoice_id) if 0 < invoice_id < 2**62 else None
        if found is None:
            raise NotFound
        return found


def act(parts: Parts, what: str, invoice_id: int, detail: str, do: Callable[[], T]) -> T | Refusal:
    """Do something to an invoice with its entry in the audit log, or say in the reader's language why not."""
    return money.act(parts, what, subject_of(invoice_id), detail, lambda: in_a_sentence(do))


def in_a_sentence(do: Callable[[], T]) -> T:
    """Do it; refusals that have a sentence of their own are raised as that. Raises CustomerError."""
    try:
        return do()
    except (HandRefused, OrderRefused) as error:
        raise CustomerError(REFUSALS[error.code]) from error
    except BadPeriod as error:
        raise CustomerError(BAD_PERIOD) from error


def explained(parts: Sequence[Mapping[str, object]], currency: str) -> list[str]:
    """Why an invoice differs from the one before, in the reader's language."""
    return in_words(parts, currency, language())


def new_key(digits: int = 32) -> str:
    """A name for what a form will make: sent twice, it is made once."""
    return secrets.token_hex(digits // 2)


def plain(text: str, most: int) -> str:
    """What somebody typed, on one line and without what no database and no paper takes."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]


def reason_of_form() -> str:
    return plain(request.form.get("reason", ""), REASON_MAX)


NO_REASON = N_("Say why. It stays in the books.")


def month_in(text: str) -> str:
    """A month of an address or a filter; '' for anything else."""
    try:
        return Month.read(text).text
    except BadPeriod:
        return ""


def month_of(text: str) -> str:
    """As `month_in`. Raises NotFound."""
    found = month_in(text)
    if not found:
        raise NotFound
    return found
