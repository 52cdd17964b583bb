"""One wallet between the real payments service and its operator in the sandbox, on real sockets, in time that stands
still until it is moved.

Errands are carried out in line. Both sides read one clock: it is moved to whatever is due next, on either side, until
nothing is due any more; so a day of questions takes a second, and no test depends on speed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from flask import Flask
from sqlalchemy import func, select

from channels.wallets.registry import WALLETS, build, slug_of
from channels.wallets.views import hooks_blueprint
from core import outbox
from core.billing.tables import DunningCycleRow
from core.customers.tables import ContractRow
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import WEST, FixedClock, local_date
from core.kernel.money import Money
from core.outbox import Done, OutboxRow
from core.partner_http import PartnerHttp
from core.payments.model import Begun, PaymentRequest
from core.payments.ports import RawCallback
from core.payments.tables import AttemptRow, CallbackRow, PaymentRow
from core.services.payments import Payments
from core.services.reconciliation import Reconciliation
from core.settlement import post
from core.settlement.events import InvoiceSent
from mwolo.sandbox.app import create_app, sandbox_of
from mwolo.sandbox.config import SandboxConfig
from mwolo.sandbox.faults import WALLET_FAULTS
from mwolo.sandbox.operators import daraja, orange_rules, pawapay, vodacom
from mwolo.sandbox.serve import threaded_server
from mwolo.sandbox.statements import LAYOUTS
from mwolo.sandbox.store import errands
from tests import town
from workers.dispatch import Dispatcher
from workers.executor import InLine, Runner
from workers.jobs import payments as payment_jobs
from workers.schedule import Schedule

SECRET = "secret-of-the-door"
KEY = "a secret key for tests only, long enough"
PIN = "1234"
# Long enough for the slowest machine; reached only when something is broken.
PATIENCE_S = 180.0
# Moves of the clock until everything must have an end: a day of hourly questions, the watch after it, and to spare.
MOVES_MAX = 250
START = datetime.fromisoformat("2026-03-10T08:00:00+00:00")


@dataclass(frozen=True)
class Player:
    """How one wallet is put between us and its operator. `config`: its settings for a box at this address.
    `box`: settings of the box. `names`: what the wallet's number range and money are."""

    wallet: str
    config: Callable[[FaultTown, str], Mapping[str, Any]]
    brand: str
    prefix: str
    currency: str = "CDF"
    box: Mapping[str, Any] = field(default_factory=dict)
    # Settings of the box that name our callback address, and the kind each gets.
    doors: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Case:
    """One customer, one payment, and what became of it."""

    phone: str
    contract_id: int
    bill: Money
    attempt_id: str = ""


class NoSessions:
    def has_open(self, phone: str) -> bool:
        return False


class _NothingScheduled:
    """The product's daily runs have no part in this."""

    def open_due(self) -> int:
        return 0


