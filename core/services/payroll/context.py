"""What the parts of the payroll service share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from core.db import Database
from core.kernel.clock import Clock


class Audit(Protocol):
    """Writes who did what into the caller's transaction: `Staff.audit`."""

    def __call__(self, session: Session, actor: str, act: str, subject: str, detail: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    db: Database
    clock: Clock
    audit: Audit
