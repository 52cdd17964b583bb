"""What money does to a prepaid contract: a token is staged, or supply that was off for want of credit is wanted on.

Nothing is switched off here, and no token is made: that is a job's part, after the commit (`core.services.prepaid`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core import outbox
from core.customers.tables import ContractRow, MeterRow
from core.kernel.clock import Clock
from core.ledger import queries as ledger
from core.ledger.model import Transfer, credit
from core.payments.tables import PaymentRow
from core.prepaid.queries import issued_after
from core.settlement.events import Event, OperatorReversed, PrepaidUsed, RefundFailed, RefundReturned, TokenIssued
from core.supply.commands import ON_LIFE, want_supply
from core.supply.tables import MeterDesiredRow

# Why the supply of a prepaid contract is off: what was paid for is used up.
NO_CREDIT = "no_credit"
# Meters that are told by digits on their keypad.
KEYPADS = frozenset({"openpaygo_token", "sts_token"})


def follow(
    session: Session, event: Event, contract: ContractRow, transfers: Sequence[Transfer], *, clock: Clock
) -> None:
    """Carry on from one event of a contract. The caller holds the contract's row."""
    if contract.kind != "prepaid" or contract.meter_id is None or isinstance(event, PrepaidUsed | TokenIssued):
        return
    held = ledger.balance(session, credit(contract.id), contract.currency)
    if isinstance(event, OperatorReversed):
        if held.minor < 0:
            _tell_office(session, event, contract, clock)
        return
    if held.minor <= 0 or not any(t.credit == credit(contract.id) for t in transfers):
        return
    meter = session.get_one(MeterRow, contract.meter_id)
    if meter.control_kind not in KEYPADS:
        _give_back(session, contract, clock)
    elif not isinstance(event, RefundFailed | RefundReturned):
        # A refund that came back was promised to somebody: as tokens it could not be paid out any more.
        outbox.stage(
            session,
            kind="prepaid.token",
            key=f"prepaid:{event.key}",
            body={
                "contract_id": contract.id,
                "cause": event.key,
                "payment_id": getattr(event, "payment_id", None),
            },
            clock=clock,
            priority=1,
        )


def _give_back(session: Session, contract: ContractRow, clock: Clock) -> None:
    assert contract.meter_id is not None
    desired = session.get(MeterDesiredRow, contract.meter_id, populate_existing=True)
    # Off for another reason (a fault, the customer's own wish): money does not bring it back.
    if desired is None or desired.supply == "on" or desired.reason != NO_CREDIT:
        return
    now = clock.now()
    want_supply(
        session,
        clock=clock,
        meter_id=contract.meter_id,
        supply="on",
        reason="paid",
        contract_id=contract.id,
        not_before=now,
        not_after=now + ON_LIFE,
        set_by="settlement",
    )


def _tell_office(session: Session, event: OperatorReversed, contract: ContractRow, clock: Clock) -> None:
    """A token that left cannot be taken back: the account is below zero, and a person speaks with the customer."""
    payment = session.get_one(PaymentRow, event.payment_id)
    if issued_after(session, contract.id, payment.received_at):
        body = {"contract_id": contract.id, "payment_id": payment.id}
        outbox.stage(session, kind="prepaid.short", key=f"prepaid.short:{payment.id}", body=body, clock=clock)
