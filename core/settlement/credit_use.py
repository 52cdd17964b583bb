"""A contract's credit beside its own open invoices: nobody is dunned for what we hold of theirs."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.queries import IS_OPEN
from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.kernel.clock import Clock
from core.ledger import queries as ledger
from core.ledger.model import credit
from core.settlement.events import CreditApplied
from core.settlement.post import post


def use_credit(session: Session, contract_id: int, *, key: str, actor: str, memo: str, clock: Clock) -> None:
    """Put the contract's credit on its open invoices, in the caller's transaction; nothing where either is none.

    To be called after an event that can leave both: a credit note on a paid invoice, a payment that was taken back.
    The caller holds the contract's row. `key`: of the event, once for each cause.
    """
    contract = session.get_one(ContractRow, contract_id)
    held = ledger.balance(session, credit(contract_id), contract.currency)
    is_owed = select(InvoiceRow.id).where(InvoiceRow.contract_id == contract_id, IS_OPEN).limit(1)
    if held.minor <= 0 or session.scalar(is_owed) is None:
        return
    post(session, CreditApplied(key=key, actor=actor, memo=memo, contract_id=contract_id, amount=held), clock=clock)
