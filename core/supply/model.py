"""The life of a relay command, and what a meter says of itself. No database, no radio."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Supply = Literal["on", "off"]
Relay = Literal["open", "closed"]

LIVE = ("held", "queued", "publishing", "sent", "acknowledged")
ENDED = ("applied", "rejected", "failed", "expired", "superseded", "cancelled")

# What a meter says may arrive in any order, before the broker's own answer too; so every live state leads to each end.
_FROM_LIVE = frozenset(("acknowledged", *ENDED))
MOVES: Mapping[str, frozenset[str]] = {
    "held": _FROM_LIVE | {"queued", "publishing"},
    "queued": _FROM_LIVE | {"held", "publishing"},
    "publishing": _FROM_LIVE | {"queued", "sent"},
    "sent": _FROM_LIVE | {"queued", "publishing", "held"},
    "acknowledged": _FROM_LIVE | {"publishing", "held"},
    # A late proof is written down; everything else that ended stays ended.
    "expired": frozenset({"applied"}),
}

# An off for one of these was not asked for by the books, so the debt is not read again before it leaves.
WITHOUT_DEBT = frozenset({"customer_request", "safety"})

# Seconds after the n-th attempt; the last one repeats with up to 20 % more or less, so that a feeder's meters spread.
_RETRY_S: Mapping[str, tuple[int, ...]] = {
    "on": (30, 60, 120, 300, 600),
    "off": (60, 120, 300, 900, 1800, 3600),
}

# Below this the load side is dead: what remains is coupling, not supply.
LIVE_VOLTS = 50


def may_move(from_state: str, to_state: str) -> bool:
    return to_state in MOVES.get(from_state, frozenset())


def retry_after_s(supply: str, attempts: int, command_id: str) -> float:
    """Real seconds until the next attempt after the `attempts`-th, the same for the same command: a test repeats."""
    steps = _RETRY_S[supply]
    if attempts < len(steps):
        return float(steps[max(attempts, 1) - 1])
    wobble = (zlib.crc32(f"{command_id}:{attempts}".encode()) % 4001 - 2000) / 10_000
    return steps[-1] * (1 + wobble)


@dataclass(frozen=True, slots=True)
class LeasedCommand:
    """One command in the bridge's hands. `token` fences; `key` signs and is never shown; times are business time."""

    id: str
    token: str
    meter_id: str
    version: int
    supply: Supply
    reason: str
    invoice_number: str | None
    issued_at: datetime
    not_before: datetime
    not_after: datetime
    now: datetime
    attempts: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MeterReport:
    """A meter's own word on itself. `supply`: what it is set to; `relay` and `load_side_v`: what is so.

    `session_no` counts its connections, `at` is its clock in seconds since 1970, `raw` the document as it came.
    """

    version: int
    supply: Supply
    relay: Relay
    load_side_v: int
    session_no: int
    at: int
    energy_wh: int | None = None
    clock_ok: bool = True
    tamper: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def contradicts_itself(self) -> bool:
        """A relay that did not follow, or somebody who bypassed it."""
        if self.supply == "off":
            return self.relay == "closed" or self.load_side_v >= LIVE_VOLTS
        return self.relay == "open"


@dataclass(frozen=True, slots=True)
class MeterAck:
    """What a meter answers to one command. `result`: received, applied, rejected, failed, superseded."""

    command_id: str
    version: int
    result: str
    code: str
    supply: Supply
    relay: Relay
    load_side_v: int
    session_no: int
    at: int

    def as_report(self) -> MeterReport:
        return MeterReport(self.version, self.supply, self.relay, self.load_side_v, self.session_no, self.at)
