"""The work behind the phones, for a person: what waits, what hangs, what was given up, and what is done about that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.db import Database
from core.desk import queues
from core.desk.queue_model import Backstage, DeadLine, DeadPage, Planned, QueueLook, Watch
from core.i18n import N_
from core.kernel.clock import WEST, Clock
from core.notices.emails import EMAILS
from core.notices.tables import NoticeRow
from core.outbox import QUEUES, OutboxActRow, OutboxRow, take_up

# What one form may act on: each row is a transaction of its own.
AT_ONCE = 100
PAGE = 50
REASON_MAX = 200
BRIDGE = "bridge"
_BY_MAX = 40

Outcome = Literal["again", "asked", "gave_up", "not_dead", "refused"]


class Audit(Protocol):
    """`Staff.audit`: an entry in the caller's transaction."""

    def __call__(self, session: Session, actor: str, act: str, subject: str, detail: str = "", /) -> None: ...


class Ask(Protocol):
    """`Payments.ask_soon`, `Refunds.ask_soon`: stage a question about what was asked for."""

    def __call__(self, thing_id: str, by: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of one row. `why`: the word of `core.desk.queue_rules.offer_of` where it was refused."""

    id: int
    kind: str
    outcome: Outcome
    why: str = ""


class ReasonMissing(ValueError):
    """Whoever gives work up says why."""

    text = N_("Say why it is given up.")


class Nobody:
    """A watch that sees nothing: where no queue is configured."""

    def look(self) -> Backstage:
        return Backstage(reachable=False)


class Queues:
    """`plans`: what the clock asks for, around now. `watch`: workers and jobs. `ask_attempt`, `ask_refund`: where a
    question about money goes. `lease_scale`: as the dispatcher's."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        *,
        plans: Callable[[], Sequence[Planned]],
        watch: Watch,
        ask_attempt: Ask,
        ask_refund: Ask,
        lease_scale: float = 1.0,
        zone: str = WEST,
    ) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._plans = plans
        self._watch = watch
        self._ask = {"attempt.push": ask_attempt, "refund.push": ask_refund}
        self._lease_scale = lease_scale
        self._zone = zone

    # -- looking

    def look(self) -> QueueLook:
        """Everything but the list of dead rows. The same few statements, however much waits."""
        # The queue is asked before the database: no transaction waits for it.
        backstage = self._watch.look()
        now, real_now = self._clock.now(), self._clock.real_now()
        with self._db.read() as session:
            held = queues.leases(session, real_now=real_now)
            return QueueLook(
                now=now,
                real_now=real_now,
                zone=self._zone,
                lines=queues.kind_lines(session, now=now, real_now=real_now),
                held=queues.held_lines(
                    session, now=now, real_now=real_now, scale=self._lease_scale, hands=backstage.hands
                ),
                runs=queues.run_lines(session, self._plans(), now=now),
                dispatchers=tuple(lease for lease in held if lease.what == queues.DISPATCHER),
                bridge=next((lease for lease in held if lease.what == BRIDGE), None),
                backstage=backstage,
                unmanned=_unmanned(backstage),
                given_up=queues.given_up_count(session),
            )

    def dead(self, *, kind: str = "", given_up: bool = False, before: int | None = None, limit: int = PAGE) -> DeadPage:
        """Rows that nobody carries out any more, newest first."""
        with self._db.read() as session:
            return queues.dead_page(
                session, now=self._clock.now(), kind=kind, given_up=given_up, before=before, limit=limit
            )

    # -- acting: each row its own transaction, with its entry in the audit log

    def try_again(self, ids: Iterable[int], *, by: str) -> list[Acted]:
        """Hand dead rows out again. A request for money is never repeated: its operator is asked about it instead."""
        return [self._again(row_id, by[:_BY_MAX]) for row_id in _few(ids)]

    def give_up(self, ids: Iterable[int], *, reason: str, by: str) -> list[Acted]:
        """Say that nothing more is to be done about these rows. They stay, with the reason. Raises ReasonMissing."""
        reason = " ".join(reason.split())[:REASON_MAX]
        if not reason:
            raise ReasonMissing(ReasonMissing.text)
        return [self._give_up(row_id, reason, by[:_BY_MAX]) for row_id in _few(ids)]

    def _again(self, row_id: int, by: str) -> Acted:
        with self._db.begin() as session:
            row, line = self._locked(session, row_id)
            if row is None or line is None:
                return Acted(row_id, row.kind if row else "", "not_dead")
            if line.offer == "none":
                return Acted(row.id, row.kind, "refused", line.why)
            if line.offer == "again":
                _requeue(session, row, self._clock, by)
                self._note(session, row, line, "again", by)
                take_up(session, row, clock=self._clock)
                return Acted(row.id, row.kind, "again")
        return self._asked(row_id, line, by)

    def _asked(self, row_id: int, line: DeadLine, by: str) -> Acted:
        """The row stays dead: what its question finds out moves the attempt or the refund itself."""
        if not self._ask[line.kind](line.subject.id, by):
            return Acted(row_id, line.kind, "refused", "nothing_to_ask")
        with self._db.begin() as session:
            row, line_now = self._locked(session, row_id)
            if row is not None and line_now is not None:
                self._note(session, row, line_now, "asked", by, reason="the operator is asked what became of it")
        return Acted(row_id, line.kind, "asked")

    def _give_up(self, row_id: int, reason: str, by: str) -> Acted:
        with self._db.begin() as session:
            row, line = self._locked(session, row_id)
            if row is None or line is None:
                return Acted(row_id, row.kind if row else "", "not_dead")
            self._note(session, row, line, "gave_up", by, reason=reason)
            _end_notice(session, row, f"given up by {by}: {reason}")
            return Acted(row.id, row.kind, "gave_up")

    def _locked(self, session: Session, row_id: int) -> tuple[OutboxRow | None, DeadLine | None]:
        """The row, locked; and what the page says of it, unless somebody was faster."""
        row = session.get(OutboxRow, row_id, with_for_update={"key_share": True}, populate_existing=True)
        if row is None or row.state != "dead":
            return row, None
        return row, queues.dead_lines(session, [row], now=self._clock.now())[0]

    def _note(
        self,
        session: Session,
        row: OutboxRow,
        line: DeadLine,
        act: Literal["again", "asked", "gave_up"],
        by: str,
        *,
        reason: str = "",
    ) -> None:
        """The act, its entry in the audit log, and an end to what was said before."""
        session.execute(
            update(OutboxActRow)
            .where(OutboxActRow.outbox_id == row.id, OutboxActRow.stands.is_(True))
            .values(stands=False)
            .execution_options(synchronize_session=False)
        )
        session.add(
            OutboxActRow(
                outbox_id=row.id,
                act=act,
                # A question takes the row off the list as well: what comes of it stands with the money it is about.
                stands=act in ("gave_up", "asked"),
                kind=row.kind,
                contract_id=line.subject.contract_id,
                by=by,
                at=self._clock.now(),
                reason=reason,
                tries=row.attempts,
                error=line.error,
            )
        )
        subject = f"outbox {row.id}"
        self._audit(session, by, f"queues.{act}", subject, f"{row.kind} {line.subject.number} {reason}".strip()[:1000])


