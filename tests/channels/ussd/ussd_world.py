"""Two USSD applications that share one Redis, on real sockets, in front of a fake payments service."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from random import Random
from typing import Protocol

import redis
from flask import Flask
from werkzeug.serving import make_server

from channels.ussd.deeds import Deed, cases, links, promises
from channels.ussd.gateway import Turn
from channels.ussd.gateways.africastalking import AfricasTalkingUssd
from channels.ussd.menu.engine import Menu
from channels.ussd.menu.journeys import menu
from channels.ussd.sessions import RedisSessionEnds, SessionStore
from channels.ussd.turns import PaymentDoor, UssdTurns
from channels.ussd.views import ussd_blueprint
from core.customers.model import AgencyView, ReceiptView, Snapshot
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.errors import NotRecorded
from core.kernel.money import Money
from core.payments.model import BRAND_NAMES, BeginRefused, Begun, Offer, PaymentRequest
from core.phone_numbers import first_guess
from core.services.cases import Cases
from core.services.customers import Customers
from core.services.links import PhoneLinks
from core.services.promises import Promises
from core.services.staff import Staff
from tests import town
from tests.channels.ussd.turn_table import Caller, new_session

SECRET = b"a secret for tests only"
PATH_SECRET = "s3cret-path"
GATEWAY = AfricasTalkingUssd()


class FakePayments:
    """Remembers what was asked, once per turn key, as the real one does in its transaction."""

    def __init__(self) -> None:
        self.begun: dict[str, PaymentRequest] = {}
        self.calls = 0
        self.answers: list[BeginRefused | Exception] = []
        self._lock = threading.Lock()
        # Brands whose operator is left alone.
        self.down: set[str] = set()
        # Currencies that only some brands collect in.
        self.only: dict[str, tuple[str, ...]] = {}

    def offers(self, currency: str) -> tuple[Offer, ...]:
        brands = self.only.get(currency, tuple(BRAND_NAMES))
        return tuple(Offer(b, None if b in self.down else f"{b}_wallet", b in self.down) for b in brands)

    def begin(self, request: PaymentRequest) -> Begun | BeginRefused:
        with self._lock:
            self.calls += 1
            key = request.turn_key
            assert key is not None
            if key in self.begun:
                return Begun("attempt", self.begun[key].end_text, repeated=True)
            if self.answers:
                answer = self.answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            self.begun[key] = request
            return Begun("attempt", request.end_text)

    def end_text(self, turn_key: str) -> str | None:
        found = self.begun.get(turn_key)
        return found.end_text if found else None

    def attempts(self, phone: str) -> int:
        return sum(r.asked_by_phone == phone for r in list(self.begun.values()))


class Begins(PaymentDoor, Protocol):
    """Begins payments, and finds their END texts again."""

    def end_text(self, turn_key: str) -> str | None: ...


class Line:
    """One session of a phone, spoken to without HTTP in between."""

    def __init__(self, site: Site, phone: str, session: str = "ATUid_1") -> None:
        self._turns, self._phone, self._session = site.turns, phone, session

    def send(self, transcript: str) -> bytes:
        turn = Turn("africastalking", self._session, self._phone, "*123#", "63001", transcript)
        return self._turns.answer(GATEWAY, turn)

    def send_all(self, *transcripts: str) -> list[str]:
        return [self.send(text).decode() for text in transcripts]


@dataclass
class Phone:
    """A customer's phone: dials, types, and keeps the transcript as the aggregator does."""

    site: Site
    number: str
    session: str = ""
    typed: str = ""

    def dial(self, carried: str = "") -> str:
        self.session, self.typed = new_session(), carried
        return self.send()

    def types(self, reply: str) -> str:
        self.typed = f"{self.typed}*{reply}" if self.typed else reply
        return self.send()

    def send(self) -> str:
        fields = {
            "sessionId": self.session,
            "phoneNumber": self.number,
            "networkCode": "63001",
            "serviceCode": "*123#",
            "text": self.typed,
        }
        return self.site.app.test_client().post(f"/ussd/africastalking/{PATH_SECRET}", data=fields).get_data(True)


class Unread(tuple[ReceiptView, ...]):
    """Receipts that were not read: a screen that looks at them anyway must not say that there are none."""

    def __bool__(self) -> bool:
        raise AssertionError("receipts were shown that nobody read")

    def __iter__(self) -> Iterator[ReceiptView]:
        raise AssertionError("receipts were shown that nobody read")


class SlowCustomers:
    """The real reads, each a random while later."""

    def __init__(self, customers: Customers, payments: Begins, most_s: float) -> None:
        self._customers = customers
        self._payments = payments
        self._most_s = most_s
        self._random = Random(7)
        self.fail = False

    def snapshot(
        self, phone: str, account: str | None = None, *, details: bool = True, turn_key: str | None = None
    ) -> Snapshot:
        if self.fail:
            raise NotRecorded("busy")
        if self._most_s:
            time.sleep(self._random.random() * self._most_s)
        seen = self._customers.snapshot(phone, account, details=details, turn_key=turn_key)
        if turn_key is not None:
            seen = replace(seen, end_text=seen.end_text or self._payments.end_text(turn_key))
        return seen if details else replace(seen, receipts=Unread())

    def agencies(self) -> tuple[AgencyView, ...]:
        return self._customers.agencies()

    def set_language(self, phone: str, language: str) -> None:
        self._customers.set_language(phone, language)


class Site:
    """One web process, as far as USSD goes."""

    def __init__(
        self,
        db: Database,
        client: redis.Redis,
        payments: Begins,
        clock: Clock,
        *,
        slow_s: float = 0.0,
        brand_of: Callable[[str], str | None] = first_guess,
        states: Callable[[], Menu] = menu,
        deeds: Mapping[str, Deed] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.customers = SlowCustomers(Customers(db, clock), payments, slow_s)
        store = SessionStore(client, SECRET)

        def count(outcome: str) -> None:
            self.counts[outcome] += 1

        self.turns = turns = UssdTurns(
            store,
            states(),
            self.customers,
            payments,
            clock,
            deeds=deeds if deeds is not None else every_deed(db, clock),
            brand_of=brand_of,
            count=count,
        )
        self.app = Flask("ussd")
        self.app.register_blueprint(
            ussd_blueprint(
                turns,
                RedisSessionEnds(store, clock),
                {"africastalking": AfricasTalkingUssd()},
                {"africastalking": ("older-secret", PATH_SECRET)},
                count=count,
            )
        )

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address of turns, on a free port."""
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/ussd/africastalking/{PATH_SECRET}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def every_deed(db: Database, clock: Clock) -> dict[str, Deed]:
    """What customers' screens have done, by the real services; agents have tests of their own."""
    audit = Staff(db, clock, "a secret for tests only").audit
    return {
        **links.deeds(PhoneLinks(db, clock, audit)),
        **cases.deeds(Cases(db, clock)),
        **promises.deeds(Promises(db, clock)),
    }


def populate(db: Database, callers: int) -> list[Caller]:
    """So many customers who owe a different amount each."""
    made: list[Caller] = []
    with db.begin() as session:
        town.agency(session)
        for n in range(callers):
            home = town.home(session, name=f"Marie Kabila {n}")
            bill = town.invoice(session, home.contract, total=Money.units(10_000 + n, "CDF"), state="sent")
            bill.sent_on = date(2026, 3, 1)
            made.append(Caller(home.phone, home.account_number))
    return made
