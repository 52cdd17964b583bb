"""Stories that the demo plays through the real processes, and proves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mwolo.scenarios import unpaid_invoice, wallet_trouble

if TYPE_CHECKING:
    from mwolo.wiring import Wiring

Story = Callable[[Mapping[str, Any], "Wiring"], int]

SCENARIOS: Mapping[str, Story] = {"unpaid-invoice": unpaid_invoice.play, "wallet-trouble": wallet_trouble.play}
_BEGINS: Mapping[str, datetime] = {"unpaid-invoice": unpaid_invoice.BEGINS, "wallet-trouble": wallet_trouble.BEGINS}
# Settings a story needs to be other than the demo's.
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {"wallet-trouble": wallet_trouble.ENVIRONMENT}
# How many people live in its town: one customer, and a few neighbours who show that nothing happens to them.
TOWNS: Mapping[str, int] = {"unpaid-invoice": 24, "wallet-trouble": wallet_trouble.TOWN}


def starting_offset(scenario: str) -> timedelta:
    """How far business time must stand from real time, so that the story begins on its own day."""
    return _BEGINS[scenario] - datetime.now(UTC)