class FaultTown:
    """Open it once per wallet: cases follow one another, each with a phone and a bill of its own."""

    def __init__(self, folder: Path, player: Player, *, start: datetime = START) -> None:
        self.player = player
        self.clock = FixedClock(start)
        self.db = Database(f"sqlite:///{folder / 'mwolo.db'}", busy_timeout_s=30)
        metadata.create_all(self.db.engine)
        self.declines: set[str] = set()
        self._made = 0
        self._servers: list[Any] = []
        door = Flask("door")
        self.wallets: dict[str, Any] = {}
        self._slugs: dict[str, Any] = {}
        door.register_blueprint(hooks_blueprint(self, self._slugs, [SECRET], clock=self.clock))
        base = f"{self._serve(door)}/hooks/{slug_of(player.wallet, KEY)}/{SECRET}"
        settings = {name: f"{base}/{kind}" for name, kind in player.doors.items()}
        self.box_config = SandboxConfig(
            data_dir=folder / "box", session_warmup_s=0.0, callback_retry_s=1.0, **{**settings, **player.box}
        )
        self.box = create_app(self.box_config, now=lambda: self.clock.real_now().timestamp())
        self.operators = self._serve(self.box)
        self.http = PartnerHttp(player.wallet)
        self.base = base
        self._build()
        self._stop = threading.Event()
        self._crowd = threading.Thread(target=self._answer_prompts, name="crowd", daemon=True)
        self._crowd.start()

    def wallet(self, **changed: Any) -> tuple[Any, Any]:
        """The wallet and its configuration, some of which may be changed."""
        name = self.player.wallet
        config = WALLETS[name].config(**{**self.player.config(self, self.operators), **changed})
        return build(name, config, http=self.http, clock=self.clock), config

    def _build(self) -> None:
        name = self.player.wallet
        self.wallets[name] = self.wallet()[0]
        self._slugs[slug_of(name, KEY)] = self.wallets[name]
        self.payments = Payments(
            self.db,
            self.clock,
            self.wallets,
            {self.player.brand: (name,)},
            NoSessions(),
            callback_bases={name: self.base},
        )
        self.reconciliation = Reconciliation(self.db, self.clock, self.wallets, self.payments)
        handlers = {
            **payment_jobs.handlers(self.payments),
            "notice.send": lambda _row: Done(),
            "document.receipt": lambda _row: Done(),
        }
        runner = Runner(self.db, self.clock, handlers)
        schedule = cast("Schedule", _NothingScheduled())
        self.dispatcher = Dispatcher(self.db, self.clock, InLine(runner), self.payments, schedule)

    def store(self, wallet: str, raw: RawCallback, source: str) -> None:
        """The inbox of the door, which is open before the service is built."""
        self.payments.store(wallet, raw, source)

    def close(self) -> None:
        self._stop.set()
        self._crowd.join()
        sandbox_of(self.box).close()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self.http.close()
        self.db.dispose()

    # -- one case

    def customer(self) -> Case:
        """Somebody with a wallet at this operator, who owes one bill."""
        self._made += 1
        phone = f"{self.player.prefix}{self._made:06d}"
        self.tell_box("seed", {"phones": [{"phone": phone, "wallet_pin": PIN}]})
        with self.db.begin() as session:
            home = town.home(session, phone=phone, currency=self.player.currency)
            bill = Money.units(1500 + self._made, self.player.currency)
            row = town.invoice(session, session.get_one(ContractRow, home.contract.id), total=bill)
            row.state, row.sent_on, row.sent_at = "sent", local_date(self.clock.now(), WEST), self.clock.now()
            session.add(DunningCycleRow(invoice_id=row.id, cycle=1, started_on=row.sent_on, cause="sent"))
            session.flush()
            post(session, InvoiceSent(key=f"sent:{row.id}", invoice_id=row.id), clock=self.clock)
            return Case(phone, home.contract.id, bill)

    def fault(self, name: str, phone: str, **params: Any) -> None:
        said = {"target": self.player.wallet, "fault": name, "times": 1, "phone": phone, "params": params}
        self.tell_box("faults", said)

    def begin(self, case: Case) -> None:
        request = PaymentRequest(
            payer_phone=case.phone,
            asked_by_phone=case.phone,
            brand=self.player.brand,
            contract_id=case.contract_id,
            amount=case.bill,
            language="fr",
            origin="ussd",
            turn_key=None,
            end_text="",
        )
        begun = self.payments.begin(request)
        assert isinstance(begun, Begun), begun
        case.attempt_id = begun.attempt_id

    def until_nothing_is_due(self, *, grain_s: float = 0.05, moves: int = MOVES_MAX) -> None:
        """Carry out, let the operator do what is due there, move the clock to what is due next; until nothing is.

        `grain_s`: by so much farther, so that what is due a little later is done in the same move.
        """
        for _ in range(moves):
            self._work()
            later = self._next_due()
            if later is None:
                return
            step = max(later - self.clock.real_now(), timedelta(0)) + timedelta(seconds=grain_s)
            self.clock.advance(seconds=step.total_seconds())
        raise AssertionError(f"no end in sight: {[(row.id, row.state, row.next_query_at) for row in self.attempts()]}")

    def _work(self) -> None:
        """Until both sides have nothing to do at this moment."""
        store = sandbox_of(self.box).store
        while True:
            while self.dispatcher.once():
                pass
            store.bell.ring()
            idle = store.bell.wait_for(self._box_is_idle, PATIENCE_S)
            assert idle, "the box does not come to rest"
            with self.db.read() as session:
                if not any(outbox.anything_due(session, queue=queue, clock=self.clock) for queue in outbox.QUEUES):
                    return

    def _box_is_idle(self) -> bool:
        """No errand of the operator is due, and nobody is about to type a PIN."""
        now = self.clock.real_now().timestamp()
        box = sandbox_of(self.box)
        with box.store.read() as db:
            due = db.scalar(select(func.count()).select_from(errands).where(errands.c.due <= now))
        return not due and not box.box.ledger.open_prompts()

    def _next_due(self) -> datetime | None:
        with self.db.read() as session:
            asked = session.scalar(select(func.min(AttemptRow.next_query_at)))
            errand = session.scalar(
                select(func.min(OutboxRow.available_at)).where(
                    OutboxRow.state == "pending", OutboxRow.business_at.is_(None)
                )
            )
        with sandbox_of(self.box).store.read() as db:
            theirs = db.scalar(select(func.min(errands.c.due)))
        box_due = datetime.fromtimestamp(theirs, START.tzinfo) if theirs is not None else None
        return min((at for at in (asked, errand, box_due) if at is not None), default=None)

    # -- what is known afterwards

    def attempts(self) -> list[AttemptRow]:
        with self.db.read() as session:
            return list(session.scalars(select(AttemptRow)))

    def attempt(self, case: Case) -> AttemptRow:
        with self.db.read() as session:
            return session.get_one(AttemptRow, case.attempt_id)

    def payments_of(self, case: Case) -> list[PaymentRow]:
        with self.db.read() as session:
            return list(session.scalars(select(PaymentRow).where(PaymentRow.attempt_id == case.attempt_id)))

    def reconcile(self) -> dict[str, str | None]:
        """Take in the operator's own reports of all days. Returns what is on a person's list: the operator's number →
        the payment of ours that it is held against."""
        wallet = self.player.wallet
        statements = sandbox_of(self.box).box.statements
        for currency in LAYOUTS[wallet].currencies:
            day, mapping = START.date(), self.reconciliation.saved_mapping(wallet, currency)
            assert mapping is not None
            # Our guesses name every column that some report may have; this one's are enough.
            headers = LAYOUTS[wallet].columns
            columns = {name: header for name, header in mapping.columns.items() if header in headers}
            while day <= self.clock.now().date() + timedelta(days=1):
                data = statements.csv(wallet, day, currency).encode()
                name = f"{day}-{currency}.csv"
                self.reconciliation.import_file(wallet, currency, name, data, columns, mapping.options, "awa")
                day += timedelta(days=1)
        waiting = self.reconciliation.lines(wallet, open_only=True, limit=1000)
        return {line.provider_txn_id: line.payment_id for line in waiting if line.provider_txn_id}

    def callbacks(self, state: str) -> int:
        with self.db.read() as session:
            return session.scalar(select(func.count()).select_from(CallbackRow).where(CallbackRow.state == state)) or 0

    def report(self) -> Mapping[str, Any]:
        """The operator's own books."""
        return sandbox_of(self.box).box.ledger.report(self.player.wallet)

    def entries(self, phone: str) -> list[Mapping[str, Any]]:
        return [entry for entry in self.report()["entries"] if entry["phone"] == phone]

    def movements(self) -> list[tuple[str, str, str, bool]]:
        """All money the operator ever took for us: (its number, currency, amount in whole units, taken back)."""
        report = self.report()
        entries = [entry for entry in report["entries"] if entry["state"] == "paid"]
        return [
            (one["provider_txn_id"], one["currency"], one["amount"], bool(one.get("reversed")))
            for one in [*entries, *report["walk_ins"]]
        ]

    def faults(self) -> tuple[str, ...]:
        """The faults this operator plays."""
        return cast("tuple[str, ...]", tuple(self.ask_box("faults")["known"][self.player.wallet]))

    # -- the box

    def ask_box(self, path: str) -> Any:
        reply = self.box.test_client().get(f"/sandbox/api/{path}")
        assert reply.status_code == 200, reply.text
        return reply.json

    def tell_box(self, path: str, body: Any) -> None:
        reply = self.box.test_client().post(f"/sandbox/api/{path}", json=body)
        assert reply.status_code == 200, reply.text

    def _answer_prompts(self) -> None:
        """Customers type their PIN as soon as they are asked; those who decline do so."""
        box = sandbox_of(self.box)
        seen = box.store.bell.count
        while not self._stop.is_set():
            for prompt in box.box.ledger.open_prompts():
                phone = prompt["phone"]
                box.box.ledger.answer(phone, pin=None if phone in self.declines else PIN, prompt_id=prompt["id"])
            box.store.bell.wait(seen, 0.5)
            seen = box.store.bell.count

    def _serve(self, app: Flask) -> str:
        server = threaded_server(app)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.port}"


