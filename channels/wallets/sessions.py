"""Sessions that an operator hands out and that take time to live.

A fresh session may be refused for up to half a minute, which looks like wrong keys. So sessions are made ahead of
need, one at a time for everybody who shares the store, and renewed while the old one still works; a first use that
fails is waited out, not answered with another session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from core.kernel.clock import Clock
from core.kernel.errors import PartnerError

# Not used in its last seconds (a quarter of a very short life): it must be alive when the operator reads the request.
_LAST_SECONDS = timedelta(seconds=10)
# While somebody else creates a session, look again this often.
_LOOK_AGAIN_S = 0.2

_log = structlog.get_logger("wallet_sessions")


@dataclass(frozen=True, slots=True)
class Session:
    """`live_at`: not to be used before. `proven`: the operator has taken it at least once.

    `lifetime_s`: what the operator said of this one; None: what the pool knows.
    """

    id: str = field(repr=False)
    created_at: datetime
    live_at: datetime
    proven: bool = False
    lifetime_s: int | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A session just made, and how many seconds it lives by the operator's word, which overrides the pool's."""

    id: str = field(repr=False)
    lifetime_s: int


class SessionNotReady(Exception):
    """No session is live yet. Nothing was sent; come back after `after_s` seconds."""

    def __init__(self, after_s: int) -> None:
        super().__init__(f"no live session for another {after_s} s")
        self.after_s = after_s


Sessions = tuple[Session, ...]


class SessionStore(Protocol):
    """Where the sessions of one application are kept. A shared store lets several processes use the same ones."""

    def load(self) -> Sessions: ...

    def update(self, change: Callable[[Sessions], Sessions]) -> None:
        """Replace what is kept by `change(kept)`, in one step."""
        ...

    def creating(self) -> AbstractContextManager[bool]:
        """Whether the caller is the one who may create a session now; never waits."""
        ...


class InProcessStore:
    """The default: shared by the threads of one process."""

    def __init__(self) -> None:
        self._kept: Sessions = ()
        self._lock = threading.Lock()
        self._creator = threading.Lock()

    def load(self) -> Sessions:
        return self._kept

    def update(self, change: Callable[[Sessions], Sessions]) -> None:
        with self._lock:
            self._kept = change(self._kept)

    @contextmanager
    def creating(self) -> Iterator[bool]:
        mine = self._creator.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._creator.release()


