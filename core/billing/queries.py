"""Reading what billing knows. Bounded: a fixed number of statements however many contracts are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Select, and_, bindparam, exists, or_, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.billing.model import Calendar, DunnedInvoice, DunningFacts, Hold, MadeStep
from core.billing.policy import DEFAULT_POLICY, DunningPolicy
from core.billing.policy_tables import CutStopRow
from core.billing.tables import (
    DunningCycleRow,
    DunningDecisionRow,
    DunningPolicyRow,
    HoldRow,
    InvoiceRow,
    NumberSeriesRow,
    ReminderRow,
)
from core.customers.links import SEES_AMOUNTS
from core.customers.tables import ContractRow, MeterRow, PhoneLinkRow, SiteRow

# As literals: a bound parameter hides the partial index ix_invoice_open from both planners.
IS_OPEN = text("invoice.state = 'sent' AND invoice.paid_minor < invoice.total_minor")
IS_PRESENT_CYCLE = and_(DunningCycleRow.invoice_id == InvoiceRow.id, DunningCycleRow.cycle == InvoiceRow.cycle)

_VERSION = (
    select(DunningPolicyRow.version, DunningPolicyRow.body)
    .where(DunningPolicyRow.valid_from <= bindparam("day"))
    .order_by(DunningPolicyRow.valid_from.desc(), DunningPolicyRow.version.desc())
    .limit(1)
    .subquery("in_force")
)
_STANDS = and_(CutStopRow.lifted_at.is_(None), or_(CutStopRow.day.is_(None), CutStopRow.day >= bindparam("first")))
_POLICY = select(_VERSION.c.version, _VERSION.c.body, CutStopRow.id, CutStopRow.day).outerjoin_from(
    _VERSION, CutStopRow, _STANDS
)
_STOPS = select(CutStopRow.day).where(_STANDS)
# What dunning asks of its contracts. Built once: it is asked with every payment and every invoice.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_DUNNED = (
    select(
        InvoiceRow.contract_id, InvoiceRow.id, InvoiceRow.number, InvoiceRow.total_minor, InvoiceRow.paid_minor,
        InvoiceRow.cycle, InvoiceRow.disputed, InvoiceRow.estimated, DunningCycleRow.started_on,
    )
    .join(DunningCycleRow, IS_PRESENT_CYCLE)
    .where(InvoiceRow.contract_id.in_(_IDS), IS_OPEN)
    .order_by(InvoiceRow.sent_on, InvoiceRow.id)
)  # fmt: skip
_STEP_COLUMNS: tuple[Any, ...] = (
    ReminderRow.invoice_id, ReminderRow.cycle, ReminderRow.step, ReminderRow.created_at, ReminderRow.leaves_at,
    ReminderRow.delivered_at, ReminderRow.notice_id, ReminderRow.cut_on,
)  # fmt: skip
_STEPS: Select[*tuple[Any, ...]] = (
    select(*_STEP_COLUMNS).where(ReminderRow.invoice_id.in_(_IDS)).order_by(ReminderRow.created_at, ReminderRow.id)
)
_HOLDS = (
    select(HoldRow.contract_id, HoldRow.kind, HoldRow.from_at, HoldRow.until_at, HoldRow.invoice_id)
    .where(HoldRow.contract_id.in_(_IDS))
    .order_by(HoldRow.id)
)
_REACHED = exists().where(
    PhoneLinkRow.customer_id == ContractRow.customer_id,
    PhoneLinkRow.confirmed_at.is_not(None),
    PhoneLinkRow.role.in_(SEES_AMOUNTS),
)
_SUPPLIED = (
    select(ContractRow.id, ContractRow.currency, SiteRow.time_zone, SiteRow.protected, MeterRow.control_kind, _REACHED)
    .join(SiteRow, SiteRow.id == ContractRow.site_id)
    .outerjoin(MeterRow, MeterRow.id == ContractRow.meter_id)
    .where(ContractRow.id.in_(_IDS))
)
_LAST_DECISION = (
    select(DunningDecisionRow.off_due, DunningDecisionRow.supply, DunningDecisionRow.reasons)
    .where(DunningDecisionRow.contract_id == bindparam("contract_id"))
    .order_by(DunningDecisionRow.at.desc(), DunningDecisionRow.id.desc())
    .limit(1)
)

_SERIES = (
    select(NumberSeriesRow)
    .where(NumberSeriesRow.name == bindparam("series"))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)


class LastDecision(NamedTuple):
    """What was decided last: whether off is due, which supply is wanted, and why."""

    off_due: bool
    supply: str
    reasons: list[Any]


def policy_on(session: Session, day: date) -> DunningPolicy:
    """The version valid on a day: the newest that had begun; the built-in default where there is none.

    What stops cuts at once (the brake, declared holidays from the day before on) is put into its switching rules.
    """
    about = {"day": day, "first": day - timedelta(days=1)}
    rows = session.execute(_POLICY, about).all()
    if not rows:
        return DEFAULT_POLICY.stopped_by(session.scalars(_STOPS, about).all())
    policy = DunningPolicy.from_json(rows[0].version, rows[0].body)
    return policy.stopped_by([row.day for row in rows if row.id is not None])


def next_number(session: Session, series: str) -> int:
    """The next number of a series without gaps or twins: the row stays locked until the caller's transaction ends."""
    row = session.scalar(_SERIES, {"series": series})
    if row is None:
        try:
            with session.begin_nested():
                session.add(NumberSeriesRow(name=series, last=0))
        except IntegrityError:
            pass  # another transaction began the series at the same moment; its row is locked and read below
        row = session.scalars(_SERIES, {"series": series}).one()
    row.last += 1
    session.flush()
    return row.last


