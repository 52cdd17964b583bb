"""The eight tasks behind the phones (`docs/tasks.md`): each is carried out again after its worker died between the
effect and its record, and once more for good measure, and has one effect. Everything is wired as in production; only
the partners and the queue are ours."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

import pytest
from sqlalchemy import func, select

from core import outbox
from core.billing.tables import ReminderRow
from core.db import Database
from core.documents.tables import DocumentRow
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.ledger.model import receivable
from core.ledger.queries import balance
from core.ledger.tables import JournalRow
from core.notices.ports import DeliveryReport, OutboundEmail, OutboundText, Receipt
from core.notices.tables import NoticeRow
from core.outbox import LEASE_CAP_S, Leased, OutboxRow, Outcome
from core.payments.model import Begun, PaymentRequest
from core.payments.ports import Paid, RawCallback
from core.payments.tables import PaymentRow
from core.services.billing import Line
from core.services.payments import Payments
from core.settings import Settings
from core.supply.tables import RelayCommandRow
from mwolo.wiring import Wiring
from tests import town
from tests.core.payments.scripted import PAYER, Killed, ScriptedWallet, Sessions
from tests.core.payroll.payday import Payday
from tests.core.supply.test_command_life import said
from workers.dispatch import Dispatcher
from workers.executor import Handler, InLine, Runner
from workers.schedule import Schedule

BILL = Money.units(28_500, "CDF")
TO = "marie@example.cd"


class Texts:
    """An SMS gateway that takes everything on; each is told as delivered when a test says so."""

    name = "one"

    def __init__(self) -> None:
        self.sent: list[OutboundText] = []

    def send(self, text: OutboundText) -> Receipt:
        self.sent.append(text)
        return Receipt(self.name, f"one-{len(self.sent)}")


class Mails:
    name = "smtp"

    def __init__(self) -> None:
        self.sent: list[OutboundEmail] = []

    def send(self, email: OutboundEmail) -> Receipt:
        self.sent.append(email)
        return Receipt(self.name, "queued")


class Mortal(Runner):
    """A worker that dies once for each kind it was told: after the effect, before a word of it is in the outbox."""

    doomed: set[str]

    def __init__(self, db: Database, clock: FixedClock, handlers: dict[str, Handler]) -> None:
        super().__init__(db, clock, handlers)
        self.doomed = set()
        self.carried: list[str] = []

    def _outcome(self, row: Leased) -> Outcome:
        outcome = super()._outcome(row)
        label = label_of(row.kind, str(row.body.get("name", "")))
        self.carried.append(label)
        if label in self.doomed:
            self.doomed.discard(label)
            raise Killed
        return outcome


def label_of(kind: str, name: str) -> str:
    """A scheduled run has its name beside its kind: `schedule.run:dunning.sweep`."""
    return f"{kind}:{name}" if kind == "schedule.run" else kind


def _label(row: OutboxRow) -> str:
    return label_of(row.kind, str(row.body.get("name", "")))


class House:
    """The whole product in one thread, with a home, its bill, and a phone."""

    def __init__(self, db: Database, clock: FixedClock, folder: Path) -> None:
        self.db, self.clock, self.folder = db, clock, folder
        self.texts, self.mails, self.wallet = Texts(), Mails(), ScriptedWallet()
        settings = Settings(
            _env_file=None, secret_key="a-key-for-tests-of-32-characters!", documents_dir=str(folder),
            database_url="sqlite:///unused.db", hook_secrets="a-secret-of-the-hooks-in-tests",
        )  # fmt: skip
        self.wiring = Wiring(settings)
        payments = Payments(db, clock, {"vodacom": self.wallet}, {"mpesa": ("vodacom",)}, Sessions(), push_delay_s=0)
        vars(self.wiring).update(
            db=db, clock=clock, wallets={"vodacom": self.wallet}, payments=payments, email_gateway=self.mails,
            sms_aggregators={"one": self.texts},
        )  # fmt: skip
        self.runner = Mortal(db, clock, self.wiring.handlers)
        self.schedule = Schedule(db, clock)
        self.dispatcher = Dispatcher(db, clock, InLine(self.runner), payments, self.schedule)
        with db.begin() as session:
            self.home = town.home(session)
            self.home.customer.email = TO
        self.wiring.supply.provision(self.home.meter.id)
        self.dispatcher.once()

    def work(self) -> None:
        """Hand out until nothing is due."""
        for _ in range(200):
            if self.dispatcher.once() == 0:
                return
        raise AssertionError("it never came to an end")

    def killed_at(self, kind: str) -> None:
        """Work until the worker dies at this kind, wait until its leases ended, and work on; then everything that was
        done of this kind is handed out once more, as a queue that repeats would."""
        self.runner.doomed.add(kind)
        with pytest.raises(Killed):
            self.work()
        self.clock.advance(seconds=LEASE_CAP_S + 1)
        self.work()
        with self.db.begin() as session:
            rows = [row for row in session.scalars(select(OutboxRow)) if _label(row) == kind]
            assert {row.state for row in rows} == {"done"}
            for row in rows:
                outbox.take_up(session, row, clock=self.clock)
        self.work()
        assert self.runner.carried.count(kind) >= 3
        with self.db.read() as session:
            assert {row.state for row in session.scalars(select(OutboxRow)) if _label(row) == kind} == {"done"}

    def billed(self, *, sent: bool = True) -> int:
        invoice_id = self.wiring.billing.draft_invoice(
            self.home.contract.id, period="2026-02", lines=(Line("Energie", BILL),)
        )
        self.wiring.billing.validate_invoice(invoice_id)
        if sent:
            self.wiring.billing.send_invoice(invoice_id)
        return invoice_id

    def requested(self) -> str:
        """Somebody confirmed a payment of the whole bill; the wallet has not been asked yet."""
        begun = self.wiring.payments.begin(
            PaymentRequest(PAYER, PAYER, "mpesa", self.home.contract.id, BILL, "fr", "ussd", None, "Merci")
        )
        assert isinstance(begun, Begun)
        return begun.attempt_id

    def called_back(self, attempt_id: str) -> None:
        """The operator says, signed, that it was paid."""
        body = {"attempt": attempt_id, "status": "paid", "txn": "TX1", "amount": 28_500, "signed": True}
        raw = RawCallback(
            kind="callback", body=json.dumps(body).encode(), headers={}, method="POST", path="/hooks/a1/s/callback",
            authority="pay.example", attempt=None, received_at=self.clock.real_now(),
        )  # fmt: skip
        self.wiring.payments.store("vodacom", raw, "127.0.0.1")

    def paid(self) -> None:
        self.called_back(self.asked())

    def asked(self) -> str:
        attempt_id = self.requested()
        self.work()
        return attempt_id

    def day(self) -> None:
        """Until tomorrow at this hour, with everything that is due in between; the meter speaks, texts arrive."""
        self.clock.advance(days=1)
        with self.db.begin() as session:
            town.heard(session, self.home.meter, at=self.clock.real_now())
        self.work()
        self.deliver()

    def told(self, kind: str) -> list[str]:
        """Texts of a kind that really left, by whom they went to."""
        with self.db.read() as session:
            bodies = set(session.scalars(select(NoticeRow.body).where(NoticeRow.kind == kind)))
        return [text.to for text in self.texts.sent if text.body in bodies]

    def count(self, table: type, *where: object) -> int:
        with self.db.read() as session:
            return int(session.scalar(select(func.count()).select_from(table).where(*where)) or 0)  # type: ignore[arg-type]

    def deliver(self) -> None:
        """The network reports every text as arrived."""
        for number in range(1, len(self.texts.sent) + 1):
            self.wiring.notices.take_delivery("one", DeliveryReport(f"one-{number}", "Success", "delivered"))

    def files(self, kind: str) -> list[Path]:
        return sorted((self.folder / kind).rglob("*.pdf")) if (self.folder / kind).exists() else []


@pytest.fixture
def house(db: Database, clock: FixedClock, tmp_path: Path) -> House:
    return House(db, clock, tmp_path / "documents")


def test_1_the_bill_as_pdf(house: House) -> None:
    invoice_id = house.billed()
    house.killed_at("document.invoice")
    assert house.count(DocumentRow, DocumentRow.kind == "invoice") == 1
    assert len(house.files("invoice")) == 1
    assert house.wiring.documents.invoice_pdf(invoice_id) == house.files("invoice")[0].read_bytes()


def test_2_the_receipt_as_pdf(house: House) -> None:
    house.billed()
    house.paid()
    house.killed_at("document.receipt")
    assert house.count(DocumentRow, DocumentRow.kind == "receipt") == 1
    assert len(house.files("receipt")) == 1


@pytest.mark.parametrize("kind", ["payroll.close", "document.payslip", "email.send"])
def test_3_the_payslip_as_pdf(db: Database, clock: FixedClock, house: House, kind: str) -> None:
    """Two people closed a month's run: each is paid once, and gets one paper and one letter."""
    payday = Payday(db, clock)
    for name in ("Ilunga Mwamba", "Kabuya Ntumba"):
        payday.employee(name)
    payday.decided()
    mails = len(house.mails.sent)
    house.killed_at(kind)
    assert house.count(DocumentRow, DocumentRow.kind == "payslip") == 2
    assert len(house.files("payslip")) == 2
    with db.read() as session:
        paid = session.scalars(select(JournalRow.key).where(JournalRow.key.like("payslip%"))).all()
    assert len(paid) == len(set(paid)) == 2
    assert len(house.mails.sent) == mails + 2
    assert all(mail.attachments for mail in house.mails.sent[mails:])


