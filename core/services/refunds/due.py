"""What the dispatcher does about refunds: due questions become errands, and none stays on nobody's list."""

from __future__ import annotations

import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select

from core import outbox
from core.payments.answers import Failed, Unknown
from core.payments.refund_rules import ASKED, RefundVerdict
from core.payments.rules import ATTENTION_AFTER_S
from core.payments.tables import RefundRow
from core.services.refunds.carry import STUCK_S, apply
from core.services.refunds.context import Context, lock_refund

log = structlog.get_logger(__name__)

# Should the errand of a question be lost, the question is due again after this.
REQUERY_S = 300.0
# The errands themselves give up after a day. So much later it is clear that none of them gets through.
GIVE_UP_AFTER_S = ATTENTION_AFTER_S * 1.25 + 3600.0


def stage_due_queries(ctx: Context, limit: int) -> int:
    """See `Refunds.stage_due_queries`. A question is one errand: unique on the refund and its running number."""
    now = ctx.clock.real_now()
    with ctx.db.read() as session:
        # A look without a lock first: an idle dispatcher never writes.
        if session.scalar(select(RefundRow.id).where(RefundRow.next_query_at <= now).limit(1)) is None:
            return 0
    with ctx.db.begin() as session:
        due = session.scalars(
            select(RefundRow)
            .where(RefundRow.next_query_at <= now)
            .order_by(RefundRow.next_query_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        ).all()
        for refund in due:
            refund.next_query_at = ctx.after(STUCK_S if refund.state == "approved" else REQUERY_S)
            kind, key = "refund.query", f"refund.query:{refund.id}:{refund.queries + 1}"
            if refund.state == "approved":
                # Its errand died before it left: a new hand carries it.
                kind, key = "refund.push", f"refund.push:{refund.id}"
            outbox.stage_again(session, kind=kind, key=key, body={"refund_id": refund.id}, clock=ctx.clock)
        return len(due)


def rescue_stuck(ctx: Context, limit: int) -> int:
    """See `Refunds.rescue_stuck`."""
    with ctx.db.read() as session:
        ids = session.scalars(select(RefundRow.id).where(_is_stuck(ctx)).limit(limit)).all()
    return sum(_rescue(ctx, refund_id) for refund_id in ids)


def _is_stuck(ctx: Context) -> ColumnElement[bool]:
    """Cut off while asking; without a next step; or so old that its errands cannot be getting through."""
    since = func.coalesce(RefundRow.submitted_at, RefundRow.decided_at)
    return and_(
        RefundRow.is_open.is_(True),
        or_(
            and_(RefundRow.state == "submitting", RefundRow.submitted_at <= ctx.after(-STUCK_S * 1.25)),
            and_(RefundRow.state.in_(("approved", *sorted(ASKED))), RefundRow.next_query_at.is_(None)),
            and_(RefundRow.state.in_(("approved", *sorted(ASKED))), since <= ctx.after(-GIVE_UP_AFTER_S)),
        ),
    )


def _rescue(ctx: Context, refund_id: str) -> bool:
    with ctx.db.begin() as session:
        refund = lock_refund(session, refund_id)
        stuck = select(RefundRow.id).where(RefundRow.id == refund_id, _is_stuck(ctx))
        if refund is None or session.scalar(stuck) is None:
            return False
        log.warning("refund.rescued", refund=refund.id, wallet=refund.wallet, state=refund.state)
        too_old = ctx.age_s(refund.submitted_at or refund.decided_at) > ATTENTION_AFTER_S
        if refund.state == "approved" and too_old:
            # It waits to leave: each request so far, if there was any, was turned away for sure.
            verdict = RefundVerdict("failed", "could_not_leave", book="failed")
            apply(ctx, session, refund, verdict, Failed("other", "could_not_leave"), by="rescue")
        elif too_old:
            verdict = RefundVerdict("needs_attention", refund.code or "no_word")
            apply(ctx, session, refund, verdict, Unknown("no_word"), by="rescue")
        else:
            if refund.state == "submitting":
                refund.state, refund.code = "unknown", "cut_off"
            refund.next_query_at = ctx.clock.real_now()
        return True
