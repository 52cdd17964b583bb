"""Questions about attempts, payments and the callback inbox. No transactions, no decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from core.payments.ports import Hint
from core.payments.tables import AttemptEventRow, AttemptRow, CallbackRow, PaymentRow, WalletPostRow


def lock_attempt(session: Session, attempt_id: str) -> AttemptRow | None:
    """The attempt, locked for this transaction and read afresh."""
    return session.scalar(
        select(AttemptRow)
        .where(AttemptRow.id == attempt_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def by_turn_key(session: Session, turn_key: str) -> AttemptRow | None:
    return session.scalar(select(AttemptRow).where(AttemptRow.turn_key == turn_key))


def open_for(session: Session, payer_phone: str, target_account_id: int) -> AttemptRow | None:
    """The open attempt of this payer for this target, if there is one. Uses uq_attempt_open."""
    return session.scalar(
        select(AttemptRow).where(
            AttemptRow.payer_phone == payer_phone,
            AttemptRow.target_account_id == target_account_id,
            AttemptRow.is_open.is_(True),
        )
    )


def posts_of(session: Session, attempt_id: str) -> Sequence[WalletPostRow]:
    return session.scalars(
        select(WalletPostRow).where(WalletPostRow.attempt_id == attempt_id).order_by(WalletPostRow.number)
    ).all()


def note(session: Session, attempt: AttemptRow, *, to_state: str, by: str, at: datetime, detail: str = "") -> None:
    """Add a line to the attempt's life. Call it before the state is changed."""
    session.add(
        AttemptEventRow(
            attempt_id=attempt.id, at=at, from_state=attempt.state, to_state=to_state, by=by, detail=detail[:200]
        )
    )


def any_due_for_query(session: Session, *, now: datetime) -> bool:
    """A look without a lock, so that an idle dispatcher never writes."""
    return session.scalar(select(AttemptRow.id).where(AttemptRow.next_query_at <= now).limit(1)) is not None


def due_for_query(session: Session, *, now: datetime, limit: int) -> Sequence[AttemptRow]:
    """Attempts whose next question is due, oldest first, locked against a second dispatcher."""
    return session.scalars(
        select(AttemptRow)
        .where(AttemptRow.next_query_at <= now)
        .order_by(AttemptRow.next_query_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()


def find_by_hint(session: Session, wallet: str, hint: Hint, path_attempt: str | None) -> AttemptRow | None:
    """The attempt a callback speaks of: our own ids first, then the operator's, then what stood in the path."""
    tries = (
        AttemptRow.id == hint.attempt_id if hint.attempt_id else None,
        AttemptRow.own_ref == hint.own_ref if hint.own_ref else None,
        AttemptRow.provider_ref == hint.provider_ref if hint.provider_ref else None,
        or_(AttemptRow.id == path_attempt, AttemptRow.own_ref == path_attempt) if path_attempt else None,
    )
    for condition in tries:
        if condition is not None:
            found = session.scalar(select(AttemptRow).where(AttemptRow.wallet == wallet, condition))
            if found is not None:
                return found
    return None


def payment_of_attempt(session: Session, attempt_id: str) -> PaymentRow | None:
    return session.scalar(select(PaymentRow).where(PaymentRow.attempt_id == attempt_id))


def payment_by_transaction(session: Session, wallet: str, provider_txn_id: str) -> PaymentRow | None:
    return session.scalar(
        select(PaymentRow).where(PaymentRow.wallet == wallet, PaymentRow.provider_txn_id == provider_txn_id)
    )


def same_callback_done(session: Session, row: CallbackRow) -> bool:
    """Whether a callback with these very bytes was dealt with before, for the same attempt: where the attempt stands
    in the path alone, two attempts get the same bytes."""
    earlier = session.scalar(
        select(CallbackRow.id).where(
            CallbackRow.digest == row.digest,
            CallbackRow.wallet == row.wallet,
            CallbackRow.attempt_id == row.attempt_id,
            CallbackRow.state == text("'done'"),
            CallbackRow.id != row.id,
        )
    )
    return earlier is not None


def waiting_callbacks_older_than(session: Session, *, now: datetime, minutes: int, limit: int) -> Sequence[CallbackRow]:
    """Callbacks nobody could match for so long: a person's list."""
    return session.scalars(
        select(CallbackRow)
        .where(CallbackRow.state == text("'unmatched'"), CallbackRow.received_at <= now - timedelta(minutes=minutes))
        .order_by(CallbackRow.received_at)
        .limit(limit)
    ).all()
