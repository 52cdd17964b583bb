"""What the box is given from outside: the business clock and the meters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ClockControl(Protocol):
    """Moves the product's business clock, due run by due run."""

    def state(self) -> dict[str, Any]: ...

    def ahead_s(self) -> float:
        """Seconds by which it is ahead of the real clock."""
        ...

    def advance(self, seconds: float) -> dict[str, Any]: ...

    def move_to(self, iso: str) -> dict[str, Any]: ...


class MeterStore(Protocol):
    """Where the meters keep their memory across restarts."""

    def load(self, meter_id: str) -> dict[str, Any] | None: ...

    def save(self, meter_id: str, state: dict[str, Any]) -> None: ...


class MeterBox(Protocol):
    """The meters of the town. A meter's state has at least `id`, `supply`, `relay`, `version`, `online`, `kwh`."""

    def add(self, meter_id: str, key_hex: str, supply: str, version: int) -> None: ...

    def state(self, meter_id: str) -> dict[str, Any]: ...

    def list(self) -> list[dict[str, Any]]: ...

    def set(self, meter_id: str, **flags: bool) -> None: ...

    def fault(self, name: str, times: int, params: Mapping[str, Any]) -> None: ...

    def clear_faults(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...