@pytest.mark.parametrize("kind", ["notice.send", "email.send"])
def test_4_a_reminder_by_text_and_by_email(house: House, kind: str) -> None:
    house.billed()
    house.work()
    house.deliver()
    for _ in range(2):
        house.day()
    before_texts, before_mails = len(house.texts.sent), len(house.mails.sent)
    house.clock.advance(days=1)
    house.killed_at(kind)
    assert house.told("dunning.reminder") == [house.home.phone]
    assert len(house.texts.sent) == before_texts + 1
    assert [mail.to for mail in house.mails.sent[before_mails:]] == [TO]


def test_5_the_unpaid_check(house: House) -> None:
    house.billed()
    house.work()
    house.deliver()
    for _ in range(2):
        house.day()
    house.clock.advance(days=1)
    house.killed_at("schedule.run:dunning.sweep")
    assert house.told("dunning.reminder") == [house.home.phone]
    with house.db.read() as session:
        steps = session.scalars(select(ReminderRow.step).order_by(ReminderRow.id)).all()
    assert list(steps) == ["sent", "reminder"]


def commands(house: House) -> list[tuple[int, str]]:
    with house.db.read() as session:
        rows = session.execute(
            select(RelayCommandRow.version, RelayCommandRow.supply).order_by(RelayCommandRow.version)
        )
        return [(version, supply) for version, supply in rows]


