"""Of a customer's story: a bill, a receipt, a message that a person gave up."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.desk.queue_model import Abandoned
from core.desk.story_scope import Page, Scope
from core.outbox import OutboxActRow


def abandoned(session: Session, scope: Scope, page: Page) -> list[Abandoned]:
    """What stays given up, about these contracts."""
    rows = session.scalars(
        page.cut(
            select(OutboxActRow).where(
                OutboxActRow.contract_id.in_(scope.contract_ids),
                OutboxActRow.act == "gave_up",
                OutboxActRow.stands.is_(True),
            ),
            OutboxActRow.at,
        )
    )
    return [Abandoned(row.at, scope.account(row.contract_id), row.kind, row.by, row.reason) for row in rows]
