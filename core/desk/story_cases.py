"""Of a customer's story: what was reported, and what was promised."""

from __future__ import annotations

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.cases.tables import CaseRow
from core.desk.case_model import Promised, Reported
from core.desk.story_scope import Page, Scope
from core.kernel.money import Money
from core.promises.tables import PromiseRow


def reported(session: Session, scope: Scope, page: Page) -> list[Reported]:
    """Cases about these contracts, and those of the customer's phones that are about no contract."""
    mine = or_(
        CaseRow.contract_id.in_(scope.contract_ids),
        and_(CaseRow.phone.in_(scope.phones), CaseRow.contract_id.is_(None)),
    )
    rows = session.execute(
        page.cut(
            select(CaseRow, InvoiceRow.number).outerjoin(InvoiceRow, InvoiceRow.id == CaseRow.invoice_id).where(mine),
            CaseRow.opened_at,
        )
    )
    return [
        Reported(
            at=row.opened_at,
            account=scope.account(row.contract_id),
            number=row.number,
            what=row.kind,
            state=row.state,
            source=row.source,
            phone=row.phone,
            invoice=invoice,
            body=row.body,
            reports=row.reports,
            assigned_to=row.assigned_to,
            close_reason=row.close_reason,
        )
        for row, invoice in rows
    ]


def promised(session: Session, scope: Scope, page: Page) -> list[Promised]:
    rows = session.scalars(
        page.cut(select(PromiseRow).where(PromiseRow.contract_id.in_(scope.contract_ids)), PromiseRow.made_at)
    )
    return [
        Promised(
            at=row.made_at,
            account=scope.account(row.contract_id),
            id=row.id,
            phone=row.phone,
            promised_on=row.promised_on,
            amount=Money(row.amount_minor, row.currency),
            state=row.state,
            ended_at=row.ended_at,
            ended_by=row.ended_by,
            end_reason=row.end_reason,
        )
        for row in rows
    ]
