"""An invoice that a person writes: a connection fee, a broken seal, the last energy of a meter taken down."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, g, make_response, redirect, request, url_for

from admin import invoice_words, money
from admin.invoices import InvoiceParts, in_a_sentence, new_key, plain
from admin.money import Refusal
from admin.parts import Parts, page, say
from admin.views.money_refunds import read_amount
from core.desk.invoice_one import subject_of
from core.desk.money_model import ContractBrief
from core.i18n import N_
from core.kernel.clock import WEST, local_date
from core.kernel.digits import normalise
from core.kernel.errors import CustomerError
from core.services.hand_invoices import HandLine

LINES = 4
_NO_ACCOUNT = N_("No contract has this account number.")


def add_pages(admin: Blueprint, parts: Parts, invoices: InvoiceParts) -> None:
    def show(contract: ContractBrief | None, typed: Mapping[str, str], refusal: Refusal | None = None) -> Response:
        body = page(
            "invoice_new.html", parts, c=contract, typed=typed, refusal=refusal, iw=invoice_words,
            levies=invoices.by_hand.levies(contract.contract_id) if contract else (), lines=range(1, LINES + 1),
            month=f"{local_date(parts.clock.now(), WEST):%Y-%m}", key=typed.get("key") or new_key(12),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/invoices/new")
    def new_invoice() -> Response:
        typed = plain(request.args.get("account", ""), 40)
        contract = invoices.desk.contract(normalise(typed)) if typed else None
        refusal = Refusal(say(_NO_ACCOUNT), 404) if typed and contract is None else None
        return show(contract, {"account": typed}, refusal)

    @admin.post("/invoices/new")
    def write_invoice() -> Response:
        form = {name: plain(value, 200) for name, value in request.form.items()}
        contract = invoices.desk.contract(normalise(form.get("account", "")))
        if contract is None:
            return show(None, form, Refusal(say(_NO_ACCOUNT), 404))

        def write() -> int:
            return invoices.by_hand.write(
                form.get("key", ""),
                contract.contract_id,
                period=form.get("month", ""),
                lines=_lines(form, contract.currency),
                besides=form.get("besides", "1") == "1",
            )

        answer = money.tried(lambda: in_a_sentence(write))
        if isinstance(answer, Refusal):
            return show(contract, form, answer)
        # Afterwards: it has no name before. A draft moves nothing yet.
        parts.staff.note(g.who.login, "invoice.written", subject_of(answer), f"account {contract.account}")
        return make_response(redirect(url_for("admin.invoice", invoice_id=answer, done="written"), 303))


def _lines(form: Mapping[str, str], currency: str) -> list[HandLine]:
    """The lines that were filled in. Raises CustomerError for an amount nobody can read."""
    found: list[HandLine] = []
    for n in range(1, LINES + 1):
        label, typed = form.get(f"label-{n}", "").strip(), form.get(f"amount-{n}", "").strip()
        if not label and not typed:
            continue
        amount = read_amount(typed, currency)
        if amount is None:
            raise CustomerError(N_("Line {n}: this is no amount."), n=str(n))
        prefix = f"levy-{n}-"
        found.append(HandLine(label, amount, tuple(name[len(prefix) :] for name in form if name.startswith(prefix))))
    return found
