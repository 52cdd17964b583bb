"""Committing an attempt: before any wallet hears of it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import outbox
from core.agents import queries as agents
from core.agents.tables import AgentRow
from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.kernel.ids import new_uuid, own_reference
from core.ledger import queries as ledger
from core.ledger.model import agent_float, receivable
from core.ledger.tables import AccountRow
from core.payments import queries
from core.payments.model import AMOUNT_BOUNDS, BeginRefused, Begun, PaymentRequest, RefusalWhy
from core.payments.ports import Wallet
from core.payments.tables import AttemptInvoiceRow, AttemptRow
from core.services.payments import circuits
from core.services.payments.context import Context


def begin(ctx: Context, request: PaymentRequest) -> Begun | BeginRefused:
    """See `Payments.begin`. Raises NotRecorded when the database did not take it in time."""
    try:
        with ctx.db.begin() as session:
            return _begin(ctx, session, request)
    except IntegrityError:
        # A twin of this request committed between our look and our insert: its row decides.
        with ctx.db.begin() as session:
            return _begin(ctx, session, request)


def _choose(ctx: Context, session: Session, request: PaymentRequest) -> Wallet | BeginRefused:
    """The first wallet of the brand that takes the currency and is well. Asked of the database: what this process has
    in memory may be seconds old."""
    names = ctx.serving(request.brand, request.amount.currency)
    if not names:
        return BeginRefused("no_wallet")
    now = ctx.clock.real_now()
    well = next((name for name in names if not circuits.of(session, name).is_open(now)), None)
    return BeginRefused("wallet_down") if well is None else ctx.wallets[well]


def _begin(ctx: Context, session: Session, request: PaymentRequest) -> Begun | BeginRefused:
    repeated = _repeated(session, request)
    if repeated is not None:
        return repeated
    wallet = _choose(ctx, session, request)
    if isinstance(wallet, BeginRefused):
        return wallet
    holder = _lock_holder(session, request)
    # Once more under the lock: a twin of this turn may have committed while we waited for it.
    repeated = _repeated(session, request)
    if repeated is not None:
        return repeated
    why = _refusal(session, request, holder, wallet)
    if why is not None or holder is None:
        return BeginRefused(why or "contract_closed")
    target = _target(session, holder)
    open_one = queries.open_for(session, request.payer_phone, target.id)
    if open_one is not None:
        return BeginRefused("already_open", open_one.state)
    attempt = AttemptRow(
        id=new_uuid(),
        own_ref=own_reference(),
        wallet=wallet.name,
        brand=request.brand,
        payer_phone=request.payer_phone,
        asked_by_phone=request.asked_by_phone,
        language=request.language,
        target_account_id=target.id,
        contract_id=request.contract_id,
        owed_minor=request.amount.minor,
        owed_currency=request.amount.currency,
        charged_minor=request.amount.minor,
        charged_currency=request.amount.currency,
        state="created",
        is_open=True,
        turn_key=request.turn_key,
        end_text=request.end_text,
        origin=request.origin,
        created_at=ctx.clock.real_now(),
    )
    session.add(attempt)
    session.flush()
    for position, invoice_id in enumerate(dict.fromkeys(request.invoice_ids)):
        session.add(AttemptInvoiceRow(attempt_id=attempt.id, invoice_id=invoice_id, position=position))
    outbox.stage(
        session,
        kind="attempt.push",
        key=f"push:{attempt.id}",
        body={"attempt_id": attempt.id},
        clock=ctx.clock,
        delay_s=ctx.push_delay_s,
        # A customer holds the phone in her hand: before any question about an older attempt.
        priority=1,
    )
    return Begun(attempt.id, request.end_text)


def _repeated(session: Session, request: PaymentRequest) -> Begun | None:
    if request.turn_key is None:
        return None
    before = queries.by_turn_key(session, request.turn_key)
    return Begun(before.id, before.end_text or request.end_text, repeated=True) if before else None


def _lock_holder(session: Session, request: PaymentRequest) -> ContractRow | AgentRow | None:
    """Whose account the money is for: a contract, or the agent who buys float. Locked."""
    if request.float_agent_id is not None:
        return agents.lock_agent(session, request.float_agent_id)
    return session.scalar(
        select(ContractRow).where(ContractRow.id == request.contract_id).with_for_update(key_share=True)
    )


def _target(session: Session, holder: ContractRow | AgentRow) -> AccountRow:
    if isinstance(holder, AgentRow):
        return ledger.account_row(session, agent_float(holder.id), holder.currency)
    return ledger.account_row(session, receivable(holder.id), holder.currency)


def _refusal(
    session: Session, request: PaymentRequest, holder: ContractRow | AgentRow | None, wallet: Wallet
) -> RefusalWhy | None:
    if isinstance(holder, AgentRow):
        if not holder.active:
            return "float_closed"
    elif holder is None or holder.state != "active":
        return "float_closed" if request.float_agent_id is not None else "contract_closed"
    amount = request.amount
    if amount.currency != holder.currency:
        return "no_wallet"
    lowest, highest = wallet.can.limits.get(amount.currency, (None, None))
    floor, ceiling = AMOUNT_BOUNDS[amount.currency]
    if not amount.is_chargeable or not max(floor, lowest or 0) <= amount.minor <= min(ceiling, highest or ceiling):
        return "amount_out_of_range"
    if request.invoice_ids:
        payable = session.scalars(
            select(InvoiceRow.id).where(
                InvoiceRow.id.in_(request.invoice_ids),
                InvoiceRow.contract_id == request.contract_id,
                InvoiceRow.state == "sent",
                InvoiceRow.paid_minor < InvoiceRow.total_minor,
            )
        ).all()
        if set(payable) != set(request.invoice_ids):
            return "invoice_not_open"
    return None


def cancel(ctx: Context, attempt_id: str, by: str) -> bool:
    with ctx.db.begin() as session:
        attempt = queries.lock_attempt(session, attempt_id)
        if attempt is None or attempt.state != "created" or queries.posts_of(session, attempt_id):
            return False
        now = ctx.clock.real_now()
        queries.note(session, attempt, to_state="cancelled", by=by, at=now)
        attempt.state, attempt.is_open, attempt.ended_at = "cancelled", False, now
        return True
