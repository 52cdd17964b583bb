"""Tariffs: what is in force when, what something would cost, who has which, and a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, request, url_for
from werkzeug.exceptions import NotFound

from admin import tariff_form, words
from admin.csv_export import as_csv
from admin.metering import CSV_MAX, PAGE, MeteringParts, act, by, kwh, price, typed_wh
from admin.money import Refusal
from admin.parts import Parts, page, say
from core.billing.errors import NoTariff
from core.billing.tariff_rules import Charge, Use, charge, tax, total
from core.billing.tariffs import KINDS, MICRO, Tariff, Versions, price_text
from core.i18n import N_
from core.kernel.money import CURRENCIES, Money

_MONTH_DAYS = 30
_MOST_DAYS = 400
# What a levy can be taken of, by kind of tariff.
_PARTS = {"consumption": ("energy", "standing"), "monthly": ("subscription",), "flat": ("flat",), "prepaid": ()}


@dataclass(frozen=True, slots=True)
class Cost:
    """What was asked of the calculator, and its answer line by line. `refusal`: why there is none."""

    kwh: str
    days: str
    on: str
    lines: tuple[tuple[Charge, Money], ...] = ()
    total: Money | None = None
    tax: Money | None = None
    refusal: str = ""


def add_pages(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    _add_list(admin, parts, metering)
    _add_one(admin, parts, metering)
    _add_versions(admin, parts, metering)


def _add_list(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def books() -> dict[str, list[Tariff]]:
        """code → its versions, the newest first."""
        found: dict[str, list[Tariff]] = {}
        for one in metering.tariffs.all():
            found.setdefault(one.code, []).append(one)
        return found

    @admin.get("/tariffs")
    def tariffs() -> Response:
        today = metering.tariffs.today()
        lines = [(code, in_force(all_, today) or all_[-1], all_) for code, all_ in books().items()]
        body = page(
            "tariffs.html", parts, lines=lines, today=today, uses=metering.tariffs.uses(), said=said, kinds=KINDS,
        )  # fmt: skip
        return make_response(body)

    @admin.get("/tariffs.csv")
    def export_tariffs() -> Response:
        parts.staff.note(g.who.login, "tariffs.exported", "all")
        head = (
            N_("Code"), N_("Name"), N_("Kind"), N_("Currency"), N_("First day"), N_("Prices"), N_("Taxes and levies"),
        )  # fmt: skip
        rows = (
            (
                one.code, one.name, say(words.name("tariff_kind", one.kind)), one.currency,
                one.valid_from.strftime("%d/%m/%Y"), "; ".join(said(one)),
                "; ".join(f"{levy.name} {price_text(levy.basis_points * 10_000)} %" for levy in one.levies),
            )
            for one in metering.tariffs.all()[:CSV_MAX]
        )  # fmt: skip
        return as_csv("tariffs.csv", head, rows)


def in_force(newest_first: list[Tariff], day: date) -> Tariff | None:
    return next((one for one in newest_first if one.valid_from <= day), None)


def said(one: Tariff) -> list[str]:
    """A version's prices, one sentence each."""
    lines, begin = [], 0
    for block in one.blocks:
        each = price(block.price_micro, one.currency)
        if block.upto_wh is None:
            text = N_("above {a} kWh: {price} a kWh") if begin else N_("{price} a kWh")
            lines.append(say(text, a=kwh(begin), price=each))
        else:
            lines.append(say(N_("{a} to {b} kWh: {price} a kWh"), a=kwh(begin), b=kwh(block.upto_wh), price=each))
            begin = block.upto_wh
    for micro, text in (
        (one.standing_micro, N_("standing charge {price} a month")),
        (one.subscription_micro, N_("{price} a month")),
        (one.flat_micro, N_("{price} a month, however many days")),
    ):
        if micro:
            lines.append(say(text, price=price(micro, one.currency)))
    if one.unit:
        lines.append(say(N_("prepaid by the kWh")) if one.unit == "kwh" else say(N_("prepaid by the day")))
    return lines


