"""Staff as an administrator works with them: who there is, and passwords that are good for the first log-in only.

What changes anything is in `core.services.staff`, which also guards the last administrator and one's own account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from core.db import Database
from core.i18n import N_
from core.kernel.clock import Clock
from core.kernel.errors import CustomerError
from core.services.staff import AuditEntry, Staff
from core.staff import queries, rules
from core.staff.rules import Role
from core.staff.tables import StaffUserRow

PAGE = 50
_EXPORT_LIMIT = 2_000
_ENTRIES = 30


@dataclass(frozen=True, slots=True)
class StaffView:
    """`state`: active, one_time (never logged in with a password of their own), resting (too many wrong tries), off.
    `seen_at`: the newest log-in."""

    id: int
    login: str
    name: str
    role: Role
    state: str
    second_factor: bool
    one_time_until: datetime | None
    locked_until: datetime | None
    created_at: datetime
    seen_at: datetime | None


class StaffOffice:
    """Real time throughout, as in `Staff`. `by`: the login of the administrator."""

    def __init__(self, db: Database, clock: Clock, staff: Staff) -> None:
        self._db = db
        self._clock = clock
        self._staff = staff

    def page(self, number: int = 0) -> tuple[Sequence[StaffView], bool]:
        """Page `number` from 0, active ones first, and whether more follow. Two reads."""
        with self._db.read() as session:
            rows = queries.people(session, limit=PAGE + 1, offset=PAGE * number)
            return self._views(session, rows[:PAGE]), len(rows) > PAGE

    def all(self) -> Sequence[StaffView]:
        """Everybody, for a file. Two reads."""
        with self._db.read() as session:
            return self._views(session, queries.people(session, limit=_EXPORT_LIMIT, offset=0))

    def one(self, staff_id: int) -> StaffView | None:
        with self._db.read() as session:
            row = queries.user_by_id(session, staff_id)
            return self._views(session, [row])[0] if row is not None else None

    def entries(self, login: str) -> Sequence[AuditEntry]:
        """What the audit log says of this account, newest first."""
        with self._db.read() as session:
            rows = queries.audit_about(session, login, limit=_ENTRIES)
            return [AuditEntry(r.id, r.at, r.actor, r.act, r.subject, r.detail) for r in rows]

    def create(self, login: str, *, name: str, role: str, by: str) -> tuple[int, str]:
        """A new member of staff: the id, and the password for the first log-in. Raises CustomerError."""
        password = rules.one_time_password()
        if role not in {one.value for one in Role}:
            raise CustomerError(N_("Choose a role."))
        try:
            made = self._staff.create_user(login, password, name=name, role=role, actor=by, one_time=True)
        except ValueError:
            raise CustomerError(N_("A login has 2 to 60 characters.")) from None
        return made, password

    def new_password(self, login: str, *, by: str) -> str:
        """A password for the next log-in; their sessions end. Raises UnknownStaff, OwnAccount."""
        password = rules.one_time_password()
        self._staff.reset_password(login, password, actor=by, one_time=True)
        return password

    def _views(self, session: Session, rows: Sequence[StaffUserRow]) -> list[StaffView]:
        seen = queries.last_log_ins(session, [row.login for row in rows])
        now = self._clock.real_now()
        return [
            StaffView(
                id=row.id,
                login=row.login,
                name=row.name,
                role=Role(row.role),
                state=_state(row, now),
                second_factor=row.totp_secret is not None,
                one_time_until=row.one_time_until,
                locked_until=row.locked_until,
                created_at=row.created_at,
                seen_at=seen.get(row.login),
            )
            for row in rows
        ]


def _state(row: StaffUserRow, now: datetime) -> str:
    if not row.active:
        return "off"
    if row.locked_until is not None and row.locked_until > now:
        return "resting"
    return "one_time" if row.one_time_until is not None else "active"
