"""Invoices: the list with its filters and sums, as CSV, and one invoice with all that is known of it."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, request
from werkzeug.exceptions import NotFound

from admin import invoice_words
from admin.csv_export import as_csv
from admin.invoices import InvoiceParts, explained, month_in, plain
from admin.parts import Parts, page, say
from core.billing.tariff_rules import kwh_text
from core.desk.invoice_model import STATES, InvoiceEntry, InvoiceFilter
from core.i18n import N_, day
from core.kernel.digits import normalise
from core.kernel.money import CURRENCIES

_EXPORT_LIMIT = 2_000
_HEAD = [
    N_("Number"), N_("Month"), N_("Account"), N_("Customer"), N_("Agency"), N_("State"), N_("Currency"), N_("Total"),
    N_("Due"), N_("Issued"), N_("Sent on"), N_("Days open"), N_("Disputed"), N_("Estimated"),
]  # fmt: skip


def add_pages(admin: Blueprint, parts: Parts, invoices: InvoiceParts) -> None:
    @admin.get("/invoices", endpoint="invoices")
    def every() -> Response:
        wanted = _wanted()
        found = invoices.desk.invoices(wanted, below=_below())
        body = page(
            "invoices.html", parts, found=found, wanted=wanted, asked=_asked(wanted), states=STATES,
            agencies=invoices.desk.agencies(), currencies=sorted(CURRENCIES), iw=invoice_words,
            typed=request.args.get("q", "")[:40],
        )  # fmt: skip
        return make_response(body)

    @admin.get("/invoices.csv")
    def export_invoices() -> Response:
        wanted = _wanted()
        found = invoices.desk.invoices(wanted, limit=_EXPORT_LIMIT, with_sums=False)
        parts.staff.note(g.who.login, "export.invoices", _asked(wanted)[:120], f"{len(found.entries)} rows")
        return as_csv("invoices.csv", _HEAD, [_row(entry) for entry in found.entries])

    @admin.get("/invoices/<int:invoice_id>")
    def invoice(invoice_id: int) -> Response:
        found = invoices.found(invoice_id)
        body = page(
            "invoice.html", parts, i=found, e=found.entry, why=explained(found.explained, found.entry.total.currency),
            iw=invoice_words, zone=found.zone, refusal=None, done=request.args.get("done", ""),
            kwh=kwh_text,
        )  # fmt: skip
        return make_response(body)

    @admin.get("/invoices/<int:invoice_id>.pdf")
    def invoice_paper(invoice_id: int) -> Response:
        found = invoices.found(invoice_id)
        content = invoices.papers.pdf(invoice_id)
        if content is None:
            raise NotFound
        response = Response(content, content_type="application/pdf")
        name = "draft" if found.entry.state == "draft" else found.entry.number.lower()
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.pdf"'
        return response

    @admin.get("/invoices/<int:invoice_id>/credit-notes/<number>.pdf")
    def credit_note_paper(invoice_id: int, number: str) -> Response:
        found = invoices.found(invoice_id)
        if number not in {note.number for note in found.notes}:
            raise NotFound
        content = invoices.papers.credit_note(number)
        if content is None:
            raise NotFound
        response = Response(content, content_type="application/pdf")
        response.headers["Content-Disposition"] = f'attachment; filename="{number.lower()}.pdf"'
        return response


def _wanted() -> InvoiceFilter:
    """The filter of the address; what does not exist asks for nothing."""

    def asked(name: str, most: int) -> str:
        return plain(request.args.get(name, ""), most)

    state, currency, typed = asked("state", 20), asked("currency", 3), asked("q", 40)
    digits = normalise(typed)
    customer = request.args.get("customer", type=int)
    return InvoiceFilter(
        state=state if state in STATES else "",
        period=month_in(asked("month", 7)),
        agency=asked("agency", 12),
        currency=currency if currency in CURRENCIES else "",
        text=digits if digits.isascii() and digits.isdigit() else typed.upper()[:24],
        customer_id=customer if customer is not None and 0 < customer < 2**62 else None,
    )


def _below() -> int | None:
    below = request.args.get("below", type=int)
    return below if below is not None and 0 < below < 2**62 else None


def _asked(wanted: InvoiceFilter) -> str:
    """The filter as a query string, to go on with."""
    pairs = {
        "state": wanted.state, "month": wanted.period, "agency": wanted.agency, "currency": wanted.currency,
        "q": wanted.text, "customer": wanted.customer_id or "",
    }  # fmt: skip
    return urlencode({name: value for name, value in pairs.items() if value})


def _row(entry: InvoiceEntry) -> list[object]:
    return [
        entry.number, entry.period, entry.account, entry.customer, entry.agency,
        say(invoice_words.INVOICE_STATES[entry.state][0]), entry.total.currency,
        entry.total.decimal_text(2), entry.due.decimal_text(2), day(entry.issued_on),
        day(entry.sent_on) if entry.sent_on else "", "" if entry.days_open is None else entry.days_open,
        "1" if entry.disputed else "", "1" if entry.estimated else "",
    ]  # fmt: skip
