"""Texts that people send us: what is known of one, and its one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, CustomerRow, PhoneRow
from core.db import Database
from core.kernel.clock import WEST, Clock
from core.kernel.digits import grouped
from core.kernel.money import Money
from core.notices.staging import stage_notice
from core.notices.tables import InboundSmsRow
from core.payments.tables import AttemptRow
from core.services.cases import open_from_sms

# Some gateways repeat a text under a new id, and repeat the repeat. Who means it twice waits longer than this.
TWIN_WITHIN = timedelta(seconds=60)
# More than this many texts back nobody is asked about.
_TWINS_MAX = 200
# Nothing was charged, and nothing is on its way.
_CAME_TO_NOTHING = frozenset({"failed", "expired", "cancelled"})
# Whose orders are counted against the limit of orders by SMS.
ORDERS_WITHIN = timedelta(hours=24)
ORIGIN = "sms"


@dataclass(frozen=True, slots=True)
class Order:
    """A payment that a text has begun. `name`: of the account's customer."""

    amount: Money
    account: str
    name: str
    brand: str


@dataclass(frozen=True, slots=True)
class Message:
    """A text that waits for its answer. PINs are covered in `body`.

    `sent_to`: our number or short code, empty if unknown. `age`: since it left the phone. `stop`: it has opted out
    already. `order_key`: the turn key of what it orders, the same for a text and its twins (the same words from the
    same phone, each within a minute of the one before) while what they ordered is open or paid; `is_twin`: it is not
    the one that ordered it. `order`: what was begun under that key.
    `orders_lately`: how many payments this phone has ordered by SMS within a day.
    """

    id: int
    phone: str
    body: str = field(repr=False)
    sent_to: str
    age: timedelta
    stop: bool
    order_key: str
    is_twin: bool
    order: Order | None
    orders_lately: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said, and done, in answer to a text.

    `kind`: a notice kind of `core.notices.answers`. `handled`: what was made of the text, for the console. `filed`: a
    person must read it; the case's number is put into the blank `case`. `choice`: what changes for reminders.
    """

    kind: str
    blanks: Mapping[str, str]
    handled: str
    zone: str = WEST
    contract_id: int | None = None
    filed: bool = False
    choice: Literal["stop", "start"] | None = None


class Inbox:
    """Owns its transactions. Every method raises NotRecorded when the database does not take it in time."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def open(self, inbound_id: int) -> Message | None:
        """A text that waits for its answer; None when it has it, or there is no such text."""
        now = self._clock.now()
        with self._db.read() as session:
            row = session.get(InboundSmsRow, inbound_id)
            if row is None or row.answered_at is not None:
                return None
            first = _ordered_by(session, row)
            key = _key(first)
            return Message(
                id=row.id,
                phone=row.phone,
                body=row.body,
                sent_to=row.sent_to,
                age=max(now - row.received_at, timedelta(0)) + timedelta(seconds=row.delayed_s),
                stop=row.handled == "opt_out",
                order_key=key,
                is_twin=first != row.id,
                order=_order(session, key),
                orders_lately=_orders(session, row.phone, self._clock.real_now() - ORDERS_WITHIN),
            )

    def answer(self, message: Message, answer: Answer, language: str) -> bool:
        """Send the one answer, file what a person must read, keep the choice about reminders: all of it, once.

        False when it was answered before. The answer leaves as a notice, also to somebody who opted out: she asked.
        """
        with self._db.begin() as session:
            row = self._take(session, message.id, answer.handled)
            if row is None:
                return False
            blanks = dict(answer.blanks)
            if answer.filed:
                number = open_from_sms(
                    session, clock=self._clock, phone=row.phone, text=row.body, message_id=message.id
                )
                blanks["case"] = grouped(number)
            if answer.choice is not None:
                _choose(session, row.phone, self._clock.now() if answer.choice == "stop" else None)
            stage_notice(
                session,
                clock=self._clock,
                kind=answer.kind,
                key=f"sms:{message.id}",
                recipient=row.phone,
                language=language,
                blanks=blanks,
                zone=answer.zone,
                contract_id=answer.contract_id,
                customer_id=_customer_of(session, answer.contract_id),
            )
            return True

    def leave(self, message: Message, why: str) -> None:
        """Give no answer, on purpose. `why`: up to 20 characters, for the console."""
        with self._db.begin() as session:
            self._take(session, message.id, why)

    def _take(self, session: Session, inbound_id: int, handled: str) -> InboundSmsRow | None:
        row = session.get(InboundSmsRow, inbound_id, with_for_update={"key_share": True})
        if row is None or row.answered_at is not None:
            return None
        row.handled, row.answered_at = handled[:20], self._clock.now()
        return row


