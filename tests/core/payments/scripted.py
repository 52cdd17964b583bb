"""A wallet that says what a test tells it to, and a till around it: the payments service with nothing else moving."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase

from core.billing.tables import DunningCycleRow, InvoiceRow
from core.customers.tables import ContractRow
from core.db import Database
from core.db.engine import assert_outside_transaction
from core.kernel.clock import WEST, FixedClock, local_date
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.outbox import Leased, Outcome
from core.payments.model import BeginRefused, Begun, PaymentRequest
from core.payments.ports import (
    Accepted,
    Ack,
    Capabilities,
    Failed,
    Hint,
    Malformed,
    Paid,
    Pending,
    QueryAnswer,
    RawCallback,
    StartAnswer,
    WalletAttempt,
)
from core.payments.tables import AttemptRow, CallbackRow, PaymentRow, WalletPostRow
from core.services.payments import Payments
from core.settlement import post
from core.settlement.events import InvoiceSent
from tests import town
from tests.core.settlement.books import check_books, francs

CAN = Capabilities(
    decimals={"CDF": 0, "USD": 2},
    query_by_own_id=True,
    callback_proof="signature",
    query_slots_s=(15, 45, 120, 300, 900, 3600),
    prompt_lifetime_s=180,
)
BILL = francs(28_500)
PAYER = "+243815551111"


class Killed(BaseException):
    """The process died here. Nothing catches it, as nothing catches SIGKILL."""


Start = StartAnswer | BaseException | Callable[[WalletAttempt], StartAnswer]
Answer = QueryAnswer | BaseException


class ScriptedWallet:
    """Answers from two lists, the last answer for ever. Every call is kept."""

    secrets = ("key",)

    def __init__(self, name: str = "vodacom", can: Capabilities = CAN) -> None:
        self.name = name
        self.can = can
        self.starts: list[WalletAttempt] = []
        self.queries: list[WalletAttempt] = []
        self.to_start: deque[Start] = deque([Accepted("REF1")])
        self.to_query: deque[Answer] = deque([Pending()])

    def start(self, attempt: WalletAttempt) -> StartAnswer:
        assert_outside_transaction()
        self.starts.append(attempt)
        answer = self.to_start.popleft() if len(self.to_start) > 1 else self.to_start[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer(attempt) if callable(answer) else answer

    def query(self, attempt: WalletAttempt) -> QueryAnswer:
        assert_outside_transaction()
        self.queries.append(attempt)
        answer = self.to_query.popleft() if len(self.to_query) > 1 else self.to_query[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def read_callback(self, raw: RawCallback) -> Hint | Malformed:
        try:
            body = json.loads(raw.body)
        except ValueError:
            return Malformed("not JSON")
        claim: QueryAnswer | None = None
        if body.get("status") == "paid":
            claim = Paid(body.get("txn"), Money.units(body["amount"], "CDF") if "amount" in body else None)
        elif body.get("status") == "failed":
            claim = Failed("no_funds", "51", final=body.get("final", True))
        return Hint(
            attempt_id=body.get("attempt"),
            own_ref=body.get("own_ref"),
            provider_ref=body.get("ref"),
            claim=claim,
            authentic=body.get("signed", False),
        )

    def acknowledge(self, raw: RawCallback) -> Ack:
        return Ack()


@dataclass
class Sessions:
    """Phones with a USSD session open."""

    open: set[str] = field(default_factory=set)

    def has_open(self, phone: str) -> bool:
        return phone in self.open


class Till:
    """One contract with one sent invoice, one payer who is not its holder, one wallet."""

    def __init__(
        self,
        db: Database,
        clock: FixedClock,
        *,
        currency: str = "CDF",
        scale: float = 1.0,
        wallet: ScriptedWallet | None = None,
    ) -> None:
        self.db = db
        self.clock = clock
        self.wallet = wallet or ScriptedWallet()
        self.sessions = Sessions()
        self.payments = Payments(
            db,
            clock,
            {"vodacom": self.wallet},
            {"mpesa": ("vodacom",), "orange": ("gone",)},
            self.sessions,
            query_scale=scale,
        )
        with db.begin() as session:
            home = town.home(session, currency=currency)
            self.contract_id, self.holder = home.contract.id, home.phone
        self.invoice_id = self.bill(BILL if currency == "CDF" else Money.units(10, currency))

    def bill(self, total: Money) -> int:
        with self.db.begin() as session:
            row = town.invoice(session, session.get_one(ContractRow, self.contract_id), total=total)
            row.state, row.sent_on, row.sent_at = "sent", local_date(self.clock.now(), WEST), self.clock.now()
            session.add(DunningCycleRow(invoice_id=row.id, cycle=1, started_on=row.sent_on, cause="sent"))
            session.flush()
            post(session, InvoiceSent(key=f"sent:{row.id}", invoice_id=row.id), clock=self.clock)
            return row.id

    def request(self, **other: Any) -> PaymentRequest:
        words: dict[str, Any] = {
            "payer_phone": PAYER,
            "asked_by_phone": PAYER,
            "brand": "mpesa",
            "contract_id": self.contract_id,
            "amount": BILL,
            "language": "fr",
            "origin": "ussd",
            "turn_key": None,
            "end_text": "Vous recevrez une demande.",
        }
        return PaymentRequest(**(words | other))

    def try_begin(self, **other: Any) -> Begun | BeginRefused:
        return self.payments.begin(self.request(**other))

    def begin(self, **other: Any) -> str:
        begun = self.try_begin(**other)
        assert isinstance(begun, Begun), begun
        return begun.attempt_id

    def submitted(self, answer: Start | None = None, **other: Any) -> str:
        """An attempt that was pushed and got `answer` (Accepted when none is given)."""
        attempt_id = self.begin(**other)
        if answer is not None:
            self.wallet.to_start = deque([answer])
        self.payments.push(attempt_id)
        return attempt_id

    def ask(self, attempt_id: str, answer: QueryAnswer, *, by: str = "query") -> Outcome:
        self.wallet.to_query = deque([answer])
        return self.payments.query(attempt_id, by=by)

    def callback(
        self, body: dict[str, Any] | bytes, *, path_attempt: str | None = None, wallet: str = "vodacom"
    ) -> int:
        """Store a callback; its id."""
        raw = RawCallback(
            kind="callback",
            body=body if isinstance(body, bytes) else json.dumps(body, sort_keys=True).encode(),
            headers={"content-type": "application/json"},
            method="POST",
            path="/hooks/a1/secret/callback",
            authority="pay.example",
            attempt=path_attempt,
            received_at=self.clock.real_now(),
        )
        self.payments.store(wallet, raw, "127.0.0.1")
        return self.rows(CallbackRow)[-1].id

    def settle(self, body: dict[str, Any] | bytes, **other: Any) -> Outcome:
        return self.payments.settle(self.callback(body, **other))

    def rows(self, table: type[DeclarativeBase]) -> Sequence[Any]:
        with self.db.read() as session:
            order = table.__table__.c.id if table is not PaymentRow else table.__table__.c.receipt_number
            return session.scalars(select(table).order_by(order)).all()

    def attempt(self, attempt_id: str) -> AttemptRow:
        with self.db.read() as session:
            return session.get_one(AttemptRow, attempt_id)

    def callback_row(self, callback_id: int) -> CallbackRow:
        with self.db.read() as session:
            return session.get_one(CallbackRow, callback_id)

    def posts(self, attempt_id: str) -> list[tuple[int, str | None]]:
        return [(row.number, row.outcome) for row in self.rows(WalletPostRow) if row.attempt_id == attempt_id]

    def money(self) -> list[int]:
        """What arrived, in minor units, as payments."""
        return sorted(row.amount_minor for row in self.rows(PaymentRow))

    def notices(self, kind: str) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(NoticeRow.body).where(NoticeRow.kind == kind)))

    def paid(self) -> Money:
        with self.db.read() as session:
            row = session.get_one(InvoiceRow, self.invoice_id)
            return Money(row.paid_minor, row.currency)

    def check(self) -> None:
        with self.db.read() as session:
            check_books(session)


def leased(row_id: int, kind: str, body: dict[str, Any], clock: FixedClock) -> Leased:
    return Leased(row_id, kind, "push", "token", body, 1, clock.real_now())