def _add_one(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def found(code: str) -> Versions:
        versions = metering.tariffs.versions(code[:20])
        if versions is None:
            raise NotFound
        return versions

    @admin.get("/tariffs/of/<code>")
    def tariff(code: str) -> Response:
        versions, today = found(code), metering.tariffs.today()
        newest_first = list(reversed(versions.all))
        body = page(
            "tariff.html", parts, code=code, versions=newest_first, today=today, said=said,
            now=in_force(newest_first, today), ends=_ends(versions), cost=_cost(versions, today), kwh=kwh,
            price_text=price_text, price=price, price_of=_price_of, parts_of=_PARTS,
            uses=metering.tariffs.uses().get(code, 0),
            done=say(N_("Written. No older version was changed.")) if request.args.get("done") else "",
        )  # fmt: skip
        return make_response(body)

    @admin.get("/tariffs/of/<code>/contracts")
    def tariff_contracts(code: str) -> Response:
        found(code)
        after = max(0, request.args.get("after", default=0, type=int))
        rows = metering.tariffs.contracts(code, after=after, limit=PAGE + 1)
        body = page(
            "tariff_contracts.html", parts, code=code, rows=rows[:PAGE],
            more=rows[PAGE - 1].id if len(rows) > PAGE else None, count=metering.tariffs.uses().get(code, 0),
        )  # fmt: skip
        return make_response(body)

    @admin.get("/tariffs/of/<code>/contracts.csv")
    def export_tariff_contracts(code: str) -> Response:
        found(code)
        parts.staff.note(g.who.login, "tariff.contracts_exported", code)
        head = (N_("Account"), N_("Customer"), N_("Kind"), N_("Currency"))
        rows = metering.tariffs.contracts(code, limit=CSV_MAX)
        return as_csv(
            f"contracts-{code}.csv",
            head,
            ((r.account_number, r.customer, say(words.name("tariff_kind", r.kind)), r.currency) for r in rows),
        )


def _price_of(text: str, currency: str) -> str:
    """A line's price, kept as a decimal text, as people read it."""
    return price(int(Decimal(text) * MICRO), currency)


def _ends(versions: Versions) -> dict[int, date]:
    """version → its last day, where another one follows."""
    one_day = timedelta(days=1)
    return {a.id: b.valid_from - one_day for a, b in zip(versions.all, versions.all[1:], strict=False)}


def _cost(versions: Versions, today: date) -> Cost | None:
    """The calculator's answer to this address; None where nothing was asked."""
    asked = {name: request.args.get(name, "").strip()[:20] for name in ("kwh", "days", "on")}
    if not asked["days"]:
        return None
    empty = Cost(asked["kwh"], asked["days"], asked["on"])
    wh = typed_wh(asked["kwh"] or "0")
    days = int(asked["days"]) if asked["days"].isascii() and asked["days"].isdigit() else 0
    if wh is None or not 0 < days <= _MOST_DAYS:
        why = N_("Write kWh as a number, and 1 to {n} days.")
        return _with(empty, refusal=say(why, n=_MOST_DAYS))
    try:
        first = date.fromisoformat(asked["on"]) if asked["on"] else today
        charges = charge(versions, Use(first, first + timedelta(days=days), _MONTH_DAYS, wh))
    except (ValueError, OverflowError) as error:
        sentence = N_("No version is in force then.") if isinstance(error, NoTariff) else N_("This is no date.")
        return _with(empty, refusal=say(sentence))
    currency = versions.all[-1].currency
    return _with(
        empty,
        lines=tuple((one, Money(one.amount_minor, currency)) for one in charges),
        total=Money(total(charges), currency),
        tax=Money(tax(charges), currency),
    )


def _with(cost: Cost, **answer: Any) -> Cost:
    return Cost(cost.kwh, cost.days, cost.on, **answer)


def _add_versions(admin: Blueprint, parts: Parts, metering: MeteringParts) -> None:
    def show(typed: dict[str, str], *, known: bool, refusal: Refusal | None = None) -> Response:
        body = page(
            "tariff_new.html", parts, typed=typed, known=known, refusal=refusal, kinds=KINDS, parts_of=_PARTS,
            currencies=sorted(CURRENCIES), blocks=range(1, tariff_form.BLOCKS + 1),
            levies=range(1, tariff_form.LEVIES + 1), today=metering.tariffs.today(),
        )  # fmt: skip
        return make_response(body, refusal.status if refusal else 200)

    @admin.get("/tariffs/new")
    def new_tariff() -> Response:
        code, today = request.args.get("code", "")[:20], metering.tariffs.today()
        versions = metering.tariffs.versions(code) if code else None
        if versions is None:
            return show(tariff_form.blank(request.args.get("kind", ""), today), known=False)
        begins = max(today, versions.all[-1].valid_from) + timedelta(days=1)
        return show(tariff_form.of_version(versions.all[-1], begins), known=True)

    @admin.post("/tariffs/new")
    def add_tariff() -> Response:
        form, known = tariff_form.read(), request.form.get("known") == "yes"
        if isinstance(form, Refusal):
            return show(tariff_form.typed(), known=known, refusal=form)
        valid_from, code = form.valid_from, form["code"]
        if valid_from is None or not code.replace("-", "").replace("_", "").isalnum():
            why = N_("A code is letters, digits, hyphens: as BT-CDF.")
            return show(tariff_form.typed(), known=known, refusal=Refusal(say(why), 400))
        answer = act(
            parts, "tariff.version_added", code, f"{valid_from.isoformat()} {form.body}",
            lambda: metering.tariffs.add(
                code, name=form["name"], kind=form["kind"], currency=form["currency"], valid_from=valid_from,
                body=form.body, by=by(),
            ),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return show(tariff_form.typed(), known=known, refusal=answer)
        return make_response(redirect(url_for("admin.tariff", code=code, done="new"), 303))