def _vodacom(town: FaultTown, operators: str) -> Mapping[str, Any]:
    key = town.box.test_client().get("/sandbox/api/wallets/vodacom/public-key").text
    return {
        "api_key": town.box_config.vodacom_api_key,
        "public_key": key,
        "base_url": f"{operators}/vodacom",
        "mode": town.box_config.vodacom_mode,
        "session_warmup_s": 0,
        # A synchronous call that nobody ends is given up after this, in real seconds.
        "sync_timeout_s": 2,
    }


def _pawapay(town: FaultTown, operators: str) -> Mapping[str, Any]:
    return {"api_token": town.box_config.pawapay_token, "base_url": f"{operators}/pawapay"}


def _airtel(town: FaultTown, operators: str) -> Mapping[str, Any]:
    config = town.box_config
    return {
        "client_id": config.airtel_client_id,
        "client_secret": config.airtel_client_secret,
        "base_url": f"{operators}/airtel",
        "callback_hash": config.airtel_callback_hash,
        "callback_key": config.airtel_callback_key,
    }


def _orange(api: str) -> Callable[[FaultTown, str], Mapping[str, Any]]:
    def config(town: FaultTown, operators: str) -> Mapping[str, Any]:
        box = town.box_config
        return {
            "base_url": f"{operators}/orange-{'om' if api == 'soap' else 'b2b'}",
            "api": api,
            "bearer_token": box.orange_token,
            "partner_id": box.orange_partner_id,
            "merchant_cdf": box.orange_merchant_cdf,
            "merchant_usd": box.orange_merchant_usd,
            "client_id": box.orange_client_id,
            "client_secret": box.orange_client_secret,
            "b2b_pos_id": box.orange_pos_id,
            "b2b_status_path": "/transactions/{id}",
            "status_failed_codes": orange_rules.FAILED_CODES,
            "start_not_taken_codes": orange_rules.NOT_TAKEN_CODES,
            "b2b_not_taken_codes": orange_rules.B2B_NOT_TAKEN_CODES,
        }

    return config