def _key(inbound_id: int) -> str:
    return f"sms:{inbound_id}"


def _ordered_by(session: Session, row: InboundSmsRow) -> int:
    """The id of the text that this one orders together with: its own, or that of a twin.

    One that has begun a payment which is open or paid is the order of all that follow it. After one that came to
    nothing, or that was answered without beginning any, the same words are a new order.
    """
    chain = _twins(session, row)
    made = {_key(number): number for number, _ in chain}
    begun = session.execute(select(AttemptRow.turn_key, AttemptRow.state).where(AttemptRow.turn_key.in_(made)))
    states = {made[key]: state for key, state in begun if key}
    if row.id in states:
        return row.id
    last = max(states, default=0)
    if states.get(last, "failed") not in _CAME_TO_NOTHING:
        return last
    return min(number for number, answered in chain if number > last and not answered)


def _twins(session: Session, row: InboundSmsRow) -> list[tuple[int, bool]]:
    """(id, whether it has its answer) of this text and of those before it with its words, each within a minute of the
    next, newest first. Uses ix_inbound_sms_phone."""
    earlier = session.execute(
        select(InboundSmsRow.id, InboundSmsRow.body, InboundSmsRow.received_at, InboundSmsRow.answered_at)
        .where(
            InboundSmsRow.phone == row.phone,
            InboundSmsRow.id < row.id,
            InboundSmsRow.received_at >= row.received_at - ORDERS_WITHIN,
        )
        .order_by(InboundSmsRow.id.desc())
        .limit(_TWINS_MAX)
    )
    words = row.body.casefold().split()
    chain, since = [(row.id, row.answered_at is not None)], row.received_at
    for number, body, received_at, answered_at in earlier:
        if body.casefold().split() != words:
            continue
        if received_at < since - TWIN_WITHIN:
            break
        chain.append((number, answered_at is not None))
        since = min(since, received_at)
    return chain


def _order(session: Session, key: str) -> Order | None:
    found = session.execute(
        select(
            AttemptRow.charged_minor,
            AttemptRow.charged_currency,
            AttemptRow.brand,
            ContractRow.account_number,
            CustomerRow.name,
        )
        .join(ContractRow, ContractRow.id == AttemptRow.contract_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(AttemptRow.turn_key == key)
    ).one_or_none()
    if found is None:
        return None
    amount = Money(found.charged_minor, found.charged_currency)
    return Order(amount, found.account_number, found.name, found.brand)


def _orders(session: Session, phone: str, since: datetime) -> int:
    """Uses ix_attempt_payer_phone."""
    asked = select(func.count(AttemptRow.id)).where(
        AttemptRow.payer_phone == phone, AttemptRow.created_at >= since, AttemptRow.origin == ORIGIN
    )
    return session.scalar(asked) or 0


def _customer_of(session: Session, contract_id: int | None) -> int | None:
    if contract_id is None:
        return None
    return session.scalar(select(ContractRow.customer_id).where(ContractRow.id == contract_id))


def _choose(session: Session, phone: str, opted_out_at: datetime | None) -> None:
    """Reminders or none from now on. A number nobody knows yet gets a row."""
    row = session.get(PhoneRow, phone, with_for_update={"key_share": True})
    if row is None:
        try:
            with session.begin_nested():
                session.add(PhoneRow(phone=phone, opted_out_at=opted_out_at))
            return
        except IntegrityError:
            row = session.get(PhoneRow, phone, with_for_update={"key_share": True})
    if row is not None:
        row.opted_out_at = opted_out_at
