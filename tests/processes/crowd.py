"""Many people of a few kinds, written in bulk: two of a kind differ in nothing but their numbers.

Whatever one of them reads on a screen, the other reads too, once the numbers are taken out (`Person.neutral`).
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import insert

from core.agents.tables import AgentRow
from core.billing.tables import InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, MeterRow, PhoneLinkRow, SiteRow
from core.db import Database
from core.kernel.clock import WEST, SystemClock
from core.kernel.digits import grouped, is_account_number, with_check
from core.kernel.money import Money
from core.payments.tables import PaymentRow
from core.phone_numbers import masked
from core.settlement import post
from core.settlement.events import CashHandedOver
from tests.town import account_number

# So many are written at once: a transaction of a few hundredths of a second, between two games.
_AT_ONCE = 120
# Numbers of a case, a sale, a meter, a receipt: given out one after the other, to whoever comes. No amount looks so.
_CODE = re.compile(r"\b(\d{3} \d{3} (\d{3} )?\d{1,2}|MW\d{8}|R\d{8})\b")


PIN, NEW_PIN = "482163", "739164"
FLOAT = Money.units(60_000, "CDF")
# As the product hashes, or the first right PIN of each would be hashed anew.
HASHER = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)

# What the states without keys ask for.
FITTING = {
    "pay.account": "{account}",
    "other.account": "{account}",
    "link.account": "{account}",
    "pay.amount": "5000",
    "pay.number": "{other}",
    "agent.pin": "{pin}",
    "agent.sell": "{account}",
    "agent.amount": "5000",
    "agent.cash": "20000",
    "agent.buy": "10000",
    "agent.number": "{other}",
    "agent.new_pin": NEW_PIN,
    "agent.repeat_pin": NEW_PIN,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """`bills`: for each account what is owed on it, in whole units. `linked`: the phone speaks for the accounts."""

    name: str
    language: str
    bills: tuple[tuple[int, ...], ...] = ()
    currency: str = "CDF"
    linked: bool = True
    confirmed: bool = True
    agent: bool = False
    paid: bool = False


KINDS = (
    Kind("one bill", "fr", ((28_500,),)),
    Kind("two bills", "sw", ((12_500, 16_000),)),
    Kind("two accounts", "ln", ((28_500,), (7_000,))),
    Kind("nothing due", "en", ((),), paid=True),
    Kind("dollars", "lua", ((14,),), currency="USD"),
    Kind("never confirmed", "kg", ((9_000,),), confirmed=False),
    Kind("stranger", "fr", ((5_000,),), linked=False),
    # What an agent's `accounts` name is a customer's, to whom is sold.
    Kind("agent", "fr", ((),), linked=False, agent=True),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Person:
    """`other_phone`: a second number, which nobody else types. `pin`: an agent's."""

    kind: str
    phone: str
    accounts: tuple[str, ...]
    other_phone: str
    pin: str = ""

    def types(self, template: str) -> str:
        """What is typed where a template speaks of the own account, the other number or the PIN."""
        if "{" not in template:
            return template
        account = self.accounts[0] if self.accounts else ""
        return template.format(account=account, other=f"0{self.other_phone[4:]}", pin=self.pin)

    def neutral(self, text: str) -> str:
        """`text` without what tells this person from another of the kind."""
        for place, account in enumerate(self.accounts):
            text = text.replace(grouped(account), f"<account {place}>").replace(account, f"<account {place}>")
        for name, phone in (("phone", self.phone), ("other", self.other_phone)):
            text = text.replace(masked(phone), f"<{name}>").replace(phone, f"<{name}>")
        return _CODE.sub("<code>", text)


