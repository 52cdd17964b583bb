"""The top of a customer's page: contracts with what is due, supply as wanted and as reported, phones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core.billing.tables import InvoiceRow
from core.customers.link_queries import open_requests
from core.customers.tables import ContractRow, CustomerRow, MeterRow, PhoneLinkRow, PhoneRow, SiteRow
from core.desk.model import ContractHead, CustomerHead, PhoneHead
from core.kernel.clock import WEST
from core.kernel.money import Money
from core.ledger.tables import AccountRow
from core.notices.tables import EmailAddressRow
from core.supply.tables import MeterDesiredRow, MeterReportedRow


def customer_head(session: Session, customer_id: int, *, now: datetime, limit: int) -> CustomerHead | None:
    """None when there is no such customer."""
    row = session.get(CustomerRow, customer_id)
    if row is None:
        return None
    contracts = _contracts(session, customer_id, limit)
    return CustomerHead(
        id=row.id,
        name=row.name,
        kind=row.kind,
        language=row.language,
        email=row.email,
        zone=contracts[0].zone if contracts else WEST,
        now=now,
        contracts=contracts,
        phones=_phones(session, customer_id, now, limit),
        email_dead=_dead(session, row.email),
        link_requests=len(open_requests(session, customer_id, now=now, limit=limit)),
    )


def _dead(session: Session, email: str | None) -> bool:
    known = session.get(EmailAddressRow, email.strip().lower()) if email else None
    return known is not None and known.bounced_at is not None


def _contracts(session: Session, customer_id: int, limit: int) -> tuple[ContractHead, ...]:
    rows = session.execute(
        select(ContractRow, SiteRow, MeterRow.control_kind, MeterDesiredRow, MeterReportedRow)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .outerjoin(MeterRow, MeterRow.id == ContractRow.meter_id)
        .outerjoin(MeterDesiredRow, MeterDesiredRow.meter_id == ContractRow.meter_id)
        .outerjoin(MeterReportedRow, MeterReportedRow.meter_id == ContractRow.meter_id)
        .where(ContractRow.customer_id == customer_id)
        .order_by(ContractRow.state, ContractRow.id)
        .limit(limit)
    ).all()
    ids = [row[0].id for row in rows]
    dues, credits = _dues(session, ids), _credits(session, ids)
    return tuple(
        ContractHead(
            id=contract.id,
            account=contract.account_number,
            kind=contract.kind,
            state=contract.state,
            due=Money(dues.get(contract.id, (0, 0))[0], contract.currency),
            credit=Money(credits.get((str(contract.id), contract.currency), 0), contract.currency),
            open_invoices=dues.get(contract.id, (0, 0))[1],
            address=f"{site.address}, {site.commune}, {site.city}",
            zone=site.time_zone,
            protected=site.protected,
            meter_id=contract.meter_id,
            control_kind=control_kind,
            desired=wanted.supply if wanted else None,
            desired_reason=wanted.reason if wanted else None,
            reported=said.supply if said else None,
            online=bool(said and said.online),
            reported_at=said.at if said else None,
        )
        for contract, site, control_kind, wanted, said in rows
    )


def _dues(session: Session, contract_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """contract → (due in minor units, open invoices). Uses ix_invoice_open."""
    rows = session.execute(
        select(InvoiceRow.contract_id, func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor), func.count())
        .where(InvoiceRow.contract_id.in_(contract_ids), text("invoice.state = 'sent' AND paid_minor < total_minor"))
        .group_by(InvoiceRow.contract_id)
    )
    return {contract_id: (int(due), count) for contract_id, due, count in rows}


def _credits(session: Session, contract_ids: Sequence[int]) -> dict[tuple[str, str], int]:
    """(contract, currency) → credit in minor units."""
    rows = session.execute(
        select(AccountRow.owner, AccountRow.currency, AccountRow.balance_minor).where(
            AccountRow.code == "credit", AccountRow.owner.in_([str(i) for i in contract_ids])
        )
    )
    return {(owner, currency): balance or 0 for owner, currency, balance in rows}


def _phones(session: Session, customer_id: int, now: datetime, limit: int) -> tuple[PhoneHead, ...]:
    rows = session.execute(
        select(PhoneLinkRow, PhoneRow.language, PhoneRow.opted_out_at, PhoneRow.sim_changed_at)
        .outerjoin(PhoneRow, PhoneRow.phone == PhoneLinkRow.phone)
        .where(PhoneLinkRow.customer_id == customer_id)
        .order_by(PhoneLinkRow.id)
        .limit(limit)
    )
    return tuple(
        PhoneHead(
            link_id=link.id,
            phone=link.phone,
            role=link.role,
            confirmed_at=link.confirmed_at,
            fresh=link.fresh_until is not None and link.fresh_until > now,
            language=link.language or language,
            last_brand=link.last_brand,
            opted_out=opted_out_at is not None,
            sim_changed_at=sim_changed_at,
            fresh_until=link.fresh_until,
        )
        for link, language, opted_out_at, sim_changed_at in rows
    )
