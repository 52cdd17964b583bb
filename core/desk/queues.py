"""The tables behind the page of queues. Session first, no commit; each list is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, or_, select, text
from sqlalchemy.orm import Session

from core.desk.queue_model import Act, DeadLine, DeadPage, HeldLine, KindLine, Lease, Planned, RunLine, Subject
from core.desk.queue_rules import covered, offer_of, run_state
from core.desk.queue_subjects import subjects
from core.outbox import KINDS, LEASE_CAP_S, LeaseRow, OutboxActRow, OutboxRow, ScheduleRunRow, gave_up, needs_a_person

HELD_MAX, LEASES_MAX = 30, 50
DISPATCHER = "dispatcher"
_DEAD = OutboxRow.state == text("'dead'")


def kind_lines(session: Session, *, now: datetime, real_now: datetime) -> tuple[KindLine, ...]:
    """Every kind of work there is, in the order of the queues; also those with nothing waiting."""
    held = OutboxRow.lease_until > real_now
    due = and_(
        or_(OutboxRow.lease_until.is_(None), OutboxRow.lease_until <= real_now),
        OutboxRow.available_at <= real_now,
        or_(OutboxRow.business_at.is_(None), OutboxRow.business_at <= now),
    )
    pending = {
        row[0]: row[1:]
        for row in session.execute(
            select(
                OutboxRow.kind,
                func.count(),
                _count(due),
                func.min(case((due, OutboxRow.available_at))),
                _count(held),
            )
            .where(OutboxRow.state == text("'pending'"))
            .group_by(OutboxRow.kind)
        )
    }
    dead = {
        row[0]: row[1]
        for row in session.execute(
            select(OutboxRow.kind, func.count()).where(*needs_a_person()).group_by(OutboxRow.kind)
        )
    }
    order = [*KINDS, *sorted((set(pending) | set(dead)) - set(KINDS))]
    lines: list[KindLine] = []
    for kind in order:
        every, could, oldest, in_hand = pending.get(kind, (0, 0, None, 0))
        later = int(every) - int(could) - int(in_hand)
        queue = KINDS[kind].queue if kind in KINDS else ""
        lines.append(KindLine(queue, kind, int(could), oldest, later, int(in_hand), dead.get(kind, 0)))
    return tuple(lines)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def held_lines(
    session: Session, *, now: datetime, real_now: datetime, scale: float, hands: Mapping[int, str]
) -> tuple[HeldLine, ...]:
    """Rows in somebody's hands, those whose lease ends first at the top. `scale`: of the leases."""
    rows = session.scalars(
        select(OutboxRow)
        .where(OutboxRow.state == text("'pending'"), OutboxRow.lease_until > real_now)
        .order_by(OutboxRow.lease_until)
        .limit(HELD_MAX)
    ).all()
    about = subjects(session, rows, now=now)
    return tuple(
        HeldLine(
            row.id, row.kind, row.queue, about.get(row.id, Subject()), _since(row, row.lease_until, scale),
            row.lease_until, row.attempts, hands.get(row.id, ""),
        )
        for row in rows
        if row.lease_until is not None
    )  # fmt: skip


def _since(row: OutboxRow, until: datetime, scale: float) -> datetime:
    """When the lease began: it doubles with each hand-out."""
    lease_s = KINDS[row.kind].lease_s if row.kind in KINDS else 0
    return until - timedelta(seconds=scale * min(lease_s * 2 ** max(0, row.attempts - 1), LEASE_CAP_S))


def dead_page(
    session: Session, *, now: datetime, kind: str, given_up: bool, before: int | None, limit: int
) -> DeadPage:
    """Dead rows, newest first. `given_up`: those that a person has done with, instead of the others."""
    wanted = select(OutboxRow).where(_DEAD, gave_up() if given_up else ~gave_up())
    if kind:
        wanted = wanted.where(OutboxRow.kind == kind)
    if before is not None:
        wanted = wanted.where(OutboxRow.id < before)
    rows = session.scalars(wanted.order_by(OutboxRow.id.desc()).limit(limit + 1)).all()
    lines = dead_lines(session, rows[:limit], now=now)
    return DeadPage(tuple(lines), rows[limit - 1].id if len(rows) > limit else None)


def dead_lines(session: Session, rows: Sequence[OutboxRow], *, now: datetime) -> list[DeadLine]:
    about = subjects(session, rows, now=now)
    acts = _acts(session, [row.id for row in rows])
    lines: list[DeadLine] = []
    for row in rows:
        subject = about.get(row.id, Subject())
        offer, why = offer_of(row.kind, subject)
        before = acts.get(row.id, [])
        # What a person takes up again begins to count anew: the tries before are kept with that act.
        tries = row.attempts + sum(act.tries for act in before if act.act == "again")
        last = Act(before[-1].act, before[-1].by, before[-1].at, before[-1].reason) if before else None
        lines.append(
            DeadLine(
                row.id, row.kind, row.queue, subject, row.created_at, tries, covered(row.last_error), offer, why, last
            )
        )
    return lines


def _acts(session: Session, ids: Iterable[int]) -> Mapping[int, list[OutboxActRow]]:
    found: dict[int, list[OutboxActRow]] = {}
    for act in session.scalars(
        select(OutboxActRow).where(OutboxActRow.outbox_id.in_(list(ids))).order_by(OutboxActRow.id)
    ):
        found.setdefault(act.outbox_id, []).append(act)
    return found


def given_up_count(session: Session) -> int:
    return int(session.scalar(select(func.count()).select_from(OutboxRow).where(_DEAD, gave_up())) or 0)


def run_lines(session: Session, plans: Iterable[Planned], *, now: datetime) -> tuple[RunLine, ...]:
    """Every scheduled run, the next one first, with how its newest went."""
    plans = list(plans)
    newest = (
        select(ScheduleRunRow.name, func.max(ScheduleRunRow.due_at).label("due_at"))
        .where(ScheduleRunRow.name.in_([plan.name for plan in plans]))
        .group_by(ScheduleRunRow.name)
        .subquery()
    )
    ran = {
        row.name: row
        for row in session.scalars(
            select(ScheduleRunRow).join(
                newest, and_(newest.c.name == ScheduleRunRow.name, newest.c.due_at == ScheduleRunRow.due_at)
            )
        )
    }
    lines: list[RunLine] = []
    for plan in sorted(plans, key=lambda plan: (plan.next_due, plan.name)):
        row = ran.get(plan.name)
        if row is None:
            lines.append(RunLine(plan.name, plan.last_due, plan.next_due, run_state(plan, None, None, None, now=now)))
            continue
        state = run_state(plan, row.due_at, row.opened_at, row.ended_at, now=now)
        lines.append(
            RunLine(
                plan.name, plan.last_due, plan.next_due, state, row.due_at, row.opened_at, row.ended_at,
                covered(row.outcome),
            )
        )  # fmt: skip
    return tuple(lines)


def leases(session: Session, *, real_now: datetime) -> tuple[Lease, ...]:
    """Who holds what, the freshest first."""
    rows = session.scalars(select(LeaseRow).order_by(LeaseRow.until.desc()).limit(LEASES_MAX))
    return tuple(Lease(row.name.partition(":")[0], row.holder, row.until, row.until > real_now) for row in rows)
