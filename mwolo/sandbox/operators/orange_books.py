"""What both of Orange's doubles share: one company, one ledger, one merchant account per currency."""

from __future__ import annotations

from mwolo.sandbox.movements import Movements
from mwolo.sandbox.store import Row

WALLET = BRAND = "orange"
_OUT = ("refund", "reversal")


def balance_of(movements: Movements, currency: str) -> int:
    """What lies in the merchant's account, in hundredths, fees and payouts aside."""
    rows = [row for row in movements.of(WALLET) if row["currency"] == currency and row["state"] == "paid"]
    return sum(-row["minor"] if row["kind"] in _OUT else row["minor"] for row in rows)


def payment_to_give_back(movements: Movements, phone: str, currency: str, minor: int) -> str:
    """An id of the youngest payment of this phone of which so much is left; empty when there is none.

    Orange's own calls name a phone and an amount; the box's books want to know what is undone.
    """
    rows = movements.of(WALLET)
    mine = [row for row in rows if (row["phone"], row["currency"]) == (phone, currency) and row["kind"] not in _OUT]
    fits = [row for row in mine if row["minor"] - _gone(rows, row) >= minor]
    return str(fits[-1]["provider_ref"]) if fits else ""


def _gone(rows: list[Row], payment: Row) -> int:
    return sum(row["minor"] for row in rows if row["original_id"] == payment["id"] and row["state"] != "failed")