class SessionPool:
    """Hands out live sessions. `create` asks the operator for one and returns it, or raises PartnerError.

    `patience_s`: how long `take` waits beyond the warm-up, for somebody else's `create` to come back.
    `single`: at this operator a new session ends the one before, for everybody who shares the application.
    """

    def __init__(
        self,
        create: Callable[[], str | Fresh],
        clock: Clock,
        *,
        lifetime_s: int,
        warmup_s: int,
        patience_s: int = 30,
        single: bool = False,
        store: SessionStore | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if lifetime_s <= 3 * warmup_s + _LAST_SECONDS.total_seconds():
            raise ValueError(f"session_lifetime_s ({lifetime_s}) must exceed three times session_warmup_s and 10 s")
        self._create = create
        self._clock = clock
        self._lifetime = timedelta(seconds=lifetime_s)
        self._warmup = timedelta(seconds=warmup_s)
        self._patience = self._warmup + timedelta(seconds=patience_s)
        self._single = single
        self._store: SessionStore = store if store is not None else InProcessStore()
        self._sleep = sleep

    def prepare(self) -> None:
        """See to it that a session with time left exists or is warming up. Call at start and every minute or so.

        Raises PartnerError when the operator gives none.
        """
        if not self._has_fresh():
            self._create_one()

    def take(self) -> Session:
        """A live session, waiting for one to warm up if need be.

        Raises SessionNotReady when none gets live in that time, PartnerError when the operator gives none.
        """
        gives_up = self._clock.real_now() + self._patience
        while True:
            now = self._clock.real_now()
            held = self._valid(now)
            live = [s for s in held if s.live_at <= now]
            if live:
                self._renew_quietly()
                if self._single:
                    # A renewal has just ended the one at hand.
                    live = self._valid(now) or live
                # One that has worked before one that has not: the newcomer gets all the time it may need.
                return max(live, key=lambda s: (s.proven and not self._single, s.created_at))
            if held:
                pause = (min(s.live_at for s in held) - now).total_seconds()
            else:
                # One that was over before it came back from the operator must not be asked for again and again.
                pause = 0.0 if self._create_one() else _LOOK_AGAIN_S
            if now + timedelta(seconds=pause) > gives_up:
                raise SessionNotReady(max(1, round(pause)))
            if pause:
                self._sleep(pause)

    def worked(self, session: Session) -> None:
        """The operator took this session: from now on a refusal means that it is over."""
        if not session.proven:
            self._store.update(lambda kept: tuple(replace(s, proven=True) if s.id == session.id else s for s in kept))

    def rejected(self, session: Session) -> int:
        """The operator refused this session. Returns after how many seconds a live one can be expected."""
        now = self._clock.real_now()
        # Somebody else may have used it with success since it was taken.
        proven = session.proven or any(s.proven for s in self._store.load() if s.id == session.id)
        if not proven and now < session.created_at + 3 * self._warmup:
            later = now + self._warmup
            self._store.update(lambda kept: tuple(replace(s, live_at=later) if s.id == session.id else s for s in kept))
        else:
            self._store.update(lambda kept: tuple(s for s in kept if s.id != session.id))
            if not (self._single and self._valid(now)):
                # Where there is a newer one, ours was ended by it: another would only end that one too.
                self._renew_quietly()
        return max(1, round(self._warmup.total_seconds()))

    def _valid(self, now: datetime) -> list[Session]:
        return [s for s in self._store.load() if now < self._ends(s) - self._last_seconds(s)]

    def _has_fresh(self) -> bool:
        now = self._clock.real_now()
        return any(now < self._ends(s) - self._renew_before(s) for s in self._store.load())

    def _lifetime_of(self, session: Session) -> timedelta:
        said = session.lifetime_s
        return timedelta(seconds=said) if said is not None and said > 0 else self._lifetime

    def _ends(self, session: Session) -> datetime:
        return session.created_at + self._lifetime_of(session)

    def _last_seconds(self, session: Session) -> timedelta:
        return min(_LAST_SECONDS, self._lifetime_of(session) / 4)

    def _renew_before(self, session: Session) -> timedelta:
        lifetime = self._lifetime_of(session)
        return min(max(2 * self._warmup + _LAST_SECONDS, lifetime / 10), lifetime / 2)

    def _renew_quietly(self) -> None:
        try:
            self.prepare()
        except PartnerError as error:
            # The one at hand still works, or `take` will ask again and tell.
            _log.warning("session_not_renewed", partner=error.partner, code=error.code)

    def _create_one(self) -> bool:
        """Create a session unless somebody else is at it; False then."""
        with self._store.creating() as mine:
            if not mine:
                return False
            if self._has_fresh():
                return True
            asked_at = self._clock.real_now()
            new = self._create()
            fresh = new if isinstance(new, Fresh) else Fresh(new, 0)
            made = Session(
                fresh.id,
                created_at=asked_at,
                live_at=self._clock.real_now() + self._warmup,
                lifetime_s=fresh.lifetime_s if fresh.lifetime_s > 0 else None,
            )
            self._store.update(lambda kept: self._with(made, kept))
            return True

    def _with(self, made: Session, kept: Sessions) -> Sessions:
        if self._single:
            # Somebody who was very slow may store an older one last.
            return (max((*kept, made), key=lambda s: s.created_at),)
        return (*(s for s in kept if self._ends(s) > made.created_at), made)
