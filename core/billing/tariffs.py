"""A version of a tariff as a value, and how its body is read and written.

Prices are decimal texts in units of the currency (`"0.0835"` USD a kWh), kept as whole millionths: no float touches
them. What each entry means stands in `docs/tariffs.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import pairwise
from typing import Any

from core.billing.errors import BadTariff, NoTariff
from core.i18n import N_
from core.kernel.money import CURRENCIES

MICRO = 1_000_000
KINDS = ("monthly", "consumption", "flat", "prepaid")
# What a levy may be taken of.
BASES = ("energy", "standing", "subscription", "flat")
_ENTRIES = {
    "consumption": {"blocks", "standing", "levies"},
    "monthly": {"subscription", "levies"},
    "flat": {"flat", "levies"},
    "prepaid": {"unit"},
}
_NEEDED = {"consumption": "blocks", "monthly": "subscription", "flat": "flat", "prepaid": "unit"}
_WHOLE_BP = 10_000


@dataclass(frozen=True, slots=True)
class Block:
    """Energy up to `upto_wh` a month (None: the rest) at `price_micro` millionths of a currency unit per kWh."""

    upto_wh: int | None
    price_micro: int


@dataclass(frozen=True, slots=True)
class Levy:
    """A tax or levy in basis points of the net lines named in `on`. `code` is its account; `name` is printed.

    `spares_social`: the first block is free of it.
    """

    code: str
    name: str
    basis_points: int
    on: tuple[str, ...] = BASES
    spares_social: bool = False


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version. Prices in millionths of a unit of `currency`; `standing` and `subscription` for a whole month."""

    id: int
    code: str
    name: str
    kind: str
    currency: str
    valid_from: date
    blocks: tuple[Block, ...] = ()
    standing_micro: int = 0
    subscription_micro: int = 0
    flat_micro: int = 0
    levies: tuple[Levy, ...] = ()
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Versions:
    """All versions of one code, the oldest first."""

    all: tuple[Tariff, ...] = field(default=())

    def on(self, day: date) -> Tariff:
        """The version in force on a day. Raises NoTariff."""
        found = [one for one in self.all if one.valid_from <= day]
        if not found:
            raise NoTariff(f"no version is in force on {day.isoformat()}")
        return found[-1]

    def pieces(self, from_on: date, until_on: date) -> list[tuple[Tariff, date, date]]:
        """The span cut where a version begins: (version, first day, day after the last). Raises NoTariff."""
        cuts = sorted({one.valid_from for one in self.all if from_on < one.valid_from < until_on})
        days = [from_on, *cuts, until_on]
        return [(self.on(first), first, after) for first, after in pairwise(days)]


def read(
    *, id: int, code: str, name: str, kind: str, currency: str, valid_from: date, body: Mapping[str, Any]
) -> Tariff:
    """A stored or typed tariff. Raises BadTariff, naming the entry."""
    if kind not in KINDS:
        raise BadTariff(N_("The kind is one of {known}."), known=", ".join(KINDS))
    if currency not in CURRENCIES:
        raise BadTariff(N_("The currency {name} is unknown."), name=currency[:8])
    strange = set(body) - _ENTRIES[kind]
    if strange:
        raise BadTariff(N_("{entry}: a tariff of this kind has no such entry."), entry=sorted(strange)[0])
    if _NEEDED[kind] not in body:
        raise BadTariff(N_("{entry}: a tariff of this kind needs it."), entry=_NEEDED[kind])
    unit = body.get("unit")
    if kind == "prepaid" and unit not in ("kwh", "day"):
        raise BadTariff(N_("unit: kwh or day. Its price stands with the prepaid prices."))
    return Tariff(
        id=id,
        code=code,
        name=name,
        kind=kind,
        currency=currency,
        valid_from=valid_from,
        blocks=_blocks(body["blocks"]) if "blocks" in body else (),
        standing_micro=_price(body.get("standing", "0"), "standing"),
        subscription_micro=_price(body.get("subscription", "0"), "subscription"),
        flat_micro=_price(body.get("flat", "0"), "flat"),
        levies=_levies(body.get("levies", [])),
        unit=unit,
    )


