"""One contract's dunning, as the console shows it: cycles with their steps, holds, papers, decisions, what to pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.billing import queries
from core.billing.dunning import due_days, evaluate, holds_of
from core.billing.model import DunningFacts, DunningVerdict
from core.billing.policy import DunningPolicy
from core.billing.tables import DunningDecisionRow, HoldRow, ReminderRow
from core.customers.protection_tables import SiteProtectionRow
from core.customers.tables import ContractRow, CustomerRow, SiteRow
from core.kernel.clock import local_date
from core.kernel.money import Money
from core.notices.tables import NoticeRow
from core.settlement.dunning import facts_of
from core.supply.tables import CrewTaskRow

# Holds that a person puts and releases here; the others end where they came from: promises, cases, payments.
BY_HAND = ("staff", "instalments", "medical")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class HoldLine:
    """One hold. `counts` False: it is beyond the limits of the policy, and holds nothing."""

    id: int
    kind: str
    invoice: str | None
    from_at: datetime
    until_at: datetime
    by: str
    reason: str
    stands: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a cycle: made, or to be made on `due` (`made_at` None). `crew_task`: one that is still open."""

    step: str
    due: date
    made_at: datetime | None = None
    leaves_at: datetime | None = None
    delivered_at: datetime | None = None
    evidence: str | None = None
    by_crew: bool = False
    cut_on: date | None = None
    notice_state: str | None = None
    policy_version: int | None = None
    crew_task: int | None = None


@dataclass(frozen=True, slots=True)
class CycleLine:
    """One open invoice with its present cycle."""

    invoice_id: int
    number: str
    total: Money
    due: Money
    cycle: int
    began: date
    disputed: bool
    estimated: bool
    steps: tuple[StepLine, ...]


@dataclass(frozen=True, slots=True)
class ProtectionLine:
    id: int
    kind: str
    paper: str
    until: date | None
    reason: str
    by: str
    at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str


@dataclass(frozen=True, slots=True)
class DecisionLine:
    at: datetime
    version: int
    cause: str
    off_due: bool
    supply: str
    reasons: Sequence[Any]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContractFile:
    """All that the console shows about one contract's dunning.

    `to_pay`: the least that keeps supply on, or brings it back; None when no cut is near. `limits`: kind of hold →
    (how many are left, the last day it may last to); kinds with none left stand with 0.
    """

    contract_id: int
    account: str
    customer_id: int
    customer: str
    zone: str
    protected: str | None
    version: int
    owed: Money
    to_pay: Money | None
    verdict: DunningVerdict
    facts: DunningFacts
    cycles: tuple[CycleLine, ...]
    holds: tuple[HoldLine, ...]
    protections: tuple[ProtectionLine, ...]
    decisions: tuple[DecisionLine, ...]
    limits: dict[str, tuple[int, date]]


def read(session: Session, contract_id: int, now: datetime) -> ContractFile | None:
    """One contract; None when there is none. A fixed number of statements."""
    whose = session.execute(
        select(ContractRow.account_number, CustomerRow.id, CustomerRow.name, SiteRow.time_zone, SiteRow.protected)
        .join(CustomerRow, CustomerRow.id == ContractRow.customer_id)
        .join(SiteRow, SiteRow.id == ContractRow.site_id)
        .where(ContractRow.id == contract_id)
    ).first()
    if whose is None:
        return None
    policy = queries.policy_on(session, now.date())
    facts = facts_of(session, (contract_id,), policy, now)[contract_id]
    return ContractFile(
        contract_id=contract_id,
        account=whose[0],
        customer_id=whose[1],
        customer=whose[2],
        zone=whose[3],
        protected=whose[4],
        version=policy.version,
        owed=Money(sum(i.balance_minor for i in facts.invoices), facts.currency),
        to_pay=_to_pay(facts, policy, now),
        verdict=evaluate(facts, policy, now),
        facts=facts,
        cycles=_cycles(session, facts, policy, now),
        holds=_holds(session, facts, policy, now),
        protections=_protections(session, contract_id),
        decisions=_decisions(session, contract_id),
        limits=hold_limits(facts, policy, now),
    )


def hold_limits(facts: DunningFacts, policy: DunningPolicy, now: datetime) -> dict[str, tuple[int, date]]:
    """Kind → (how many holds are left for the bill that used most, the last day that one may last to)."""
    found: dict[str, tuple[int, date]] = {}
    for kind in BY_HAND:
        most, hours = policy.hold_limit(kind)
        used = max((sum(h.kind == kind for h in holds_of(i, facts)) for i in facts.invoices), default=0)
        # The day before the one on which the last hour falls: a hold lasts to the end of its day.
        latest = local_date(now + timedelta(hours=hours), facts.zone) - timedelta(days=1)
        found[kind] = (max(0, most - used), latest)
    return found


