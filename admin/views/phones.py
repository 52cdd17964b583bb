"""The phones of one customer: who asks to be linked, who is, and what happened; and what the office does about it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.exceptions import NotFound

from admin.money import Refusal, by, tried
from admin.parts import Parts, page
from core.customers.links import ROLES
from core.i18n import N_
from core.services.links import PhoneLinks

# What the page says after a form; the address carries the key.
DONE = {
    "confirmed": N_("The phone is linked and gets an SMS."),
    "denied": N_("Refused. The phone sees nothing of this account."),
    "removed": N_("Taken off. The phone sees nothing of this account from its next key on."),
    "sim": N_("Written down. The phone sees nothing until you renew it."),
}
_MOST_DIGITS = 18


def add_pages(admin: Blueprint, parts: Parts, links: PhoneLinks) -> None:
    def show(customer_id: int, refusal: Refusal | None = None) -> Response:
        head = parts.desk.customer(customer_id)
        if head is None:
            raise NotFound
        body = page(
            "phones.html", parts, head=head, requests=links.requests(customer_id), changes=links.changes(customer_id),
            roles=ROLES, zone=head.zone, refusal=refusal, done=DONE.get(request.args.get("done", "")),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def done(customer_id: int, key: str, do: Callable[[], None]) -> Response:
        # The service writes the entry of the audit log, in the transaction that changes the link.
        answer = tried(do)
        if isinstance(answer, Refusal):
            return show(customer_id, answer)
        return make_response(redirect(f"/admin/customers/{customer_id}/phones?done={quote(key)}", 303))

    @admin.get("/customers/<int:customer_id>/phones")
    def phones(customer_id: int) -> Response:
        return show(customer_id)

    @admin.post("/customers/<int:customer_id>/phones/answer")
    def answer_link(customer_id: int) -> Response:
        """`role` empty: no."""
        request_id, role = _number("request"), _role() if request.form.get("role") else None
        key = "confirmed" if role else "denied"
        return done(customer_id, key, lambda: links.office_answers(customer_id, request_id, role=role, by=by()))

    @admin.post("/customers/<int:customer_id>/phones/confirm")
    def confirm_link(customer_id: int) -> Response:
        link_id, role = _number("link"), _role()
        return done(customer_id, "confirmed", lambda: links.office_confirms(customer_id, link_id, role=role, by=by()))

    @admin.post("/customers/<int:customer_id>/phones/remove")
    def remove_link(customer_id: int) -> Response:
        link_id = _number("link")
        return done(customer_id, "removed", lambda: links.office_removes(customer_id, link_id, by=by()))

    @admin.post("/customers/<int:customer_id>/phones/sim")
    def note_link_sim(customer_id: int) -> Response:
        link_id = _number("link")
        return done(customer_id, "sim", lambda: links.sim_changed(customer_id, link_id, by=by()))


def _number(name: str) -> int:
    """A row's number from a form of ours. Raises NotFound for anything else."""
    text = request.form.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise NotFound
    return int(text)


def _role() -> str:
    role = request.form.get("role", "")
    if role not in ROLES:
        raise NotFound
    return role
