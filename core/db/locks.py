"""Locks on something that has no row yet, such as "the open report of this phone"."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def lock_names(session: Session, *names: str) -> None:
    """Until the end of this transaction nobody else gets past here with one of these names.

    Taken in sorted order, so that two who share several of them never wait for each other. Call it before the look on
    which a write depends. SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for name in sorted(set(names)):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
