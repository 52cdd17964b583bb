"""Effects to come: rows written in the transaction that causes them, carried out by whoever holds their lease.

A queue may lose, repeat and reorder; this table may not. Retry, backoff and "dead" live here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.db.base import Base, RowId, UtcDateTime
from core.kernel.clock import Clock
from core.kernel.ids import new_uuid


@dataclass(frozen=True, slots=True)
class KindPolicy:
    """How rows of one kind are handed out: rows per job, first lease (it doubles up to LEASE_CAP_S), hand-outs.

    `call_s`: the longest one row may take. It is not begun with less of its lease left: better late than twice.
    """

    queue: str
    batch: int
    lease_s: int
    attempts_max: int
    call_s: int


# A wallet call waits for a session (65 s) and for the payer's PIN (120 s); a question for a session and 30 s.
KINDS = {
    "attempt.push": KindPolicy("push", 1, 300, 20, 200),
    "attempt.query": KindPolicy("push", 1, 180, 12, 100),
    "refund.push": KindPolicy("push", 1, 300, 20, 200),
    "refund.query": KindPolicy("push", 1, 180, 12, 100),
    "callback.settle": KindPolicy("settle", 1, 180, 12, 100),
    "prepaid.token": KindPolicy("settle", 10, 60, 12, 10),
    "prepaid.short": KindPolicy("bulk", 10, 60, 8, 10),
    "notice.send": KindPolicy("notices", 20, 60, 8, 15),
    # No partner is called: the answer itself is a notice.
    "sms.answer": KindPolicy("notices", 20, 60, 8, 10),
    "document.receipt": KindPolicy("bulk", 20, 60, 8, 10),
    "document.invoice": KindPolicy("bulk", 20, 60, 8, 10),
    "document.payslip": KindPolicy("bulk", 20, 60, 8, 10),
    # A few slips to each transaction; what a crash leaves is taken up with the row.
    "payroll.close": KindPolicy("bulk", 1, 300, 12, 120),
    # A mail server may be slow in each of its answers: texts have a queue of their own, so that nobody's SMS waits for
    # somebody's e-mail.
    "email.send": KindPolicy("bulk", 5, 300, 8, 200),
    # A part of a month's invoices: some seconds, then the next part is handed out behind what others wait for.
    "billing.order": KindPolicy("bulk", 1, 300, 12, 60),
    # A large file is looked at in one go, and written for so long at a time.
    "import.run": KindPolicy("bulk", 1, 300, 8, 120),
    "schedule.run": KindPolicy("bulk", 1, 600, 5, 60),
}
QUEUES = ("push", "settle", "notices", "bulk")
LEASE_CAP_S = 900


@dataclass(frozen=True, slots=True)
class Done:
    """It happened, or needs not happen any more."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not yet; again after so many real seconds. `why` is kept on the row. `counts` False: waiting is no failure."""

    after_s: float
    why: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Later:
    """Not before this business time (quiet hours began meanwhile)."""

    business_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Never; a person works through the list of these."""

    why: str


Outcome = Done | Retry | Later | Dead


class OutboxRow(Base):
    """One effect. `key` makes it happen once per cause.

    `priority`: 1 is handed out before 5, however long that has waited. `available_at`, `lease_until`: real time.
    `business_at`: business time before which it must not happen (quiet hours).
    """

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'done', 'dead')", name="state"),
        Index(
            "ix_outbox_pending",
            "queue",
            "priority",
            "available_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        # A handful among millions: what waits for a person.
        Index(
            "ix_outbox_dead",
            "kind",
            "id",
            sqlite_where=text("state = 'dead'"),
            postgresql_where=text("state = 'dead'"),
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(160), unique=True)
    queue: Mapped[str] = mapped_column(String(12))
    priority: Mapped[int] = mapped_column(default=5)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(8), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    available_at: Mapped[datetime] = mapped_column(UtcDateTime)
    business_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_token: Mapped[str | None] = mapped_column(String(36))
    last_error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OutboxActRow(Base):
    """What a person did about a dead row: again, asked (the operator, instead of trying again), gave_up.

    The row itself stays dead; while an act `stands`, nobody need look at it. `at`: business time. `tries` and
    `error`: as the row stood then.
    """

    __tablename__ = "outbox_act"
    __table_args__ = (
        CheckConstraint("act IN ('again', 'asked', 'gave_up')", name="act"),
        Index("ix_outbox_act_outbox_id", "outbox_id"),
        Index("ix_outbox_act_contract_id", "contract_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    outbox_id: Mapped[int] = mapped_column(ForeignKey("outbox.id"))
    act: Mapped[str] = mapped_column(String(8))
    stands: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str] = mapped_column(String(32))
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id"))
    by: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(200), default="")
    tries: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")


class ScheduleRunRow(Base):
    """A scheduled step, once per due time. `due_at` is business time."""

    __tablename__ = "schedule_run"
    __table_args__ = (UniqueConstraint("name", "due_at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(200), default="")


class LeaseRow(Base):
    """Who may do what only one may do (the bridge, the dispatcher's schedule). Real time."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class BusinessClockRow(Base):
    """How far business time stands from real time. Moved in the sandbox only; production has no row."""

    __tablename__ = "business_clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    offset_us: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True, slots=True)
class Leased:
    """One row in somebody's hands. `token` fences: an orphan whose lease went to another changes nothing."""

    id: int
    kind: str
    queue: str
    token: str
    body: dict[str, Any]
    attempts: int
    lease_until: datetime


_TABLE = cast(Table, OutboxRow.__table__)
# One statement, past the unit of work: two effects and more follow every payment.
_INSERTS = {
    "sqlite": sqlite.insert(_TABLE).on_conflict_do_nothing().returning(_TABLE.c.id),
    "postgresql": postgresql.insert(_TABLE).on_conflict_do_nothing().returning(_TABLE.c.id),
}


def stage(
    session: Session,
    *,
    kind: str,
    key: str,
    body: dict[str, Any],
    clock: Clock,
    delay_s: float = 0.0,
    business_at: datetime | None = None,
    priority: int = 5,
) -> bool:
    """Write one effect into the caller's transaction. False when this key was staged before: nothing is added."""
    now = clock.real_now()
    row = {
        "kind": kind,
        "key": key,
        "queue": KINDS[kind].queue,
        "priority": priority,
        "body": body,
        "available_at": now + timedelta(seconds=delay_s),
        "business_at": business_at,
        "created_at": now,
    }
    # What causes the effect is written before it.
    session.flush()
    written = session.connection().execute(_INSERTS[session.get_bind().dialect.name], row)
    return written.first() is not None


def stage_again(session: Session, *, kind: str, key: str, body: dict[str, Any], clock: Clock) -> bool:
    """Stage an effect that is due until it was carried out: one that waits already stays as it is, one that was given
    up or ended without its effect is taken up anew. False when it waits already."""
    row = session.scalar(select(OutboxRow).where(OutboxRow.key == key).with_for_update(key_share=True))
    if row is None:
        return stage(session, kind=kind, key=key, body=body, clock=clock)
    if row.state == "pending":
        return False
    take_up(session, row, clock=clock)
    return True


def take_up(session: Session, row: OutboxRow, *, clock: Clock) -> None:
    """Hand a row out again that had ended. The caller holds its lock. Should it die again, a person looks again."""
    session.execute(
        update(OutboxActRow)
        .where(OutboxActRow.outbox_id == row.id, OutboxActRow.stands.is_(True))
        .values(stands=False)
        .execution_options(synchronize_session=False)
    )
    row.state, row.attempts, row.available_at, row.done_at = "pending", 0, clock.real_now(), None
    row.lease_until, row.lease_token = None, None


def lease(session: Session, *, queue: str, clock: Clock, limit: int, scale: float = 1.0) -> list[Leased]:
    """Take up to `limit` due rows of a queue, by priority, then oldest first, each with a new token.

    `scale` stretches the leases (below 1 in tests). The caller commits, then hands over. A row that used up its
    attempts turns dead here. Uses ix_outbox_pending.
    """
    now = clock.real_now()
    due = (
        select(OutboxRow)
        .where(*_due(queue, clock))
        .order_by(OutboxRow.priority, OutboxRow.available_at, OutboxRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    taken: list[Leased] = []
    for row in session.scalars(due).all():
        policy = KINDS[row.kind]
        if row.attempts >= policy.attempts_max:
            row.state, row.lease_until, row.lease_token = "dead", None, None
            row.last_error = row.last_error or "handed out too often without an outcome"
            continue
        row.attempts += 1
        row.lease_token = new_uuid()
        row.lease_until = now + timedelta(seconds=scale * min(policy.lease_s * 2 ** (row.attempts - 1), LEASE_CAP_S))
        taken.append(Leased(row.id, row.kind, row.queue, row.lease_token, row.body, row.attempts, row.lease_until))
    return taken


def held(session: Session, tokens: dict[int, str], *, clock: Clock) -> list[Leased]:
    """Those rows of `tokens` (row id → fencing token) that are pending and still ours, in the order given."""
    now = clock.real_now()
    found = session.scalars(
        select(OutboxRow).where(OutboxRow.id.in_(list(tokens)), OutboxRow.state == text("'pending'"))
    )
    rows = {row.id: row for row in found}
    ours: list[Leased] = []
    for row_id, token in tokens.items():
        row = rows.get(row_id)
        if row is None or row.lease_token != token or row.lease_until is None or row.lease_until <= now:
            continue
        ours.append(Leased(row.id, row.kind, row.queue, token, row.body, row.attempts, row.lease_until))
    return ours


def finish(session: Session, row: Leased, outcome: Outcome, *, clock: Clock) -> bool:
    """Write down what became of a leased row. False when the lease went to somebody else: then nothing changes."""
    now = clock.real_now()
    values: dict[str, Any] = {"lease_until": None, "lease_token": None}
    match outcome:
        case Done(note):
            values |= {"state": "done", "done_at": now, "last_error": note}
        case Retry(after_s, why, counts):
            values |= {"available_at": now + timedelta(seconds=after_s), "last_error": why}
            if not counts:
                values["attempts"] = max(0, row.attempts - 1)
        case Later(business_at, why):
            values |= {"business_at": business_at, "last_error": why, "attempts": max(0, row.attempts - 1)}
        case Dead(why):
            values |= {"state": "dead", "last_error": why}
    return _still_ours(session, row, values)


def release(session: Session, rows: Sequence[Leased]) -> None:
    """Give leases back that no executor took (the queue was away): nothing was tried, so nothing counts."""
    for row in rows:
        _still_ours(session, row, {"lease_until": None, "lease_token": None, "attempts": max(0, row.attempts - 1)})


def _still_ours(session: Session, row: Leased, values: dict[str, Any]) -> bool:
    changed = session.scalars(
        update(OutboxRow)
        .where(OutboxRow.id == row.id, OutboxRow.state == text("'pending'"), OutboxRow.lease_token == row.token)
        .values(**values)
        .returning(OutboxRow.id)
    )
    return changed.first() is not None


def pending_by_kind(session: Session) -> dict[str, tuple[int, datetime]]:
    """kind → (how many wait, since when the oldest). For the console and `/metrics`."""
    rows = session.execute(
        select(OutboxRow.kind, func.count(), func.min(OutboxRow.available_at))
        .where(OutboxRow.state == text("'pending'"))
        .group_by(OutboxRow.kind)
    )
    return {kind: (count, oldest) for kind, count, oldest in rows}


def in_hand(session: Session, *, queue: str, clock: Clock) -> int:
    """How many rows of a queue somebody holds a running lease on."""
    return int(
        session.scalar(
            select(func.count()).where(
                OutboxRow.state == text("'pending'"),
                OutboxRow.queue == queue,
                OutboxRow.lease_until > clock.real_now(),
            )
        )
        or 0
    )


def _due(queue: str, clock: Clock) -> tuple[ColumnElement[bool], ...]:
    now, business = clock.real_now(), clock.now()
    return (
        OutboxRow.state == text("'pending'"),
        OutboxRow.queue == queue,
        OutboxRow.available_at <= now,
        or_(OutboxRow.lease_until.is_(None), OutboxRow.lease_until <= now),
        or_(OutboxRow.business_at.is_(None), OutboxRow.business_at <= business),
    )


def anything_due(session: Session, *, queue: str, clock: Clock) -> bool:
    """A look without a lock, so that an idle dispatcher never writes."""
    return session.scalar(select(OutboxRow.id).where(*_due(queue, clock)).limit(1)) is not None


def needs_a_person() -> tuple[ColumnElement[bool], ...]:
    """Dead, and no person has done with it yet. Uses ix_outbox_dead."""
    return OutboxRow.state == text("'dead'"), ~gave_up()


def gave_up() -> ColumnElement[bool]:
    """A person has done with it: given it up, or asked the operator instead of trying again."""
    return exists().where(OutboxActRow.outbox_id == OutboxRow.id, OutboxActRow.stands.is_(True))


def dead_count(session: Session) -> int:
    """How many rows wait for a person."""
    return int(session.scalar(select(func.count()).select_from(OutboxRow).where(*needs_a_person())) or 0)


def sign_of_life(session: Session, *, name: str, holder: str, clock: Clock, for_s: float) -> None:
    """Write down that a process is alive for so many real seconds. Those gone for a day are forgotten.

    `name`: what it is, and a number of its own: `dispatcher:kin1:4711`.
    """
    now = clock.real_now()
    session.execute(
        delete(LeaseRow).where(
            LeaseRow.name.startswith(name.partition(":")[0] + ":"), LeaseRow.until < now - timedelta(days=1)
        )
    )
    row = session.get(LeaseRow, name[:40])
    if row is None:
        row = LeaseRow(name=name[:40], holder=holder[:80], until=now)
        session.add(row)
    row.until = now + timedelta(seconds=for_s)
