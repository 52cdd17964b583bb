"""Money at the counter for the console: what was declared and waits for a second person."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.customers.tables import ContractRow, CustomerRow
from core.desk.invoice_model import DeclaredView
from core.kernel.money import Money
from core.payments.counter_tables import DeclaredPaymentRow


def declared(session: Session, payment_id: str, *, limit: int) -> tuple[DeclaredView, ...]:
    """What waits, the oldest first; or the one of this id, confirmed or not."""
    found = (
        select(DeclaredPaymentRow, ContractRow.account_number, CustomerRow.id, CustomerRow.name)
        .join(ContractRow, ContractRow.id == DeclaredPaymentRow.contract_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .order_by(DeclaredPaymentRow.seq)
        .limit(limit)
    )
    which = DeclaredPaymentRow.id == payment_id if payment_id else DeclaredPaymentRow.state == "declared"
    return tuple(
        DeclaredView(
            id=row.id,
            way=row.way,
            state=row.state,
            account=account,
            customer_id=customer_id,
            customer=name,
            amount=Money(row.amount_minor, row.currency),
            reference=row.reference or "",
            paid_on=row.paid_on,
            at=row.declared_at,
            by=row.declared_by,
            confirmed_by=row.confirmed_by or "",
        )
        for row, account, customer_id, name in session.execute(found.where(which))
    )
