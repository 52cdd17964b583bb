"""Giving money back: asked for by one person, decided by another."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import MoneyParts, Refusal, act, by
from admin.parts import Parts, day_time, page, say
from core.desk.money_model import PaymentBrief
from core.i18n import N_
from core.kernel.money import BadAmount, Money
from core.payments.refund_model import RefundView

_ID = re.compile(r"[0-9a-f-]{1,36}")
_LIMIT, _EXPORT_LIMIT = 200, 2_000
# All that is under way, everything, or one state.
VIEWS = ("open", "requested", "needs_attention", "paid", "failed", "rejected", "all")
_HEAD = [
    N_("Time"), N_("Reference"), N_("Receipt"), N_("Account"), N_("Wallet"), N_("Currency"), N_("Amount"), N_("State"),
    N_("Reason"), N_("Asked for by"), N_("Decided by"), N_("Note"), N_("Operator's transaction"), N_("Code"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of refunds share."""

    parts: Parts
    money: MoneyParts

    def found_payment(self, payment_id: str) -> PaymentBrief:
        found = self.money.desk.payment(payment_id) if _ID.fullmatch(payment_id) else None
        if found is None:
            raise NotFound
        return found

    def found_refund(self, refund_id: str) -> RefundView:
        found = self.money.refunds.one(refund_id) if _ID.fullmatch(refund_id) else None
        if found is None:
            raise NotFound
        return found

    def show_form(
        self, payment: PaymentBrief, refusal: Refusal | None = None, amount: str = "", reason: str = ""
    ) -> Response:
        returnable = self.money.refunds.returnable(payment.paid.id)
        body = page(
            "money_refund_new.html",
            self.parts,
            p=payment,
            returnable=returnable,
            refusal=refusal,
            reason=reason,
            amount=amount or _typed_amount(returnable.max),
            earlier=self.money.refunds.listed(payment_id=payment.paid.id),
            zone=self.parts.zone,
        )
        return make_response(body, refusal.status if refusal else 200)

    def show_refund(self, refund: RefundView, refusal: Refusal | None = None, note: str = "") -> Response:
        body = page(
            "money_refund.html",
            self.parts,
            r=refund,
            payment=self.money.desk.payment(refund.payment_id),
            refusal=refusal,
            note=note,
            mine=refund.requested_by == by(),
            zone=self.parts.zone,
            done=request.args.get("done"),
            real_now=self.parts.clock.real_now(),
        )
        return make_response(body, refusal.status if refusal else 200)


