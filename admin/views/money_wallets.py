"""The wallets: what each can do, how it fares now; and whose number is whose, which the office can edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, make_response, redirect, request, url_for

from admin.money import MoneyParts, Refusal, by, tried
from admin.parts import Parts, page, say
from admin.views.money_attempts import BRANDS
from core.desk.money_model import WalletFigures
from core.i18n import N_
from core.kernel.money import Money
from core.payments.ports import Capabilities
from core.services.payments.circuits import CircuitState


@dataclass(frozen=True, slots=True)
class WalletLine:
    """One configured wallet in the table. `rests_until` None: it is well."""

    name: str
    brands: tuple[str, ...]
    abilities: tuple[str, ...]
    figures: WalletFigures
    rests_until: datetime | None
    failures: int
    why: str


def add_pages(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    def show(refusal: Refusal | None = None, typed: Mapping[str, str] | None = None) -> Response:
        body = page(
            "money_wallets.html", parts, lines=_lines(money, parts.clock.real_now()), ranges=money.routing.ranges(),
            brands=BRANDS, refusal=refusal, typed=typed or {}, done=request.args.get("done"), zone=parts.zone,
            real_now=parts.clock.real_now(), idle=[b for b, names in money.routes.items() if not _served(money, names)],
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/money/wallets")
    def wallets() -> Response:
        return show()

    @admin.post("/money/numbers")
    def set_number() -> Response:
        typed = {name: request.form.get(name, "")[:60] for name in ("prefix", "operator", "brand")}
        # The service writes the entry of the audit log, in the transaction that changes the table.
        answer = tried(
            lambda: money.routing.set_range(typed["prefix"], typed["operator"], typed["brand"] or None, by())
        )
        if isinstance(answer, Refusal):
            return show(answer, typed)
        return make_response(redirect(url_for("admin.wallets", done="set", _anchor="numbers"), 303))

    @admin.post("/money/numbers/remove")
    def remove_number() -> Response:
        answer = tried(lambda: money.routing.remove_range(request.form.get("prefix", "")[:20], by()))
        if isinstance(answer, Refusal):
            return show(answer)
        return make_response(redirect(url_for("admin.wallets", done="removed", _anchor="numbers"), 303))


def _served(money: MoneyParts, names: Sequence[str]) -> bool:
    return any(name in money.wallets for name in names)


def _lines(money: MoneyParts, real_now: datetime) -> list[WalletLine]:
    circuits: dict[str, CircuitState] = {state.wallet: state for state in money.circuits()}
    figures = money.desk.wallet_figures(tuple(money.wallets))
    lines = []
    for name, wallet in money.wallets.items():
        state = circuits.get(name)
        until = state.open_until if state and state.open_until and state.open_until > real_now else None
        lines.append(
            WalletLine(
                name=name,
                brands=tuple(brand for brand, names in money.routes.items() if name in names),
                abilities=tuple(abilities(wallet.can)),
                figures=figures[name],
                rests_until=until,
                failures=state.failures if state else 0,
                why=state.why if state else "",
            )
        )
    return lines


def abilities(can: Capabilities) -> list[str]:
    """What an operator can do, one sentence each."""
    lines = [say(N_("takes {currencies}"), currencies=", ".join(can.decimals))]
    for currency, (lowest, highest) in can.limits.items():
        low = Money(lowest, currency).text if lowest is not None else "…"
        high = Money(highest, currency).text if highest is not None else "…"
        lines.append(say(N_("from {low} to {high}"), low=low, high=high))
    lines.append(
        say(N_("can be asked by our own number"))
        if can.query_by_own_id
        else say(N_("can be asked only by its own number"))
    )
    lines.append(say(_PROOFS[can.callback_proof]))
    lines.append(say(_REFUNDS[can.refunds]))
    lines.append(
        say(N_("hands out its report by itself")) if can.statements else say(N_("its report is uploaded by hand"))
    )
    if can.bill_number:
        lines.append(say(N_("takes payments by bill number")))
    lines.append(say(N_("the request on the phone lasts {n} s"), n=can.prompt_lifetime_s))
    return lines


_PROOFS = {
    "none": N_("its callbacks prove nothing: it is always asked"),
    "hash": N_("its callbacks carry a check sum, and it is asked all the same"),
    "signature": N_("its callbacks are signed"),
}
_REFUNDS = {
    "none": N_("cannot give money back"),
    "full": N_("can give back a whole payment"),
    "partial": N_("can give back a payment or a part of it"),
}
