"""Prepaid accounts with a keypad meter: what a day costs, the devices' keys, and the tokens of their last top-up.

A step after the seed: the money was taken there; here it becomes tokens, by the service itself, as of that day.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, MeterRow
from core.db import Database
from core.kernel.clock import Clock
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.outbox import OutboxRow
from core.payments.tables import PaymentRow
from core.prepaid.tables import KeypadMeterRow
from core.sealing import Sealer
from core.services.prepaid import Keypad, Prepaid
from meters.registry import TOKEN_MAKERS
from mwolo.seed import SeededKeypad

# Tax included, 16 % of the net price. About what a small home pays for light and a fridge.
_A_DAY = (Money.units(1_000, "CDF"), Money(36, "USD"))
_VAT = 1_600
# One in so many has not typed the newest token yet: it is dark there, and the token can be read again and typed.
_UNTYPED = 3


class _At:
    """A clock that stands at a moment of the past."""

    def __init__(self, real: Clock, at: datetime) -> None:
        self._real, self._at = real, at

    def now(self) -> datetime:
        return self._at

    def real_now(self) -> datetime:
        return self._real.real_now()


def seed_prepaid(db: Database, clock: Clock, sealer: Sealer, secret: str) -> tuple[SeededKeypad, ...]:
    """Set prices, provision the keypads, and issue what was topped up. A second run changes nothing.

    `secret`: the product's own; the devices' keys are made from it. Nothing is sent to anybody.
    """
    past = Prepaid(db, _At(clock, clock.now() - timedelta(days=60)), sealer, TOKEN_MAKERS)
    if not past.prices():
        first_day = clock.now().date() - timedelta(days=60)
        for each in _A_DAY:
            past.set_price("day", each, tax_basis_points=_VAT, valid_from=first_day, by="seed")
    with db.read() as session:
        homes = list(
            session.execute(
                select(ContractRow.id, ContractRow.account_number, MeterRow.id)
                .join(MeterRow, MeterRow.id == ContractRow.meter_id)
                .where(ContractRow.kind == "prepaid", MeterRow.control_kind == "openpaygo_token")
                .order_by(ContractRow.id)
            )
        )
        known = set(session.scalars(select(KeypadMeterRow.meter_id)))
    for _, _, meter_id in homes:
        if meter_id not in known:
            past.provision(meter_id, _keypad(secret, meter_id))
    _issue_waiting(db, clock, sealer, [contract_id for contract_id, _, _ in homes])
    return tuple(
        _device(past, secret, contract_id, account, meter_id, typed=number % _UNTYPED != 1)
        for number, (contract_id, account, meter_id) in enumerate(homes)
    )


def _keypad(secret: str, meter_id: str) -> Keypad:
    """Key and starting code of one device: the same at each start of the same town."""
    made = hmac.digest(secret.encode(), f"seeded keypad {meter_id}".encode(), hashlib.sha256)
    return Keypad(made[:16], int.from_bytes(made[16:24], "big") % 999_999_998 + 1)


def _device(
    prepaid: Prepaid, secret: str, contract_id: int, account: str, meter_id: str, *, typed: bool
) -> SeededKeypad:
    issues = prepaid.issues(contract_id)[:1] if typed else []
    keypad = _keypad(secret, meter_id)
    return SeededKeypad(
        id=meter_id,
        key=keypad.secret.hex(),
        starting_code=keypad.starting_code,
        account=account,
        typed=issues[0].tokens if issues else (),
        typed_at=issues[0].issued_at.timestamp() if issues else 0.0,
    )


def _issue_waiting(db: Database, clock: Clock, sealer: Sealer, contract_ids: list[int]) -> None:
    """Carry out what the top-ups staged, a minute after each; those staged for a price or a key find nothing left."""
    with db.read() as session:
        waiting = select(OutboxRow).where(OutboxRow.kind == "prepaid.token", OutboxRow.state == "pending")
        rows = [row for row in session.scalars(waiting.order_by(OutboxRow.id)) if _is_of(row, contract_ids)]
        paid = {
            row.id: session.get_one(PaymentRow, row.body["payment_id"]).received_at
            for row in rows
            if row.body["payment_id"]
        }
    for row in rows:
        at = paid.get(row.id, clock.now()) + timedelta(minutes=1)
        Prepaid(db, _At(clock, at), sealer, TOKEN_MAKERS).issue(
            int(row.body["contract_id"]), str(row.body["cause"]), row.body["payment_id"]
        )
        with db.begin() as session:
            _finish(session, [row.id], clock)
            if row.id in paid:
                _quieten(session, int(row.body["contract_id"]), at, clock)


def _is_of(row: OutboxRow, contract_ids: list[int]) -> bool:
    """What visitors of the demo paid is left to the workers."""
    seeded = str(row.body["cause"]).startswith(("seed:", "priced:", "provisioned:"))
    return seeded and row.body["contract_id"] in contract_ids


def _finish(session: Session, row_ids: list[int], clock: Clock) -> None:
    done = {"state": "done", "done_at": clock.real_now(), "last_error": "seeded"}
    session.execute(update(OutboxRow).where(OutboxRow.id.in_(row_ids)).values(done))


def _quieten(session: Session, contract_id: int, at: datetime, clock: Clock) -> None:
    """The tokens' texts of the past have arrived."""
    mine = select(NoticeRow.id).where(
        NoticeRow.contract_id == contract_id,
        NoticeRow.kind == "prepaid.token",
        NoticeRow.state == "queued",
        NoticeRow.created_at <= at,
    )
    ids = list(session.scalars(mine))
    arrived = {"state": "delivered", "gateway": "seed", "sent_at": at, "delivered_at": at}
    session.execute(update(NoticeRow).where(NoticeRow.id.in_(ids)).values(arrived))
    waiting = select(OutboxRow.id).where(OutboxRow.key.in_([f"notice:{i}" for i in ids]))
    _finish(session, list(session.scalars(waiting)), clock)