def _mpesa_ke(town: FaultTown, operators: str) -> Mapping[str, Any]:
    box = town.box_config
    return {
        "consumer_key": box.daraja_consumer_key,
        "consumer_secret": box.daraja_consumer_secret,
        "passkey": box.daraja_passkey,
        "short_code": box.daraja_short_code,
        "base_url": f"{operators}/daraja",
    }


# wallet → the faults that its operator plays. A test compares it with what the running operators say.
PLAYED: Mapping[str, tuple[str, ...]] = {
    "vodacom": vodacom.FAULTS,
    "pawapay": pawapay.FAULTS,
    "airtel": WALLET_FAULTS,
    "orange": WALLET_FAULTS,
    "mpesa_ke": daraja.PLAYS,
}

# Every wallet of the registry must be here, some in several ways.
PLAYERS: Mapping[str, Player] = {
    "vodacom": Player("vodacom", _vodacom, "mpesa", "+243812", doors={"vodacom_callback_url": "callback"}),
    "vodacom-async": Player(
        "vodacom",
        _vodacom,
        "mpesa",
        "+243812",
        box={"vodacom_mode": "async"},
        doors={"vodacom_callback_url": "callback"},
    ),
    "pawapay": Player("pawapay", _pawapay, "orange", "+243892", doors={"pawapay_callback_url": "callback"}),
    "orange": Player("orange", _orange("soap"), "orange", "+243893", doors={"orange_callback_url": "callback"}),
    "orange-b2b": Player("orange", _orange("b2b"), "orange", "+243893", doors={"orange_callback_url": "callback"}),
    "mpesa_ke": Player(
        "mpesa_ke",
        _mpesa_ke,
        "mpesa",
        "+254712",
        currency="KES",
        doors={"daraja_validate_url": "validate", "daraja_confirm_url": "confirm"},
    ),
    "airtel": Player("airtel", _airtel, "airtel", "+243972", doors={"airtel_callback_url": "callback"}),
}
