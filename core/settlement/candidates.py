"""Which contracts the sweep must look at: one statement for thousands of invoices, so that the rest costs no Python.

What is found here is a superset of what is due; the pure function decides. Left out is only what no answer of it can
concern: nobody is evaluated every night who was cut long ago, owes too little, or may never be cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, not_, or_, select, text
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

    def since(days: int) -> ColumnElement[bool]:
        return DunningCycleRow.started_on <= today - timedelta(days=days)

    # From here on evidence is repaired and the cut is announced.
    last_phase = since(policy.announcement_after_days - -(-policy.warning_min_age_h // 24))
    proven = and_(_delivered("sent"), _delivered("reminder"))
    due = or_(
        not_(_made("sent")),
        and_(since(policy.reminder_after_days), not_(_made("reminder"))),
        and_(last_phase, or_(_to_repair("sent"), _to_repair("reminder"))),
        and_(
            since(policy.warning_after_days),
            or_(not_(_made("warning")), and_(last_phase, proven)),
            _heavy(policy),
            _owed() >= _floor(policy.floor_minor),
            _may_be_cut(),
        ),
    )
    found = (
        select(InvoiceRow.contract_id)
        .join(
            DunningCycleRow,
            and_(DunningCycleRow.invoice_id == InvoiceRow.id, DunningCycleRow.cycle == InvoiceRow.cycle),
        )
        .join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
        .where(IS_OPEN, InvoiceRow.contract_id > after, due)
        .distinct()
        .order_by(InvoiceRow.contract_id)
    )
    return session.scalars(found if upto is None else found.where(InvoiceRow.contract_id <= upto)).all()


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


def _steps_of(base: str) -> tuple[ColumnElement[bool], ...]:
    """The step itself and its repetitions: `sent`, `sent.2` …"""
    return (
        ReminderRow.invoice_id == InvoiceRow.id,
        ReminderRow.cycle == InvoiceRow.cycle,
        or_(ReminderRow.step == base, ReminderRow.step.like(f"{base}.%")),
    )


def _made(step: str) -> ColumnElement[bool]:
    return exists().where(
        ReminderRow.invoice_id == InvoiceRow.id, ReminderRow.cycle == InvoiceRow.cycle, ReminderRow.step == step
    )


def _delivered(base: str) -> ColumnElement[bool]:
    return exists().where(*_steps_of(base), ReminderRow.delivered_at.is_not(None))


def _to_repair(base: str) -> ColumnElement[bool]:
    """Nothing of it arrived, and no crew has it in hand: once a crew does, the step is not said again."""
    known = or_(ReminderRow.delivered_at.is_not(None), ReminderRow.notice_id.is_(None))
    return not_(exists().where(*_steps_of(base), known))


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


def _may_be_cut() -> ColumnElement[bool]:
    """Of the contract: no protected site, a meter that can be switched, and supply not off or about to be."""
    switchable = exists().where(
        SiteRow.id == ContractRow.site_id,
        SiteRow.protected.is_(None),
        MeterRow.id == ContractRow.meter_id,
        MeterRow.control_kind != "none",
    )
    off = exists().where(MeterReportedRow.meter_id == MeterDesiredRow.meter_id, MeterReportedRow.supply == "off")
    cut = exists().where(
        MeterDesiredRow.meter_id == ContractRow.meter_id,
        MeterDesiredRow.supply == "off",
        or_(off, off_on_its_way()),
    )
    return and_(switchable, not_(cut))