def add_pages(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    pages = _Pages(parts, money)
    _add_lists(admin, parts, money)
    _add_asking(admin, pages)
    _add_deciding(admin, pages)


def _add_lists(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    @admin.get("/money/refunds")
    def refunds() -> Response:
        view = request.args.get("view", "")
        view = view if view in VIEWS else VIEWS[0]
        # Refunds are few: those of one state are picked out of the newest.
        newest = money.refunds.listed(open_only=view == "open", limit=_EXPORT_LIMIT)
        found = [refund for refund in newest if view in ("open", "all", refund.state)][:_LIMIT]
        body = page("money_refunds.html", parts, found=found, view=view, views=VIEWS, limit=_LIMIT, zone=parts.zone)
        return make_response(body)

    @admin.get("/money/refunds.csv")
    def export_refunds() -> Response:
        found = money.refunds.listed(limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.refunds", "all", f"{len(found)} rows")
        return as_csv("refunds.csv", _HEAD, [_row(refund, parts.zone) for refund in found])


def _add_asking(admin: Blueprint, pages: _Pages) -> None:
    parts, money = pages.parts, pages.money

    @admin.get("/money/refunds/new")
    def new_refund() -> Response:
        return pages.show_form(pages.found_payment(request.args.get("payment", "")))

    @admin.post("/money/refunds/new")
    def ask_refund() -> Response:
        payment = pages.found_payment(request.form.get("payment", ""))
        typed, reason = request.form.get("amount", "")[:30], request.form.get("reason", "").strip()[:200]
        amount = read_amount(typed, payment.paid.amount.currency)
        if amount is None:
            return pages.show_form(payment, Refusal(say(N_("This is no amount.")), 400), typed, reason)
        answer = act(
            parts, "refund.asked", payment.paid.receipt_number, f"{amount.text}: {reason}",
            lambda: money.refunds.request(payment.paid.id, amount, reason, by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_form(payment, answer, typed, reason)
        return make_response(redirect(url_for("admin.refund", refund_id=answer, done="asked"), 303))


def _add_deciding(admin: Blueprint, pages: _Pages) -> None:
    parts, money = pages.parts, pages.money

    @admin.get("/money/refunds/<refund_id>")
    def refund(refund_id: str) -> Response:
        return pages.show_refund(pages.found_refund(refund_id))

    @admin.post("/money/refunds/<refund_id>/decide")
    def decide_refund(refund_id: str) -> Response:
        found, note = pages.found_refund(refund_id), request.form.get("note", "").strip()[:200]
        word = request.form.get("word", "")
        if word not in ("approve", "reject"):
            return pages.show_refund(found, Refusal(say(N_("Say whether it is approved or rejected.")), 400), note)
        approve = word == "approve"
        answer = act(
            parts, f"refund.{'approved' if approve else 'rejected'}", found.own_ref, f"{found.amount.text}: {note}",
            lambda: money.refunds.decide(refund_id, approve=approve, note=note, by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_refund(pages.found_refund(refund_id), answer, note)
        return make_response(redirect(url_for("admin.refund", refund_id=refund_id, done=word), 303))

    @admin.post("/money/refunds/<refund_id>/cancel")
    def cancel_refund(refund_id: str) -> Response:
        found = pages.found_refund(refund_id)
        answer = act(
            parts, "refund.taken_back", found.own_ref, found.amount.text, lambda: money.refunds.cancel(refund_id, by())
        )
        if isinstance(answer, Refusal):
            return pages.show_refund(pages.found_refund(refund_id), answer)
        return make_response(redirect(url_for("admin.refund", refund_id=refund_id, done="cancel"), 303))

    @admin.post("/money/refunds/<refund_id>/conclude")
    def conclude_refund(refund_id: str) -> Response:
        found, note = pages.found_refund(refund_id), request.form.get("note", "").strip()[:200]
        word = request.form.get("word", "")
        if word not in ("paid", "failed") or not note:
            return pages.show_refund(
                found, Refusal(say(N_("Say what the operator told you, and who said it.")), 400), note
            )
        answer = act(
            parts, "refund.concluded", found.own_ref, f"{word}: {note}",
            lambda: money.refunds.conclude(refund_id, paid=word == "paid", note=note, by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_refund(pages.found_refund(refund_id), answer, note)
        return make_response(redirect(url_for("admin.refund", refund_id=refund_id, done="concluded"), 303))


def read_amount(typed: str, currency: str) -> Money | None:
    """An amount as people type it (`12 500`, `12500,50`, `12.500` is refused: it may mean two things)."""
    plain = "".join(typed.replace("\u00a0", "").replace("\u202f", "").split())
    for sign in ("FC", "CDF", "USD", "KES", "$"):
        plain = plain.removesuffix(sign)
    plain = plain.replace(",", ".")
    whole, _, part = plain.partition(".")
    if len(part) > 2 or not whole:
        return None
    try:
        return Money.parse(plain, currency)
    except BadAmount:
        return None


def _typed_amount(money: Money) -> str:
    """What a person would type for it: no sign of the currency."""
    return money.text.rsplit(" ", 1)[0] if money else ""


def _row(refund: RefundView, zone: str) -> list[object]:
    return [
        day_time(refund.requested_at, zone), refund.own_ref, refund.receipt_number, refund.account_number or "",
        refund.wallet, refund.amount.currency, refund.amount.decimal_text(2), refund.state, refund.reason,
        refund.requested_by, refund.decided_by or "", refund.decision_note, refund.provider_txn_id or "",
        refund.code or "",
    ]  # fmt: skip
