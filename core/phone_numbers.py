"""Telephone numbers: read what people type, write what partners want, guess the wallet from the prefix.

What the product ships; what the office has written about prefixes is in `core.services.routing`. Numbers are kept as
E.164 with the plus; the four wire formats are derived at the edge. The prefix only proposes a wallet: it never decides
whether somebody may pay, and it never blocks a payment.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import StringIO
from typing import Literal, cast, get_args

import phonenumbers
from phonenumbers import carrier

Brand = Literal["mpesa", "airtel", "orange"]

COUNTRY_CODE = "243"
_COUNTRY = "+" + COUNTRY_CODE
_NATIONAL_DIGITS = 9
# Longer than any number with its blanks and brackets. The library scans whatever it is given.
_LONGEST_TYPED = 40
# Whose payers a wallet of this currency has: the region of a number typed without its code, and an example of one.
_COUNTRY_OF_CURRENCY = {"KES": ("+254", "KE", "0712345678")}
_HOME = (_COUNTRY, "CD", "0812345678")
# What the library calls an operator, and the wallet that goes with it.
_BRAND_OF_CARRIER: Mapping[str, Brand] = {
    "Vodacom": "mpesa",
    "Safaricom": "mpesa",
    "Airtel": "airtel",
    "Orange": "orange",
}


class NotCongolese(ValueError):
    """A wire format that exists only for nine-digit numbers of the country."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """One row of the prefix table. `brand` None: an operator whose wallet we cannot reach."""

    digits: str
    operator: str
    brand: Brand | None


def parse_e164(text: str, region: str = "CD") -> str | None:
    """What somebody typed or a gateway sent, as E.164 with the plus; None when it is no number in use.

    `region` is the country of a number written without its code. "0812345678", "812345678", "243812345678",
    "00243812345678" and even "+2430812345678" are one number. Letters and extensions are refused.
    """
    if len(text) > _LONGEST_TYPED or any(c.isalpha() for c in text):
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # Parsing alone accepts +24392...: digits in a row, but of no operator.
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_mobile(phone: str) -> bool:
    """Whether this is an E.164 number that a person may hold in her hand. Names, short codes, landlines, and numbers
    that cost whoever answers them are not."""
    if not phone.startswith("+") or parse_e164(phone) != phone:
        return False
    kind = phonenumbers.number_type(phonenumbers.parse(phone))
    return kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


def is_at_home(phone: str) -> bool:
    """Whether an E.164 number belongs to a country whose wallets we reach."""
    return phone.startswith((_HOME[0], *(code for code, _, _ in _COUNTRY_OF_CURRENCY.values())))


def international(phone: str) -> str:
    """`243812345678`: Vodacom, pawaPay."""
    return phone.removeprefix("+")


def national(phone: str) -> str:
    """`812345678`: Airtel, Orange B2B. Raises NotCongolese for a number that has no such form."""
    digits = phone.removeprefix(_COUNTRY)
    if digits == phone or len(digits) != _NATIONAL_DIGITS:
        raise NotCongolese(masked(phone))
    return digits


def trunk(phone: str) -> str:
    """`0812345678`: Orange SOAP, and how people say it. Raises NotCongolese."""
    return "0" + national(phone)


def masked(phone: str) -> str:
    """`081***0001`: enough to recognise one's own number, too little to call somebody. For logs and screens."""
    digits = phone.removeprefix("+")
    if len(digits) < 10:
        return "***"
    start = "0" + digits[3:5] if phone.startswith(_COUNTRY) else "+" + digits[:3]
    return f"{start}***{digits[-4:]}"


def brand_of(phone: str, table: Mapping[str, Prefix] | None = None) -> Brand | None:
    """The wallet to propose first for an E.164 number, None when no wallet we reach goes with its prefix."""
    try:
        row = (prefix_table() if table is None else table).get(national(phone)[:2])
    except NotCongolese:
        return None
    return row.brand if row else None


def first_guess(phone: str) -> Brand | None:
    """The wallet that most likely goes with an E.164 number: by our table, else by the operator's name in the library.

    Only for the two countries whose wallets we reach: an Airtel or Orange elsewhere has another wallet.
    """
    digits = phone.removeprefix(_COUNTRY)
    if digits != phone and digits[:2] in prefix_table():
        return prefix_table()[digits[:2]].brand
    if not phone.startswith((_COUNTRY, "+254")):
        return None
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return None
    return _BRAND_OF_CARRIER.get(carrier.name_for_number(number, "en"))


def payer_number(text: str, currency: str) -> str | None:
    """A number that may pay in this currency, as somebody typed it: E.164, or None for a number of another country."""
    code, region, _ = _COUNTRY_OF_CURRENCY.get(currency, _HOME)
    phone = parse_e164(text, region)
    return phone if phone is not None and phone.startswith(code) else None


def may_pay_in(phone: str, currency: str) -> bool:
    """Whether wallets of the country that uses this currency know E.164 numbers such as this one."""
    return phone.startswith(_COUNTRY_OF_CURRENCY.get(currency, _HOME)[0])


def example_number(currency: str) -> str:
    """A number as people of that country write it, for a screen that asks for one."""
    return _COUNTRY_OF_CURRENCY.get(currency, _HOME)[2]


@cache
def prefix_table() -> Mapping[str, Prefix]:
    """Our own table, shipped as data beside this module: prefix → operator and wallet."""
    return read_prefixes(resources.files("core").joinpath("phone_prefixes.csv").read_text("utf-8"))


def read_prefixes(text: str) -> Mapping[str, Prefix]:
    """Read a table in CSV with the columns prefix, operator, brand (empty: no wallet).

    Raises ValueError naming the row whose prefix or wallet cannot be right.
    """
    table: dict[str, Prefix] = {}
    for row in csv.DictReader(StringIO(text)):
        digits, brand = row["prefix"].strip(), row["brand"].strip()
        if len(digits) != 2 or not digits.isdecimal() or digits in table:
            raise ValueError(f"prefix {digits!r}: two digits, each once")
        if brand and brand not in get_args(Brand):
            raise ValueError(f"prefix {digits}: unknown wallet {brand!r}")
        table[digits] = Prefix(digits, row["operator"].strip(), cast("Brand", brand) if brand else None)
    return table
