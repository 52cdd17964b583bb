"""What is done to one invoice: validate, send, cancel, credit, give up, its PDF anew."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import invoice_words
from admin.invoices import NO_REASON, InvoiceParts, act, explained, reason_of_form
from admin.money import Refusal, by
from admin.parts import Parts, page, say
from admin.views.money_refunds import read_amount
from core.billing.tariff_rules import kwh_text
from core.desk.invoice_model import InvoiceView
from core.i18n import N_
from core.kernel.errors import StateConflict
from core.kernel.money import Money
from core.services.invoice_desk import CreditPreview

_NO_AMOUNT = N_("This is no amount.")
_CANNOT_CREDIT = N_("This cannot be given back: it is more than what is left, or was given back before.")


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the acts share."""

    parts: Parts
    invoices: InvoiceParts

    def show(self, found: InvoiceView, refusal: Refusal) -> Response:
        """The invoice's page with what was refused."""
        body = page(
            "invoice.html", self.parts, i=found, e=found.entry,
            why=explained(found.explained, found.entry.total.currency), iw=invoice_words, zone=found.zone,
            refusal=refusal, done="", kwh=kwh_text,
        )  # fmt: skip
        return make_response(body, refusal.status)

    def answered(self, invoice_id: int, answer: object, done: str) -> Response:
        if isinstance(answer, Refusal):
            return self.show(self.invoices.found(invoice_id), answer)
        return make_response(redirect(url_for("admin.invoice", invoice_id=invoice_id, done=done), 303))


def add_pages(admin: Blueprint, parts: Parts, invoices: InvoiceParts) -> None:
    pages = _Pages(parts, invoices)
    _add_steps(admin, pages)
    _add_credit(admin, pages)


def _add_steps(admin: Blueprint, pages: _Pages) -> None:
    parts, invoices = pages.parts, pages.invoices

    @admin.post("/invoices/<int:invoice_id>/validate")
    def validate_invoice(invoice_id: int) -> Response:
        total = invoices.found(invoice_id).entry.total
        answer = act(
            parts, "invoice.validated", invoice_id, total.text, lambda: invoices.billing.validate_invoice(invoice_id)
        )
        return pages.answered(invoice_id, answer, "validated")

    @admin.post("/invoices/<int:invoice_id>/send")
    def send_invoice(invoice_id: int) -> Response:
        entry = invoices.found(invoice_id).entry
        answer = act(
            parts, "invoice.sent", invoice_id, f"{entry.number}, {entry.total.text}",
            lambda: invoices.billing.send_invoice(invoice_id, by=by()),
        )  # fmt: skip
        return pages.answered(invoice_id, answer, "sent")

    @admin.post("/invoices/<int:invoice_id>/cancel")
    def cancel_invoice(invoice_id: int) -> Response:
        found, reason = invoices.found(invoice_id), reason_of_form()
        if not reason:
            return pages.show(found, Refusal(say(NO_REASON), 400))
        answer = act(
            parts, "invoice.cancelled", invoice_id, f"{found.entry.number}: {reason}",
            lambda: invoices.billing.cancel_invoice(invoice_id, reason=reason, by=by()),
        )  # fmt: skip
        return pages.answered(invoice_id, answer, "cancelled")

    @admin.post("/invoices/<int:invoice_id>/write-off")
    def write_off_invoice(invoice_id: int) -> Response:
        found, reason = invoices.found(invoice_id), reason_of_form()
        seen = _seen(found.entry.total.currency)
        if not reason or seen is None:
            return pages.show(found, Refusal(say(NO_REASON), 400))
        answer = act(
            parts, "invoice.written_off", invoice_id, f"{found.entry.number}, {seen.text}: {reason}",
            lambda: invoices.write_offs.write_off(invoice_id, seen=seen, reason=reason, by=by()),
        )  # fmt: skip
        return pages.answered(invoice_id, answer, "written_off")

    @admin.post("/invoices/<int:invoice_id>/paper")
    def make_invoice_paper(invoice_id: int) -> Response:
        number = invoices.found(invoice_id).entry.number
        answer = act(parts, "invoice.paper", invoice_id, number, lambda: invoices.papers.request(invoice_id))
        return pages.answered(invoice_id, answer, "paper")


