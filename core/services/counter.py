"""Money that no wallet tells of: cash over the counter and money on the bank's account. Declared, then confirmed.

Declaring books nothing. Confirming books it once, through settlement, under the name of whoever confirmed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import WEST, Clock, local_date, local_time
from core.kernel.errors import ServiceError, StateConflict
from core.kernel.ids import ALPHABET, verification_code
from core.kernel.money import Money
from core.payments.counter_tables import DeclaredPaymentRow
from core.payments.tables import PaymentRow
from core.settlement import post
from core.settlement.events import BankMoney, CashTaken, Event

Way = Literal["cash", "bank"]
FOUND_BY = "counter"


class NoSuchAccount(ServiceError):
    """No active contract has this account number."""


class OtherContent(StateConflict):
    """This id was declared already, by somebody else or for other money."""


class NoSuchPayment(ServiceError):
    """Nothing with this id, declared or booked."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What somebody says came in. `reference`: of the bank's statement (needed there), of the counter's slip."""

    account_number: str
    way: Way
    amount: Money
    reference: str | None = None
    paid_on: date | None = None


_KNOWN = select(
    DeclaredPaymentRow.declared_by, ContractRow.account_number, DeclaredPaymentRow.way, DeclaredPaymentRow.currency,
    DeclaredPaymentRow.amount_minor, DeclaredPaymentRow.reference,
).join(ContractRow, ContractRow.id == DeclaredPaymentRow.contract_id)  # fmt: skip


