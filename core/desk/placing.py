"""What somebody looks at before money is put somewhere or given back: one contract, one payment."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.desk.money_model import ContractBrief, PaymentBrief
from core.desk.story_money import payment_lines, payments
from core.kernel.money import Money
from core.payments.tables import PaymentRow


def contract_by_account(session: Session, account: str) -> ContractBrief | None:
    return _contract(session, ContractRow.account_number == account)


def contract_by_id(session: Session, contract_id: int) -> ContractBrief | None:
    return _contract(session, ContractRow.id == contract_id)


def _contract(session: Session, which: ColumnElement[bool]) -> ContractBrief | None:
    found = session.execute(
        select(ContractRow, CustomerRow.name, SiteRow)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(which)
    ).first()
    if found is None:
        return None
    contract, name, site = found
    due = session.scalar(
        select(func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor)).where(
            InvoiceRow.contract_id == contract.id, text("invoice.state = 'sent' AND paid_minor < total_minor")
        )
    )
    return ContractBrief(
        contract_id=contract.id,
        account=contract.account_number,
        kind=contract.kind,
        state=contract.state,
        currency=contract.currency,
        due=Money(int(due or 0), contract.currency),
        customer_id=contract.customer_id,
        customer=name,
        address=f"{site.address}, {site.commune}, {site.city}",
    )


def payment(session: Session, payment_id: str) -> PaymentBrief | None:
    """One payment; None when there is none."""
    row = session.get(PaymentRow, payment_id)
    if row is None:
        return None
    (paid,) = payments(session, payment_lines().where(PaymentRow.id == payment_id))
    return PaymentBrief(
        paid=paid,
        contract=contract_by_id(session, row.contract_id) if row.contract_id is not None else None,
        reference=row.reference,
        refunded=Money(row.refunded_minor, row.currency),
    )