def _add_credit(admin: Blueprint, pages: _Pages) -> None:
    parts, invoices = pages.parts, pages.invoices

    def look(found: InvoiceView, refusal: Refusal | None = None, reason: str = "") -> Response:
        chosen = _Chosen.read(found)
        preview: CreditPreview | None = None
        if chosen.asked and not chosen.fault:
            try:
                preview = invoices.desk.credit_preview(found.entry.id, amount=chosen.amount, positions=chosen.positions)
            except StateConflict:
                refusal = refusal or Refusal(say(_CANNOT_CREDIT), 409)
        if chosen.fault and refusal is None:
            refusal = Refusal(say(chosen.fault), 400)
        if preview is not None and (not preview.amount or preview.amount > preview.left):
            preview, refusal = None, refusal or Refusal(say(_CANNOT_CREDIT), 409)
        body = page(
            "invoice_credit.html", parts, i=found, e=found.entry, iw=invoice_words, refusal=refusal, chosen=chosen,
            preview=preview, reason=reason,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/invoices/<int:invoice_id>/credit")
    def look_at_credit(invoice_id: int) -> Response:
        found = invoices.found(invoice_id)
        if found.entry.state not in ("sent", "partially_paid", "paid"):
            raise NotFound
        return look(found)

    @admin.post("/invoices/<int:invoice_id>/credit")
    def credit_invoice(invoice_id: int) -> Response:
        found, reason = invoices.found(invoice_id), reason_of_form()
        chosen, seen = _Chosen.read(found), _seen(found.entry.total.currency)
        if not reason or not chosen.asked or chosen.fault or seen is None:
            return look(found, Refusal(say(chosen.fault or NO_REASON), 400), reason)
        amount = chosen.amount or seen

        def write() -> str:
            if chosen.positions:
                return invoices.notes.credit_lines(invoice_id, chosen.positions, reason=reason, by=by(), seen_left=seen)
            return invoices.notes.credit(invoice_id, amount, reason=reason, by=by(), seen_left=seen)

        what = f"lines {', '.join(map(str, chosen.positions))}" if chosen.positions else amount.text
        answer = act(parts, "invoice.credited", invoice_id, f"{found.entry.number}, {what}: {reason}", write)
        if isinstance(answer, Refusal):
            return look(invoices.found(invoice_id), answer, reason)
        return pages.answered(invoice_id, answer, "credited")


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What of an invoice is to be given back: `how` whole (all that is left), amount or lines. `fault`: a msgid."""

    how: str = ""
    amount: Money | None = None
    typed: str = ""
    positions: tuple[int, ...] = ()
    fault: str = ""

    @property
    def asked(self) -> bool:
        return bool(self.how)

    @classmethod
    def read(cls, found: InvoiceView) -> _Chosen:
        """Of the address or the form."""
        values = request.values
        how, typed = values.get("how", ""), values.get("amount", "")[:30]
        if how == "whole":
            return cls(how)
        if how == "amount":
            amount = read_amount(typed, found.entry.total.currency)
            good = amount is not None and amount.is_chargeable
            return cls(how, amount if good else None, typed, fault="" if good else _NO_AMOUNT)
        if how == "lines":
            known = {line.position for line in found.lines}
            positions = tuple(
                sorted({int(p) for p in values.getlist("line") if p.isascii() and p.isdigit() and len(p) < 5} & known)
            )
            return cls(how, positions=positions, fault="" if positions else N_("Choose a line."))
        return cls()


def _seen(currency: str) -> Money | None:
    """The amount that the page showed when the person decided, as the form carries it."""
    text = request.form.get("seen", "")
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        return None
    return Money(int(text), currency)
