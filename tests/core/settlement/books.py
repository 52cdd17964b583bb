"""A small utility whose books a test can move, and look at from every side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.tables import DunningCycleRow, InvoiceRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import WEST, FixedClock, local_date
from core.kernel.ids import new_uuid, verification_code
from core.kernel.money import Money
from core.ledger import queries as ledger
from core.ledger.model import CHART, Account
from core.outbox import OutboxRow
from core.payments.tables import PaymentRow
from core.settlement import Posted, post
from core.settlement.events import Event, InvoiceSent, WalletMoney
from tests import town


def francs(units: int) -> Money:
    return Money.units(units, "CDF")


@dataclass
class Books:
    """Posts events, each in its own transaction, as a service would."""

    db: Database
    clock: FixedClock
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def contract(self, *, currency: str = "CDF", phone: str | None = None) -> int:
        with self.db.begin() as session:
            return town.home(session, currency=currency, phone=phone).contract.id

    def invoice(self, contract_id: int, total: Money, *, tax_minor: int = 0) -> int:
        """A sent invoice: owed from now on."""
        with self.db.begin() as session:
            on = session.get_one(ContractRow, contract_id)
            row = town.invoice(session, on, total=total, tax_minor=tax_minor)
            row.state, row.sent_on, row.sent_at = "sent", local_date(self.clock.now(), WEST), self.clock.now()
            session.add(DunningCycleRow(invoice_id=row.id, cycle=1, started_on=row.sent_on, cause="sent"))
            session.flush()
            post(session, InvoiceSent(key=f"sent:{row.id}", invoice_id=row.id), clock=self.clock)
            return row.id

    def opening(self, contract_id: int, total: Money) -> int:
        """An invoice of what was owed before, sent and not in the books yet: the test posts its event."""
        with self.db.begin() as session:
            row = town.invoice(session, session.get_one(ContractRow, contract_id), total=total)
            row.state, row.sent_on, row.sent_at = "sent", local_date(self.clock.now(), WEST), self.clock.now()
            session.add(DunningCycleRow(invoice_id=row.id, cycle=1, started_on=row.sent_on, cause="opening"))
            return row.id

    def payment(
        self, amount: Money, *, wallet: str = "vodacom", contract_id: int | None = None, in_suspense: bool = False
    ) -> str:
        """The row of money that arrived; the test posts the event that goes with it."""
        number = next(self._count)
        with self.db.begin() as session:
            row = PaymentRow(
                id=new_uuid(),
                wallet=wallet,
                provider_txn_id=f"TX{number}",
                contract_id=contract_id,
                currency=amount.currency,
                amount_minor=amount.minor,
                payer_phone="+243815559999",
                received_at=self.clock.now(),
                found_by="query",
                receipt_number=f"R{number:06d}",
                verification_code=verification_code(),
                in_suspense=in_suspense,
            )
            session.add(row)
            return row.id

    def post(self, event: Event) -> Posted:
        with self.db.begin() as session:
            return post(session, event, clock=self.clock)

    def pay(self, contract_id: int, amount: Money, *, chosen: tuple[int, ...] = ()) -> str:
        """Wallet money for a contract, booked. Returns the payment's id."""
        payment = self.payment(amount, contract_id=contract_id)
        self.post(
            WalletMoney(
                key=f"payment:{payment}",
                payment_id=payment,
                wallet="vodacom",
                contract_id=contract_id,
                amount=amount,
                invoice_ids=chosen,
            )
        )
        return payment

    def paid(self, invoice_id: int) -> Money:
        with self.db.read() as session:
            row = session.get_one(InvoiceRow, invoice_id)
            return Money(row.paid_minor, row.currency)

    def in_suspense(self, payment_id: str) -> bool:
        with self.db.read() as session:
            return session.get_one(PaymentRow, payment_id).in_suspense

    def balance(self, account: Account, currency: str = "CDF") -> Money:
        """What the transfers say, on the side that counts up."""
        with self.db.read() as session:
            minor = ledger.trial_balance(session).get((account.code, account.owner, currency), 0)
        return Money(minor * CHART[account.code].sign, currency)

    def staged(self, kind: str) -> Sequence[OutboxRow]:
        with self.db.read() as session:
            return session.scalars(select(OutboxRow).where(OutboxRow.kind == kind).order_by(OutboxRow.id)).all()

    def check(self) -> None:
        with self.db.read() as session:
            check_books(session)


def check_books(session: Session) -> None:
    """What must hold after every step: sums, cached balances, floors, and what each invoice says was paid."""
    trial = ledger.trial_balance(session)
    for currency in {currency for _, _, currency in trial}:
        assert sum(minor for (_, _, cur), minor in trial.items() if cur == currency) == 0
    assert ledger.differences(session) == []
    assert all(minor <= 0 for (code, _, _), minor in trial.items() if code == "agent_float")
    open_by_contract: dict[tuple[str, str], int] = {}
    for row in session.scalars(select(InvoiceRow)):
        assert row.paid_minor == ledger.allocated(session, row.id), row.number
        assert 0 <= row.paid_minor <= row.total_minor
        if row.state == "sent":
            owner = (str(row.contract_id), row.currency)
            open_by_contract[owner] = open_by_contract.get(owner, 0) + row.total_minor - row.paid_minor
    for (code, owner, currency), minor in trial.items():
        if code == "receivable":
            # What a contract owes in the ledger is what its invoices say.
            assert minor == open_by_contract.get((owner, currency), 0)
