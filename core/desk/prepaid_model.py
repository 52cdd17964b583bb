"""What a customer's story shows of prepaid credit that became tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from core.kernel.money import Money


@dataclass(frozen=True, slots=True)
class Issued:
    """Tokens that left. `amount`: what they used of the credit. The digits are there to be read out again."""

    kind: ClassVar[str] = "paid"
    at: datetime
    account: str
    meter_id: str
    unit: str
    quantity: int
    amount: Money
    tokens: tuple[str, ...]
