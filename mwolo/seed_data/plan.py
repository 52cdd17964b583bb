"""Who lives in the town. Pure and deterministic: person number n is the same in a town of any size."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from core.kernel.digits import with_check
from core.kernel.money import Money
from mwolo.seed_data.people import BUSINESSES, FIRST_NAMES, LAST_NAMES, PROTECTED
from mwolo.seed_data.places import CITIES, City

ContractKind = Literal["monthly", "consumption", "flat", "prepaid"]
# What an invoice has come to by the time the demo starts.
Fate = Literal[
    "scenario", "paid", "partly", "overpaid", "fresh", "reminded", "warned", "cut", "draft", "validated", "cancelled",
    "disputed", "estimated", "prepaid",
]  # fmt: skip

# The first so many have a meter with a radio, which the box simulates; the others show the other ways to switch.
RADIO_METERS = 40
_KINDS: tuple[ContractKind, ...] = ("monthly", "consumption", "monthly", "flat", "consumption", "monthly", "prepaid")
_FATES: tuple[Fate, ...] = (
    "paid", "fresh", "paid", "partly", "reminded", "paid", "validated", "fresh", "paid", "warned", "overpaid", "draft",
    "cut", "paid", "fresh", "cancelled", "paid", "partly", "fresh", "estimated", "paid", "disputed", "fresh", "paid",
    "reminded",
)  # fmt: skip
_CONTROLS = ("openpaygo_token", "manual", "sts_token", "manual", "none", "openpaygo_token", "sts_token")
_PREFIXES = {"mpesa": ("81", "82", "83"), "airtel": ("97", "98", "99"), "orange": ("84", "85", "89")}
_BRANDS = ("mpesa", "airtel", "orange", "mpesa", "airtel", "mpesa")


@dataclass(frozen=True, slots=True)
class Person:
    """One customer with one contract. `purse`: what lies in the wallet, in whole units of `currency`."""

    number: int
    name: str
    kind: str
    language: str
    phone: str
    brand: str
    wallet_pin: str
    purse: int
    city: City
    commune: str
    address: str
    protected: str | None
    contract_kind: ContractKind
    currency: str
    account: str
    meter: str
    control_kind: str
    fate: Fate
    bill: Money


@dataclass(frozen=True, slots=True)
class Seller:
    """A field agent: sells from a float. `purse`: what lies in the own wallet, in whole units of the float's money."""

    code: str
    name: str
    phone: str
    brand: str
    city: City
    language: str
    pin: str
    wallet_pin: str
    float_: Money
    credit_limit: Money
    purse: int


@dataclass(frozen=True, slots=True)
class Errand:
    """A sale in the days before the demo starts. `key` is the same in a town of any size."""

    key: str
    seller: str
    account: str
    amount: Money
    days_back: int
    hour: int


def person(number: int) -> Person:
    """The `number`-th customer, counted from 0. Number 0 is the one of the scenario."""
    if number == 0:
        return _of_the_scenario()
    chance = random.Random(f"mwolo:{number}")  # noqa: S311 (a town, not a secret)
    city = chance.choices(CITIES, weights=[city.weight for city in CITIES])[0]
    brand = _BRANDS[number % len(_BRANDS)]
    name, kind, protected = _called(number, city, chance)
    contract_kind = _KINDS[number % len(_KINDS)]
    currency = "USD" if number % 17 == 9 else "CDF"
    return Person(
        number=number,
        name=name,
        kind=kind,
        language=chance.choice(city.languages),
        phone=_phone(number, brand),
        brand=brand,
        wallet_pin=f"{1000 + chance.randrange(9000)}",
        purse=_purse(number, currency, chance),
        city=city,
        commune=chance.choice(city.communes),
        address=f"{chance.randrange(1, 240)} {chance.choice(city.streets)}",
        protected=protected,
        contract_kind=contract_kind,
        currency=currency,
        account=_account(number),
        meter=_meter(number),
        control_kind=_control(number, contract_kind),
        fate="prepaid" if contract_kind == "prepaid" else _FATES[number % len(_FATES)],
        bill=_bill(contract_kind, currency, kind, chance),
    )


def people(size: int) -> list[Person]:
    return [person(number) for number in range(size)]


