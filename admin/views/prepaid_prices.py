"""Prepaid prices: what a kWh or a day costs from which day on, and a new version."""

from __future__ import annotations

from datetime import date

from flask import Blueprint, Response, g, make_response, redirect, request, url_for

from admin import words
from admin.csv_export import as_csv
from admin.metering import MeteringParts, act, by, typed_number
from admin.money import Refusal
from admin.parts import Parts, page, say
from core.i18n import N_
from core.kernel.money import CURRENCIES, BadAmount, Money
from core.prepaid.model import Price, Unit
from core.prepaid.use_rules import in_force

UNITS: tuple[Unit, ...] = ("kwh", "day")


def add_pages(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def show(refusal: Refusal | None = None, typed: dict[str, str] | None = None) -> Response:
        prices, today = metering.prepaid.prices(), metering.tariffs.today()
        body = page(
            "tariffs_prepaid.html", parts, prices=prices, now=_in_force(prices, today), today=today, units=UNITS,
            currencies=sorted(CURRENCIES), refusal=refusal, typed=typed or {}, percent=_percent,
            done=say(N_("Written. No older version was changed.")) if request.args.get("done") else "",
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/tariffs/prepaid")
    def prepaid_prices() -> Response:
        return show()

    @admin.get("/tariffs/prepaid.csv")
    def export_prepaid_prices() -> Response:
        parts.staff.note(g.who.login, "prepaid.prices_exported", "all")
        head = (
            N_("Unit"), N_("Currency"), N_("Version"), N_("Price, tax included"), N_("Tax, %"), N_("Levy"),
            N_("First day"),
        )  # fmt: skip
        rows = (
            (
                say(words.name("unit", p.unit)), p.each.currency, p.version, p.each.text, _percent(p), p.levy,
                p.valid_from.strftime("%d/%m/%Y"),
            )
            for p in metering.prepaid.prices()
        )  # fmt: skip
        return as_csv("prepaid-prices.csv", head, rows)

    @admin.post("/tariffs/prepaid")
    def add_prepaid_price() -> Response:
        typed = {n: request.form.get(n, "").strip()[:40] for n in ("unit", "currency", "price", "tax", "valid_from")}
        read = _read(typed)
        if isinstance(read, Refusal):
            return show(read, typed)
        unit, each, points, valid_from = read
        if valid_from < metering.tariffs.today():
            return show(Refusal(say(N_("This day is over: a price does not change the past.")), 400), typed)
        answer = act(
            parts, "prepaid.price_added", f"{unit} {each.currency}", f"{each.text} from {valid_from.isoformat()}",
            lambda: metering.prepaid.set_price(unit, each, tax_basis_points=points, valid_from=valid_from, by=by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(answer, typed)
        return make_response(redirect(url_for("admin.prepaid_prices", done="new"), 303))


def _in_force(prices: list[Price], today: date) -> list[int]:
    """The versions that count today."""
    keys = {(price.unit, price.each.currency) for price in prices}
    found = [in_force([p for p in prices if (p.unit, p.each.currency) == key], today) for key in keys]
    return [price.id for price in found if price is not None]


def _percent(price: Price) -> str:
    whole, rest = divmod(price.tax_basis_points, 100)
    return f"{whole},{rest:02d}" if rest else str(whole)


def _read(typed: dict[str, str]) -> tuple[Unit, Money, int, date] | Refusal:
    """(unit, price, tax in basis points, first day), or what is wrong."""
    unit: Unit = "day" if typed["unit"] == "day" else "kwh"
    if typed["unit"] not in UNITS or typed["currency"] not in CURRENCIES:
        return Refusal(say(N_("Choose a unit and a currency.")), 400)
    try:
        each = Money.parse(typed_number(typed["price"]), typed["currency"])
        points = Money.parse(typed_number(typed["tax"] or "0"), "USD").minor
    except BadAmount:
        return Refusal(say(N_("Price and tax are numbers with two decimals at most.")), 400)
    try:
        return unit, each, points, date.fromisoformat(typed["valid_from"])
    except ValueError:
        return Refusal(say(N_("This is no date.")), 400)
