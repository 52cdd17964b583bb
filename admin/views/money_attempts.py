"""Attempts: the list with its filters, as CSV, and one attempt with its whole life and "query now"."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import words
from admin.csv_export import as_csv
from admin.money import MoneyParts, Refusal, act, by, place_read, place_text
from admin.parts import Parts, day_time, page
from core.desk.money_model import AttemptEntry, AttemptFilter, AttemptView
from core.i18n import N_
from core.kernel.errors import CustomerError
from core.phone_numbers import parse_e164
from core.services.desk import WALLETS
from core.staff.rules import Permission

_EXPORT_LIMIT = 2_000
_CALLBACKS = 20
_ID = re.compile(r"[0-9a-f-]{36}")
STATES = (
    "created", "submitting", "pending", "unknown", "needs_attention", "succeeded", "failed", "expired", "cancelled",
)  # fmt: skip
BRANDS = ("mpesa", "airtel", "orange")
_HEAD = [
    N_("Time"), N_("Reference"), N_("Account"), N_("Customer"), N_("Payer"), N_("Wallet"), N_("By"), N_("Currency"),
    N_("Amount"), N_("State"), N_("Reason"), N_("Code"), N_("Flag"), N_("Operator's transaction"),
]  # fmt: skip
# Nothing to ask: it never left, or was taken back before it could.
_UNASKED = ("created", "cancelled")


def add_pages(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    _add_callbacks(admin, parts, money)

    @admin.get("/money/", endpoint="money")
    def front() -> Response:
        return make_response(redirect(url_for("admin.attempts"), 303))

    def show(found: AttemptView, refusal: Refusal | None = None) -> Response:
        body = page(
            "money_attempt.html", parts, a=found, refusal=refusal, zone=parts.zone, done=request.args.get("done"),
            may_ask=found.asked.state not in _UNASKED,
            refunds=[refund for paid in found.payments for refund in money.refunds.listed(payment_id=paid.id)],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    def found_attempt(attempt_id: str) -> AttemptView:
        whole = g.who.may(Permission.SEE_PAYERS)
        found = money.desk.attempt(attempt_id, whole_numbers=whole) if _ID.fullmatch(attempt_id) else None
        if found is None:
            raise NotFound
        return found

    @admin.get("/money/attempts")
    def attempts() -> Response:
        wanted = _wanted()
        found = money.desk.attempts(wanted, after=place_read(request.args.get("after", "")))
        body = page(
            "money_attempts.html", parts, found=found, wanted=wanted, asked=_asked(wanted), states=STATES,
            wallets=WALLETS, brands=BRANDS, older=place_text(found.older), attention=money.desk.attention_count(),
            zone=parts.zone, typed=request.args.get("phone", "")[:40],
        )  # fmt: skip
        return make_response(body)

    @admin.get("/money/attempts.csv")
    def export_attempts() -> Response:
        wanted = _wanted()
        found = money.desk.attempts(wanted, limit=_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.attempts", _asked(wanted)[:120], f"{len(found.entries)} rows")
        return as_csv("attempts.csv", _HEAD, [_row(entry, parts.zone) for entry in found.entries])

    @admin.get("/money/attempts/<attempt_id>")
    def attempt(attempt_id: str) -> Response:
        return show(found_attempt(attempt_id))

    @admin.post("/money/attempts/<attempt_id>/query")
    def query_attempt(attempt_id: str) -> Response:
        found = found_attempt(attempt_id)
        answer = act(
            parts, "attempt.query_now", found.asked.own_ref, found.asked.state,
            lambda: _ask(money, attempt_id),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(found, answer)
        return make_response(redirect(url_for("admin.attempt", attempt_id=attempt_id, done="asked"), 303))


def _add_callbacks(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    @admin.get("/money/callbacks")
    def callbacks() -> Response:
        found = money.desk.stray_callbacks(
            whole_numbers=g.who.may(Permission.SEE_PAYERS),
            before_id=request.args.get("before", type=int),
            limit=_CALLBACKS,
        )
        older = found[-1].id if len(found) == _CALLBACKS else None
        return make_response(page("money_callbacks.html", parts, found=found, older=older, zone=parts.zone))


def _ask(money: MoneyParts, attempt_id: str) -> None:
    if not money.payments.ask_soon(attempt_id, by()):
        raise CustomerError(N_("There is nothing to ask the wallet about this attempt now."))


def _wanted() -> AttemptFilter:
    """The filter of the address; what does not exist asks for nothing, a phone nobody can read finds nothing."""

    def one_of(name: str, known: tuple[str, ...]) -> str:
        value = request.args.get(name, "")
        return value if value in known else ""

    phone = "".join(c for c in request.args.get("phone", "") if c.isprintable()).strip()[:40]
    own_ref = "".join(c for c in request.args.get("ref", "") if c.isascii() and c.isalnum()).upper()[:20]
    return AttemptFilter(
        state=one_of("state", STATES),
        wallet=one_of("wallet", WALLETS),
        brand=one_of("brand", BRANDS),
        phone=(parse_e164(phone) or phone[:16]) if phone else "",
        own_ref=own_ref,
        attention=request.args.get("attention") == "1",
    )


def _asked(wanted: AttemptFilter) -> str:
    """The filter as a query string, to go on with."""
    pairs = {
        "state": wanted.state, "wallet": wanted.wallet, "brand": wanted.brand, "phone": wanted.phone,
        "ref": wanted.own_ref, "attention": "1" if wanted.attention else "",
    }  # fmt: skip
    return urlencode({name: value for name, value in pairs.items() if value})


def _row(entry: AttemptEntry, zone: str) -> list[object]:
    a = entry.line
    return [
        day_time(a.created_at, zone), a.own_ref, a.account, a.customer, a.payer_phone, words.name("brand", a.brand),
        a.wallet, a.charged.currency, a.charged.decimal_text(2), a.state, a.reason or "", a.code or "",
        entry.flag or "", entry.provider_txn_id or "",
    ]  # fmt: skip