def _few(ids: Iterable[int]) -> list[int]:
    """The first AT_ONCE of them, each once, in order."""
    return list(dict.fromkeys(ids))[:AT_ONCE]


def _unmanned(backstage: Backstage) -> tuple[str, ...]:
    if not backstage.reachable:
        return ()
    manned = {worker.queue for worker in backstage.workers}
    return tuple(queue for queue in QUEUES if queue not in manned)


def _requeue(session: Session, row: OutboxRow, clock: Clock, by: str) -> None:
    """A message that was refused for sure may go again; what may have gone stays as it is."""
    notice = _notice(session, row)
    if notice is None or notice.state not in ("failed", "expired"):
        return
    notice.state, notice.attempts, notice.detail = "queued", 0, f"again, by {by}"[:120]
    if notice.channel == "email" and notice.kind in EMAILS:
        notice.expires_at = max(notice.expires_at, clock.now() + EMAILS[notice.kind].rule.ttl)


def _end_notice(session: Session, row: OutboxRow, why: str) -> None:
    """Whoever looks at the customer reads why nothing came."""
    notice = _notice(session, row)
    if notice is not None and notice.state in ("queued", "failed", "expired"):
        notice.state, notice.detail = "failed", why[:120]


def _notice(session: Session, row: OutboxRow) -> NoticeRow | None:
    notice_id = row.body.get("notice_id")
    if row.kind not in ("notice.send", "email.send") or not isinstance(notice_id, int):
        return None
    return session.scalars(select(NoticeRow).where(NoticeRow.id == notice_id).with_for_update(key_share=True)).first()
