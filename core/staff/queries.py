"""Questions about staff, their sessions and the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.staff.tables import AuditRow, StaffSessionRow, StaffUserRow

# Any fixed number, ours alone in this database: whoever appends to the chain waits for whoever is appending.
_CHAIN_LOCK = 0x6D776F6C6F


def user_by_login(session: Session, login: str, *, lock: bool = False) -> StaffUserRow | None:
    asked = select(StaffUserRow).where(StaffUserRow.login == login)
    return session.scalar(asked.with_for_update(key_share=True) if lock else asked)


def user_by_id(session: Session, staff_id: int, *, lock: bool = False) -> StaffUserRow | None:
    asked = select(StaffUserRow).where(StaffUserRow.id == staff_id)
    return session.scalar(asked.with_for_update(key_share=True) if lock else asked)


def session_and_user(session: Session, token_hash: str) -> tuple[StaffSessionRow, StaffUserRow] | None:
    """The session with this hash and whose it is, in one read."""
    row = session.execute(
        select(StaffSessionRow, StaffUserRow)
        .join(StaffUserRow, StaffUserRow.id == StaffSessionRow.staff_id)
        .where(StaffSessionRow.token_hash == token_hash)
    ).first()
    return (row[0], row[1]) if row else None


def lock_administrators(session: Session) -> list[StaffUserRow]:
    """Everybody who may let others in, held until the transaction ends: two who lower each other come in turn."""
    active = StaffUserRow.role == "admin", StaffUserRow.active
    return list(session.scalars(select(StaffUserRow).where(*active).order_by(StaffUserRow.id).with_for_update()))


def people(session: Session, *, limit: int, offset: int) -> list[StaffUserRow]:
    """Active ones first, by login."""
    asked = select(StaffUserRow).order_by(StaffUserRow.active.desc(), StaffUserRow.login).limit(limit).offset(offset)
    return list(session.scalars(asked))


def last_log_ins(session: Session, logins: Sequence[str]) -> dict[str, datetime]:
    """login → its newest log-in. Uses ix_audit_log_subject."""
    newest = (
        select(AuditRow.subject, func.max(AuditRow.id).label("id"))
        .where(AuditRow.subject.in_(logins), AuditRow.act == "staff.log_in")
        .group_by(AuditRow.subject)
        .subquery()
    )
    asked = select(AuditRow.subject, AuditRow.at).join(newest, newest.c.id == AuditRow.id)
    return {row.subject: row.at for row in session.execute(asked)}


def audit_about(session: Session, subject: str, *, limit: int) -> list[AuditRow]:
    """The newest entries about one subject, newest first. Uses ix_audit_log_subject."""
    asked = select(AuditRow).where(AuditRow.subject == subject).order_by(AuditRow.id.desc()).limit(limit)
    return list(session.scalars(asked))


def end_sessions(session: Session, staff_id: int) -> None:
    session.execute(delete(StaffSessionRow).where(StaffSessionRow.staff_id == staff_id))


def lock_chain(session: Session) -> None:
    """One appender at a time. SQLite has only one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))


def last_link(session: Session) -> str | None:
    return session.scalar(select(AuditRow.hash).order_by(AuditRow.id.desc()).limit(1))


def audit_row_back(session: Session, count: int) -> AuditRow | None:
    """The row `count` rows before the end; None when there are not so many."""
    return session.scalar(select(AuditRow).order_by(AuditRow.id.desc()).offset(count - 1).limit(1))


def audit_rows(session: Session, *, from_id: int = 0, chunk: int = 500) -> Iterator[AuditRow]:
    """Every row from this one on, oldest first, read in chunks."""
    after = from_id - 1
    while True:
        rows = session.scalars(select(AuditRow).where(AuditRow.id > after).order_by(AuditRow.id).limit(chunk)).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].id


def newest_audit(session: Session, *, limit: int, before_id: int | None = None) -> list[AuditRow]:
    asked = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before_id is not None:
        asked = asked.where(AuditRow.id < before_id)
    return list(session.scalars(asked))


def count_users(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(StaffUserRow)) or 0


def drop_ended_sessions(session: Session, *, now: datetime) -> None:
    """Sessions whose absolute end is past: nobody can use them, and the table stays small."""
    session.execute(delete(StaffSessionRow).where(StaffSessionRow.ends_at < now))
