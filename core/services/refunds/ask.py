"""What people do: look how much may go back, ask for it, approve, reject, take back."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import outbox
from core.customers.tables import ContractRow
from core.kernel.errors import StateConflict
from core.kernel.ids import new_uuid, own_reference
from core.kernel.money import Money, zero
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.payments.answers import RefundMode
from core.payments.refund_model import RefundRefusal, RefundRefused, Returnable
from core.payments.tables import AttemptRow, PaymentRow, RefundRow
from core.services.refunds.carry import STUCK_S, not_needed
from core.services.refunds.context import Context, lock_refund
from core.services.refunds.reads import under_way
from core.settlement import post
from core.settlement.events import Event, RefundOwed, SuspenseRefundOwed
from core.settlement.post import waiting_of


@dataclass(frozen=True, slots=True)
class _Limits:
    """What stands behind a payment now, in minor units of its currency: what of it was not given back, and what of the
    money is there to be taken."""

    left: int
    there: int
    source: str
    mode: RefundMode
    why_not: RefundRefusal | None

    @property
    def most(self) -> int:
        return 0 if self.why_not else min(self.left, self.there)


def returnable(ctx: Context, payment_id: str) -> Returnable:
    """See `Refunds.returnable`."""
    with ctx.db.read() as session:
        payment = session.get(PaymentRow, payment_id)
        if payment is None:
            raise RefundRefused("unknown")
        limits = _limits(ctx, session, payment)
        why = limits.why_not or _too_little(limits, payment)
        if why is None and _open_one(session, payment_id):
            why = "already_open"
        most = zero(payment.currency) if why else Money(limits.most, payment.currency)
        return Returnable(most, why, limits.mode)


def request(ctx: Context, payment_id: str, amount: Money, reason: str, by: str) -> str:
    """See `Refunds.request`."""
    if not reason.strip():
        raise RefundRefused("no_reason")
    try:
        with ctx.db.begin() as session:
            return _request(ctx, session, payment_id, amount, reason.strip(), by)
    except IntegrityError as error:
        with ctx.db.read() as session:
            twin = _open_one(session, payment_id)
        if not twin:
            raise
        # Another request for this payment committed between our look and our insert.
        raise RefundRefused("already_open") from error


def _request(ctx: Context, session: Session, payment_id: str, amount: Money, reason: str, by: str) -> str:
    payment = session.get(PaymentRow, payment_id)
    if payment is None:
        raise RefundRefused("unknown")
    limits = _limits(ctx, session, payment)
    why = _why_not(limits, payment, amount) or ("already_open" if _open_one(session, payment_id) else None)
    if why is not None:
        raise RefundRefused(why)
    attempt = session.get(AttemptRow, payment.attempt_id) if payment.attempt_id else None
    refund = RefundRow(
        id=new_uuid(),
        own_ref=own_reference(),
        payment_id=payment.id,
        contract_id=payment.contract_id if limits.source == "credit" else None,
        wallet=payment.wallet,
        source=limits.source,
        currency=amount.currency,
        amount_minor=amount.minor,
        # The number that was asked: what the operator reports as the payer's may be masked.
        payer_phone=attempt.payer_phone if attempt else payment.payer_phone or "",
        reason=reason[:200],
        state="requested",
        is_open=True,
        requested_by=by,
        requested_at=ctx.clock.now(),
    )
    session.add(refund)
    # Before the payment is locked: who waits for the unique key must hold nothing that its owner still needs.
    session.flush()
    taken = session.scalars(
        update(PaymentRow)
        .where(
            PaymentRow.id == payment_id,
            PaymentRow.refunded_minor + amount.minor <= PaymentRow.amount_minor,
            PaymentRow.reversed_at.is_(None),
        )
        .values(refunded_minor=PaymentRow.refunded_minor + amount.minor)
        .returning(PaymentRow.id)
        .execution_options(synchronize_session=False)
    )
    if taken.first() is None:
        raise RefundRefused("too_much")
    return refund.id


def decide(ctx: Context, refund_id: str, *, approve: bool, note: str, by: str) -> None:
    """See `Refunds.decide`."""
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        if refund is None:
            raise RefundRefused("unknown")
        if refund.state != "requested":
            raise RefundRefused("not_waiting")
        if refund.requested_by == by:
            raise RefundRefused("same_person")
        refund.decided_by, refund.decided_at, refund.decision_note = by, ctx.clock.now(), note.strip()[:200]
        if not approve:
            not_needed(ctx, session, refund)
            return
        if ctx.wallet(refund.wallet) is None:
            raise RefundRefused("wallet_cannot")
        if _open_one(session, refund.payment_id, but=refund.id):
            # An earlier one that had failed was heard of again since this was asked for.
            raise RefundRefused("already_open")
        refund.state, refund.next_query_at = "approved", ctx.after(STUCK_S)
        session.flush()
        try:
            post(session, _owed(session, refund, by), clock=ctx.clock)
        except StateConflict as conflict:
            gone: RefundRefusal = "credit_too_small" if refund.source == "credit" else "nothing_waiting"
            raise RefundRefused(gone) from conflict
        outbox.stage(
            session,
            kind="refund.push",
            key=f"refund.push:{refund.id}",
            body={"refund_id": refund.id},
            clock=ctx.clock,
        )


def cancel(ctx: Context, refund_id: str, by: str) -> None:
    """See `Refunds.cancel`."""
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        if refund is None:
            raise RefundRefused("unknown")
        if refund.state != "requested":
            raise RefundRefused("not_waiting")
        refund.decided_at, refund.decision_note = ctx.clock.now(), f"taken back by {by}"[:200]
        not_needed(ctx, session, refund)


def _owed(session: Session, refund: RefundRow, by: str) -> Event:
    amount = Money(refund.amount_minor, refund.currency)
    key, memo = f"refund:{refund.id}:owed", refund.reason
    if refund.source == "suspense":
        return SuspenseRefundOwed(
            key=key, payment_id=refund.payment_id, wallet=refund.wallet, amount=amount, actor=by, memo=memo
        )
    if refund.contract_id is None:
        raise StateConflict("a refund from credit names no contract")
    return RefundOwed(key=key, contract_id=refund.contract_id, amount=amount, actor=by, memo=memo)


def _limits(ctx: Context, session: Session, payment: PaymentRow) -> _Limits:
    wallet = ctx.wallet(payment.wallet)
    mode: RefundMode = wallet.can.refunds if wallet is not None else "none"
    left = payment.amount_minor - payment.refunded_minor
    why: RefundRefusal | None = None
    if wallet is None:
        why = "wallet_cannot"
    elif payment.reversed_at is not None:
        why = "reversed"
    if payment.in_suspense:
        return _Limits(left, waiting_of(session, payment.id), "suspense", mode, why)
    contract = session.get(ContractRow, payment.contract_id) if payment.contract_id else None
    if contract is None:
        nowhere: RefundRefusal = (
            "agent_float" if payment.attempt_id and not payment.refunded_minor else "nothing_waiting"
        )
        return _Limits(left, 0, "credit", mode, why or nowhere)
    if contract.currency != payment.currency:
        return _Limits(left, 0, "credit", mode, why or "other_currency")
    there = max(0, ledger.balance(session, credit(contract.id), contract.currency).minor)
    return _Limits(left, there, "credit", mode, why)


def _too_little(limits: _Limits, payment: PaymentRow) -> RefundRefusal | None:
    """Why nothing at all can go back, where the payment itself would allow it."""
    if limits.left <= 0 or (limits.mode == "full" and limits.left < payment.amount_minor):
        return "too_much"
    need = payment.amount_minor if limits.mode == "full" else 1
    if limits.there < need:
        return "credit_too_small" if limits.source == "credit" else "nothing_waiting"
    return None


def _why_not(limits: _Limits, payment: PaymentRow, amount: Money) -> RefundRefusal | None:
    if limits.why_not is not None:
        return limits.why_not
    if amount.currency != payment.currency:
        return "other_currency"
    if not amount.is_chargeable:
        return "not_an_amount"
    if amount.minor > limits.left:
        return "too_much"
    if limits.mode == "full" and amount.minor != payment.amount_minor:
        return "full_only"
    if amount.minor > limits.there:
        return "credit_too_small" if limits.source == "credit" else "nothing_waiting"
    return None


def _open_one(session: Session, payment_id: str, but: str = "") -> bool:
    """Of one that ended in a contradiction nobody knows whether its money left: a second one waits for that too."""
    found = select(RefundRow.id).where(RefundRow.payment_id == payment_id, RefundRow.id != but, under_way()).limit(1)
    return session.scalar(found) is not None
