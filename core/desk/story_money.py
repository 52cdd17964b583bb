"""The money in a story: what we asked of wallets, and what arrived."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from core.agents.tables import AgentRow, AgentSaleRow
from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.desk.model import Asked, Entry, Paid, Post, Step
from core.desk.story_scope import Page, Scope
from core.kernel.money import Money
from core.ledger.tables import AccountRow, TransferRow
from core.payments.tables import AttemptEventRow, AttemptRow, PaymentRow, WalletPostRow


def asked(session: Session, scope: Scope, page: Page) -> list[Entry]:
    """Attempts for these contracts, and those that the customer's phones paid for somebody else."""
    rows = session.execute(
        page.cut(
            select(AttemptRow, ContractRow.account_number)
            .outerjoin(ContractRow, ContractRow.id == AttemptRow.contract_id)
            .where(or_(AttemptRow.contract_id.in_(scope.contract_ids), AttemptRow.payer_phone.in_(scope.phones))),
            AttemptRow.created_at,
            scope.ahead,
        )
    ).all()
    steps, posts = _life(session, [row[0].id for row in rows])
    return [
        asked_of(
            row,
            account=account or "",
            own=row.contract_id in scope.accounts,
            ahead=scope.ahead,
            steps=steps.get(row.id, ()),
            posts=posts.get(row.id, ()),
        )
        for row, account in rows
    ]


def asked_of(
    row: AttemptRow, *, account: str, own: bool, ahead: timedelta, steps: Sequence[Step], posts: Sequence[Post]
) -> Asked:
    """An attempt with its life. `ahead`: how far business time stands from real time."""
    return Asked(
        at=row.created_at + ahead,
        id=row.id,
        own_ref=row.own_ref,
        wallet=row.wallet,
        brand=row.brand,
        payer_phone=row.payer_phone,
        asked_by_phone=row.asked_by_phone,
        account=account,
        own=own,
        owed=Money(row.owed_minor, row.owed_currency),
        charged=Money(row.charged_minor, row.charged_currency),
        state=row.state,
        reason=row.reason,
        code=row.code,
        provider_ref=row.provider_ref,
        provider_txn_id=row.provider_txn_id,
        flag=row.flag,
        steps=tuple(steps),
        posts=tuple(posts),
    )


def one_asked(session: Session, row: AttemptRow, *, account: str, ahead: timedelta) -> Asked:
    """One attempt for a page of its own."""
    steps, posts = _life(session, [row.id])
    return asked_of(
        row, account=account, own=True, ahead=ahead, steps=steps.get(row.id, ()), posts=posts.get(row.id, ())
    )


def _life(session: Session, attempt_ids: Sequence[str]) -> tuple[Mapping[str, list[Step]], Mapping[str, list[Post]]]:
    return _steps(session, attempt_ids), _posts(session, attempt_ids)


def _steps(session: Session, attempt_ids: Sequence[str]) -> Mapping[str, list[Step]]:
    found: dict[str, list[Step]] = defaultdict(list)
    for row in session.scalars(
        select(AttemptEventRow).where(AttemptEventRow.attempt_id.in_(attempt_ids)).order_by(AttemptEventRow.id)
    ):
        found[row.attempt_id].append(Step(row.at, row.from_state, row.to_state, row.by, row.detail))
    return found


def _posts(session: Session, attempt_ids: Sequence[str]) -> Mapping[str, list[Post]]:
    found: dict[str, list[Post]] = defaultdict(list)
    for row in session.scalars(
        select(WalletPostRow).where(WalletPostRow.attempt_id.in_(attempt_ids)).order_by(WalletPostRow.number)
    ):
        found[row.attempt_id].append(Post(row.number, row.started_at, row.ended_at, row.outcome, row.code))
    return found


def paid(session: Session, scope: Scope, page: Page) -> list[Entry]:
    """Payments on these contracts, and those that the customer's phones made for somebody else."""
    by_phone = select(AttemptRow.id).where(AttemptRow.payer_phone.in_(scope.phones))
    asked_for = page.cut(
        payment_lines().where(or_(PaymentRow.contract_id.in_(scope.contract_ids), PaymentRow.attempt_id.in_(by_phone))),
        PaymentRow.received_at,
    )
    return list(payments(session, asked_for, own=scope.accounts))


def payment_lines() -> Select[PaymentRow, str, str]:
    """Payments with what was asked and for which account: what `payments` reads."""
    return (
        select(PaymentRow, AttemptRow.brand, ContractRow.account_number)
        .outerjoin(AttemptRow, AttemptRow.id == PaymentRow.attempt_id)
        .outerjoin(ContractRow, ContractRow.id == PaymentRow.contract_id)
    )


def payments(
    session: Session, asked_for: Select[PaymentRow, str, str], *, own: Collection[int] | None = None
) -> list[Paid]:
    """Payments with where the money went. `own`: the contracts whose story it is; None: nobody's in particular."""
    rows = session.execute(asked_for).all()
    placed, credited = _placed(session, [row[0].id for row in rows])
    sellers = _sellers(session, [row[0].id for row in rows if row[0].found_by == "agent"])
    return [
        Paid(
            at=row.received_at,
            id=row.id,
            wallet=row.wallet,
            brand=brand,
            amount=Money(row.amount_minor, row.currency),
            payer_phone=row.payer_phone,
            provider_txn_id=row.provider_txn_id,
            account=account or "",
            own=own is None or row.contract_id in own,
            receipt_number=row.receipt_number,
            verification_code=row.verification_code,
            in_suspense=row.in_suspense,
            reversed_at=row.reversed_at,
            found_by=row.found_by,
            allocations=tuple(placed.get(row.id, ())),
            to_credit=credited.get(row.id),
            sold_by=sellers.get(row.id, ""),
        )
        for row, brand, account in rows
    ]


def _sellers(session: Session, payment_ids: Sequence[str]) -> Mapping[str, str]:
    if not payment_ids:
        return {}
    sold = select(AgentSaleRow.payment_id, AgentRow.name).join(AgentRow, AgentRow.id == AgentSaleRow.agent_id)
    rows = session.execute(sold.where(AgentSaleRow.payment_id.in_(payment_ids))).all()
    return {str(payment_id): str(name) for payment_id, name in rows}


def _placed(
    session: Session, payment_ids: Sequence[str]
) -> tuple[Mapping[str, list[tuple[str, Money]]], Mapping[str, Money]]:
    """payment → [(invoice number, amount)], payment → what went to credit. A reversal credits neither account."""
    placed: dict[str, list[tuple[str, Money]]] = defaultdict(list)
    credited: dict[str, Money] = {}
    rows = session.execute(
        select(TransferRow.payment_id, TransferRow.amount_minor, TransferRow.currency, InvoiceRow.number)
        .join(AccountRow, AccountRow.id == TransferRow.credit_account_id)
        .outerjoin(InvoiceRow, InvoiceRow.id == TransferRow.invoice_id)
        .where(TransferRow.payment_id.in_(payment_ids), AccountRow.code.in_(("receivable", "credit")))
        .order_by(TransferRow.at, InvoiceRow.sent_on, InvoiceRow.number)
    )
    for row in rows:
        payment_id, money = str(row[0]), Money(row[1], row[2])
        number: str | None = row[3]
        if number is not None:
            placed[payment_id].append((number, money))
        else:
            credited[payment_id] = credited[payment_id] + money if payment_id in credited else money
    return placed, credited
