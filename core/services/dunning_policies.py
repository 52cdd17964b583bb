"""The dunning policy as versions: asked for by one person, released by another; and what stops cuts at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.billing import queries
from core.billing.errors import BadPolicy
from core.billing.policy import DEFAULT_POLICY, DunningPolicy
from core.billing.policy_tables import CutStopRow, PolicyDraftRow
from core.billing.tables import DunningPolicyRow
from core.db import Database
from core.i18n import N_, day
from core.kernel.clock import WEST, Clock, local_date
from core.kernel.errors import CustomerError
from core.settlement.dunning import off_policy
from core.supply.rules import BadPolicy as BadSwitching

_SERIES = "dunning_policy"
_REASON_MAX = 200
_HISTORY = 50


class PolicyRefused(CustomerError):
    """A new version, its release, or a stop that cannot be. `text` says why."""

    def __str__(self) -> str:
        return self.text.format(**self.blanks)


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `valid_from` None: the one that is built in. `asked_by` and so on: None where nobody was asked."""

    number: int
    valid_from: date | None
    policy: DunningPolicy
    asked_by: str | None = None
    released_by: str | None = None
    released_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that somebody asked for. `before`: what it was written from."""

    id: int
    state: str
    valid_from: date
    policy: DunningPolicy
    before: DunningPolicy
    asked_by: str
    asked_at: datetime
    note: str
    decided_by: str | None
    decided_at: datetime | None
    decision_note: str


@dataclass(frozen=True, slots=True)
class Stop:
    """What stops cuts at once. `on` None: the brake."""

    id: int
    on: date | None
    reason: str
    by: str
    at: datetime
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str


class DunningPolicies:
    """Owns its transactions. `by` is a staff login. The caller writes the audit log."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    # Looks.

    def in_force(self) -> Version:
        """The version of today, without what is stopped besides."""
        today = self._today()
        return next(v for v in self.versions() if v.valid_from is None or v.valid_from <= today)

    def versions(self) -> tuple[Version, ...]:
        """Every version, the one that begins last first; the built-in one stands at the end."""
        with self._db.read() as session:
            rows = session.scalars(
                select(DunningPolicyRow)
                .order_by(DunningPolicyRow.valid_from.desc(), DunningPolicyRow.version.desc())
                .limit(_HISTORY)
            ).all()
            drafts = session.scalars(
                select(PolicyDraftRow).where(PolicyDraftRow.version.in_([row.version for row in rows]))
            )
            of = {draft.version: draft for draft in drafts}
        found = [_version(row, of.get(row.version)) for row in rows]
        return (*found, Version(DEFAULT_POLICY.version, None, DEFAULT_POLICY))

    def drafts(self) -> tuple[Draft, ...]:
        """The newest, those that wait first."""
        with self._db.read() as session:
            rows = session.scalars(
                select(PolicyDraftRow)
                .order_by((PolicyDraftRow.state != "waiting"), PolicyDraftRow.id.desc())
                .limit(_HISTORY)
            ).all()
            bases = {row.based_on for row in rows}
            policies = {
                row.version: DunningPolicy.from_json(row.version, row.body)
                for row in session.scalars(select(DunningPolicyRow).where(DunningPolicyRow.version.in_(bases)))
            }
        return tuple(_draft(row, policies.get(row.based_on, DEFAULT_POLICY)) for row in rows)

    def stops(self) -> tuple[Stop, ...]:
        """What stands, the brake first; then what was lifted lately."""
        with self._db.read() as session:
            rows = session.scalars(
                select(CutStopRow)
                .order_by(CutStopRow.lifted_at.is_not(None), CutStopRow.day.is_not(None), CutStopRow.id.desc())
                .limit(_HISTORY)
            ).all()
        return tuple(_stop(row) for row in rows)

    def brake(self) -> Stop | None:
        """The brake when it is pulled."""
        return next((stop for stop in self.stops() if stop.on is None and stop.lifted_at is None), None)

    # A new version.

    def ask(self, body: Mapping[str, Any], *, valid_from: date, note: str, by: str) -> int:
        """Ask for a new version; the number of the draft. It is in force from `valid_from` once a second person
        released it. Raises PolicyRefused."""
        policy = read_policy(body)
        self._check_day(valid_from)
        base = self.in_force()
        note = _reason(note)
        with self._db.begin() as session:
            row = PolicyDraftRow(
                valid_from=valid_from, body=policy.as_json(), based_on=base.number, note=note, asked_by=by,
                asked_at=self._clock.now(),
            )  # fmt: skip
            session.add(row)
            session.flush()
            return row.id

    def release(self, draft_id: int, *, by: str) -> int:
        """Make a version of a draft, by somebody else than who asked; the version's number. Raises PolicyRefused."""
        with self._db.begin() as session:
            row = _waiting(session, draft_id)
            if row.asked_by == by:
                raise PolicyRefused(N_("A second person releases it: you asked for it yourself."))
            self._check_day(row.valid_from)
            # Taken for its lock: two releases at once get two numbers.
            queries.next_number(session, _SERIES)
            last = session.scalar(select(func.max(DunningPolicyRow.version))) or DEFAULT_POLICY.version
            session.add(DunningPolicyRow(version=last + 1, valid_from=row.valid_from, body=row.body))
            self._decide(row, "released", by)
            row.version = last + 1
            return last + 1

    def reject(self, draft_id: int, *, reason: str, by: str) -> None:
        """Turn a draft down; whoever asked for it takes it back that way. Raises PolicyRefused."""
        with self._db.begin() as session:
            row = _waiting(session, draft_id)
            self._decide(row, "withdrawn" if row.asked_by == by else "rejected", by)
            row.decision_note = _reason(reason)

    # What stops cuts at once.

    def pull_brake(self, *, reason: str, by: str) -> None:
        """Stop all cuts, and the warnings of them, from this moment on. Raises PolicyRefused when they are stopped."""
        self._stop(None, reason, by)

    def declare_holiday(self, on: date, *, reason: str, by: str) -> None:
        """No cut on this day, nor on its eve where eves are kept free. Raises PolicyRefused."""
        if on < self._today():
            raise PolicyRefused(N_("{day} is over."), day=day(on))
        self._stop(on, reason, by)

    def lift(self, stop_id: int, *, reason: str, by: str) -> None:
        """End a stop. Announcements are made anew before anybody is cut. Raises PolicyRefused."""
        with self._db.begin() as session:
            row = session.get(CutStopRow, stop_id, with_for_update=True)
            if row is None or row.lifted_at is not None:
                raise PolicyRefused(N_("This does not stand any more."))
            row.lifted_at, row.lifted_by, row.lift_reason = self._clock.now(), by, _reason(reason)

    # Inside.

    def _today(self) -> date:
        return local_date(self._clock.now(), WEST)

    def _check_day(self, valid_from: date) -> None:
        if valid_from <= self._today():
            raise PolicyRefused(N_("A version begins tomorrow at the earliest: what was decided today stays decided."))

    def _decide(self, row: PolicyDraftRow, state: str, by: str) -> None:
        row.state, row.decided_by, row.decided_at = state, by, self._clock.now()

    def _stop(self, on: date | None, reason: str, by: str) -> None:
        kind = "brake" if on is None else "holiday"
        row = CutStopRow(kind=kind, day=on, reason=_reason(reason), by=by, at=self._clock.now())
        try:
            with self._db.begin() as session:
                session.add(row)
        except IntegrityError:
            raise PolicyRefused(N_("This is stopped already.")) from None