class Counter:
    """`audit`: `Staff.audit`, which writes into the caller's transaction. `by`: who asks; it stands in the journal."""

    def __init__(self, db: Database, clock: Clock, audit: Callable[[Session, str, str, str, str], None]) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    def declare(self, payment_id: str, said: Declaration, *, by: str) -> str:
        """Write down money that waits for its confirmation; gives its id. The same id again changes nothing.

        Raises NoSuchAccount; OtherContent for an id that stands for other money; StateConflict for another currency
        than the contract's, an amount that cannot be charged, bank money without its reference, a day to come.
        """
        try:
            return self._declare(payment_id, said, by)
        except IntegrityError:
            # Sent twice in the same instant (PostgreSQL lets two look first): the other one stands.
            return self._declare(payment_id, said, by)

    def _declare(self, payment_id: str, said: Declaration, by: str) -> str:
        now = self._clock.now()
        if not said.amount.is_chargeable:
            raise StateConflict(f"{said.amount} cannot be charged")
        if said.way == "bank" and not _statement_number(said.reference):
            raise StateConflict("bank money has the reference of its statement")
        if said.paid_on is not None and said.paid_on > local_date(now, WEST):
            raise StateConflict("the day of the payment is still to come")
        with self._db.begin() as session:
            known = session.execute(_KNOWN.where(DeclaredPaymentRow.id == payment_id)).first()
            if known is not None:
                amount = said.amount
                if known != (by, said.account_number, said.way, amount.currency, amount.minor, said.reference):
                    raise OtherContent(f"{payment_id} was declared already, for other money or by somebody else")
                return payment_id
            contract = session.scalar(
                select(ContractRow).where(
                    ContractRow.account_number == said.account_number, ContractRow.state == "active"
                )
            )
            if contract is None:
                raise NoSuchAccount(said.account_number)
            if contract.currency != said.amount.currency:
                raise StateConflict(f"this account is in {contract.currency}")
            session.add(
                DeclaredPaymentRow(
                    id=payment_id,
                    way=said.way,
                    contract_id=contract.id,
                    currency=said.amount.currency,
                    amount_minor=said.amount.minor,
                    reference=said.reference,
                    paid_on=said.paid_on,
                    state="declared",
                    declared_by=by,
                    declared_at=now,
                )
            )
            session.flush()
            self._audit(session, by, "payment.declared", payment_id, f"{said.way} {said.amount}")
        return payment_id

    def confirm(self, payment_id: str, *, by: str) -> None:
        """Book declared money on its contract. Raises NoSuchPayment; StateConflict for what is booked already, what
        no person confirms (a wallet's money), a contract that was closed, a bank reference that was booked before."""
        try:
            with self._db.begin() as session:
                self._confirm(session, payment_id, by)
        except IntegrityError as error:
            # Two confirmations of one bank reference in the same instant: the payment is unique on it.
            raise StateConflict("this bank reference is booked already") from error

    def _confirm(self, session: Session, payment_id: str, by: str) -> None:
        found = session.execute(
            select(DeclaredPaymentRow.contract_id).where(DeclaredPaymentRow.id == payment_id)
        ).scalar_one_or_none()
        if found is None:
            if session.get(PaymentRow, payment_id) is None:
                raise NoSuchPayment(payment_id)
            raise StateConflict("this money was booked by itself: there is nothing to confirm")
        # Everybody who moves money locks the contract first.
        contract = session.get_one(ContractRow, found, with_for_update={"key_share": True})
        said = session.scalars(
            select(DeclaredPaymentRow).where(DeclaredPaymentRow.id == payment_id).with_for_update()
        ).one()
        if said.state != "declared":
            raise StateConflict("this payment is confirmed already")
        if contract.state != "active":
            raise StateConflict("the contract is closed")
        if said.way == "bank" and self._reference_known(session, said.reference):
            raise StateConflict("this bank reference is booked already")
        now = self._clock.now()
        said.state, said.confirmed_by, said.confirmed_at = "confirmed", by, now
        session.add(self._payment(session, said, now))
        session.flush()
        post(session, _event(said, by), clock=self._clock)
        self._audit(session, by, "payment.confirmed", payment_id, f"{said.way} {_amount(said)}")

    @staticmethod
    def _reference_known(session: Session, reference: str | None) -> bool:
        same = (reference, _statement_number(reference))
        booked = select(PaymentRow.id).where(PaymentRow.wallet == "bank", PaymentRow.provider_txn_id.in_(same))
        return session.scalar(booked.limit(1)) is not None

    def _payment(self, session: Session, said: DeclaredPaymentRow, now: datetime) -> PaymentRow:
        # Noon is the same day in both of the country's zones.
        paid_at = datetime.combine(said.paid_on, time(12), UTC) if said.paid_on else None
        return PaymentRow(
            id=said.id,
            wallet=said.way,
            provider_txn_id=_statement_number(said.reference) if said.way == "bank" else None,
            contract_id=said.contract_id,
            currency=said.currency,
            amount_minor=said.amount_minor,
            payer_phone=None,
            paid_at=paid_at,
            received_at=now,
            found_by=FOUND_BY,
            receipt_number=_receipt_number(session, now),
            verification_code=verification_code(),
            reference=said.reference,
        )


def _statement_number(reference: str | None) -> str:
    """A bank's reference as it counts: whoever types it in small letters or with another blank means the same money."""
    return " ".join((reference or "").split()).upper()


def _amount(said: DeclaredPaymentRow) -> Money:
    return Money(said.amount_minor, said.currency)


def _event(said: DeclaredPaymentRow, by: str) -> Event:
    key, amount = f"payment:{said.id}", _amount(said)
    if said.way == "bank":
        return BankMoney(key=key, actor=by, payment_id=said.id, contract_id=said.contract_id, amount=amount)
    return CashTaken(key=key, actor=by, payment_id=said.id, cashier=by, contract_id=said.contract_id, amount=amount)


def _receipt_number(session: Session, now: datetime) -> str:
    """A number nobody has yet; the unique key decides between two in the same instant."""
    while True:
        made = f"R{local_time(now, WEST):%y%m%d}" + "".join(secrets.choice(ALPHABET) for _ in range(5))
        if session.scalar(select(PaymentRow.id).where(PaymentRow.receipt_number == made)) is None:
            return made