def sellers() -> tuple[Seller, ...]:
    """An agent for each wallet brand, and one who sells for dollars."""
    kinshasa, lubumbashi, goma = CITIES[0], CITIES[2], CITIES[3]

    def francs(units: int) -> Money:
        return Money.units(units, "CDF")

    return (
        Seller("A001", "Kiosque Maman Zala", "+243810009001", "mpesa", kinshasa, "fr", "4821", "1111",
               francs(350_000), francs(50_000), 400_000),
        Seller("A002", "Alimentation Kabwe", "+243970009002", "airtel", lubumbashi, "sw", "7350", "2222",
               francs(180_000), francs(0), 400_000),
        Seller("A003", "Cabine Bahati", "+243840009003", "orange", goma, "sw", "9364", "3333",
               francs(25_000), francs(0), 400_000),
        Seller("A004", "Dépôt Mukendi", "+243820009004", "mpesa", kinshasa, "fr", "6205", "4444",
               Money.units(150, "USD"), Money.units(20, "USD"), 300),
    )  # fmt: skip


def errands(town: list[Person]) -> list[Errand]:
    """What the agents sold in the last days, to people who owe nothing: it is credit for their next invoice."""
    found = []
    for currency, amount in (("CDF", 2_500), ("USD", 4)):
        shops = [seller for seller in sellers() if seller.float_.currency == currency]
        buyers = [p for p in town if p.currency == currency and p.fate in ("paid", "overpaid")][:8]
        for count, buyer in enumerate(buyers):
            shop = shops[count % len(shops)]
            paid = Money.units(amount * (1 + (count + count // 3) % 3), currency)
            found.append(
                Errand(f"{shop.code}:{buyer.number}", shop.code, buyer.account, paid, count % 4, 6 + count // 2 % 3)
            )
    return found


def _of_the_scenario() -> Person:
    return Person(
        number=0,
        name="Mireille Kabeya Mbuyi",
        kind="household",
        language="fr",
        phone="+243810000001",
        brand="mpesa",
        wallet_pin="1234",
        purse=150_000,
        city=CITIES[0],
        commune="Lemba",
        address="24 av. de l'Université",
        protected=None,
        contract_kind="monthly",
        currency="CDF",
        account=_account(0),
        meter=_meter(0),
        control_kind="mqtt_relay",
        fate="scenario",
        bill=Money.units(28_500, "CDF"),
    )


def _called(number: int, city: City, chance: random.Random) -> tuple[str, str, str | None]:
    """(name, kind of customer, why protected)."""
    if number % 50 == 44:
        name, why = PROTECTED[number // 50 % len(PROTECTED)]
        return f"{name} ({city.name})", "public", why
    if number % 9 == 5:
        return f"{chance.choice(BUSINESSES)} ({city.name})", "business", None
    family = chance.sample(LAST_NAMES[city.code], 2)
    return f"{chance.choice(FIRST_NAMES)} {' '.join(family)}", "household", None


def _control(number: int, contract_kind: ContractKind) -> str:
    if number < RADIO_METERS:
        return "mqtt_relay"
    # Nobody sells STS tokens in the box: who pays in advance there types OpenPAYGO tokens.
    return "openpaygo_token" if contract_kind == "prepaid" else _CONTROLS[number % len(_CONTROLS)]


def _phone(number: int, brand: str) -> str:
    prefixes = _PREFIXES[brand]
    return f"+243{prefixes[number // 6 % len(prefixes)]}{number + 1:07d}"


def _account(number: int) -> str:
    # Spread over the nine digits, so that neighbours in the books do not look alike on a keypad.
    return with_check(f"{200_000_000 + number * 7_368_787 % 799_999_999:09d}")


def _meter(number: int) -> str:
    return f"MW{24_000_000 + number * 13:08d}"


def _purse(number: int, currency: str, chance: random.Random) -> int:
    if number % 11 == 7:
        return 3 if currency == "USD" else 2_500  # somebody always has too little
    return chance.randrange(15, 220) if currency == "USD" else chance.randrange(40, 600) * 1_000


def _bill(contract_kind: ContractKind, currency: str, kind: str, chance: random.Random) -> Money:
    factor = 4 if kind != "household" else 1
    if currency == "USD":
        return Money(chance.randrange(900, 6_500) * factor, "USD")
    if contract_kind == "flat":
        return Money.units(15_000 * factor, "CDF")
    return Money.units(chance.randrange(84, 520) * 100 * factor, "CDF")
