"""Which contracts the sweep must look at: one statement for thousands of invoices, so that the rest costs no Python.

What is found here is a superset of what is due; the pure function decides. Left out is only what no answer of it can
concern: nobody is evaluated every night who was cut long ago, owes too little, or may never be cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import CTE, ColumnElement, Label, and_, case, exists, func, literal, not_, or_, select, text, union
from sqlalchemy.orm import Session, aliased

from core.billing.policy import DunningPolicy
from core.billing.queries import IS_OPEN
from core.billing.tables import DunningCycleRow, InvoiceRow, ReminderRow
from core.customers.tables import ContractRow, MeterRow, SiteRow
from core.supply.model import LIVE
from core.supply.tables import CrewTaskRow, MeterDesiredRow, MeterReportedRow, RelayCommandRow

# Open invoices looked at by one statement. A statement that walked all of them would run into the time limit that the
# database sets for each, and would hold back SQLite's checkpoints meanwhile.
WINDOW = 20_000
# No sum reaches it: what a currency without a floor is compared with.
_NEVER = 2**62


def window_end(session: Session, *, after: int, size: int = WINDOW) -> int | None:
    """The contract at which a window of about `size` open invoices above `after` ends; None when it is the last one."""
    return session.scalar(
        select(InvoiceRow.contract_id)
        .where(IS_OPEN, InvoiceRow.contract_id > after)
        .order_by(InvoiceRow.contract_id)
        .offset(size)
        .limit(1)
    )


def sweep_candidates(
    session: Session, *, policy: DunningPolicy, today: date, after: int, upto: int | None
) -> Sequence[int]:
    """Contracts above `after` and up to `upto` with an open invoice for which a step may be due on `today`, by id.

    `today` is the latest of the country's days. Uses ix_invoice_open and the unique index of `reminder`.
    """

    made = _made(after, upto)

    def since(days: int) -> ColumnElement[bool]:
        return made.c.started_on <= today - timedelta(days=days)

    # From here on evidence is repaired and the cut is announced.
    last_phase = since(policy.announcement_after_days - -(-policy.warning_min_age_h // 24))
    told = select(made.c.contract_id)
    evidence = told.where(
        or_(
            made.c.sent == 0,
            and_(since(policy.reminder_after_days), made.c.reminder == 0),
            and_(last_phase, or_(made.c.sent_settled == 0, made.c.reminder_settled == 0)),
        )
    )
    threat = (
        told.join(ContractRow, ContractRow.id == made.c.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .join(MeterRow, MeterRow.id == ContractRow.meter_id)
        .outerjoin(MeterDesiredRow, and_(MeterDesiredRow.meter_id == MeterRow.id, MeterDesiredRow.supply == "off"))
        .outerjoin(MeterReportedRow, and_(MeterReportedRow.meter_id == MeterRow.id, MeterReportedRow.supply == "off"))
        .where(
            since(policy.warning_after_days),
            made.c.unpaid * 100 >= made.c.total_minor * policy.percent_of_invoice,
            or_(
                made.c.warning == 0,
                and_(last_phase, made.c.sent_arrived == 1, made.c.reminder_arrived == 1),
            ),
            _owed() >= _floor(policy.floor_minor),
            SiteRow.protected.is_(None),
            MeterRow.control_kind != "none",
            # Off already, or about to be: nobody is warned of what has happened.
            or_(
                MeterDesiredRow.meter_id.is_(None),
                and_(MeterReportedRow.meter_id.is_(None), not_(off_on_its_way())),
            ),
        )
    )
    found = union(evidence, threat).subquery()
    return session.scalars(select(found.c.contract_id).order_by(found.c.contract_id)).all()


def cut_without_reason(session: Session, *, policy: DunningPolicy, after: int, limit: int) -> Sequence[int]:
    """Contracts whose supply is wanted off for money though what was announced does not come to the floor, by id.

    A superset: the pure function decides. Settlement gives supply back in the transaction that ends the debt; this is
    the net below it.
    """
    announced = exists().where(
        ReminderRow.invoice_id == InvoiceRow.id,
        ReminderRow.cycle == InvoiceRow.cycle,
        ReminderRow.step == "announcement",
    )
    carried = (
        select(func.coalesce(func.sum(InvoiceRow.total_minor - InvoiceRow.paid_minor), 0))
        .where(IS_OPEN, InvoiceRow.contract_id == ContractRow.id, _heavy(policy), announced)
        .correlate(ContractRow)
        .scalar_subquery()
    )
    protected = exists().where(SiteRow.id == ContractRow.site_id, SiteRow.protected.is_not(None))
    return session.scalars(
        select(ContractRow.id)
        .join(MeterDesiredRow, MeterDesiredRow.meter_id == ContractRow.meter_id)
        .where(
            ContractRow.id > after,
            MeterDesiredRow.supply == "off",
            MeterDesiredRow.reason == "nonpayment",
            or_(carried < _floor(policy.floor_minor), protected),
        )
        .order_by(ContractRow.id)
        .limit(limit)
    ).all()


def off_on_its_way() -> ColumnElement[bool]:
    """Of a row of `meter_desired`: a command or a crew is about to switch off."""
    command = exists().where(
        RelayCommandRow.meter_id == MeterDesiredRow.meter_id,
        RelayCommandRow.supply == "off",
        RelayCommandRow.state.in_(LIVE),
    )
    crew = exists().where(
        CrewTaskRow.meter_id == MeterDesiredRow.meter_id, CrewTaskRow.kind == "switch", CrewTaskRow.state == "open"
    )
    return or_(command, crew)


def _made(after: int, upto: int | None) -> CTE:
    """One row for each open invoice of the window: 1 or 0 for each step that was made, arrived, or needs no repair.

    As one join and not as EXISTS: PostgreSQL hashes all reminders there are for each EXISTS that stands below an OR.
    As an outer one, so that SQLite begins with the invoices.
    """

    def any_of(condition: ColumnElement[bool], name: str) -> Label[int]:
        return func.max(case((condition, 1), else_=0)).label(name)

    columns = [any_of(ReminderRow.step == base, base) for base in ("sent", "reminder", "warning")]
    for base in ("sent", "reminder"):
        this = or_(ReminderRow.step == base, ReminderRow.step.like(f"{base}.%"))
        arrived = and_(this, ReminderRow.delivered_at.is_not(None))
        columns.append(any_of(arrived, f"{base}_arrived"))
        # Once a crew has it in hand, the step is not said again.
        columns.append(any_of(or_(arrived, and_(this, ReminderRow.notice_id.is_(None))), f"{base}_settled"))
    unpaid = func.max(InvoiceRow.total_minor - InvoiceRow.paid_minor)
    found = (
        select(
            InvoiceRow.contract_id,
            func.max(InvoiceRow.total_minor).label("total_minor"),
            unpaid.label("unpaid"),
            func.max(DunningCycleRow.started_on).label("started_on"),
            *columns,
        )
        .join(
            DunningCycleRow,
            and_(DunningCycleRow.invoice_id == InvoiceRow.id, DunningCycleRow.cycle == InvoiceRow.cycle),
        )
        .outerjoin(ReminderRow, and_(ReminderRow.invoice_id == InvoiceRow.id, ReminderRow.cycle == InvoiceRow.cycle))
        .where(IS_OPEN, InvoiceRow.contract_id > after)
        # In the order of ix_invoice_open: else SQLite takes the index of all invoices, the paid ones among them,
        # as readily as that of the open ones.
        .group_by(InvoiceRow.contract_id, InvoiceRow.sent_on, InvoiceRow.id)
    )
    return (found if upto is None else found.where(InvoiceRow.contract_id <= upto)).cte("made")


def _heavy(policy: DunningPolicy) -> ColumnElement[bool]:
    unpaid = InvoiceRow.total_minor - InvoiceRow.paid_minor
    return unpaid * 100 >= InvoiceRow.total_minor * policy.percent_of_invoice


def _owed() -> ColumnElement[int]:
    """All that the invoice's contract owes: more than what can be cut for, never less."""
    owing = aliased(InvoiceRow, name="owing")
    return (
        select(func.sum(owing.total_minor - owing.paid_minor))
        # Literals, as in IS_OPEN: or the partial index is not used.
        .where(
            owing.contract_id == ContractRow.id, text("owing.state = 'sent' AND owing.paid_minor < owing.total_minor")
        )
        .correlate(ContractRow)
        .scalar_subquery()
    )


def _floor(floor_minor: Mapping[str, int]) -> ColumnElement[int]:
    return case(floor_minor, value=ContractRow.currency, else_=_NEVER) if floor_minor else literal(_NEVER)