def read_policy(body: Mapping[str, Any]) -> DunningPolicy:
    """A version as data, checked with its switching rules. Raises PolicyRefused naming what cannot be."""
    try:
        policy = DunningPolicy.from_json(0, body)
        off = off_policy(policy)
    except (BadPolicy, BadSwitching) as error:
        raise PolicyRefused(N_("This policy cannot be: {why}"), why=str(error)) from None
    if off.brake:
        raise PolicyRefused(N_("The brake is no part of a version: it has a button of its own."))
    return policy


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason or len(reason) > _REASON_MAX:
        raise PolicyRefused(N_("Say why, {n} characters at most."), n=str(_REASON_MAX))
    return reason


def _waiting(session: Session, draft_id: int) -> PolicyDraftRow:
    row = session.get(PolicyDraftRow, draft_id, with_for_update=True)
    if row is None or row.state != "waiting":
        raise PolicyRefused(N_("This was decided already."))
    return row


def _version(row: DunningPolicyRow, draft: PolicyDraftRow | None) -> Version:
    policy = DunningPolicy.from_json(row.version, row.body)
    if draft is None:
        return Version(row.version, row.valid_from, policy)
    return Version(
        row.version, row.valid_from, policy, draft.asked_by, draft.decided_by, draft.decided_at, draft.note
    )  # fmt: skip


def _draft(row: PolicyDraftRow, before: DunningPolicy) -> Draft:
    return Draft(
        id=row.id,
        state=row.state,
        valid_from=row.valid_from,
        policy=DunningPolicy.from_json(0, row.body),
        before=before,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        note=row.note,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_note=row.decision_note,
    )


def _stop(row: CutStopRow) -> Stop:
    return Stop(row.id, row.day, row.reason, row.by, row.at, row.lifted_at, row.lifted_by, row.lift_reason)
