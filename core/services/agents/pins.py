"""PINs: checked, counted, changed, reset. No PIN is stored, logged or put into an error; only its Argon2 hash is kept.

Real time throughout. Every try is counted before it is checked, so that guesses in parallel do not outrun the count,
and for the agent, so that a new session gives no new tries. Argon2 runs outside any transaction.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from core.agents import queries, rules
from core.agents.errors import AgentRefused, RefusalCode
from core.agents.model import AgentSession, Locked, PinChanged, PinRefused
from core.agents.tables import AgentRow, OneTimePinRow
from core.services.agents.context import Context

_Find = Callable[[Session], AgentRow | None]


@dataclass(frozen=True, slots=True)
class _Try:
    """A try that counts, before its PIN is looked at. `failures` includes it."""

    agent_id: int
    code: str
    phone: str
    pin_hash: str
    failures: int
    until: datetime | None


class Pins:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        # What an unknown number is checked against, so that it costs the same time as a known one.
        self._nobody = ctx.hasher.hash(secrets.token_urlsafe(16))

    def enter(self, phone: str, pin: str) -> AgentSession | PinRefused | Locked:
        tried = self._checked(lambda session: queries.lock_by_phone(session, phone), pin)
        if not isinstance(tried, _Try):
            return tried
        stale = self._ctx.hasher.check_needs_rehash(tried.pin_hash)
        fresh = self._ctx.hasher.hash(pin) if stale else tried.pin_hash
        with self._ctx.db.begin() as session:
            agent = self._still(session, tried)
            if agent is None:
                return PinRefused(rules.TRIES - 1, 0)
            agent.pin_failures, agent.pin_locked_until, agent.pin_hash = 0, None, fresh
            must_change = queries.has_one_time_pin(session, agent.id)
            return AgentSession(agent.id, agent.code, agent.name, agent.currency, must_change)

    def change(self, agent_id: int, old: str, new: str) -> PinChanged | PinRefused | Locked:
        tried = self._checked(lambda session: queries.lock_agent(session, agent_id), old)
        if not isinstance(tried, _Try):
            return tried
        weak = rules.is_weak_pin(new, tried.phone)
        fault: RefusalCode | None = "pin_weak" if weak else "pin_same" if new == old else None
        fresh = self._ctx.hasher.hash(new) if fault is None else tried.pin_hash
        with self._ctx.db.begin() as session:
            agent = self._still(session, tried)
            if agent is None:
                return PinRefused(rules.TRIES - 1, 0)
            agent.pin_failures, agent.pin_locked_until, agent.pin_hash = 0, None, fresh
            if fault is None:
                self._drop_one_time(session, agent.id)
                self._ctx.audit(session, agent.code, "agent.pin_changed", agent.code)
        if fault is not None:
            # After the transaction: the old PIN was right, and its try must not go on counting.
            raise AgentRefused(fault)
        return PinChanged()

    def reset(self, agent_id: int, by: str) -> str:
        with self._ctx.db.read() as session:
            known = session.get(AgentRow, agent_id)
            phone = known.phone if known else ""
        pin, hashed = self.one_time(phone)
        with self._ctx.db.begin() as session:
            agent = queries.lock_agent(session, agent_id)
            if agent is None:
                raise AgentRefused("not_active")
            agent.pin_hash, agent.pin_failures, agent.pin_locked_until = hashed, 0, None
            self.mark_one_time(session, agent.id, by)
            self._ctx.audit(session, by, "agent.pin_reset", agent.code)
        return pin

    def one_time(self, phone: str) -> tuple[str, str]:
        """A PIN for somebody to be told, and its hash."""
        pin = rules.new_pin(secrets.randbelow, phone)
        return pin, self._ctx.hasher.hash(pin)

    def mark_one_time(self, session: Session, agent_id: int, by: str) -> None:
        self._drop_one_time(session, agent_id)
        session.add(OneTimePinRow(agent_id=agent_id, made_at=self._ctx.clock.real_now(), made_by=by[:80]))
        session.flush()

    @staticmethod
    def _drop_one_time(session: Session, agent_id: int) -> None:
        row = session.get(OneTimePinRow, agent_id)
        if row is not None:
            session.delete(row)
            session.flush()

    def _checked(self, find: _Find, pin: str) -> _Try | PinRefused | Locked:
        """The try, if its PIN is right. The same work is done for nobody, for a wrong PIN and while it rests."""
        tried = self._count(find)
        right = self._verify(tried.pin_hash if isinstance(tried, _Try) else self._nobody, pin)
        if tried is None:
            return PinRefused(rules.TRIES - 1, 0)
        if not isinstance(tried, _Try) or right:
            return tried
        if tried.failures >= rules.TRIES:
            with self._ctx.db.begin() as session:
                self._ctx.audit(session, tried.code, "agent.pin_locked", tried.code, f"{tried.failures} wrong tries")
        return self._refused(tried.failures, tried.until)

    def _count(self, find: _Find) -> _Try | PinRefused | Locked | None:
        now = self._ctx.clock.real_now()
        with self._ctx.db.begin() as session:
            agent = find(session)
            if agent is None or not agent.active:
                return None
            if agent.pin_locked_until is not None and agent.pin_locked_until > now:
                return self._refused(agent.pin_failures, agent.pin_locked_until)
            agent.pin_failures += 1
            pause = rules.pin_pause(agent.pin_failures)
            agent.pin_locked_until = now + pause if pause else None
            return _Try(agent.id, agent.code, agent.phone, agent.pin_hash, agent.pin_failures, agent.pin_locked_until)

    def _refused(self, failures: int, until: datetime | None) -> PinRefused | Locked:
        if failures >= rules.TRIES and until is not None:
            return Locked(until)
        wait = (until - self._ctx.clock.real_now()).total_seconds() if until is not None else 0.0
        return PinRefused(max(0, rules.TRIES - failures), max(0, math.ceil(wait)))

    @staticmethod
    def _still(session: Session, tried: _Try) -> AgentRow | None:
        """The agent, if nothing about it changed while the PIN was checked."""
        agent = queries.lock_agent(session, tried.agent_id)
        return agent if agent is not None and agent.active and agent.pin_hash == tried.pin_hash else None

    def _verify(self, hashed: str, pin: str) -> bool:
        try:
            return self._ctx.hasher.verify(hashed, pin)
        except (VerificationError, InvalidHashError):
            return False
