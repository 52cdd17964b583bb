"""Of a customer's story: tokens that were issued."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.desk.prepaid_model import Issued
from core.desk.story_scope import Page, Scope
from core.kernel.money import Money
from core.prepaid.tables import PrepaidIssueRow


def issued(session: Session, scope: Scope, page: Page) -> list[Issued]:
    rows = session.scalars(
        page.cut(
            select(PrepaidIssueRow).where(PrepaidIssueRow.contract_id.in_(scope.contract_ids)),
            PrepaidIssueRow.issued_at,
        )
    )
    return [
        Issued(
            at=row.issued_at,
            account=scope.account(row.contract_id),
            meter_id=row.meter_id,
            unit=row.unit,
            quantity=row.quantity,
            amount=Money(row.amount_minor, row.currency),
            tokens=tuple(row.tokens.split()),
        )
        for row in rows
    ]
