"""Money at the counter: cash is counted and booked at once; money on the bank's account needs a second person."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import invoice_words, money
from admin.csv_export import as_csv
from admin.invoices import InvoiceParts, plain
from admin.money import Refusal, by
from admin.parts import Parts, day_time, page, say
from admin.views.money_refunds import read_amount
from core.desk.invoice_model import DeclaredView
from core.desk.money_model import ContractBrief
from core.i18n import N_, day
from core.kernel.digits import normalise
from core.kernel.errors import CustomerError, StateConflict
from core.services.counter import Declaration, NoSuchAccount, NoSuchPayment, OtherContent

_ID = re.compile(r"[0-9a-f-]{36}")
_HEAD = [
    N_("Declared"), N_("Account"), N_("Customer"), N_("How"), N_("Currency"), N_("Amount"), N_("Reference"),
    N_("Day at the bank"), N_("By"),
]  # fmt: skip
_NO_ACCOUNT = N_("No contract has this account number.")
_OTHER = N_("This form was used already, for other money. Begin again.")
_REFUSED = N_(
    "This cannot be booked: the contract is closed, the bank's reference is booked already, or the day is to come."
)


def add_pages(admin: Blueprint, parts: Parts, invoices: InvoiceParts) -> None:
    def show(contract: ContractBrief | None, typed: Mapping[str, str], refusal: Refusal | None = None) -> Response:
        taken = _one(invoices, request.args.get("done", ""))
        body = page(
            "counter.html", parts, c=contract, typed=typed, refusal=refusal, iw=invoice_words, taken=taken, me=by(),
            receipt=invoices.desk.receipt_of(taken.id) if taken else None, waiting=invoices.desk.declared(),
            key=typed.get("key") or str(uuid.uuid4()), zone=parts.zone,
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/cash")
    def cash() -> Response:
        typed = plain(request.args.get("account", ""), 40)
        contract = invoices.desk.contract(normalise(typed)) if typed else None
        refusal = Refusal(say(_NO_ACCOUNT), 404) if typed and contract is None else None
        return show(contract, {"account": typed}, refusal)

    @admin.get("/cash.csv")
    def export_cash() -> Response:
        waiting = invoices.desk.declared()
        parts.staff.note(g.who.login, "export.declared", "all", f"{len(waiting)} rows")
        return as_csv("declared-money.csv", _HEAD, [_row(one, parts.zone) for one in waiting])

    @admin.post("/cash")
    def take_money() -> Response:
        form = {name: plain(value, 80) for name, value in request.form.items()}
        contract = invoices.desk.contract(normalise(form.get("account", "")))
        if contract is None or not _ID.fullmatch(form.get("key", "")):
            return show(None, form, Refusal(say(_NO_ACCOUNT), 404))
        try:
            said = _declaration(form, contract)
        except ValueError:
            return show(contract, form, Refusal(say(N_("This is no amount, or no day.")), 400))
        answer = money.tried(lambda: _book(invoices, form["key"], said))
        if isinstance(answer, Refusal):
            return show(contract, form, answer)
        return make_response(redirect(url_for("admin.cash", done=answer), 303))

    @admin.post("/cash/<payment_id>/confirm")
    def confirm_money(payment_id: str) -> Response:
        found = _one(invoices, payment_id)
        if found is None:
            raise NotFound
        if found.by == by():
            return show(None, {}, Refusal(say(N_("You declared this money. Another person must confirm it.")), 409))
        answer = money.tried(lambda: _confirmed(invoices, payment_id))
        if isinstance(answer, Refusal):
            return show(None, {}, answer)
        return make_response(redirect(url_for("admin.cash", done=payment_id), 303))


def _row(one: DeclaredView, zone: str) -> list[object]:
    return [
        day_time(one.at, zone), one.account, one.customer, say(invoice_words.COUNTER_NAMES[one.way]),
        one.amount.currency, one.amount.decimal_text(2), one.reference, day(one.paid_on) if one.paid_on else "", one.by,
    ]  # fmt: skip


def _one(invoices: InvoiceParts, payment_id: str) -> DeclaredView | None:
    found = invoices.desk.declared(payment_id) if _ID.fullmatch(payment_id) else ()
    return found[0] if found else None


def _declaration(form: Mapping[str, str], contract: ContractBrief) -> Declaration:
    """Raises ValueError for an amount or a day nobody can read."""
    amount = read_amount(form.get("amount", ""), contract.currency)
    if amount is None or not amount.is_chargeable:
        raise ValueError("amount")
    way, typed = form.get("way", "cash"), form.get("paid_on", "")
    return Declaration(
        account_number=contract.account,
        way="bank" if way == "bank" else "cash",
        amount=amount,
        reference=form.get("reference", "")[:40] or None,
        paid_on=date.fromisoformat(typed) if typed and way == "bank" else None,
    )


def _book(invoices: InvoiceParts, key: str, said: Declaration) -> str:
    """Declare it; cash is booked at once. The same form again finds what it made. Raises CustomerError."""
    if said.way == "bank" and not said.reference:
        raise CustomerError(N_("Money at the bank has the reference of its statement."))
    try:
        invoices.counter.declare(key, said, by=by())
    except OtherContent as error:
        raise CustomerError(_OTHER) from error
    except (NoSuchAccount, StateConflict) as error:
        raise CustomerError(_REFUSED) from error
    (made,) = invoices.desk.declared(key)
    return key if said.way == "bank" or made.state == "confirmed" else _confirmed(invoices, key)


def _confirmed(invoices: InvoiceParts, payment_id: str) -> str:
    try:
        invoices.counter.confirm(payment_id, by=by())
    except (StateConflict, NoSuchPayment) as error:
        # Pressed twice in the same instant: it is booked, once.
        if invoices.desk.receipt_of(payment_id) is None:
            raise CustomerError(_REFUSED) from error
    return payment_id
