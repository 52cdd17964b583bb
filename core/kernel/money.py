"""Amounts: whole minor units with a currency. No float ever touches money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

# Minor units per unit. Babel's precision cannot be used: it says what is printed, not what a wallet accepts.
_MINOR_PER_UNIT = {"CDF": 100, "USD": 100, "KES": 100}
# The smallest step in which a currency is charged and invoiced: centimes exist on paper only.
_CHARGE_STEP = {"CDF": 100, "USD": 1, "KES": 100}
# How people in the country write it.
_SIGNS = {"CDF": "FC", "USD": "USD", "KES": "KES"}

CURRENCIES = frozenset(_MINOR_PER_UNIT)

# Longer texts are no amounts: past 28 digits Decimal would round without a word, past 18 no column holds them.
_LONGEST_TEXT = 18


class BadAmount(ValueError):
    """Text or a number that is not an amount of this currency."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`minor` whole minor units (centimes, cents) of `currency` (ISO 4217, listed in CURRENCIES).

    Arithmetic across currencies raises BadAmount: exchange is two transfers, never an addition.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in _MINOR_PER_UNIT:
            raise BadAmount(f"unknown currency {self.currency!r}")
        if type(self.minor) is not int:
            raise BadAmount(f"{self.minor!r} is not a whole number of minor units")

    @classmethod
    def units(cls, units: int, currency: str) -> Money:
        """Whole francs, dollars or shillings."""
        return cls(units * _MINOR_PER_UNIT[currency], currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read a partner's decimal text (`"12500"`, `"12500.00"`), strictly: no signs, blanks or thousands marks.

        Raises BadAmount when it is not a plain decimal, or finer than the currency's minor unit.
        """
        if not text or len(text) > _LONGEST_TEXT or not all(c in "0123456789." for c in text):
            raise BadAmount(f"not a plain decimal: {text[:32]!r}")
        try:
            value = Decimal(text) * _MINOR_PER_UNIT[currency]
        except (InvalidOperation, KeyError) as error:
            raise BadAmount(f"not an amount of {currency}: {text[:32]!r}") from error
        if value != value.to_integral_value():
            raise BadAmount(f"finer than the minor unit of {currency}: {text[:32]!r}")
        return cls(int(value), currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise BadAmount(f"{self.currency} and {other.currency} do not add up")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor < other.minor

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.minor <= other.minor

    def __gt__(self, other: Money) -> bool:
        return other < self

    def __ge__(self, other: Money) -> bool:
        return other <= self

    def __bool__(self) -> bool:
        return self.minor != 0

    @property
    def is_chargeable(self) -> bool:
        """Positive and in whole steps of what can be charged (whole francs, cents)."""
        return self.minor > 0 and self.minor % _CHARGE_STEP[self.currency] == 0

    def rounded_up(self) -> Money:
        """The next amount that can be charged: 12 345,50 FC is charged as 12 346 FC, so that the invoice closes."""
        step = _CHARGE_STEP[self.currency]
        return Money(-(-self.minor // step) * step, self.currency)

    def decimal_text(self, decimals: int) -> str:
        """As a partner wants it on the wire: `"12500"` for 0 decimals, `"12500.00"` for 2.

        Raises BadAmount when that would drop a part of the amount, or when it is below zero.
        """
        if self.minor < 0:
            raise BadAmount(f"{self.minor} minor units cannot be asked for")
        per_unit = _MINOR_PER_UNIT[self.currency]
        whole, rest = divmod(self.minor, per_unit)
        if decimals == 0:
            if rest:
                raise BadAmount(f"{self.minor} minor units of {self.currency} do not fit without decimals")
            return str(whole)
        if decimals != 2:
            raise BadAmount(f"no amount has {decimals} decimals")
        return f"{whole}.{rest * 100 // per_unit:02d}"

    @property
    def text(self) -> str:
        """One grouping style for every language, plain spaces only: `12 500 FC`, `25,50 USD`. GSM-7 throughout."""
        sign = "-" if self.minor < 0 else ""
        whole, rest = divmod(abs(self.minor), _MINOR_PER_UNIT[self.currency])
        grouped = f"{whole:,}".replace(",", " ")
        tail = f",{rest:02d}" if rest else ""
        return f"{sign}{grouped}{tail} {_SIGNS[self.currency]}"

    def __str__(self) -> str:
        return self.text


def zero(currency: str) -> Money:
    """Nothing, in this currency."""
    return Money(0, currency)