def to_the_cut(house: House, days: int) -> None:
    house.billed()
    house.work()
    house.deliver()
    for _ in range(days):
        house.day()


def spoken(house: House) -> list[tuple[int, str]]:
    """The bridge, killed after each publish and before its word; what a meter that goes by versions then did."""
    done: list[tuple[int, str]] = []
    for told in ("killed", "lives"):
        house.clock.advance(minutes=5)
        for command in house.wiring.supply.lease_commands(10):
            if command.version > max((version for version, _ in done), default=0):
                done.append((command.version, command.supply))
            if told == "lives":
                assert house.wiring.supply.mark_sent(command.id, command.token)
    for version, supply in done:
        report = said(version, "off" if supply == "off" else "on", at=100 + version)
        assert house.wiring.supply.take_reported(house.home.meter.id, report)
    return done


def test_6_and_7_supply_off_and_on(house: House) -> None:
    to_the_cut(house, 13)
    house.clock.advance(days=1)
    with house.db.begin() as session:
        town.heard(session, house.home.meter, at=house.clock.real_now())
    house.work()
    house.deliver()
    assert commands(house) == [], "who was told only now has an hour"
    house.clock.advance(hours=1)
    house.killed_at("schedule.run:supply.cut")
    assert commands(house) == [(1, "off")]
    assert spoken(house) == [(1, "off")]
    # Seven: the money that ends the debt brings the light back, in its own transaction.
    house.paid()
    house.killed_at("callback.settle")
    assert commands(house) == [(1, "off"), (2, "on")]
    assert spoken(house) == [(2, "on")]
    house.work()
    assert house.told("supply.off") == house.told("supply.on") == [house.home.phone]


def test_8_the_confirmation_of_a_payment(house: House) -> None:
    house.billed()
    attempt_id = house.asked()
    house.called_back(attempt_id)
    house.killed_at("callback.settle")
    assert house.count(PaymentRow) == 1
    with house.db.read() as session:
        assert balance(session, receivable(house.home.contract.id), "CDF").minor == 0
    assert sorted(house.told("payment.receipt")) == [house.home.phone]
    assert house.told("payment.receipt_payer") == [PAYER]
    assert len(house.wallet.starts) == 1


@pytest.mark.parametrize("kind", ["attempt.push", "attempt.query", "notice.send", "email.send"])
def test_8_whoever_dies_on_the_way_to_it(house: House, kind: str) -> None:
    house.billed()
    house.work()
    texts, mails = len(house.texts.sent), len(house.mails.sent)
    house.wallet.to_query = deque([Paid("TX1", BILL)])
    house.requested()
    if kind in ("notice.send", "email.send") or kind == "attempt.query":
        house.work()
        house.clock.advance(minutes=1)
    house.killed_at(kind)
    house.clock.advance(minutes=20)
    house.work()
    assert len(house.wallet.starts) == 1
    assert house.count(PaymentRow) == 1
    assert len(house.texts.sent) == texts + 2
    assert len(house.mails.sent) == mails + 1
