"""Numbers of invoices and credit notes: one series per year and agency, without gaps or twins.

The series stays locked until the caller's transaction ends, so a number that is not used is never given out.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core.billing.queries import next_number
from core.customers.tables import AgencyRow, ContractRow, SiteRow

_AGENCY = (
    select(AgencyRow.code).join(SiteRow, SiteRow.agency_id == AgencyRow.id).where(SiteRow.id == bindparam("site_id"))
)


def invoice_number(session: Session, contract: ContractRow, year: int) -> str:
    """`2026-KIN-000123`. To be called in the transaction that validates the invoice."""
    agency = _agency_of(session, contract)
    return f"{year}-{agency}-{next_number(session, f'invoice:{year}:{agency}'):06d}"


def opening_number(session: Session, contract: ContractRow, year: int) -> str:
    """`O26-KIN-000123`: what was owed before this system, in a series of its own. To be called in the transaction that
    books it."""
    agency = _agency_of(session, contract)
    return f"O{year % 100:02d}-{agency}-{next_number(session, f'opening:{year}:{agency}'):06d}"


def is_opening(number: str) -> bool:
    """Whether this is the number of an opening invoice."""
    return number.startswith("O")


def credit_note_number(session: Session, contract: ContractRow, year: int) -> str:
    """`A2026-KIN-00012`. To be called in the transaction that writes the credit note."""
    agency = _agency_of(session, contract)
    return f"A{year}-{agency}-{next_number(session, f'credit:{year}:{agency}'):05d}"


def _agency_of(session: Session, contract: ContractRow) -> str:
    """The code of the agency that supplies the contract's place."""
    return session.scalars(_AGENCY, {"site_id": contract.site_id}).one()
