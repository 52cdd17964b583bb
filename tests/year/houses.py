"""The houses of the utility, written straight into an empty database, and the tariffs they are on."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.orm import DeclarativeBase

from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.kernel.clock import EAST, WEST, Clock
from core.services.tariffs import Tariffs
from core.supply.tables import MeterReportedRow
from tests.town import account_number, phone_number

BEGINS = date(2026, 1, 1)
_VAT = {"code": "vat", "name": "TVA", "percent": "16"}
_NER = {"code": "ner", "name": "Redevance", "percent": "2.5", "on": ["energy"], "spares_social": True}


def _blocks(*entries: tuple[int | None, str]) -> list[dict[str, Any]]:
    return [{"per_kwh": p} if upto is None else {"upto_kwh": upto, "per_kwh": p} for upto, p in entries]


# code → (kind, currency, body before the change, body after it).
TARIFFS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "BT": (
        "consumption", "CDF",
        {"blocks": _blocks((50, "70"), (150, "140.5"), (None, "165")), "standing": "3000", "levies": [_VAT, _NER]},
        {"blocks": _blocks((60, "75"), (None, "171.25")), "standing": "3500", "levies": [_VAT, _NER]},
    ),
    "BTUSD": (
        "consumption", "USD",
        {"blocks": _blocks((100, "0.0835"), (None, "0.11")), "standing": "1.5", "levies": [_VAT]},
        {"blocks": _blocks((100, "0.09"), (None, "0.1175")), "standing": "1.5", "levies": [{**_VAT, "percent": "18"}]},
    ),
    "ABO": (
        "monthly", "CDF", {"subscription": "28500", "levies": [_VAT]}, {"subscription": "31250", "levies": [_VAT]},
    ),
    "FLAT": ("flat", "CDF", {"flat": "15000", "levies": [_VAT]}, {"flat": "16000", "levies": [_VAT]}),
}  # fmt: skip
_MIX = (("BT", 0.42), ("BTUSD", 0.10), ("ABO", 0.20), ("FLAT", 0.18), ("", 0.10))


class Measure(NamedTuple):
    from_at: datetime
    from_wh: int
    until_at: datetime
    until_wh: int


@dataclass
class House:
    """One customer with what the year knows of it. `register`: what the meter really said, by local midnight;
    `believed`, `held`: the readings that arrived, as they must have been taken. `billed`: month → its bill's measure,
    None where nothing is measured."""

    contract: int
    phone: str
    meter: str
    kind: str
    currency: str
    code: str
    zone: str
    wh_a_day: int
    register: dict[date, int] = field(default_factory=dict)
    believed: list[tuple[datetime, int]] = field(default_factory=list)
    held: list[datetime] = field(default_factory=list)
    billed: dict[date, Measure | None] = field(default_factory=dict)

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.zone)).astimezone(UTC)

    def believe(self, at: datetime, wh: int) -> None:
        insort(self.believed, (at, wh))


def versions_of(code: str, changes: date) -> list[dict[str, Any]]:
    kind, currency, before, after = TARIFFS[code]
    return [
        {"from": day, "kind": kind, "currency": currency, "body": body}
        for day, body in ((date(2024, 1, 1), before), (changes, after))
    ]


def build(db: Database, clock: Clock, count: int, dice: Random, changes: date) -> list[House]:
    """So many houses in two cities, each with a phone, a meter and a contract. `changes`: when all prices change."""
    ids = _tariffs(db, clock, changes)
    houses = [_house(n, dice) for n in range(1, count + 1)]
    agencies = ((1, "KIN", "Kinshasa", WEST), (2, "LUB", "Lubumbashi", EAST))
    now = clock.now()
    with db.begin() as session:

        def put(table: type[DeclarativeBase], rows: Iterable[dict[str, Any]]) -> None:
            session.execute(insert(table), list(rows))

        put(
            AgencyRow,
            (
                {
                    "id": n, "code": code, "name": city, "phone": "-", "hours": "-", "address": "-", "city": city,
                    "time_zone": zone,
                }
                for n, code, city, zone in agencies
            ),
        )  # fmt: skip
        put(CustomerRow, ({"id": h.contract, "name": f"Client {h.contract}", "created_at": now} for h in houses))
        put(
            PhoneLinkRow,
            (
                {
                    "phone": h.phone, "customer_id": h.contract, "role": "holder", "confirmed_at": now,
                    "fresh_until": now + timedelta(days=900), "created_at": now,
                }
                for h in houses
            ),
        )  # fmt: skip
        put(
            SiteRow,
            (
                {
                    "id": h.contract, "agency_id": 1 if h.zone == WEST else 2, "commune": "-", "address": "-",
                    "city": "-", "time_zone": h.zone,
                }
                for h in houses
            ),
        )  # fmt: skip
        put(
            MeterRow,
            (
                {
                    "id": h.meter, "site_id": h.contract, "installed_on": BEGINS,
                    "control_kind": "openpaygo_token" if h.kind == "prepaid" else "mqtt_relay",
                }
                for h in houses
            ),
        )  # fmt: skip
        put(
            MeterReportedRow,
            (
                {
                    "meter_id": h.meter, "version": 0, "supply": "on", "relay": "closed", "online": True,
                    "session_no": 1, "at": now, "raw": {},
                }
                for h in houses
            ),
        )  # fmt: skip
        put(
            ContractRow,
            (
                {
                    "id": h.contract, "account_number": account_number(h.contract), "customer_id": h.contract,
                    "site_id": h.contract, "meter_id": h.meter, "kind": h.kind, "currency": h.currency,
                    "tariff_id": ids.get(h.code), "opened_on": BEGINS,
                }
                for h in houses
            ),
        )  # fmt: skip
    return houses


def _tariffs(db: Database, clock: Clock, changes: date) -> dict[str, int]:
    tariffs = Tariffs(db, clock)
    ids = {}
    for code, (kind, currency, before, after) in TARIFFS.items():
        for day, body in ((date(2024, 1, 1), before), (changes, after)):
            made = tariffs.add(code, name=code, kind=kind, currency=currency, valid_from=day, body=body, by="year")
            ids.setdefault(code, made)
    return ids


def _house(number: int, dice: Random) -> House:
    code = dice.choices([code for code, _ in _MIX], [share for _, share in _MIX])[0]
    kind, currency = TARIFFS[code][:2] if code else ("prepaid", "CDF")
    zone = EAST if dice.random() < 0.3 else WEST
    meter, phone = f"M{number:09d}", phone_number(number)
    return House(number, phone, meter, kind, currency, code, zone, dice.randint(800, 9_000))
