"""One customer's story, as a page and as CSV, and the receipts in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from flask import Blueprint, Response, g, make_response, request
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.parts import Parts, day_time, page
from admin.told import row_of
from core.desk.model import KINDS, CustomerHead
from core.i18n import N_
from core.staff.rules import Permission

_EXPORT_LIMIT = 2_000
_PAYMENT_ID = re.compile(r"[0-9a-f-]{1,36}")
_HEAD = [
    N_("Time"), N_("Kind"), N_("Account"), N_("State"), N_("Currency"), N_("Amount"), N_("Reference"), N_("Text"),
    N_("Details"),
]  # fmt: skip


def add_pages(admin: Blueprint, parts: Parts) -> None:
    def found(customer_id: int) -> CustomerHead:
        head = parts.desk.customer(customer_id)
        if head is None:
            raise NotFound
        return head

    @admin.get("/customers/<int:customer_id>")
    def customer(customer_id: int) -> Response:
        head, chosen = found(customer_id), _chosen()
        story = parts.desk.story(
            customer_id, kinds=chosen or KINDS, before=_before(), with_tokens=g.who.may(Permission.SEE_TOKENS)
        )
        older = story.older.isoformat() if story.older else None
        return make_response(
            page(
                "customer.html", parts, head=head, story=story, older=older, chosen=chosen, kinds=KINDS, zone=head.zone
            )
        )

    @admin.get("/customers/<int:customer_id>/story.csv")
    def export_story(customer_id: int) -> Response:
        head = found(customer_id)
        # Without tokens: whoever reads the table needs no key to somebody's light.
        story = parts.desk.story(customer_id, kinds=_chosen() or KINDS, before=_before(), limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.story", f"customer {customer_id}", f"{len(story.entries)} rows")
        rows = [[day_time(entry.at, head.zone), *row_of(entry, head.zone)] for entry in story.entries]
        return as_csv(f"customer-{customer_id}.csv", _HEAD, rows)

    @admin.get("/receipts/<payment_id>.pdf")
    def receipt(payment_id: str) -> Response:
        content = parts.receipts.receipt_pdf(payment_id) if _PAYMENT_ID.fullmatch(payment_id) else None
        if content is None:
            raise NotFound
        response = Response(content, content_type="application/pdf")
        response.headers["Content-Disposition"] = f'attachment; filename="receipt-{payment_id[:8]}.pdf"'
        return response


def _chosen() -> list[str]:
    """The kinds asked for, in our order; none means all."""
    asked = request.args.getlist("kind")
    return [kind for kind in KINDS if kind in asked]


def _before() -> datetime | None:
    text = request.args.get("before", "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text[:40])
    except ValueError:
        raise NotFound from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
