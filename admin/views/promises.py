"""Promises to pay: who promised what until when, what became of it, and taking one back."""

from __future__ import annotations

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.cases import CaseParts
from admin.csv_export import as_csv
from admin.money import Refusal, act
from admin.parts import Parts, day_time, page, say
from core.i18n import N_, day
from core.kernel.digits import grouped
from core.promises.model import PromiseLine

VIEWS = ("open", "kept", "broken", "cancelled", "all")
_LIMIT, _EXPORT_LIMIT = 200, 2_000
_REASON_MAX = 200
_HEAD = [
    N_("Made"), N_("Promised by"), N_("State"), N_("Customer"), N_("Account"), N_("Currency"), N_("Amount"),
    N_("Still due"), N_("Phone"), N_("Ended"), N_("Ended by"), N_("Reason"),
]  # fmt: skip


def add_pages(admin: Blueprint, parts: Parts, services: CaseParts) -> None:
    promises = services.promises

    def found(promise_id: int) -> PromiseLine:
        line = promises.one(promise_id)
        if line is None:
            raise NotFound
        return line

    def show(line: PromiseLine, refusal: Refusal | None = None, reason: str = "") -> Response:
        body = page(
            "promise.html", parts, p=line, refusal=refusal, reason=reason, done=request.args.get("done"), day=day,
            earlier=[other for other in promises.of_contract(line.contract_id) if other.id != line.id],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/promises")
    def promises_() -> Response:
        view = _view("open")
        lines = promises.listed(state=None if view == "all" else view, limit=_LIMIT)
        body = page(
            "promises.html", parts, found=lines, view=view, views=VIEWS, counts=promises.counts(), limit=_LIMIT, day=day
        )
        return make_response(body)

    @admin.get("/promises.csv")
    def export_promises() -> Response:
        view = _view("all")
        lines = promises.listed(state=None if view == "all" else view, limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.promises", view, f"{len(lines)} rows")
        return as_csv("promises.csv", _HEAD, [_row(line) for line in lines])

    @admin.get("/promises/<int:promise_id>")
    def promise(promise_id: int) -> Response:
        return show(found(promise_id))

    @admin.post("/promises/<int:promise_id>/cancel")
    def cancel_promise(promise_id: int) -> Response:
        line, reason = found(promise_id), " ".join(request.form.get("reason", "").split())
        if not reason or len(reason) > _REASON_MAX:
            return show(line, Refusal(say(N_("Say why, 200 characters at most.")), 400), reason)
        answer = act(
            parts, "promise.cancelled", line.account, f"{day(line.promised_on)}: {reason}",
            lambda: promises.cancel(promise_id, reason=reason, by=g.who.login),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(found(promise_id), answer, reason)
        return make_response(redirect(url_for("admin.promise", promise_id=promise_id, done="cancelled"), 303))


def _view(otherwise: str) -> str:
    asked = request.args.get("view", "")
    return asked if asked in VIEWS else otherwise


def _row(line: PromiseLine) -> list[object]:
    return [
        day_time(line.made_at, line.zone), day(line.promised_on), line.state, line.customer, grouped(line.account),
        line.amount.currency, line.amount.decimal_text(2), line.due.decimal_text(2), line.phone,
        day_time(line.ended_at, line.zone) if line.ended_at else "", line.ended_by or "", line.end_reason,
    ]  # fmt: skip