@lru_cache(maxsize=4096)
def price_text(micro: int) -> str:
    """Millionths as a decimal text without idle zeros: `0.0835`."""
    whole, rest = divmod(micro, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def _blocks(entries: object) -> tuple[Block, ...]:
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise BadTariff(N_("blocks: at least one."))
    blocks = []
    for number, entry in enumerate(entries, start=1):
        where = f"blocks {number}"
        if not isinstance(entry, Mapping) or not set(entry) <= {"upto_kwh", "per_kwh"} or "per_kwh" not in entry:
            raise BadTariff(N_("{entry}: its end (the last block has none) and its price per kWh."), entry=where)
        upto = entry.get("upto_kwh")
        if upto is not None and (type(upto) is not int or upto <= 0):
            raise BadTariff(N_("{entry}: it ends at a whole number of kWh."), entry=where)
        blocks.append(Block(None if upto is None else upto * 1000, _price(entry["per_kwh"], where)))
    limits = [block.upto_wh for block in blocks]
    if limits[-1] is not None or None in limits[:-1]:
        raise BadTariff(N_("blocks: the last one, and only it, has no end."))
    known = [limit for limit in limits if limit is not None]
    if known != sorted(set(known)):
        raise BadTariff(N_("blocks: each one ends above the one before."))
    return tuple(blocks)


def _levies(entries: object) -> tuple[Levy, ...]:
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise BadTariff(N_("levies: a list."))
    return tuple(_levy(entry, f"levies {number}") for number, entry in enumerate(entries, start=1))


def _levy(entry: object, where: str) -> Levy:
    if not isinstance(entry, Mapping) or not set(entry) <= {"code", "name", "percent", "on", "spares_social"}:
        raise BadTariff(N_("{entry}: code, name, percent, on, spares_social."), entry=where)
    code, name, on = entry.get("code"), entry.get("name"), entry.get("on", list(BASES))
    if not isinstance(code, str) or not 0 < len(code) <= 16 or not code.isidentifier() or code == "net":
        raise BadTariff(N_("{entry}: its code is a short word."), entry=where)
    if not isinstance(name, str) or not 0 < len(name) <= 40:
        raise BadTariff(N_("{entry}: its name is what is printed, 40 characters at most."), entry=where)
    if not isinstance(on, Sequence) or isinstance(on, str) or not on or not set(on) <= set(BASES):
        raise BadTariff(N_("{entry}: it is taken of one or more of {known}."), entry=where, known=", ".join(BASES))
    spares = entry.get("spares_social", False)
    if not isinstance(spares, bool):
        raise BadTariff(N_("{entry}: spares_social is true or false."), entry=where)
    rate = _micro(entry.get("percent"), f"{where} percent")
    basis_points, rest = divmod(rate * 100, MICRO)
    if rest or basis_points > _WHOLE_BP:
        raise BadTariff(N_("{entry}: per cent between 0 and 100, with two decimals at most."), entry=where)
    return Levy(code, name, basis_points, tuple(base for base in BASES if base in on), spares)


def _price(value: object, where: str) -> int:
    return _micro(value, where)


def _micro(value: object, where: str) -> int:
    """A decimal text, or a whole number, as millionths. A float is refused: 0.1 is not a tenth."""
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or len(value) > 18 or not value.replace(".", "", 1).isdigit():
        raise BadTariff(N_("{entry}: a decimal number as 140.5 is needed."), entry=where)
    try:
        scaled = Decimal(value) * MICRO
    except InvalidOperation as error:
        raise BadTariff(N_("{entry}: a decimal number as 140.5 is needed."), entry=where) from error
    if scaled != scaled.to_integral_value():
        raise BadTariff(N_("{entry}: six decimals at most."), entry=where)
    return int(scaled)
