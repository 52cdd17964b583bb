"""Staff: who they are, whether they are logged in, what they may do, and what they did.

Real time throughout: an account rests and a session ends by the clock on the wall, also where the sandbox moves
business time.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from core.db import Database
from core.i18n import N_
from core.kernel.clock import Clock
from core.kernel.ids import token
from core.sealing import Sealer
from core.staff import queries, rules
from core.staff.errors import (
    LastAdministrator,
    LoginTaken,
    OwnAccount,
    UnknownStaff,
    WeakPassword,
    WrongCode,
    WrongPassword,
)
from core.staff.rules import Permission, Role
from core.staff.second_factor import step_of
from core.staff.tables import AuditRow, StaffSessionRow, StaffUserRow


@dataclass(frozen=True, slots=True)
class Who:
    """The person behind a request. `must_change`: the password was made by somebody else; a new one comes first."""

    staff_id: int
    login: str
    name: str
    role: Role
    language: str
    second_factor: bool
    must_change: bool = False

    def may(self, permission: Permission) -> bool:
        return rules.may(self.role, permission)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """`token` goes into the cookie and nowhere else: only its hash is kept here."""

    token: str
    who: Who


@dataclass(frozen=True, slots=True)
class Refused:
    """Not logged in. Why is not said: unknown, wrong, resting and switched off look the same from outside."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """`broken_at`: the id of the first audit row that does not follow from the one before it; None when all do."""

    rows: int
    broken_at: int | None

    @property
    def whole(self) -> bool:
        return self.broken_at is None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    id: int
    at: datetime
    actor: str
    act: str
    subject: str
    detail: str


class Staff:
    """`secret_key`: the product's own secret; from it come the keys that seal second factors and link the audit log."""

    def __init__(self, db: Database, clock: Clock, secret_key: str, *, hasher: PasswordHasher | None = None) -> None:
        self._db = db
        self._clock = clock
        self._sealer = Sealer(secret_key)
        self._chain_key = rules.chain_key(secret_key)
        # 46 MiB and one lane: one of the settings OWASP's password storage sheet lists as equal for Argon2id.
        self._hasher = hasher or PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)
        # What an unknown login is checked against, so that it costs the same time as a known one.
        self._nobody = self._hasher.hash(token())

    # -- people ------------------------------------------------------------------------------------------------------

    def has_users(self) -> bool:
        with self._db.read() as session:
            return queries.count_users(session) > 0

    def create_user(
        self,
        login: str,
        password: str,
        *,
        name: str,
        role: Role | str,
        language: str = "fr",
        actor: str = "system",
        one_time: bool = False,
    ) -> int:
        """A new member of staff; returns the id. `one_time`: the first log-in asks for a password of their own.

        Raises LoginTaken (what machines are called by is taken too), WeakPassword; ValueError for an unknown role or a
        login that cannot be.
        """
        login, role = _tidy(login), Role(role)
        if not 2 <= len(login) <= 60:
            raise ValueError("a login has 2 to 60 characters")
        self._check_new(password, login)
        hashed = self._hasher.hash(password)
        with self._db.begin() as session:
            if rules.is_machine(login) or queries.user_by_login(session, login) is not None:
                raise LoginTaken(N_("The login {login} is taken."), login=login)
            row = StaffUserRow(
                login=login,
                name=name.strip()[:120] or login,
                role=role.value,
                password_hash=hashed,
                language=language,
                created_at=self._clock.real_now(),
                one_time_until=self._one_time_until(one_time),
            )
            session.add(row)
            session.flush()
            self.audit(session, actor, "staff.created", login, f"role {role.value}")
            return row.id

    def set_role(self, login: str, role: Role | str, *, actor: str) -> None:
        """Another role, from the next log-in on: every session of theirs ends.

        Raises UnknownStaff, OwnAccount, LastAdministrator.
        """
        role = Role(role)
        with self._db.begin() as session:
            row = self._another(session, login, actor, stays=role is Role.ADMIN)
            if row.role == role.value:
                return
            before, row.role = row.role, role.value
            queries.end_sessions(session, row.id)
            self.audit(session, actor, "staff.role", row.login, f"{before} to {role.value}")

    def set_active(self, login: str, active: bool, *, actor: str) -> None:
        """Switch an account off (its sessions end at once) or on again.

        Raises UnknownStaff, OwnAccount, LastAdministrator.
        """
        with self._db.begin() as session:
            row = self._another(session, login, actor, stays=active)
            row.active = active
            row.failures, row.locked_until = 0, None
            queries.end_sessions(session, row.id)
            self.audit(session, actor, "staff.enabled" if active else "staff.disabled", row.login)

    def reset_password(
        self, login: str, password: str, *, actor: str, drop_second_factor: bool = False, one_time: bool = False
    ) -> None:
        """A new password for somebody who is locked out; ends their sessions. `one_time`: they choose their own first.

        Raises UnknownStaff, WeakPassword; OwnAccount.
        """
        self._check_new(password, _tidy(login))
        hashed = self._hasher.hash(password)
        with self._db.begin() as session:
            row = self._another(session, login, actor, stays=True)
            row.password_hash, row.failures, row.locked_until = hashed, 0, None
            row.one_time_until = self._one_time_until(one_time)
            if drop_second_factor:
                row.totp_secret, row.totp_last_step = None, None
            queries.end_sessions(session, row.id)
            detail = "second factor dropped" if drop_second_factor else ""
            self.audit(session, actor, "staff.password_reset", row.login, detail)

    def drop_second_factor(self, login: str, *, actor: str) -> None:
        """Their phone is lost: log-in asks for the password alone until they set up another. Ends their sessions.

        Raises UnknownStaff, OwnAccount.
        """
        with self._db.begin() as session:
            row = self._another(session, login, actor, stays=True)
            row.totp_secret, row.totp_last_step = None, None
            queries.end_sessions(session, row.id)
            self.audit(session, actor, "staff.second_factor_dropped", row.login)

    # -- logging in and out ------------------------------------------------------------------------------------------

    def log_in(
        self, login: str, password: str, code: str = "", *, source: str = "", replaces: str | None = None
    ) -> LoggedIn | Refused:
        """Check a password (and the six digits, once a second factor is set up) and open a session.

        Every wrong try is counted before it is checked, so that guesses in parallel do not outrun the count. The
        answer and the time are the same whether the login is unknown, the password wrong or the account resting.
        `replaces`: a token the browser still carries; that session ends.
        """
        login = _tidy(login)
        row = self._count_try(login)
        right = self._verify(row.password_hash if row else self._nobody, password)
        if row is None or not right:
            return Refused()
        with self._db.begin() as session:
            user = queries.user_by_id(session, row.id, lock=True)
            if user is None or not user.active or user.password_hash != row.password_hash:
                return Refused()
            if user.one_time_until is not None and user.one_time_until <= self._clock.real_now():
                return Refused()
            if user.totp_secret is not None and not self._spend_code(user, code):
                self.audit(session, user.login, "staff.code_refused", user.login, f"from {source}"[:200])
                return Refused()
            user.failures, user.locked_until = 0, None
            if self._hasher.check_needs_rehash(user.password_hash):
                user.password_hash = self._hasher.hash(password)
            self.audit(session, user.login, "staff.log_in", user.login, f"from {source}"[:200])
            return LoggedIn(self._open_session(session, user, source, replaces), _who(user))

    def _count_try(self, login: str) -> StaffUserRow | None:
        """The account, its failure already counted; None when it is unknown, switched off or resting."""
        now = self._clock.real_now()
        with self._db.begin() as session:
            row = queries.user_by_login(session, login, lock=True)
            if row is None or not row.active or (row.locked_until is not None and row.locked_until > now):
                return None
            row.failures += 1
            wait = rules.wait_after(row.failures)
            row.locked_until = now + wait if wait else None
            if wait:
                self.audit(session, row.login, "staff.resting", row.login, f"{row.failures} wrong tries")
            return row

    def _open_session(self, session: Session, user: StaffUserRow, source: str, replaces: str | None) -> str:
        now, fresh = self._clock.real_now(), token()
        queries.drop_ended_sessions(session, now=now)
        if replaces:
            self._end(session, replaces)
        session.add(
            StaffSessionRow(
                token_hash=_hash(fresh),
                staff_id=user.id,
                created_at=now,
                last_seen_at=now,
                ends_at=now + rules.LONGEST,
                source=source[:60],
            )
        )
        return fresh

    def who(self, session_token: str) -> Who | None:
        """The person a cookie's token stands for, or None when the session is unknown, idle too long or over."""
        if not session_token or len(session_token) > 200:
            return None
        now, key = self._clock.real_now(), _hash(session_token)
        with self._db.read() as session:
            found = queries.session_and_user(session, key)
            if found is None:
                return None
            row, user = found
            if not user.active or row.ends_at <= now or row.last_seen_at + rules.IDLE <= now:
                return None
            who, seen = _who(user), row.last_seen_at
        if now - seen >= rules.SEEN_EVERY:
            self._touch(key, now)
        return who

    def _touch(self, key: str, now: datetime) -> None:
        with self._db.begin() as session:
            row = session.get(StaffSessionRow, key)
            if row is not None and row.last_seen_at < now:
                row.last_seen_at = now

    def log_out(self, session_token: str) -> None:
        """End this session, here and now. Unknown tokens are nothing to complain about."""
        with self._db.begin() as session:
            found = queries.session_and_user(session, _hash(session_token))
            if found is not None:
                self.audit(session, found[1].login, "staff.log_out", found[1].login)
                self._end(session, session_token)

    def _end(self, session: Session, session_token: str) -> None:
        row = session.get(StaffSessionRow, _hash(session_token))
        if row is not None:
            session.delete(row)

    # -- one's own account -------------------------------------------------------------------------------------------

    def set_language(self, staff_id: int, language: Literal["fr", "en"]) -> None:
        with self._db.begin() as session:
            row = queries.user_by_id(session, staff_id)
            if row is not None:
                row.language = language

    def change_password(self, staff_id: int, old: str, new: str) -> None:
        """Ends every session of theirs; they log in again. Raises WrongPassword, WeakPassword."""
        user = self._confirmed(staff_id, old)
        self._check_new(new, user.login)
        if new == old:
            raise WeakPassword(N_("The new password is the old one."))
        hashed = self._hasher.hash(new)
        with self._db.begin() as session:
            row = queries.user_by_id(session, staff_id, lock=True)
            if row is None:
                raise UnknownStaff(N_("Nobody has this login."))
            row.password_hash, row.one_time_until = hashed, None
            queries.end_sessions(session, row.id)
            self.audit(session, row.login, "staff.password", row.login)

    @staticmethod
    def new_second_factor() -> str:
        """A secret for an authenticator app. It counts only once `confirm_second_factor` has seen a code of it."""
        return pyotp.random_base32()

    @staticmethod
    def second_factor_uri(login: str, secret: str, issuer: str) -> str:
        """What the QR code says to the app."""
        return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)

    def confirm_second_factor(self, staff_id: int, password: str, secret: str, code: str) -> None:
        """From now on log-in asks for six digits as well. Raises WrongPassword, WrongCode."""
        self._confirmed(staff_id, password)
        try:
            step = step_of(secret, code, self._clock.real_now())
        except ValueError:  # not base 32: the form was tampered with
            step = None
        if step is None:
            raise WrongCode(N_("These digits do not fit. Check the time of your phone."))
        with self._db.begin() as session:
            row = queries.user_by_id(session, staff_id, lock=True)
            if row is None:
                raise UnknownStaff(N_("Nobody has this login."))
            row.totp_secret, row.totp_last_step = self._sealer.seal(secret.encode(), purpose=_purpose(row)), step
            self.audit(session, row.login, "staff.second_factor", row.login)

    # -- the audit log -----------------------------------------------------------------------------------------------

    def audit(self, session: Session, actor: str, act: str, subject: str, detail: str = "") -> None:
        """Write down who did what, in the caller's transaction, linked to the row before it."""
        queries.lock_chain(session)
        session.flush()
        previous = queries.last_link(session) or rules.AUDIT_START
        at = self._clock.real_now()
        actor, act, subject = actor[:80], act[:60], subject[:120]
        link = rules.audit_hash(self._chain_key, previous, at, actor, act, subject, detail)
        session.add(AuditRow(at=at, actor=actor, act=act, subject=subject, detail=detail, previous=previous, hash=link))
        session.flush()

    def note(self, actor: str, act: str, subject: str, detail: str = "") -> None:
        """`audit` in a transaction of its own, for acts that change nothing else (an export)."""
        with self._db.begin() as session:
            self.audit(session, actor, act, subject, detail)

    def verify_chain(self, *, newest: int | None = None) -> ChainReport:
        """Walk the audit log from its first row, or only its `newest` rows. Finds a row altered, put in or taken out;
        not an end that was cut off."""
        previous, count = rules.AUDIT_START, 0
        with self._db.read() as session:
            first = queries.audit_row_back(session, newest) if newest else None
            if first is not None:
                previous = first.previous
            for row in queries.audit_rows(session, from_id=first.id if first else 0):
                link = rules.audit_hash(self._chain_key, previous, row.at, row.actor, row.act, row.subject, row.detail)
                if row.previous != previous or not hmac.compare_digest(link, row.hash):
                    return ChainReport(count, row.id)
                previous, count = row.hash, count + 1
        return ChainReport(count, None)

    def newest_audit(self, *, limit: int = 100, before_id: int | None = None) -> list[AuditEntry]:
        with self._db.read() as session:
            rows = queries.newest_audit(session, limit=limit, before_id=before_id)
            return [AuditEntry(r.id, r.at, r.actor, r.act, r.subject, r.detail) for r in rows]

    # -- within ------------------------------------------------------------------------------------------------------

    def _named(self, session: Session, login: str) -> StaffUserRow:
        row = queries.user_by_login(session, _tidy(login), lock=True)
        if row is None:
            raise UnknownStaff(N_("Nobody has this login."))
        return row

    def _another(self, session: Session, login: str, actor: str, *, stays: bool = False) -> StaffUserRow:
        """The account of somebody else than `actor`. `stays`: it keeps whatever it may do; otherwise it must not be the
        last one that may let others in."""
        administrators = queries.lock_administrators(session)
        row = self._named(session, login)
        if row.login == _tidy(actor):
            raise OwnAccount(N_("Nobody does this to their own account. Another administrator does."))
        if not stays and [one.id for one in administrators] == [row.id]:
            raise LastAdministrator(N_("This is the last administrator: nobody could let anybody in any more."))
        return row

    def _one_time_until(self, one_time: bool) -> datetime | None:
        return self._clock.real_now() + rules.ONE_TIME if one_time else None

    def _confirmed(self, staff_id: int, password: str) -> StaffUserRow:
        """The account, if `password` is its password; a wrong one counts like one at log-in."""
        with self._db.read() as session:
            user = queries.user_by_id(session, staff_id)
        row = self._count_try(user.login) if user else None
        if row is None or not self._verify(row.password_hash, password):
            raise WrongPassword(N_("The present password is not right."))
        with self._db.begin() as session:
            counted = queries.user_by_id(session, staff_id, lock=True)
            if counted is not None:
                counted.failures, counted.locked_until = 0, None
        return row

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            # Argon2 reads any length; a megabyte of password is somebody wasting our time.
            return self._hasher.verify(hashed, password[: rules.PASSWORD_MAX])
        except (VerificationError, InvalidHashError):
            return False

    def _spend_code(self, user: StaffUserRow, code: str) -> bool:
        secret = self._sealer.unseal(user.totp_secret or "", purpose=_purpose(user)).decode()
        step = step_of(secret, code, self._clock.real_now())
        if step is None or (user.totp_last_step is not None and step <= user.totp_last_step):
            return False
        user.totp_last_step = step
        return True

    @staticmethod
    def _check_new(password: str, login: str) -> None:
        fault = rules.password_fault(password, login)
        if fault is not None:
            raise WeakPassword(fault)


def _who(user: StaffUserRow) -> Who:
    return Who(
        staff_id=user.id,
        login=user.login,
        name=user.name,
        role=Role(user.role),
        language=user.language,
        second_factor=user.totp_secret is not None,
        must_change=user.one_time_until is not None,
    )


def _purpose(user: StaffUserRow) -> str:
    return f"totp:{user.id}"


def _tidy(login: str) -> str:
    # Control characters are in no login, and PostgreSQL takes no NUL at all.
    return "".join(c for c in login if c.isprintable()).strip().casefold()


def _hash(session_token: str) -> str:
    return hashlib.sha256(session_token.encode()).hexdigest()
