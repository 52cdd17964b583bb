"""Of a customer's story: what her phones wrote to us."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.desk.story_scope import Page, Scope
from core.desk.text_model import Wrote
from core.notices.tables import InboundSmsRow


def wrote(session: Session, scope: Scope, page: Page) -> list[Wrote]:
    if not scope.phones:
        return []
    rows = session.scalars(
        page.cut(select(InboundSmsRow).where(InboundSmsRow.phone.in_(scope.phones)), InboundSmsRow.received_at)
    )
    return [Wrote(row.received_at, row.phone, row.body, row.handled) for row in rows]