class Crowd:
    """Hands out people that nobody has met yet. One thread asks."""

    def __init__(self, db: Database, hasher: PasswordHasher = HASHER) -> None:
        self._db = db
        self._pin_hash = hasher.hash(PIN)
        self._clock = SystemClock()
        self._serial = itertools.count(1)
        # One in ten numbers would pass for an account number that nobody has: its owner would read another sentence.
        numbers = (f"97{number:07d}" for number in itertools.count(1))
        self._others = (f"+243{number}" for number in numbers if not is_account_number(f"0{number}"))
        self._waiting: dict[str, deque[Person]] = defaultdict(deque)
        self._lock = threading.Lock()
        with db.begin() as session:
            agency = AgencyRow(
                code="AG1", name="Agence Lemba", city="Kinshasa", address="12 avenue By-Pass", phone="+243815550000",
                hours="Lun-Ven 8h-16h", time_zone=WEST,
            )  # fmt: skip
            session.add(agency)
            session.flush()
            self.agency_id = agency.id

    def take(self, kind: str) -> Person:
        with self._lock:
            waiting = self._waiting[kind]
            if not waiting:
                waiting.extend(self._made(BY_NAME[kind], _AT_ONCE))
            return waiting.popleft()

    def _made(self, kind: Kind, count: int) -> list[Person]:
        rows: dict[type[Any], list[dict[str, Any]]] = defaultdict(list)
        people = [self._person(kind, rows) for _ in range(count)]
        with self._db.begin() as session:
            for table in (CustomerRow, PhoneLinkRow, SiteRow, MeterRow, ContractRow, InvoiceRow, PaymentRow, AgentRow):
                if rows[table]:
                    session.execute(insert(table), rows[table])
            for agent in rows[AgentRow]:
                event = CashHandedOver(key=f"filled {agent['id']}", cashier="awa", agent_id=agent["id"], amount=FLOAT)
                post(session, event, clock=self._clock)
        return people

    def _person(self, kind: Kind, rows: dict[type[Any], list[dict[str, Any]]]) -> Person:
        number = next(self._serial)
        phone = f"+24381{number:07d}"
        now = datetime.now(UTC)
        rows[CustomerRow].append(
            {"id": number, "name": "Marie Kabila Ilunga", "language": kind.language, "created_at": now}
        )
        if kind.linked:
            rows[PhoneLinkRow].append(
                {
                    "phone": phone, "customer_id": number, "role": "holder", "created_at": now,
                    "confirmed_at": now if kind.confirmed else None,
                    "fresh_until": now + timedelta(days=300) if kind.confirmed else None,
                }
            )  # fmt: skip
        if kind.agent:
            rows[AgentRow].append(
                {
                    "id": number, "code": f"A{number}", "name": "Kiosque Zala", "phone": phone, "currency": "CDF",
                    "agency_id": self.agency_id, "credit_limit_minor": 0, "pin_hash": self._pin_hash, "created_at": now,
                }
            )  # fmt: skip
        accounts = [self._account(number, bills, kind.currency, rows) for bills in kind.bills]
        if kind.paid:
            self._receipt(rows, now)
        return Person(kind.name, phone, tuple(accounts), next(self._others), PIN if kind.agent else "")

    def _receipt(self, rows: dict[type[Any], list[dict[str, Any]]], now: datetime) -> None:
        number = rows[ContractRow][-1]["id"]
        rows[PaymentRow].append(
            {
                "id": f"00000000-0000-4000-8000-{number:012d}", "wallet": "vodacom", "provider_txn_id": f"TXN{number}",
                "contract_id": number, "currency": "CDF", "amount_minor": 1_250_000, "payer_phone": None,
                "received_at": now - timedelta(days=20), "found_by": "test", "receipt_number": f"R{number:08d}",
                "verification_code": with_check(f"{number:09d}"),
            }
        )  # fmt: skip

    def _account(
        self, customer: int, bills: Sequence[int], currency: str, rows: dict[type[Any], list[dict[str, Any]]]
    ) -> str:
        number = next(self._serial)
        account = account_number(number)
        meter = f"MW{number:08d}"
        today = datetime.now(UTC).date()
        rows[SiteRow].append(
            {
                "id": number, "agency_id": self.agency_id, "address": "7 avenue Kasa-Vubu", "commune": "Lemba",
                "city": "Kinshasa", "time_zone": WEST,
            }
        )  # fmt: skip
        rows[MeterRow].append(
            {"id": meter, "site_id": number, "control_kind": "mqtt_relay", "installed_on": date(2024, 5, 2)}
        )
        rows[ContractRow].append(
            {
                "id": number, "account_number": account, "customer_id": customer, "site_id": number, "meter_id": meter,
                "kind": "monthly", "currency": currency, "state": "active", "opened_on": date(2024, 5, 2),
            }
        )  # fmt: skip
        for month, units in enumerate(bills, start=9):
            rows[InvoiceRow].append(
                {
                    "number": f"T-{number}-{month}", "contract_id": number, "period": f"2026-{month:02d}",
                    "currency": currency, "total_minor": units * 100, "state": "sent",
                    "issued_on": today - timedelta(days=12), "sent_on": today - timedelta(days=12), "sent_at": None,
                }
            )  # fmt: skip
        return account
