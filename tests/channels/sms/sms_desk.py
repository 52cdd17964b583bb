"""A desk that takes texts in and answers them with the real services; only the wallet is never called."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from channels.sms.answering import Answering
from channels.sms.command import Doors
from core import outbox
from core.cases.tables import CaseRow
from core.customers.tables import ContractRow, PhoneRow
from core.db import Database
from core.documents.store import FolderStore
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.notices.ports import InboundText
from core.notices.tables import InboundSmsRow, NoticeRow
from core.payments.ports import Capabilities, Wallet
from core.payments.tables import AttemptRow
from core.phone_numbers import first_guess
from core.services.customers import Customers
from core.services.documents import Documents
from core.services.inbox import Inbox
from core.services.notices import Notices
from core.services.payments import Payments
from tests import town
from workers.jobs.texts import handlers

CODE = "123"


class NeverCalled:
    """A wallet that only says what it can: nothing here may ever call one."""

    name = "fake"
    secrets = ()
    can = Capabilities({"CDF": 0}, True, "none", (30, 60), 120)


class NoSessions:
    def has_open(self, phone: str) -> bool:
        return False


class Desk:
    """`text` sends one and has it answered; it returns what was sent back, `(kind, body)` each."""

    def __init__(self, db: Database, clock: FixedClock, folder: Path, *, codes: tuple[str, ...] = (CODE,)) -> None:
        self.db, self.clock = db, clock
        self.payments = Payments(
            db,
            clock,
            {"fake": cast("Wallet", NeverCalled())},
            dict.fromkeys(("mpesa", "airtel", "orange"), ("fake",)),
            NoSessions(),
        )
        documents = Documents(db, clock, FolderStore(folder), verify_base_url="http://x", utility="Mwolo")
        self.notices = Notices(db, clock, [])
        self.answering = Answering(
            Inbox(db, clock),
            Customers(db, clock),
            Doors(self.payments, documents, first_guess),
            codes=codes,
            ourselves=("MWOLO", *codes),
        )
        self._count = 0

    def text(self, phone: str, body: str, *, to: str = CODE, delay_s: int = 0) -> list[tuple[str, str]]:
        number = self.take(phone, body, to=to, delay_s=delay_s)
        before = self.sent()
        self.answering.answer(number)
        return self.sent()[len(before) :]

    def take(self, phone: str, body: str, *, to: str = CODE, delay_s: int = 0, reference: str | None = None) -> int:
        """Keep a text and return its number; the one there is when it came before."""
        self._count += 1
        sent_at = self.clock.real_now() - timedelta(seconds=delay_s)
        reference = reference or f"in-{self._count}"
        self.notices.take_inbound("at", InboundText(reference, phone, body, to, sent_at))
        with self.db.read() as session:
            row = session.scalars(select(InboundSmsRow).where(InboundSmsRow.gateway_ref == reference)).one()
            return row.id

    def run(self) -> None:
        """Carry out every errand of a text that waits, as the worker does."""
        answer = handlers(self.answering)["sms.answer"]
        with self.db.begin() as session:
            rows = outbox.lease(session, queue="notices", clock=self.clock, limit=100)
        for row in rows:
            if row.kind == "sms.answer":
                answer(row)

    def sent(self) -> list[tuple[str, str]]:
        with self.db.read() as session:
            rows = session.scalars(
                select(NoticeRow).where(NoticeRow.state != "suppressed").order_by(NoticeRow.id)
            ).all()
            return [(row.kind, row.body) for row in rows if row.kind.startswith("sms.")]

    def handled(self) -> list[str]:
        with self.db.read() as session:
            return list(session.scalars(select(InboundSmsRow.handled).order_by(InboundSmsRow.id)))

    def attempts(self) -> list[AttemptRow]:
        with self.db.read() as session:
            return list(session.scalars(select(AttemptRow).order_by(AttemptRow.created_at, AttemptRow.id)))

    def cases(self) -> list[CaseRow]:
        with self.db.read() as session:
            return list(session.scalars(select(CaseRow).order_by(CaseRow.id)))

    def opted_out(self, phone: str) -> bool:
        with self.db.read() as session:
            row = session.get(PhoneRow, phone)
            return row is not None and row.opted_out_at is not None

    def end_attempts(self, state: str = "failed") -> None:
        with self.db.begin() as session:
            for attempt in session.scalars(select(AttemptRow)):
                attempt.state, attempt.is_open, attempt.ended_at = state, False, self.clock.real_now()

    def home(
        self, due: int = 12_500, *, name: str = "Mbuyi Kalala", language: str = "fr", phone: str | None = None,
        currency: str = "CDF",
    ) -> town.Home:  # fmt: skip
        """A customer with a confirmed phone who owes `due` francs, or dollars."""
        with self.db.begin() as session:
            home = town.home(session, name=name, language=language, phone=phone, currency=currency)
            self.owe(session, home.contract, due)
            session.flush()
            session.expunge_all()
        return home

    def owe(self, session: Session, contract: ContractRow, due: int) -> None:
        if due:
            bill = town.invoice(session, contract, total=Money.units(due, contract.currency))
            bill.state, bill.sent_on = "sent", self.clock.now().date()

    def account(self, home: town.Home, due: int = 0) -> str:
        """One more account of a customer."""
        with self.db.begin() as session:
            site = town.site(session)
            contract = town.contract(session, session.merge(home.customer), site, None)
            self.owe(session, contract, due)
            return contract.account_number
