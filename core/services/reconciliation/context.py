"""What the parts of the reconciliation service share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from core.db import Database
from core.kernel.clock import Clock
from core.payments.ports import Wallet
from core.reconciliation.model import Bookings


@dataclass(frozen=True, slots=True)
class Context:
    db: Database
    clock: Clock
    wallets: Mapping[str, Wallet]
    payments: Bookings
    settlement_delay: timedelta

    def ahead(self) -> timedelta:
        """How far business time stands from real time; nothing, outside the sandbox."""
        ahead = self.clock.now() - self.clock.real_now()
        return ahead if abs(ahead) > timedelta(seconds=1) else timedelta(0)
