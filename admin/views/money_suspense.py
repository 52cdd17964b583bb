"""Money that nobody could place yet: how old it is, where it may belong, and putting it there by two people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin.csv_export import as_csv
from admin.money import MoneyParts, Refusal, act, by, payer
from admin.parts import Parts, day_time, page, say
from core.desk.money_model import ContractBrief
from core.i18n import N_
from core.kernel.digits import is_account_number, normalise
from core.kernel.money import Money
from core.reconciliation.model import AgeBand, SuspenseItem
from core.services.reconciliation.suspense import BANDS

_ID = re.compile(r"[0-9a-f-]{1,36}")
_PAGE, _EXPORT_LIMIT = 50, 2_000
_HEAD = [
    N_("Time"), N_("Days"), N_("Receipt"), N_("Wallet"), N_("Operator's transaction"), N_("Currency"), N_("Amount"),
    N_("Payer"), N_("Typed"), N_("Flag"), N_("Account"), N_("Reason"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of suspense share."""

    parts: Parts
    money: MoneyParts

    def found_item(self, payment_id: str) -> SuspenseItem:
        found = self.money.reconciliation.suspense_item(payment_id) if _ID.fullmatch(payment_id) else None
        if found is None:
            raise NotFound
        return found

    def show(self, item: SuspenseItem, refusal: Refusal | None = None, typed: str = "") -> Response:
        body = page(
            "money_suspense_item.html",
            self.parts,
            i=item,
            refusal=refusal,
            payer=payer,
            zone=self.parts.zone,
            typed=typed,
            me=by(),
            done=request.args.get("done"),
        )
        return make_response(body, refusal.status if refusal else 200)

    def confirm(
        self, item: SuspenseItem, contract: ContractBrief, refusal: Refusal | None = None, note: str = ""
    ) -> Response:
        second = item.asked is not None and item.asked.contract_id == contract.contract_id and item.asked.by != by()
        body = page(
            "money_place.html",
            self.parts,
            i=item,
            c=contract,
            refusal=refusal,
            note=note,
            payer=payer,
            zone=self.parts.zone,
            second=second,
            fits=contract.state == "active" and contract.currency == item.amount.currency,
        )
        return make_response(body, refusal.status if refusal else 200)


def add_pages(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    pages = _Pages(parts, money)
    _add_looks(admin, pages)
    _add_acts(admin, pages)


def _add_looks(admin: Blueprint, pages: _Pages) -> None:
    parts, money = pages.parts, pages.money

    @admin.get("/money/suspense")
    def suspense() -> Response:
        after = request.args.get("after", "")
        after = after if _ID.fullmatch(after) else ""
        wallet = request.args.get("wallet", "")
        wallet = wallet if wallet in money.wallets else ""
        found = money.reconciliation.suspense(_PAGE, after or None, wallet=wallet or None)
        body = page(
            "money_suspense.html", parts, found=found, ages=_ages(money.reconciliation.ageing()), spans=_SPANS,
            payer=payer, older=found[-1].payment_id if len(found) == _PAGE else "", zone=parts.zone, wallet=wallet,
            done=request.args.get("done"), me=by(),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/money/suspense.csv")
    def export_suspense() -> Response:
        found = money.reconciliation.suspense(_EXPORT_LIMIT)
        parts.staff.note(g.who.login, "export.suspense", "all", f"{len(found)} rows")
        return as_csv("suspense.csv", _HEAD, [_row(item, parts.zone) for item in found])

    @admin.get("/money/suspense/<payment_id>")
    def suspense_item(payment_id: str) -> Response:
        return pages.show(pages.found_item(payment_id))


def _add_acts(admin: Blueprint, pages: _Pages) -> None:
    parts, money = pages.parts, pages.money

    @admin.get("/money/suspense/<payment_id>/place")
    def check_placing(payment_id: str) -> Response:
        item, typed = pages.found_item(payment_id), request.args.get("account", "")[:40]
        chosen = request.args.get("contract", type=int)
        if typed.strip():
            account = normalise(typed)
            if not is_account_number(account):
                return pages.show(
                    item, Refusal(say(N_("This is no account number: its check digit does not fit.")), 400), typed
                )
            contract = money.desk.contract_by_account(account)
        else:
            contract = money.desk.contract_by_id(chosen) if chosen is not None else None
            if chosen is None:
                return pages.show(item, Refusal(say(N_("Choose a contract, or type an account number.")), 400))
        if contract is None:
            return pages.show(item, Refusal(say(N_("No contract has this account number.")), 404), typed)
        return pages.confirm(item, contract)

    @admin.post("/money/suspense/<payment_id>/place")
    def place(payment_id: str) -> Response:
        item, note = pages.found_item(payment_id), request.form.get("note", "").strip()[:200]
        contract = money.desk.contract_by_id(request.form.get("contract", default=0, type=int))
        if contract is None:
            return pages.show(item, Refusal(say(N_("Choose a contract, or type an account number.")), 400))
        if not note:
            return pages.confirm(item, contract, Refusal(say(N_("Write down why it belongs there.")), 400))
        answer = act(
            parts, "suspense.place", item.receipt_number, f"{item.amount.text} on {contract.account}: {note}",
            lambda: money.reconciliation.place(payment_id, contract.contract_id, by(), note),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.confirm(item, contract, answer, note)
        if answer.done:
            return make_response(redirect(url_for("admin.suspense", done="placed"), 303))
        return make_response(redirect(url_for("admin.suspense_item", payment_id=payment_id, done="asked"), 303))

    @admin.post("/money/suspense/<payment_id>/withdraw")
    def withdraw_placing(payment_id: str) -> Response:
        item = pages.found_item(payment_id)
        answer = act(
            parts, "suspense.placing_withdrawn", item.receipt_number, item.amount.text,
            lambda: money.reconciliation.withdraw_placing(payment_id, by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show(item, answer)
        return make_response(redirect(url_for("admin.suspense_item", payment_id=payment_id, done="withdrawn"), 303))


@dataclass(frozen=True, slots=True)
class Ages:
    """One line of the summary: what waits of one wallet and currency, by age. `cells` as BANDS; None: nothing."""

    wallet: str
    currency: str
    cells: tuple[tuple[int, Money] | None, ...]


def _ages(bands: Sequence[AgeBand]) -> list[Ages]:
    found = {(band.wallet, band.currency, band.from_days): (band.count, band.minor) for band in bands}
    lines = []
    for wallet, currency in sorted({(band.wallet, band.currency) for band in bands}):
        figures = [found.get((wallet, currency, start)) for start in BANDS]
        cells = tuple((figure[0], Money(figure[1], currency)) if figure else None for figure in figures)
        lines.append(Ages(wallet, currency, cells))
    return lines


# (first day, last day) of each column; the last one has no end.
_SPANS = tuple(zip(BANDS, (*(start - 1 for start in BANDS[1:]), None), strict=True))


def _row(item: SuspenseItem, zone: str) -> list[object]:
    best = item.proposals[0] if item.proposals else None
    return [
        day_time(item.received_at, zone), item.age_days, item.receipt_number, item.wallet, item.provider_txn_id or "",
        item.amount.currency, item.amount.decimal_text(2), payer(item.payer), item.reference or "", item.flag or "",
        best.account_number if best else "", say(best.why) if best else "",
    ]  # fmt: skip
