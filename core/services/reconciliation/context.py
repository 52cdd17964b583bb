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
