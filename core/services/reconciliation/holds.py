"""Reports that would bring too much new money: held for a person, and let go by one."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from core.i18n import N_
from core.payments.tables import PaymentRow
from core.reconciliation import queries, rules
from core.reconciliation.errors import ReconciliationRefused
from core.reconciliation.tables import StatementImportRow, StatementLineRow
from core.services.reconciliation.context import Context
from core.services.reconciliation.marks import CLAIM_LIVES, SETTLED, differs, is_claimed

log = structlog.get_logger(__name__)

NOTE_LENGTH = 200
# Bound variables have a limit on both databases.
_PIECE = 500
_HELD = and_(
    StatementLineRow.outcome == "differs",
    StatementLineRow.note == rules.HELD,
    StatementLineRow.decided_at.is_(None),
)


def to_book(ctx: Context, line_ids: Sequence[int]) -> list[int]:
    """Of lines that nothing of ours has a claim to, those that may be booked now, in their order. The others wait."""
    with ctx.db.read() as session:
        import_of = _imports_of(session, line_ids)
        held = {import_id for import_id in sorted(set(import_of.values())) if _is_held(session, import_id, import_of)}
    for line_id in line_ids:
        if import_of[line_id] in held:
            _hold(ctx, line_id)
    if held:
        log.warning("statement.held", imports=sorted(held))
    return [line_id for line_id in line_ids if import_of[line_id] not in held]


def _imports_of(session: Session, line_ids: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for at in range(0, len(line_ids), _PIECE):
        rows = session.execute(
            select(StatementLineRow.id, StatementLineRow.import_id).where(
                StatementLineRow.id.in_(line_ids[at : at + _PIECE])
            )
        )
        found.update((int(line_id), int(import_id)) for line_id, import_id in rows)
    return found


def _is_held(session: Session, import_id: int, import_of: dict[int, int]) -> bool:
    """Counted over what was looked at so far: of a large report only a part may have been."""
    if session.get_one(StatementImportRow, import_id).released_at is not None:
        return False
    fresh = sum(1 for of in import_of.values() if of == import_id)
    brought = and_(
        StatementLineRow.outcome == "theirs_only", PaymentRow.attempt_id.is_(None), PaymentRow.found_by == "statement"
    )
    counted = (
        select(func.count(), func.count().filter(or_(brought, _HELD)))
        .select_from(StatementLineRow)
        .outerjoin(PaymentRow, PaymentRow.id == StatementLineRow.payment_id)
        .where(
            StatementLineRow.import_id == import_id,
            StatementLineRow.kind == "payment",
            StatementLineRow.outcome != "new",
        )
    )
    lines, booked = session.execute(counted).one()
    return rules.is_too_much(booked + fresh, lines + fresh)


def _hold(ctx: Context, line_id: int) -> None:
    with ctx.db.begin() as session:
        line = queries.lock_line(session, line_id)
        if line is None or line.outcome in SETTLED or line.decided_at is not None or is_claimed(ctx, line):
            return
        differs(session, line, rules.Differs(rules.HELD))


def stays_held(session: Session, line: StatementLineRow) -> bool:
    """Whether this line waits for the release of its report."""
    if line.outcome != "differs" or line.note != rules.HELD:
        return False
    return session.get_one(StatementImportRow, line.import_id).released_at is None


def release(ctx: Context, import_id: int, note: str, by: str) -> str:
    """See `Reconciliation.release`. The wallet whose lines may be matched now."""
    if not note.strip():
        raise ReconciliationRefused(N_("Say in a note why."))
    with ctx.db.begin() as session:
        row = session.get(StatementImportRow, import_id, with_for_update={"key_share": True}, populate_existing=True)
        if row is None:
            raise ReconciliationRefused(N_("There is no such import."))
        if row.released_at is None:
            row.released_by, row.released_at = by[:40], ctx.clock.now()
            row.release_note = note.strip()[:NOTE_LENGTH]
        free = or_(
            StatementLineRow.claimed_at.is_(None), StatementLineRow.claimed_at <= ctx.clock.real_now() - CLAIM_LIVES
        )
        session.execute(
            update(StatementLineRow)
            .where(StatementLineRow.import_id == import_id, _HELD, free)
            .values(outcome="new", note="")
            .execution_options(synchronize_session=False)
        )
        wallet = row.wallet
    log.info("statement.released", import_id=import_id, by=by)
    return wallet


def held_lines(session: Session, import_ids: Sequence[int]) -> dict[int, int]:
    """import → how many of its lines wait to be let go."""
    counted = (
        select(StatementLineRow.import_id, func.count())
        .where(StatementLineRow.import_id.in_(import_ids), _HELD)
        .group_by(StatementLineRow.import_id)
    )
    return {int(import_id): int(count) for import_id, count in session.execute(counted)}