def _to_pay(facts: DunningFacts, policy: DunningPolicy, now: datetime) -> Money | None:
    """The least that, put on the oldest bills first, leaves nothing to cut for: found by asking the pure function."""
    verdict = evaluate(facts, policy, now)
    if verdict.next_date_that_matters is None and not verdict.off_due:
        return None

    def safe(minor: int) -> bool:
        left, invoices = minor, []
        for invoice in facts.invoices:
            part = min(left, invoice.balance_minor)
            left -= part
            invoices.append(replace(invoice, paid_minor=invoice.paid_minor + part))
        then = evaluate(replace(facts, invoices=tuple(invoices)), policy, now)
        return then.next_date_that_matters is None and not then.off_due

    low, high = 0, sum(invoice.balance_minor for invoice in facts.invoices)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if safe(middle) else (middle, high)
    # Francs are charged whole.
    return Money(-(-high // 100) * 100 if facts.currency == "CDF" else high, facts.currency)


def _cycles(session: Session, facts: DunningFacts, policy: DunningPolicy, now: datetime) -> tuple[CycleLine, ...]:
    ids = [invoice.invoice_id for invoice in facts.invoices]
    rows = session.execute(
        select(ReminderRow, NoticeRow.state)
        .outerjoin(NoticeRow, NoticeRow.id == ReminderRow.notice_id)
        .where(ReminderRow.invoice_id.in_(ids))
        .order_by(ReminderRow.created_at, ReminderRow.id)
    ).all()
    keys = {f"reminder:{row.id}" for row, _ in rows}
    tasks = {
        task.key: task.id
        for task in session.scalars(
            select(CrewTaskRow).where(
                CrewTaskRow.kind == "notice", CrewTaskRow.state == "open", CrewTaskRow.key.in_(keys)
            )
        )
    }
    found = []
    for invoice in facts.invoices:
        due = due_days(invoice, policy, facts.zone, local_date(now, facts.zone))
        made = [
            _step_line(row, state, due, tasks.get(f"reminder:{row.id}"))
            for row, state in rows
            if row.invoice_id == invoice.invoice_id and row.cycle == invoice.cycle
        ]
        coming = [StepLine(base, due[base]) for base, _ in policy.offsets() if not invoice.made(base)]
        found.append(
            CycleLine(
                invoice_id=invoice.invoice_id,
                number=invoice.number,
                total=Money(invoice.total_minor, facts.currency),
                due=Money(invoice.balance_minor, facts.currency),
                cycle=invoice.cycle,
                began=invoice.cycle_started_on,
                disputed=invoice.disputed,
                estimated=invoice.estimated,
                steps=(*made, *coming),
            )
        )
    return tuple(found)


def _step_line(row: ReminderRow, state: str | None, due: dict[str, date], task: int | None) -> StepLine:
    return StepLine(
        step=row.step,
        due=due[row.step.partition(".")[0]],
        made_at=row.created_at,
        leaves_at=row.leaves_at,
        delivered_at=row.delivered_at,
        evidence=row.evidence,
        by_crew=row.notice_id is None,
        cut_on=row.cut_on,
        notice_state=state,
        policy_version=row.policy_version,
        crew_task=task,
    )


def _holds(session: Session, facts: DunningFacts, policy: DunningPolicy, now: datetime) -> tuple[HoldLine, ...]:
    rows = session.scalars(
        select(HoldRow).where(HoldRow.contract_id == facts.contract_id).order_by(HoldRow.from_at, HoldRow.id)
    ).all()
    numbers = {invoice.invoice_id: invoice.number for invoice in facts.invoices}
    found = []
    for row in rows:
        _, hours = policy.hold_limit(row.kind)
        ends = min(row.until_at, row.from_at + timedelta(hours=hours))
        found.append(
            HoldLine(
                id=row.id,
                kind=row.kind,
                invoice=numbers.get(row.invoice_id) if row.invoice_id else None,
                from_at=row.from_at,
                until_at=ends,
                by=row.by,
                reason=row.reason,
                stands=row.from_at <= now < ends,
                counts=_counts(row, facts, policy),
            )
        )
    return tuple(reversed(found))[:_SHOWN]


def _counts(row: HoldRow, facts: DunningFacts, policy: DunningPolicy) -> bool:
    """Whether it is within the number that counts for any of the bills."""
    most, _ = policy.hold_limit(row.kind)
    for invoice in facts.invoices:
        same = sorted(
            (h for h in holds_of(invoice, facts) if h.kind == row.kind), key=lambda h: (h.from_at, h.until_at)
        )
        if any((h.from_at, h.until_at) == (row.from_at, row.until_at) for h in same[:most]):
            return True
    return not facts.invoices


def _protections(session: Session, contract_id: int) -> tuple[ProtectionLine, ...]:
    rows = session.scalars(
        select(SiteProtectionRow)
        .join(ContractRow, ContractRow.site_id == SiteProtectionRow.site_id)
        .where(ContractRow.id == contract_id)
        .order_by(SiteProtectionRow.id.desc())
        .limit(_SHOWN)
    )
    return tuple(
        ProtectionLine(
            row.id, row.kind, row.paper, row.until, row.reason, row.by, row.at, row.ended_at, row.ended_by,
            row.end_reason,
        )
        for row in rows
    )  # fmt: skip


def _decisions(session: Session, contract_id: int) -> tuple[DecisionLine, ...]:
    rows = session.scalars(
        select(DunningDecisionRow)
        .where(DunningDecisionRow.contract_id == contract_id)
        .order_by(DunningDecisionRow.at.desc(), DunningDecisionRow.id.desc())
        .limit(_SHOWN)
    )
    return tuple(
        DecisionLine(row.at, row.policy_version, row.cause, row.off_due, row.supply, row.reasons, row.facts)
        for row in rows
    )