def facts_of(
    session: Session, contract_ids: Collection[int], calendar_of: Callable[[str], Calendar]
) -> dict[int, DunningFacts]:
    """What dunning knows of these contracts: four statements. `calendar_of` gives the permitted days of a zone.

    Whether supply is off is not known here: the caller puts it in.
    """
    if not contract_ids:
        return {}
    # Past the unit of work: nothing but values is needed. What it still holds is written first.
    session.flush()
    invoices = _invoices(session, contract_ids)
    holds: dict[int, list[Hold]] = defaultdict(list)
    for owner, kind, from_at, until_at, invoice_id in session.connection().execute(_HOLDS, {"ids": list(contract_ids)}):
        holds[owner].append(Hold(kind, from_at, until_at, invoice_id))
    contracts = session.connection().execute(_SUPPLIED, {"ids": list(contract_ids)})
    return {
        contract_id: DunningFacts(
            contract_id=contract_id,
            currency=currency,
            zone=zone,
            calendar=calendar_of(zone),
            invoices=tuple(invoices[contract_id]),
            holds=tuple(holds[contract_id]),
            may_be_cut=protected is None and control_kind not in (None, "none"),
            reachable=reachable,
        )
        for contract_id, currency, zone, protected, control_kind, reachable in contracts
    }


def announced_contracts(session: Session, *, zone: str, after: int, limit: int) -> Sequence[int]:
    """Contracts in a zone with an open invoice whose cut was announced in its present cycle, by id, above `after`."""
    announced = exists().where(
        ReminderRow.invoice_id == InvoiceRow.id,
        ReminderRow.cycle == InvoiceRow.cycle,
        ReminderRow.step == "announcement",
    )
    return session.scalars(
        select(InvoiceRow.contract_id)
        .join(ContractRow, ContractRow.id == InvoiceRow.contract_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(IS_OPEN, InvoiceRow.contract_id > after, SiteRow.time_zone == zone, announced)
        .distinct()
        .order_by(InvoiceRow.contract_id)
        .limit(limit)
    ).all()


def open_contracts(session: Session, *, after: int, limit: int) -> Sequence[int]:
    """Contracts with any open invoice, by id, above `after`."""
    return session.scalars(
        select(InvoiceRow.contract_id)
        .where(IS_OPEN, InvoiceRow.contract_id > after)
        .distinct()
        .order_by(InvoiceRow.contract_id)
        .limit(limit)
    ).all()


def last_decision(session: Session, contract_id: int) -> LastDecision | None:
    """The newest decision kept for a contract. Uses ix_dunning_decision_contract_id."""
    session.flush()
    row = session.connection().execute(_LAST_DECISION, {"contract_id": contract_id}).first()
    return LastDecision(*row) if row else None


def _invoices(session: Session, contract_ids: Collection[int]) -> dict[int, list[DunnedInvoice]]:
    rows = session.connection().execute(_DUNNED, {"ids": list(contract_ids)}).all()
    steps = _steps(session, [row.id for row in rows])
    found: dict[int, list[DunnedInvoice]] = defaultdict(list)
    for row in rows:
        found[row.contract_id].append(
            DunnedInvoice(
                invoice_id=row.id,
                number=row.number,
                total_minor=row.total_minor,
                paid_minor=row.paid_minor,
                cycle=row.cycle,
                cycle_started_on=row.started_on,
                steps=tuple(steps[row.id, row.cycle]),
                disputed=row.disputed,
                estimated=row.estimated,
            )
        )
    return found


def _steps(session: Session, invoice_ids: list[int]) -> dict[tuple[int, int], list[MadeStep]]:
    made: dict[tuple[int, int], list[MadeStep]] = defaultdict(list)
    if not invoice_ids:
        return made
    rows = session.connection().execute(_STEPS, {"ids": invoice_ids})
    for invoice_id, cycle, step, made_at, leaves_at, delivered_at, notice_id, cut_on in rows:
        made[invoice_id, cycle].append(
            MadeStep(step, made_at, leaves_at, delivered_at, by_crew=notice_id is None, cut_on=cut_on)
        )
    return made
