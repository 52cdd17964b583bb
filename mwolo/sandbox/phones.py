"""The town's phones: whose they are, their operator, what is in their wallet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mwolo.sandbox.store import Row, Store, agent_pins, major, phones, purses

BRAND_NAMES: Mapping[str, str] = {"mpesa": "M-Pesa", "airtel": "Airtel Money", "orange": "Orange Money"}
# Prefix of the national number → brand. Source: libphonenumber metadata; numbers are not portable in the country.
_PREFIXES: Mapping[str, str] = {
    **dict.fromkeys(("81", "82", "83", "86"), "mpesa"),
    **dict.fromkeys(("80", "84", "85", "89"), "orange"),
    **dict.fromkeys(("96", "97", "98", "99"), "airtel"),
}
# What the aggregator calls the networks (MCC 630 and the operator); the toy network where it knows no better.
_NETWORKS: Mapping[str, str] = {"mpesa": "63001", "airtel": "63002", "orange": "63086"}
# Kenya has one operator here, Safaricom, whose wallet is M-Pesa too: another company, another purse, shillings.
_KENYA, _SAFARICOM = "+254", "63902"
# What lies in a purse nobody has filled: enough for a few bills.
_POCKET_MONEY: Mapping[str, int] = {"CDF": 500_000_00, "USD": 200_00, "KES": 20_000_00}
DEFAULT_PIN = "1234"

_E164 = re.compile(r"\+[1-9]\d{7,14}")


class BadPhone(ValueError):
    """Not a phone number in international form."""


def normal(typed: str) -> str:
    """A number as E.164: an unencoded plus arrives as a blank, operators leave it out. Raises BadPhone."""
    number = "+" + typed.strip().lstrip("+").replace(" ", "")
    if not _E164.fullmatch(number):
        raise BadPhone(f"{typed!r} is no phone number in international form, such as +243810000001.")
    return number


def brand_of(phone: str) -> str | None:
    """The wallet brand its prefix belongs to; None for a network without one that we sell through."""
    if phone.startswith(_KENYA) and len(phone) == 13 and phone[4] in "17":
        return "mpesa"
    return _PREFIXES.get(phone[4:6]) if phone.startswith("+243") and len(phone) == 13 else None


def currency_of(phone: str) -> str:
    """The money in a purse on this phone, when nobody says otherwise."""
    return "KES" if phone.startswith(_KENYA) else "CDF"


def network_of(phone: str) -> str:
    brand = brand_of(phone)
    if brand and phone.startswith(_KENYA):
        return _SAFARICOM
    return _NETWORKS[brand] if brand else "99999"


class Phones:
    def __init__(self, store: Store) -> None:
        self._store = store

    def seed(self, row: Mapping[str, Any]) -> None:
        """Add a phone; `balance` is in whole units of `currency`, `pin` what an agent types on the short code.

        One that exists keeps its wallet (brand, PIN, purse) and learns whose it is now. Raises BadPhone.
        """
        phone = normal(str(row["phone"]))
        currency = str(row.get("currency") or currency_of(phone))
        values = {
            "phone": phone,
            "name": str(row.get("name") or phone),
            "account": row.get("account"),
            "language": str(row.get("language") or "fr"),
            "brand": row.get("brand") or brand_of(phone),
            "wallet_pin": str(row.get("wallet_pin") or DEFAULT_PIN),
            "currency": currency,
            "meter": row.get("meter"),
            "kind": str(row.get("kind") or "customer"),
        }
        with self._store.begin() as db:
            new = upsert(phones).values(values)
            learnt = {name: new.excluded[name] for name in ("name", "account", "language", "meter", "kind")}
            db.execute(new.on_conflict_do_update(index_elements=["phone"], set_=learnt))
            if row.get("pin"):
                pin = {"phone": phone, "pin": str(row["pin"])}
                db.execute(upsert(agent_pins).values(pin).on_conflict_do_nothing())
            if row.get("balance") is not None:
                purse = {"phone": phone, "currency": currency, "minor": round(float(row["balance"]) * 100)}
                db.execute(upsert(purses).values(purse).on_conflict_do_nothing())

    def stranger(self, typed: str, brand: str | None = None) -> dict[str, Any]:
        """A phone the utility does not know. One that is there already is returned as it is."""
        phone = normal(typed)
        if brand is not None and brand not in BRAND_NAMES:
            raise BadPhone(f"There is no brand {brand!r}; there are {', '.join(BRAND_NAMES)}.")
        with self._store.read() as db:
            known = find(db, phone) is not None
        if not known:
            self.seed({"phone": phone, "brand": brand, "name": "", "kind": "stranger"})
        return next(row for row in self.listed(phone) if row["phone"] == phone)

    def listed(self, phone: str | None = None) -> list[dict[str, Any]]:
        query = (
            select(phones, agent_pins.c.pin)
            .outerjoin(agent_pins, agent_pins.c.phone == phones.c.phone)
            .order_by(phones.c.kind, phones.c.phone)
        )
        with self._store.read() as db:
            rows = db.execute(query if phone is None else query.where(phones.c.phone == phone)).mappings().all()
            return [{**row, **_money(db, row)} for row in rows]


def _money(db: Connection, row: Row) -> dict[str, Any]:
    held = balance(db, row["phone"], row["currency"])
    brand_name = BRAND_NAMES.get(row["brand"] or "")
    return {"balance": major(held, row["currency"]), "currency": row["currency"], "brand_name": brand_name}


def find(db: Connection, phone: str) -> Row | None:
    return db.execute(select(phones).where(phones.c.phone == phone)).mappings().first()


def balance(db: Connection, phone: str, currency: str) -> int:
    held = db.scalar(select(purses.c.minor).where(purses.c.phone == phone, purses.c.currency == currency))
    return _POCKET_MONEY.get(currency, 0) if held is None else held


def debit(db: Connection, phone: str, currency: str, minor: int) -> bool:
    """Take `minor` out of the purse; False, and nothing taken, when it does not hold that much."""
    held = balance(db, phone, currency)
    if held < minor:
        return False
    here = (purses.c.phone == phone) & (purses.c.currency == currency)
    if db.execute(update(purses).where(here).values(minor=held - minor)).rowcount == 0:
        db.execute(insert(purses).values(phone=phone, currency=currency, minor=held - minor))
    return True


def credit(db: Connection, phone: str, currency: str, minor: int) -> None:
    """Put `minor` back into the purse."""
    debit(db, phone, currency, -minor)
