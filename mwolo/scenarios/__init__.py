"""Stories that the demo plays through the real processes, and proves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mwolo.scenarios import unpaid_invoice

if TYPE_CHECKING:
    from mwolo.wiring import Wiring

Story = Callable[[Mapping[str, Any], "Wiring"], int]

SCENARIOS: Mapping[str, Story] = {"unpaid-invoice": unpaid_invoice.play}
_BEGINS: Mapping[str, datetime] = {"unpaid-invoice": unpaid_invoice.BEGINS}


def starting_offset(scenario: str) -> timedelta:
    """How far business time must stand from real time, so that the story begins on its own day."""
    return _BEGINS[scenario] - datetime.now(UTC)
