"""What a simulated meter does with a command: the part that would be firmware. No network, no threads.

It remembers its version across a reboot, because the memory is saved before the relay moves; it drops what is older,
and says "applied" again to what it has done already.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.supply.model import MeterAck, MeterReport, Relay, Supply
from meters.contract import Command, Forged, Malformed, read_command, write_ack, write_report

FIRMWARE = "sim-1.0"
HISTORY_MAX = 50
MAINS_V = 228

Suffix = Literal["ack/relay", "reported"]
Message = tuple[Suffix, bytes]


@dataclass(slots=True)
class Memory:
    """What a meter keeps across a reboot. `clock_s`: the latest business time it read in a genuine command, 0 before
    the first. `said_s`: the latest time it put on a report. `relay_stuck`, `clock_lost`, `online`: its troubles."""

    id: str
    key: str
    supply: Supply
    version: int
    relay: Relay
    session_no: int = 0
    clock_s: int = 0
    said_s: int = 0
    energy_wh: int = 0
    online: bool = True
    relay_stuck: bool = False
    clock_lost: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Firmware:
    """One meter. `save` keeps its memory; `monotonic` counts real seconds; `network_time` is what it takes for the
    date on its reports until a command has told it better."""

    def __init__(
        self,
        memory: Memory,
        *,
        save: Callable[[Memory], None],
        monotonic: Callable[[], float],
        network_time: Callable[[], float],
    ) -> None:
        self.memory = memory
        self._save = save
        self._monotonic = monotonic
        self._network_time = network_time
        self._clock_read_at = monotonic()
        self._energy_at = monotonic()
        self._watts = 150 + zlib.crc32(memory.id.encode()) % 600

    def connect(self) -> None:
        """A new connection: its number goes up, so that the will of the old one can be told."""
        self.memory.session_no += 1
        self._save(self.memory)

    def take(self, payload: bytes, *, retained: bool = False) -> list[Message]:
        """Obey, refuse or ignore one message on this meter's command topic; what it answers, in order."""
        if retained or not payload:
            return []
        read = read_command(payload, bytes.fromhex(self.memory.key))
        if isinstance(read, Malformed):
            return []
        if isinstance(read, Forged):
            return [self._refuse(read.command, "rejected", "bad_sig")]
        return self._obey(read)

    def repair(self) -> None:
        """Somebody freed the relay: it follows what the meter is set to."""
        self._count_energy()
        self.memory.relay_stuck = False
        self.memory.relay = "open" if self.memory.supply == "off" else "closed"
        self._save(self.memory)

    def report(self) -> Message:
        """The whole document on itself."""
        memory = self.memory
        self._count_energy()
        report = MeterReport(
            version=memory.version,
            supply=memory.supply,
            relay=memory.relay,
            load_side_v=self._load_side_v(),
            session_no=memory.session_no,
            at=self._date(),
            energy_wh=memory.energy_wh,
            clock_ok=not memory.clock_lost,
        )
        return "reported", write_report(report, firmware=FIRMWARE)

    def view(self) -> dict[str, Any]:
        """Its state for people: what the sandbox shows."""
        self._count_energy()
        memory = self.memory
        return {
            "id": memory.id,
            "supply": memory.supply,
            "relay": memory.relay,
            "version": memory.version,
            "online": memory.online,
            "kwh": round(memory.energy_wh / 1000, 2),
            "relay_stuck": memory.relay_stuck,
            "clock_lost": memory.clock_lost,
            "history": [dict(step) for step in memory.history],
        }

    def _obey(self, command: Command) -> list[Message]:
        memory = self.memory
        if command.ver < memory.version:
            return [self._refuse(command, "superseded", "stale"), self.report()]
        if command.ver == memory.version:
            return [self._done(command), self.report()]
        refusal = self._clock_refuses(command)
        if refusal is not None:
            return [self._refuse(command, "rejected", refusal)]
        self._count_energy()
        received = self._ack(command, "received", "ok")
        memory.version, memory.supply = command.ver, command.supply
        # Saved before the relay moves: a meter that loses power in between comes back with the newer version.
        self._save(memory)
        if not memory.relay_stuck:
            memory.relay = "open" if command.supply == "off" else "closed"
        self._remember(command, "relay_stuck" if memory.relay_stuck else "applied")
        self._save(memory)
        return [received, self._done(command), self.report()]

    def _clock_refuses(self, command: Command) -> str | None:
        """Whether the command's time is over or has not come. Its own `now` is the time, unless we know a later one:
        a copy that a broker kept for a week carries a `now` that is a week old."""
        memory = self.memory
        if memory.clock_lost:
            # Without a clock nothing tells a fresh off from a stale one; on is never refused.
            return "no_clock" if command.supply == "off" else None
        now = max(command.now, self._clock())
        if now > self._clock():
            memory.clock_s, self._clock_read_at = now, self._monotonic()
        if now > command.exp:
            return "expired"
        return "early" if now < command.nbf else None

    def _clock(self) -> int:
        if self.memory.clock_s == 0:
            return 0
        return self.memory.clock_s + int(self._monotonic() - self._clock_read_at)

    def _date(self) -> int:
        """The time on a report: never before the one on the last."""
        self.memory.said_s = max(self.memory.said_s, self._clock() or int(self._network_time()))
        return self.memory.said_s

    def _done(self, command: Command) -> Message:
        stuck = (self.memory.relay == "closed") != (self.memory.supply == "on")
        return self._ack(command, "failed" if stuck else "applied", "relay_stuck" if stuck else "ok")

    def _refuse(self, command: Command, result: str, code: str) -> Message:
        self._remember(command, code)
        self._save(self.memory)
        return self._ack(command, result, code)

    def _ack(self, command: Command, result: str, code: str) -> Message:
        memory = self.memory
        answer = MeterAck(
            command_id=command.id,
            version=command.ver,
            result=result,
            code=code,
            supply=memory.supply,
            relay=memory.relay,
            load_side_v=self._load_side_v(),
            session_no=memory.session_no,
            at=self._date(),
        )
        return "ack/relay", write_ack(answer)

    def _remember(self, command: Command, result: str) -> None:
        step = {"at": command.now, "version": command.ver, "supply": command.supply, "why": command.why}
        self.memory.history = [*self.memory.history, {**step, "result": result}][-HISTORY_MAX:]

    def _load_side_v(self) -> int:
        return MAINS_V if self.memory.relay == "closed" else 0

    def _count_energy(self) -> None:
        now = self._monotonic()
        if self.memory.relay == "closed":
            used = int((now - self._energy_at) * self._watts / 3600)
            if used == 0:
                return
            self.memory.energy_wh += used
        self._energy_at = now
