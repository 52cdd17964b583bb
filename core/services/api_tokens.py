"""Programs that ask us: making and revoking their tokens, knowing them again, and one answer per idempotency key.

Real time throughout, as for staff: a token ends by the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.api_access import rules
from core.api_access.errors import BadToken, KeyInHand, KeyReused
from core.api_access.rules import Scope
from core.api_access.tables import ApiRequestRow, ApiTokenRow
from core.db import Database
from core.i18n import N_
from core.kernel.clock import Clock
from core.kernel.errors import NotRecorded

LIST_LIMIT = 200
_SWEPT_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Program:
    """Who asks. `actor` is what the journal and the audit log say."""

    token_id: int
    name: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        return f"api:{self.name}"

    def may(self, scope: Scope) -> bool:
        return scope.value in self.scopes


@dataclass(frozen=True, slots=True)
class TokenView:
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The first answer to a key, word for word."""

    status: int
    content_type: str
    body: str


class ApiTokens:
    """`audit`: `Staff.audit`, which writes into the caller's transaction."""

    def __init__(self, db: Database, clock: Clock, audit: Callable[[Session, str, str, str, str], None]) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    # -- tokens ------------------------------------------------------------------------------------------------------

    def create(
        self, name: str, scopes: Iterable[str], *, days: int, by: str = "system", secret: str | None = None
    ) -> str:
        """A new token, to be shown once. `secret`: one that was made before, for a set-up that can be repeated.

        Raises BadToken for a name that is taken or cannot be, no or unknown scopes, a life outside 1 to 730 days.
        """
        chosen = sorted(set(scopes))
        if not rules.is_name(name):
            raise BadToken(N_("A name has 2 to 40 small letters, digits, dots, dashes or underscores."))
        if not chosen or not set(chosen) <= rules.SCOPES:
            raise BadToken(N_("Choose what it may do: {scopes}."), scopes=", ".join(sorted(rules.SCOPES)))
        if not timedelta(days=1) <= timedelta(days=days) <= rules.LIFE_MAX:
            raise BadToken(N_("A token lives 1 to {days} days."), days=str(rules.LIFE_MAX.days))
        made, now = secret or rules.new_token(), self._clock.real_now()
        with self._db.begin() as session:
            if session.scalar(select(ApiTokenRow.id).where(ApiTokenRow.name == name)) is not None:
                raise BadToken(N_("There is a token {name} already."), name=name)
            session.add(
                ApiTokenRow(
                    name=name,
                    token_hash=rules.hash_of(made),
                    hint=made[:10],
                    scopes=chosen,
                    created_at=now,
                    created_by=by,
                    expires_at=now + timedelta(days=days),
                )
            )
            self._audit(session, by, "api.token.created", name, " ".join(chosen))
        return made

    def revoke(self, name: str, *, by: str = "system") -> None:
        """From now on it opens nothing. Raises BadToken for one that is not there or revoked already."""
        with self._db.begin() as session:
            changed = session.scalars(
                update(ApiTokenRow)
                .where(ApiTokenRow.name == name, ApiTokenRow.revoked_at.is_(None))
                .values(revoked_at=self._clock.real_now())
                .returning(ApiTokenRow.id)
            ).first()
            if changed is None:
                raise BadToken(N_("There is no token {name} that could be revoked."), name=name)
            self._audit(session, by, "api.token.revoked", name, "")

    def all_tokens(self) -> Sequence[TokenView]:
        """The first LIST_LIMIT tokens, by name."""
        with self._db.read() as session:
            rows = session.scalars(select(ApiTokenRow).order_by(ApiTokenRow.name).limit(LIST_LIMIT))
            return [
                TokenView(
                    r.name,
                    r.hint,
                    tuple(r.scopes),
                    r.created_at,
                    r.created_by,
                    r.expires_at,
                    r.revoked_at,
                    r.last_used_at,
                )
                for r in rows
            ]

    def who(self, secret: str) -> Program | None:
        """Who carries this token; None for an unknown, a revoked and an expired one alike."""
        now = self._clock.real_now()
        with self._db.read() as session:
            row = session.scalar(select(ApiTokenRow).where(ApiTokenRow.token_hash == rules.hash_of(secret)))
        if row is None or row.revoked_at is not None or row.expires_at <= now:
            return None
        if row.last_used_at is None or row.last_used_at <= now - rules.USED_EVERY:
            self._note_use(row.id, now)
        return Program(row.id, row.name, frozenset(row.scopes))

    def _note_use(self, token_id: int, now: datetime) -> None:
        try:
            with self._db.begin() as session:
                session.execute(update(ApiTokenRow).where(ApiTokenRow.id == token_id).values(last_used_at=now))
        except NotRecorded:
            # Who only looks must not be refused for that; the next request notes it.
            return

    def note(self, actor: str, act: str, subject: str, detail: str = "") -> None:
        """Write into the audit log what a program is about to do, where the service behind keeps no log of its own.
        Raises NotRecorded: then it must not be done."""
        with self._db.begin() as session:
            self._audit(session, actor, act, subject, detail)

    # -- one answer per key ------------------------------------------------------------------------------------------

    def take_key(self, program: Program, key: str, digest: str) -> Kept | None:
        """Begin a request under a key. None: carry it out, then `keep` its answer or `let_go` of the key.

        Kept: it was carried out before, this was said. Raises KeyReused, KeyInHand, NotRecorded.
        """
        try:
            return self._take_key(program, key, digest)
        except IntegrityError:
            # Somebody else wrote the same key in the same instant (PostgreSQL lets two look first).
            raise KeyInHand(key) from None

    def _take_key(self, program: Program, key: str, digest: str) -> Kept | None:
        now = self._clock.real_now()
        with self._db.begin() as session:
            self._sweep(session, now)
            row = session.scalar(
                select(ApiRequestRow)
                .where(ApiRequestRow.token_id == program.token_id, ApiRequestRow.key == key)
                .with_for_update()
            )
            if row is None:
                session.add(
                    ApiRequestRow(
                        token_id=program.token_id,
                        key=key,
                        digest=digest,
                        state="in_hand",
                        created_at=now,
                        in_hand_until=now + rules.WORK_MAX,
                    )
                )
                return None
            if row.digest != digest:
                raise KeyReused(key)
            if row.state == "answered":
                return Kept(row.status or 500, row.content_type or "", row.answer or "")
            if row.in_hand_until > now:
                raise KeyInHand(key)
            # Whoever worked on it died. What it may have done stands; the services behind refuse to do it twice.
            row.in_hand_until = now + rules.WORK_MAX
            return None

    def keep(self, program: Program, key: str, answer: Kept) -> None:
        """Keep what was answered: the same request gets it again. Raises NotRecorded."""
        with self._db.begin() as session:
            session.execute(
                update(ApiRequestRow)
                .where(ApiRequestRow.token_id == program.token_id, ApiRequestRow.key == key)
                .values(state="answered", status=answer.status, content_type=answer.content_type, answer=answer.body)
            )

    def let_go(self, program: Program, key: str) -> None:
        """Nothing was done: the key is free again. Raises NotRecorded."""
        with self._db.begin() as session:
            session.execute(
                delete(ApiRequestRow).where(
                    ApiRequestRow.token_id == program.token_id,
                    ApiRequestRow.key == key,
                    ApiRequestRow.state == "in_hand",
                )
            )

    @staticmethod
    def _sweep(session: Session, now: datetime) -> None:
        """Old answers go a few at a time, with whoever comes next: no run of their own is needed."""
        old = (
            select(ApiRequestRow.id)
            .where(ApiRequestRow.created_at < now - rules.ANSWER_KEPT)
            .order_by(ApiRequestRow.created_at)
            .limit(_SWEPT_AT_ONCE)
        )
        session.execute(
            delete(ApiRequestRow).where(ApiRequestRow.id.in_(old)).execution_options(synchronize_session=False)
        )
