"""What is kept from pay: versions with the month they begin in, and an accountant's word on each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, make_response, redirect, request, url_for

from admin.money import Refusal
from admin.parts import Parts, page, say
from admin.payroll import PayrollParts, by, tried
from core.documents.drawing import period_text
from core.i18n import N_
from core.kernel.money import CURRENCIES, Money
from core.payroll.rules import percent_text

# Rows of the form: what there is, and two to add.
_SPARE, _LEVIES_MAX, _BRACKETS_MAX = 2, 20, 12
_LEVY = ("code", "name", "payer", "percent", "ceiling")
_TAX = ("code", "name", "cap_percent", "least", "relief_percent", "relief_most")
Typed = dict[str, str]


def add_pages(admin: Blueprint, parts: Parts, pay: PayrollParts) -> None:
    def show(refusal: Refusal | None = None, typed: Typed | None = None) -> Response:
        versions = pay.payroll.rates.all()
        newest = next((one for one in versions if one.rates.currency == request.args.get("currency", "CDF")), None)
        typed = typed or (_as_typed(newest.body, newest.rates.currency) if newest else {"currency": "CDF"})
        levies = 1 + max((n for n in range(_LEVIES_MAX) if typed.get(f"l{n}_code")), default=-1)
        brackets = 1 + max((n for n in range(_BRACKETS_MAX) if typed.get(f"b{n}_percent")), default=-1)
        body = page(
            "payroll_rates.html", parts, versions=versions, refusal=refusal, typed=typed, period_text=period_text,
            levies=min(_LEVIES_MAX, levies + _SPARE), brackets=min(_BRACKETS_MAX, brackets + 1), zone=parts.zone,
            currencies=sorted(CURRENCIES), percent=percent_text, money=Money, done=request.args.get("done", "")[:20],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/payroll/rates")
    def pay_rates() -> Response:
        return show()

    @admin.post("/payroll/rates")
    def add_pay_rates() -> Response:
        typed = {name: text.strip()[:60] for name, text in request.form.items() if name != "csrf_token"}
        currency, period = typed.get("currency", ""), typed.get("from_period", "")
        answer = tried(
            parts, "payroll.rates", f"{currency} from {period}",
            lambda: pay.payroll.rates.add(currency, period, _body(typed), by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(answer, typed)
        return make_response(redirect(url_for("admin.pay_rates", done="written", currency=currency), 303))

    @admin.post("/payroll/rates/<int:rates_id>/confirm")
    def confirm_pay_rates(rates_id: int) -> Response:
        words = request.form.get("words", "").strip()[:200]
        if not words:
            return show(Refusal(say(N_("Say who has confirmed them, and when.")), 400))
        answer = tried(
            parts, "payroll.rates_confirmed", str(rates_id),
            lambda: pay.payroll.rates.confirm(rates_id, words, by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(answer)
        return make_response(redirect(url_for("admin.pay_rates", done="confirmed"), 303))


def _number(text: str) -> str:
    """`1 800 000` and `0,2` as they are kept."""
    return "".join(text.replace("\u00a0", "").replace("\u202f", "").split()).replace(",", ".").removesuffix("%")


def _body(typed: Typed) -> dict[str, Any]:
    """The form as rates are kept. What cannot be is found by who reads them."""
    contributions = []
    for n in range(_LEVIES_MAX):
        row = {name: typed.get(f"l{n}_{name}", "") for name in _LEVY}
        if not row["code"]:
            continue
        payer, _, on = row["payer"].partition(":")
        levy = {"code": row["code"], "name": row["name"], "payer": payer, "percent": _number(row["percent"])}
        levy["on"] = on or "salary"
        contributions.append(levy | ({"ceiling": _number(row["ceiling"])} if row["ceiling"] else {}))
    body: dict[str, Any] = {"contributions": contributions}
    if typed.get("t_code"):
        tax = {name: typed.get(f"t_{name}", "") for name in _TAX}
        most = tax["relief_most"] or "0"
        body["tax"] = {
            "code": tax["code"],
            "name": tax["name"],
            "brackets": [
                {"percent": _number(typed[f"b{n}_percent"])}
                | ({"upto": _number(typed[f"b{n}_upto"])} if typed.get(f"b{n}_upto") else {})
                for n in range(_BRACKETS_MAX)
                if typed.get(f"b{n}_percent")
            ],
            "cap_percent": _number(tax["cap_percent"]),
            "least": _number(tax["least"]) or "0",
            "relief_percent": _number(tax["relief_percent"]) or "0",
            "relief_most": int(most) if most.isdecimal() and len(most) < 4 else -1,
        }
    return body


def _as_typed(body: Mapping[str, Any], currency: str) -> Typed:
    """A version, in the fields of the form."""
    typed: Typed = {"currency": currency}
    for n, levy in enumerate(body.get("contributions", [])):
        typed |= {f"l{n}_{name}": str(levy.get(name) or "") for name in ("code", "name")}
        typed |= {f"l{n}_percent": _told(levy["percent"]), f"l{n}_ceiling": _told(levy.get("ceiling"), currency)}
        typed[f"l{n}_payer"] = f"{levy['payer']}:{levy.get('on', 'salary')}"
    tax = body.get("tax") or {}
    typed |= {f"t_{name}": _told(tax.get(name)) for name in _TAX} | {"t_least": _told(tax.get("least"), currency)}
    for n, bracket in enumerate(tax.get("brackets", [])):
        typed |= {f"b{n}_upto": _told(bracket.get("upto"), currency), f"b{n}_percent": _told(bracket["percent"])}
    return typed


def _told(kept: Any, currency: str = "") -> str:
    """A share or, with its currency, an amount as people write it; '' for none."""
    if not kept:
        return ""
    return Money.parse(str(kept), currency).text.rsplit(" ", 1)[0] if currency else str(kept).replace(".", ",")
