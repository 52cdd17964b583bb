"""What the page of queues shows: what waits, what is in hand, what was given up, who works, what the clock asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol

# again: hand the row out once more. ask: ask the operator, because trying again might ask somebody for money twice.
Offer = Literal["again", "ask", "none"]
RunState = Literal["done", "caught_up", "running", "late", "never"]


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind of work. `due`: could be handed out now, and since `oldest_at` (real time) the oldest of them.

    `later`: waits for its time (a pause after a failure, quiet hours). `held`: in a worker's hands.
    """

    queue: str
    kind: str
    due: int
    oldest_at: datetime | None
    later: int
    held: int
    dead: int

    @property
    def waiting(self) -> int:
        return self.due + self.later


@dataclass(frozen=True, slots=True)
class Subject:
    """What a row is about. `thing`: attempt, payment, refund, invoice, notice, callback, contract, text, payslip,
    order, payroll, import, run, other; empty where it is not there any more. `number`: as people call it. `state`: of
    the thing itself."""

    thing: str = ""
    id: str = ""
    number: str = ""
    kind: str = ""
    state: str = ""
    late: bool = False
    contract_id: int | None = None
    account: str = ""
    customer_id: int | None = None
    customer: str = ""


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A row in somebody's hands (real times). `holder` empty: its worker does not tell."""

    id: int
    kind: str
    queue: str
    subject: Subject
    since: datetime
    until: datetime
    tries: int
    holder: str


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did about a row: again, asked, gave_up. `at`: business time."""

    act: str
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Of a customer's story: work that somebody gave up, and why. `work`: the kind of the outbox row."""

    kind: ClassVar[str] = "told"
    at: datetime
    account: str
    work: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLine:
    """A row that nobody carries out any more. `tries`: all hand-outs. `error`: secrets and numbers are covered.

    `why`: the name of the reason for the offer, for the words of the page.
    """

    id: int
    kind: str
    queue: str
    subject: Subject
    created_at: datetime
    tries: int
    error: str
    offer: Offer
    why: str
    last: Act | None


@dataclass(frozen=True, slots=True)
class DeadPage:
    """`older`: give it as `before` to go on; None at the end."""

    lines: tuple[DeadLine, ...]
    older: int | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that the clock asks for: its name, and the due times around now (business time)."""

    name: str
    last_due: datetime
    next_due: datetime


@dataclass(frozen=True, slots=True)
class RunLine:
    """`due_at`: the newest due time. `opened_at`, `ended_at`, `outcome`: of the newest run there was."""

    name: str
    due_at: datetime
    next_due: datetime
    state: RunState
    ran_for: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may do what only one may do, or gives a sign of life. `until`: real time."""

    what: str
    holder: str
    until: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as the queue knows it. Times are real."""

    name: str
    queue: str
    host: str
    since: datetime | None
    heard_at: datetime | None
    busy: bool


@dataclass(frozen=True, slots=True)
class Backstage:
    """`jobs`: queue → jobs that wait there. `hands`: outbox row → the worker that has it, where that is known."""

    reachable: bool
    error: str = ""
    workers: tuple[WorkerSeen, ...] = ()
    jobs: Mapping[str, int] = field(default_factory=dict)
    hands: Mapping[int, str] = field(default_factory=dict)


class Watch(Protocol):
    """Where workers and jobs are looked at. Never raises: a queue that is away is an answer."""

    def look(self) -> Backstage: ...


@dataclass(frozen=True, slots=True)
class QueueLook:
    """`unmanned`: queues without a worker, where workers are known at all."""

    now: datetime
    real_now: datetime
    zone: str
    lines: tuple[KindLine, ...]
    held: tuple[HeldLine, ...]
    runs: tuple[RunLine, ...]
    dispatchers: tuple[Lease, ...]
    bridge: Lease | None
    backstage: Backstage
    unmanned: tuple[str, ...]
    given_up: int

    @property
    def dead(self) -> int:
        return sum(line.dead for line in self.lines)
