"""What supply asks of others before an off may leave."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.orm import Session

from core.kernel.clock import Clock
from core.supply.rules import HoldReason


class OffStillDue(Protocol):
    """Reads the books again: is off still due on this contract? Called with the contract's row locked."""

    def __call__(self, session: Session, *, clock: Clock, contract_id: int) -> bool: ...


class OffHolds(Protocol):
    """Asks `may_disconnect` again with the facts of this moment. Empty: it may leave."""

    def __call__(self, session: Session, *, clock: Clock, contract_id: int) -> list[HoldReason]: ...


def no_holds(session: Session, *, clock: Clock, contract_id: int) -> list[HoldReason]:
    """For those who asked `may_disconnect` when they wanted the off, and are content with its window."""
    return []
