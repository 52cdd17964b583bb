"""A version of a tariff as a form says it. What the numbers may be is for `core.billing.tariffs` to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import request

from admin.metering import typed_number
from admin.money import Refusal
from admin.parts import say
from core.billing.tariffs import BASES, KINDS, Tariff, price_text
from core.i18n import N_
from core.kernel.money import CURRENCIES

BLOCKS, LEVIES = 6, 4
_FIELDS = ("code", "name", "kind", "currency", "valid_from", "standing", "subscription", "flat", "unit")
# What a tariff may have besides what it needs.
_PRICES = {"consumption": ("standing",), "monthly": ("subscription",), "flat": ("flat",), "prepaid": ()}


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, to be shown again; and what it says."""

    typed: Mapping[str, str]
    valid_from: date | None
    body: dict[str, Any]

    def __getitem__(self, name: str) -> str:
        return self.typed.get(name, "")


def blank(kind: str, today: date) -> dict[str, str]:
    """A form that says nothing yet."""
    return {"kind": kind if kind in KINDS else "consumption", "currency": "CDF", "valid_from": today.isoformat()}


def of_version(tariff: Tariff, valid_from: date) -> dict[str, str]:
    """The form of a new version as it stands before anybody changes something: like this one."""
    typed = {
        "code": tariff.code, "name": tariff.name, "kind": tariff.kind, "currency": tariff.currency,
        "valid_from": valid_from.isoformat(), "unit": tariff.unit or "",
        "standing": _shown(tariff.standing_micro), "subscription": _shown(tariff.subscription_micro),
        "flat": _shown(tariff.flat_micro),
    }  # fmt: skip
    for number, block in enumerate(tariff.blocks, start=1):
        typed[f"upto{number}"] = "" if block.upto_wh is None else str(block.upto_wh // 1000)
        typed[f"price{number}"] = _shown(block.price_micro)
    for number, levy in enumerate(tariff.levies, start=1):
        typed[f"levy{number}"], typed[f"levyname{number}"] = levy.code, levy.name
        typed[f"percent{number}"] = _shown(levy.basis_points * 10_000)
        typed[f"spares{number}"] = "yes" if levy.spares_social else ""
        typed.update({f"on{number}-{base}": "yes" for base in levy.on})
    return typed


def _shown(micro: int) -> str:
    """Millionths as they are typed here: with a decimal comma."""
    return price_text(micro).replace(".", ",")


def read() -> Form | Refusal:
    """The form of this request. What cannot even be put together is refused here, the rest by the core."""
    names = [*_FIELDS, *(f"{n}{i}" for i in range(1, BLOCKS + 1) for n in ("upto", "price"))]
    names += [f"{n}{i}" for i in range(1, LEVIES + 1) for n in ("levy", "levyname", "percent", "spares")]
    names += [f"on{i}-{base}" for i in range(1, LEVIES + 1) for base in BASES]
    typed = {name: request.form.get(name, "").strip()[:80] for name in names}
    try:
        valid_from = date.fromisoformat(typed["valid_from"])
    except ValueError:
        return Refusal(say(N_("This is no date.")), 400)
    if typed["kind"] not in KINDS or typed["currency"] not in CURRENCIES:
        return Refusal(say(N_("Choose a kind and a currency.")), 400)
    return Form(typed, valid_from, _body(typed))


def typed() -> dict[str, str]:
    """Everything that was typed, to be shown again after a refusal."""
    sent = {name: value[:80] for name, value in request.form.items() if name != "csrf_token"}
    return {**sent, "kind": sent["kind"] if sent.get("kind") in KINDS else "consumption"}


def _body(typed: Mapping[str, str]) -> dict[str, Any]:
    kind = typed["kind"]
    body: dict[str, Any] = {
        name: typed_number(typed[name]) for name in _PRICES[kind] if typed[name] or name != "standing"
    }
    if kind == "prepaid":
        return {"unit": typed["unit"]}
    if kind == "consumption":
        body["blocks"] = [
            {**_upto(typed[f"upto{n}"]), "per_kwh": typed_number(typed[f"price{n}"])}
            for n in range(1, BLOCKS + 1)
            if typed[f"upto{n}"] or typed[f"price{n}"]
        ]
    levies = [
        {
            "code": typed[f"levy{n}"],
            "name": typed[f"levyname{n}"],
            "percent": typed_number(typed[f"percent{n}"]),
            "on": [base for base in BASES if typed[f"on{n}-{base}"]] or list(BASES),
            "spares_social": bool(typed[f"spares{n}"]),
        }
        for n in range(1, LEVIES + 1)
        if typed[f"levy{n}"] or typed[f"percent{n}"]
    ]
    return {**body, "levies": levies} if levies else body


def _upto(text: str) -> dict[str, Any]:
    """The end of a block; whatever is no whole number is left to the core to refuse."""
    plain = typed_number(text)
    return {"upto_kwh": int(plain) if plain.isascii() and plain.isdigit() else plain} if plain else {}
