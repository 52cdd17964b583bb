"""From the customer's money to the money back on her phone: both services, the real adapters, the box on the wire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from core import outbox
from core.db import Database
from core.kernel.clock import SystemClock
from core.kernel.money import Money
from core.ledger.model import Account
from core.ledger.queries import trial_balance
from core.notices.tables import NoticeRow
from core.outbox import Done, Leased, OutboxRow
from core.payments.model import Begun, PaymentRequest
from core.payments.ports import RawCallback, Wallet
from core.payments.tables import CallbackRow, PaymentRow
from core.services.payments import Payments
from core.services.refunds import Refunds
from mwolo.sandbox.serve import threaded_server
from tests import town
from tests.core.payments.scripted import Sessions
from tests.core.settlement.books import check_books
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Product, until
from tests.mwolo.sandbox.test_refunds_meet_the_box import pawapay_wallet, vodacom_wallet
from workers.jobs import refunds as job


@pytest.fixture
def on_the_wire(open_box: Callable[..., Box]) -> Iterator[tuple[Box, str]]:
    box = open_box(vodacom_mode="async")
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield box, f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()


class Office:
    """The product around one wallet, its errands run by hand."""

    def __init__(self, db: Database, wallet: Wallet, brand: str, phone: str) -> None:
        self.db, self.clock, self.wallet = db, SystemClock(), wallet
        wallets = {wallet.name: wallet}
        self.payments = Payments(db, self.clock, wallets, {brand: (wallet.name,)}, Sessions(), query_scale=0.01)
        self.refunds = Refunds(db, self.clock, wallets, query_scale=0.01)
        with db.begin() as session:
            self.contract_id = town.home(session, currency="CDF").contract.id
        begun = self.payments.begin(
            PaymentRequest(
                payer_phone=phone, asked_by_phone=phone, brand=brand, contract_id=self.contract_id,
                amount=Money.units(5000, "CDF"), language="fr", origin="ussd", turn_key=None, end_text="",
            )
        )  # fmt: skip
        assert isinstance(begun, Begun)
        self.attempt_id = begun.attempt_id

    def errand(self, kind: str) -> Leased | None:
        with self.db.read() as session:
            row = session.scalar(select(OutboxRow).where(OutboxRow.kind == kind).order_by(OutboxRow.id.desc()))
            return row and Leased(row.id, row.kind, row.queue, "t", row.body, 1, self.clock.real_now())

    def run(self, kind: str) -> outbox.Outcome:
        leased = self.errand(kind)
        assert leased is not None, kind
        return job.handlers(self.refunds)[kind](leased)

    def payment(self) -> PaymentRow | None:
        with self.db.read() as session:
            return session.scalar(select(PaymentRow))

    def told(self, letter: Any) -> None:
        """A callback comes through the door, and is settled."""
        headers = {name.lower(): value for name, value in letter.headers.items()}
        now = datetime.now(UTC)
        raw = RawCallback("callback", letter.body, headers, "POST", letter.path, letter.authority, None, now)
        self.payments.store(self.wallet.name, raw, "127.0.0.1")
        with self.db.read() as session:
            callback_id = session.scalars(select(CallbackRow.id).order_by(CallbackRow.id.desc())).first()
        assert callback_id is not None
        self.payments.settle(callback_id)

    def clearing(self) -> Money:
        """What the wallet owes us, in the books."""
        account = Account("wallet_clearing", self.wallet.name)
        with self.db.read() as session:
            check_books(session)
            return Money(trial_balance(session).get((account.code, account.owner, "CDF"), 0), "CDF")


@pytest.mark.parametrize(
    ("make", "brand", "phone"), [(pawapay_wallet, "airtel", AIRTEL), (vodacom_wallet, "mpesa", MPESA)]
)
def test_all_the_way_and_a_part_of_it_back(
    db: Database,
    on_the_wire: tuple[Box, str],
    product: Product,
    make: Callable[[Box, str], Wallet],
    brand: str,
    phone: str,
) -> None:
    box, address = on_the_wire
    office = Office(db, make(box, address), brand, phone)
    office.payments.push(office.attempt_id)
    box.answers(phone)
    until(lambda: office.payments.query(office.attempt_id) and office.payment())
    payment = office.payment()
    assert payment is not None
    assert office.clearing() == Money.units(5000, "CDF")
    hook = f"/hooks/{office.wallet.name}"
    seen = len(until(lambda: product.at(hook)))
    refund_id = office.refunds.request(payment.id, Money.units(1200, "CDF"), "meter was read wrongly", "chantal")
    office.refunds.decide(refund_id, approve=True, note="seen", by="dieudonne")
    # The answer is lost on the way; nobody asks for the money a second time.
    box.fault(office.wallet.name, "lost_answer", operation="refund")
    assert office.run("refund.push") == Done("unknown")
    assert office.run("refund.push") == Done("already unknown")
    office.told(until(lambda: product.at(hook)[seen:])[0])
    assert until(lambda: office.run("refund.query") == Done("paid"))
    assert office.clearing() == Money.units(3800, "CDF")
    assert box.balance(phone) == "16200"
    given = box.get(f"wallets/{office.wallet.name}/ledger")["refunds"]
    view = office.refunds.one(refund_id)
    assert view is not None
    assert [(one["amount"], one["provider_txn_id"]) for one in given] == [("1200", view.provider_txn_id)]
    assert office.refunds.returnable(payment.id).max == Money.units(3800, "CDF")
    with db.read() as session:
        notices = session.scalars(select(NoticeRow.recipient).where(NoticeRow.kind == "payment.refunded")).all()
    assert notices == [phone]
