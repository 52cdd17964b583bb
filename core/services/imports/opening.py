"""Opening balances: what a contract owed, or had in credit, in the system before this one."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing.numbering import opening_number
from core.billing.tables import DunningCycleRow, InvoiceLineRow, InvoiceRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.i18n import N_, day, translate
from core.kernel.clock import Clock, local_date
from core.kernel.money import Money
from core.settlement import post
from core.settlement.events import OpeningCredit, OpeningDebit

LABEL = N_("Balance taken over on {day}")


def take_over(
    session: Session, contract_id: int, amount: Money, *, as_of: date, key: str, by: str, memo: str, clock: Clock
) -> None:
    """Book one opening balance in the caller's transaction; `amount` above nought was owed, below it was credit.

    A debt becomes an invoice of the series of opening invoices, sent today: the clock of dunning starts now, with its
    first notice, however old the debt is. Nothing is booked for nought.
    """
    if amount.minor < 0:
        owed_back = Money(-amount.minor, amount.currency)
        credit = OpeningCredit(key=key, contract_id=contract_id, amount=owed_back, actor=by, memo=memo)
        post(session, credit, clock=clock)
    elif amount:
        invoice_id = _invoice(session, contract_id, amount, as_of, clock)
        post(session, OpeningDebit(key=key, invoice_id=invoice_id, actor=by, memo=memo), clock=clock)


def _invoice(session: Session, contract_id: int, amount: Money, as_of: date, clock: Clock) -> int:
    contract, zone, language = session.execute(
        select(ContractRow, SiteRow.time_zone, CustomerRow.language)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(ContractRow.id == contract_id)
    ).one()
    today = local_date(clock.now(), zone)
    invoice = InvoiceRow(
        number=opening_number(session, contract, today.year),
        contract_id=contract.id,
        period=f"{as_of:%Y-%m}",
        currency=amount.currency,
        total_minor=amount.minor,
        state="sent",
        issued_on=today,
        sent_on=today,
        sent_at=clock.now(),
        # The month itself is still to be billed.
        besides=True,
    )
    session.add(invoice)
    session.flush()
    label = translate(LABEL, language, day=day(as_of))
    session.add(InvoiceLineRow(invoice_id=invoice.id, position=1, label=label, amount_minor=amount.minor))
    session.add(DunningCycleRow(invoice_id=invoice.id, cycle=1, started_on=today, cause="opening"))
    session.flush()
    return invoice.id
