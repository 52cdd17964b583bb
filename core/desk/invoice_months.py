"""The months of billing: how far each is, what a run left out, what changed a lot since the month before."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Select, and_, func, select, text
from sqlalchemy.orm import Session, aliased

from core.billing.run_model import Month
from core.billing.run_tables import LeftOutRow
from core.billing.tables import BillingRunRow, InvoiceRow
from core.customers.tables import AgencyRow, ContractRow, CustomerRow, SiteRow
from core.desk.invoice_model import Jump, LeftOutView, MonthSum, MonthView, RunView, Sum
from core.desk.invoices import Rows, as_entries, invoices
from core.kernel.money import Money

RUNS, JUMPS, LEFT_OUT = 20, 20, 50
# A draft that differs by more than this from the month before is looked at before it is sent.
JUMP_PERCENT = 50
# By a run, and not cancelled. As a literal, so that both planners use ix_invoice_billed_period.
_MADE = text("old.run_id IS NOT NULL AND old.state <> 'cancelled'")


def months(session: Session, *, limit: int) -> tuple[RunView, ...]:
    """The newest runs, of any month."""
    return _runs(session, _run_rows().order_by(BillingRunRow.id.desc()).limit(limit))


def month(
    session: Session, period: str, agency: str | None, *, now: datetime, today: date, overdue_days: int
) -> MonthView:
    """One month, of one agency or of all. A fixed number of statements; each walks the month's invoices once."""
    before = f"{Month.read(period).first - timedelta(days=1):%Y-%m}"
    reasons = session.execute(
        _of_agency(
            select(LeftOutRow.reason, func.count())
            .join(ContractRow, ContractRow.id == LeftOutRow.contract_id)
            .where(LeftOutRow.period == period),
            agency,
        ).group_by(LeftOutRow.reason)
    ).all()
    return MonthView(
        period=period,
        agency=agency,
        sums=_sums(session, period, agency),
        before=_before(_sums(session, before, agency)),
        runs=_runs(
            session, _run_rows().where(BillingRunRow.period == period).order_by(BillingRunRow.id.desc()).limit(RUNS)
        ),
        left_out=tuple(sorted(((reason, count) for reason, count in reasons), key=lambda one: -one[1])),
        left_out_first=left_out(session, period, agency, reason="", after=0, limit=LEFT_OUT),
        biggest=_jumps(session, period, before, agency, now=now, today=today, overdue_days=overdue_days),
    )


def left_out(
    session: Session, period: str, agency: str | None, *, reason: str, after: int, limit: int
) -> tuple[LeftOutView, ...]:
    """Who could not be billed, by contract, above `after`; those of one reason, or all."""
    found = _of_agency(
        select(LeftOutRow, ContractRow.account_number, CustomerRow.id, CustomerRow.name)
        .join(ContractRow, ContractRow.id == LeftOutRow.contract_id)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .where(LeftOutRow.period == period, LeftOutRow.contract_id > after),
        agency,
    )
    if reason:
        found = found.where(LeftOutRow.reason == reason)
    return tuple(
        LeftOutView(row.contract_id, account, customer_id, name, row.reason, row.detail)
        for row, account, customer_id, name in session.execute(found.order_by(LeftOutRow.contract_id).limit(limit))
    )


def _sums(session: Session, period: str, agency: str | None) -> tuple[MonthSum, ...]:
    """By state and currency, without what was written besides. Uses ix_invoice_period."""
    found = select(InvoiceRow.state, InvoiceRow.currency, func.count(), func.sum(InvoiceRow.total_minor)).where(
        InvoiceRow.period == period, InvoiceRow.besides.is_(False)
    )
    if agency:
        found = _of_agency(found.join(ContractRow, ContractRow.id == InvoiceRow.contract_id), agency)
    rows = session.execute(found.group_by(InvoiceRow.state, InvoiceRow.currency))
    return tuple(MonthSum(state, count, Money(int(minor), code)) for state, code, count, minor in rows)


def _before(sums: tuple[MonthSum, ...]) -> tuple[Sum, ...]:
    return MonthView("", None, sums, (), (), (), (), ()).billed


def _jumps(
    session: Session, period: str, before: str, agency: str | None, *, now: datetime, today: date, overdue_days: int
) -> tuple[Jump, ...]:
    old = aliased(InvoiceRow, name="old")
    change = func.abs(InvoiceRow.total_minor - old.total_minor)
    found = (
        invoices()
        .add_columns(old.total_minor.label("was"))
        .join(old, and_(old.contract_id == InvoiceRow.contract_id, old.period == before, _MADE))
        .where(
            InvoiceRow.period == period,
            InvoiceRow.besides.is_(False),
            InvoiceRow.state.in_(("draft", "validated")),
            old.currency == InvoiceRow.currency,
            change * 100 > old.total_minor * JUMP_PERCENT,
        )
        .order_by(change.desc(), InvoiceRow.id)
        .limit(JUMPS)
    )
    if agency:
        found = found.where(AgencyRow.code == agency)
    rows = session.execute(found).all()
    entries = as_entries(session, [row[:-1] for row in rows], now=now, today=today, overdue_days=overdue_days)
    return tuple(
        Jump(
            entry=entry,
            before=Money(row.was, entry.total.currency),
            change=round((entry.total.minor - row.was) * 100 / row.was),
            explained=tuple(row[0].explained or ()),
        )
        for entry, row in zip(entries, rows, strict=True)
    )


def _run_rows() -> Select[BillingRunRow, str | None]:
    return select(BillingRunRow, AgencyRow.code).outerjoin(AgencyRow, AgencyRow.id == BillingRunRow.agency_id)


def _runs(session: Session, found: Select[BillingRunRow, str | None]) -> tuple[RunView, ...]:
    return tuple(
        RunView(
            row.id, row.period, code, row.started_at, row.finished_at, row.started_by, row.made, row.left_out,
        )
        for row, code in session.execute(found)
    )  # fmt: skip


def _of_agency(found: Rows, agency: str | None) -> Rows:
    """Joined with contract already."""
    if not agency:
        return found
    found = found.join(SiteRow, SiteRow.id == ContractRow.site_id)
    return found.join(AgencyRow, AgencyRow.id == SiteRow.agency_id).where(AgencyRow.code == agency)
