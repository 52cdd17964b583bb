"""PINs: checked, counted, changed, reset. No PIN is stored, logged or put into an error; only its Argon2 hash is kept.

Real time throughout. Argon2 runs outside any transaction; what it found counts only in the transaction that follows,
under the agent's row and if no other try has started a wait meanwhile. So guesses in parallel do not outrun the count,
nobody learns of a guess that was not counted, and a new session gives no new tries.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from core.agents import queries, rules
from core.agents.errors import AgentRefused, RefusalCode
from core.agents.model import AgentSession, Locked, PinChanged, PinRefused
from core.agents.tables import AgentRow, NewPinRow, OneTimePinRow
from core.services.agents.context import Context
from core.turns import deeds

_ENTRY_LENGTH = 16
_ENTER, _CONFIRM = "agent.enter", "agent.repeat_pin"


@dataclass(frozen=True, slots=True)
class _Try:
    """What a PIN was checked against, and what came of it; it counts when it is settled."""

    agent_id: int
    phone: str
    pin_hash: str
    right: bool


class Pins:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        # What an unknown number is checked against, so that it costs the same time as a known one.
        self._nobody = ctx.hasher.hash(secrets.token_urlsafe(16))

    def enter(self, phone: str, pin: str, turn_key: str | None) -> AgentSession | PinRefused | Locked:
        with self._ctx.db.read() as session:
            tried = self._tried(queries.by_phone(session, phone), pin)
        stale = tried is not None and tried.right and self._ctx.hasher.check_needs_rehash(tried.pin_hash)
        fresh = self._ctx.hasher.hash(pin) if stale else None

        def settle(session: Session) -> AgentSession | PinRefused | Locked:
            agent = self._settled(session, tried)
            if not isinstance(agent, AgentRow):
                return agent
            agent.pin_hash = fresh or agent.pin_hash
            must_change = queries.has_one_time_pin(session, agent.id)
            entry = _entry(agent.pin_hash)
            return AgentSession(agent.id, agent.code, agent.name, agent.currency, must_change, entry)

        with self._ctx.db.begin() as session:
            if turn_key is None:
                return settle(session)
            # The same turn again is the same try, with the same PIN: it is counted once.
            kept = deeds.once(
                session,
                turn_key=turn_key,
                kind=_ENTER,
                phone=phone,
                now=self._ctx.clock.now(),
                do=lambda: _as_did(settle(session)),
                say=lambda _did: None,
            )
        return self._from_did(kept.did)

    def change(self, agent_id: int, old: str, new: str) -> PinChanged | PinRefused | Locked:
        with self._ctx.db.read() as session:
            tried = self._tried(session.get(AgentRow, agent_id), old)
        weak = tried is not None and rules.is_weak_pin(new, tried.phone)
        fault: RefusalCode | None = "pin_weak" if weak else "pin_same" if new == old else None
        fresh = self._ctx.hasher.hash(new) if fault is None and tried is not None and tried.right else None
        with self._ctx.db.begin() as session:
            agent = self._settled(session, tried)
            if not isinstance(agent, AgentRow):
                return agent
            if fresh is not None:
                self._replace(session, agent, fresh)
        if fault is not None:
            # After the transaction: the old PIN was right, and its try must not go on counting.
            raise AgentRefused(fault)
        return PinChanged()

    def propose(self, agent_id: int, new: str, entry: str) -> None:
        with self._ctx.db.read() as session:
            agent = session.get(AgentRow, agent_id)
            known = (agent.phone, agent.pin_hash) if agent is not None and agent.active else None
        if known is None:
            raise AgentRefused("not_active")
        phone, pin_hash = known
        # Who entered before the PIN was made anew entered with one that opens nothing any more.
        if not hmac.compare_digest(entry.encode(), _entry(pin_hash).encode()):
            raise AgentRefused("pin_must_change")
        if rules.is_weak_pin(new, phone):
            raise AgentRefused("pin_weak")
        if self._verify(pin_hash, new):
            raise AgentRefused("pin_same")
        hashed = self._ctx.hasher.hash(new)
        with self._ctx.db.begin() as session:
            locked = queries.lock_agent(session, agent_id)
            if locked is None or not locked.active:
                raise AgentRefused("not_active")
            if locked.pin_hash != pin_hash:
                raise AgentRefused("pin_must_change")
            session.merge(NewPinRow(agent_id=agent_id, pin_hash=hashed, typed_at=self._ctx.clock.real_now()))

    def confirm(self, agent_id: int, again: str, phone: str, turn_key: str, say: deeds.Say) -> deeds.Kept:
        with self._ctx.db.read() as session:
            row = session.get(NewPinRow, agent_id)
            proposed = row.pin_hash if row is not None else None
        same = self._verify(proposed or self._nobody, again) and proposed is not None

        def do(session: Session) -> Mapping[str, Any]:
            agent = queries.lock_agent(session, agent_id)
            if agent is None or not agent.active:
                return {"refused": "not_active"}
            waiting = session.get(NewPinRow, agent_id, populate_existing=True)
            if waiting is None or waiting.pin_hash != proposed:
                return {"refused": "pin_differs"}
            in_time = self._ctx.clock.real_now() - waiting.typed_at <= rules.NEW_PIN_LIVES
            if not (same and in_time):
                session.delete(waiting)
                return {"refused": "pin_differs"}
            self._replace(session, agent, waiting.pin_hash)
            agent.pin_failures, agent.pin_locked_until = 0, None
            return {"changed": True}

        with self._ctx.db.begin() as session:
            return deeds.once(
                session,
                turn_key=turn_key,
                kind=_CONFIRM,
                phone=phone,
                now=self._ctx.clock.now(),
                do=lambda: do(session),
                say=say,
            )

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
            self._drop(session, NewPinRow, agent.id)
            self.mark_one_time(session, agent.id, by)
            self._ctx.audit(session, by, "agent.pin_reset", agent.code)
        return pin

    def one_time(self, phone: str) -> tuple[str, str]:
        """A PIN for somebody to be told, and its hash."""
        pin = rules.new_pin(secrets.randbelow, phone)
        return pin, self._ctx.hasher.hash(pin)

    def mark_one_time(self, session: Session, agent_id: int, by: str) -> None:
        self._drop(session, OneTimePinRow, agent_id)
        session.add(OneTimePinRow(agent_id=agent_id, made_at=self._ctx.clock.real_now(), made_by=by[:80]))
        session.flush()

    def _replace(self, session: Session, agent: AgentRow, pin_hash: str) -> None:
        agent.pin_hash = pin_hash
        self._drop(session, OneTimePinRow, agent.id)
        self._drop(session, NewPinRow, agent.id)
        self._ctx.audit(session, agent.code, "agent.pin_changed", agent.code)

    @staticmethod
    def _drop(session: Session, table: type[OneTimePinRow | NewPinRow], agent_id: int) -> None:
        row = session.get(table, agent_id)
        if row is not None:
            session.delete(row)
            session.flush()

    def _tried(self, agent: AgentRow | None, pin: str) -> _Try | None:
        """The PIN is checked, or as much work is done for nobody. None: there is no such agent."""
        if agent is None or not agent.active:
            self._verify(self._nobody, pin)
            return None
        return _Try(agent.id, agent.phone, agent.pin_hash, self._verify(agent.pin_hash, pin))

    def _settled(self, session: Session, tried: _Try | None) -> AgentRow | PinRefused | Locked:
        """The agent, locked, if the try counts and its PIN was right; else the refusal, and the try is counted."""
        agent = queries.lock_agent(session, tried.agent_id) if tried is not None else None
        if tried is None or agent is None or not agent.active:
            return PinRefused(rules.TRIES - 1, 0)
        now = self._ctx.clock.real_now()
        if agent.pin_locked_until is not None and agent.pin_locked_until > now:
            return self._refused(agent.pin_failures, agent.pin_locked_until, too_soon=True)
        if agent.pin_hash != tried.pin_hash:
            # Changed while it was checked: nothing is said about the guess, so it costs no try.
            return PinRefused(max(0, rules.TRIES - 1 - agent.pin_failures), 0)
        if tried.right:
            agent.pin_failures, agent.pin_locked_until = 0, None
            return agent
        agent.pin_failures += 1
        pause = rules.pin_pause(agent.pin_failures)
        agent.pin_locked_until = now + pause if pause else None
        if agent.pin_failures >= rules.TRIES:
            self._ctx.audit(session, agent.code, "agent.pin_locked", agent.code, f"{agent.pin_failures} wrong tries")
        return self._refused(agent.pin_failures, agent.pin_locked_until)

    def _refused(self, failures: int, until: datetime | None, *, too_soon: bool = False) -> PinRefused | Locked:
        if failures >= rules.TRIES and until is not None:
            return Locked(until, self._seconds_to(until))
        wait_s = self._seconds_to(until) if until is not None else 0
        return PinRefused(max(0, rules.TRIES - failures), wait_s, too_soon)

    def _seconds_to(self, until: datetime) -> int:
        return max(0, math.ceil((until - self._ctx.clock.real_now()).total_seconds()))

    def _from_did(self, did: Mapping[str, Any]) -> AgentSession | PinRefused | Locked:
        """A try as it was kept. How long there is to wait is counted from now."""
        if "agent" in did:
            return AgentSession(*did["agent"])
        until = datetime.fromisoformat(did["until"]) if did["until"] else None
        if until is not None and did["locked"]:
            return Locked(until, self._seconds_to(until))
        return PinRefused(did["tries"], did["wait"], bool(did.get("too_soon")))

    def _verify(self, hashed: str, pin: str) -> bool:
        try:
            return self._ctx.hasher.verify(hashed, pin)
        except (VerificationError, InvalidHashError):
            return False


def _entry(pin_hash: str) -> str:
    """Which PIN it was, for a session to keep: a digest of the salted hash, from which no PIN can be tried."""
    return hashlib.sha256(pin_hash.encode()).hexdigest()[:_ENTRY_LENGTH]


def _as_did(tried: AgentSession | PinRefused | Locked) -> Mapping[str, Any]:
    match tried:
        case AgentSession(agent_id, code, name, currency, must_change_pin, entry):
            return {"agent": [agent_id, code, name, currency, must_change_pin, entry]}
        case PinRefused(tries, wait_s, too_soon):
            return {"locked": False, "tries": tries, "wait": wait_s, "until": None, "too_soon": too_soon}
        case Locked(until):
            return {"locked": True, "until": until.isoformat()}
