"""A customer's e-mails: whether anything arrives at the address, what was written, and what a person does about it."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.exceptions import NotFound

from admin.money import Refusal, act, by
from admin.parts import Parts, page
from core.i18n import N_
from core.services.emails import Emails

DONE = {
    "address": N_("The address may be tried again."),
    "again": N_("It is on its way once more."),
}
_MOST_DIGITS = 18


def add_pages(admin: Blueprint, parts: Parts, emails: Emails) -> None:
    def show(customer_id: int, refusal: Refusal | None = None) -> Response:
        head, box = parts.desk.customer(customer_id), emails.mailbox(customer_id)
        if head is None or box is None:
            raise NotFound
        done = DONE.get(request.args.get("done", ""))
        body = page("emails.html", parts, head=head, box=box, zone=head.zone, refusal=refusal, done=done)
        return make_response(body, refusal.status if refusal else 200)

    def answered(customer_id: int, key: str, answer: Refusal | None) -> Response:
        if isinstance(answer, Refusal):
            return show(customer_id, answer)
        return make_response(redirect(f"/admin/customers/{customer_id}/emails?done={key}", 303))

    @admin.get("/customers/<int:customer_id>/emails")
    def emails_(customer_id: int) -> Response:
        return show(customer_id)

    @admin.post("/customers/<int:customer_id>/emails/address")
    def clear_email_address(customer_id: int) -> Response:
        """The address may be tried again."""
        subject = f"customer {customer_id}"
        do = act(parts, "email.clear", subject, "", lambda: emails.clear_address(customer_id, by=by()))
        return answered(customer_id, "address", do)

    @admin.post("/customers/<int:customer_id>/emails/again")
    def send_email_again(customer_id: int) -> Response:
        text = request.form.get("letter", "")
        if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
            raise NotFound
        subject = f"customer {customer_id}"
        do = act(
            parts,
            "email.again",
            subject,
            f"e-mail {text}",
            lambda: emails.send_again(int(text), customer_id=customer_id, by=by()),
        )
        return answered(customer_id, "again", do)
