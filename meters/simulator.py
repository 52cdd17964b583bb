"""Simulated meters on a real broker: each with its own memory, all over one connection.

Not a real town's shape in one thing: one connection has one will, so a simulator that is killed leaves its meters
"online" until it is back. Each meter's coming and going that it is told of is published on the meter's own topic.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.kernel.clock import Clock
from meters.contract import METER_ID, Status, Topics, write_status
from meters.firmware import Firmware, Memory, Message
from meters.mqtt import MqttAddress, build_client, close_connection, guarded, open_connection

log = logging.getLogger(__name__)

FAULTS = ("drop", "duplicate", "delay", "replay")
# A meter's heartbeat; hourly as in the field.
BEAT_S = 3600.0
SESSION_S = 7 * 24 * 3600
KEPT_COMMANDS = 8

Rows = list[dict[str, Any]]


class MeterMemory(Protocol):
    """Where meters keep their memory across restarts."""

    def load(self, meter_id: str) -> dict[str, Any] | None: ...

    def save(self, meter_id: str, state: dict[str, Any]) -> None: ...


class UnknownSimulatedMeter(LookupError):
    """No meter with this id was added."""


@dataclass(slots=True)
class _Fault:
    left: int  # 0: until cleared
    params: Mapping[str, Any]


Job = Callable[[], None]


class MeterSimulator:
    """A town's meters. Calls may come from any thread; messages are worked off one by one on a thread of its own."""

    def __init__(
        self,
        store: MeterMemory,
        mqtt_url: str,
        utility: str,
        clock: Clock,
        *,
        client_id: str = "meter-simulator",
        beat_s: float = BEAT_S,
    ) -> None:
        self._store = store
        self._address = MqttAddress.parse(mqtt_url)
        self._topics = Topics(utility)
        self._clock = clock
        self._client_id = client_id
        self._beat_s = beat_s
        self._lock = threading.RLock()
        self._meters: dict[str, Firmware] = {}
        self._faults: dict[str, list[_Fault]] = {}
        self._kept: dict[str, list[bytes]] = {}
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._later = _Later(self._jobs.put)
        self._client: Client | None = None
        self._worker: threading.Thread | None = None
        self.connected = threading.Event()

    def add(self, meter_id: str, key_hex: str, supply: str, version: int) -> None:
        """Install a meter. One that has a memory keeps it; only a new key replaces the old one."""
        if not METER_ID.fullmatch(meter_id):
            raise ValueError(f"not a meter's id: {meter_id!r}")
        bytes.fromhex(key_hex)
        with self._lock:
            known = self._meters.get(meter_id)
            if known is None:
                known = self._meters[meter_id] = self._installed(meter_id, key_hex, supply, version)
            elif known.memory.key == key_hex:
                return
            known.memory.key = key_hex
            self._save(known.memory)
        if self.connected.is_set():
            self._jobs.put(lambda: self._birth(known))

    def state(self, meter_id: str) -> dict[str, Any]:
        """What a meter is and did, with its history. Raises UnknownSimulatedMeter."""
        with self._lock:
            return self._meter(meter_id).view()

    def list(self) -> Rows:
        """Every meter, without its history, by id."""
        with self._lock:
            views = [meter.view() for _, meter in sorted(self._meters.items())]
        return [{name: value for name, value in view.items() if name != "history"} for view in views]

    def set(self, meter_id: str, **flags: bool) -> None:
        """Change its troubles: `online`, `relay_stuck`, `clock_lost`. Raises ValueError for anything else."""
        unknown = sorted(set(flags) - {"online", "relay_stuck", "clock_lost"})
        if unknown:
            raise ValueError(f"a meter has no switch {unknown[0]!r}")
        with self._lock:
            meter = self._meter(meter_id)
            was_online = meter.memory.online
            freed = meter.memory.relay_stuck and flags.get("relay_stuck") is False
            if freed:
                meter.repair()
            for name, value in flags.items():
                setattr(meter.memory, name, value)
            self._save(meter.memory)
        if meter.memory.online and not was_online:
            self._jobs.put(lambda: self._birth(meter))
        elif was_online and not meter.memory.online:
            self._jobs.put(lambda: self._say_status(meter, online=False))
        elif freed and meter.memory.online:
            self._jobs.put(lambda: self._say_report(meter))

    def fault(self, name: str, times: int, params: Mapping[str, Any]) -> None:
        """Let commands be dropped, duplicated, delayed (`seconds`) or replayed, for one `meter` or for all.

        `times` 0: until cleared.
        """
        if name not in FAULTS:
            raise ValueError(f"meters know no fault {name!r}; they know {', '.join(FAULTS)}")
        with self._lock:
            self._faults.setdefault(name, []).append(_Fault(times, dict(params)))

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def start(self) -> None:
        """Connect and answer; goes on trying until there is a broker."""
        self._later = _Later(self._jobs.put)
        self._worker = threading.Thread(target=self._work, name="meters", daemon=True)
        self._worker.start()
        client = build_client(self._address, client_id=self._client_id, session_s=SESSION_S, queued_max=0)
        client.on_connect = guarded("connect", self._on_connect)
        client.on_disconnect = guarded("disconnect", self._on_disconnect)
        client.on_message = guarded("message", self._on_message)
        self._client = client
        open_connection(client, self._address, session_s=SESSION_S)
        self._later.start()
        self._beat()

    def stop(self) -> None:
        """Say goodbye for every meter, then leave. Their memory stays."""
        if self._client is None or self._worker is None:
            return
        self._later.stop()
        if self.connected.is_set():
            self._jobs.put(self._goodbye)
        self._jobs.put(None)
        self._worker.join(timeout=10)
        close_connection(self._client)
        self.connected.clear()
        self._client = None

    def _installed(self, meter_id: str, key_hex: str, supply: str, version: int) -> Firmware:
        kept = self._store.load(meter_id)
        if kept is not None:
            known = {f.name for f in fields(Memory)}
            memory = Memory(**{name: value for name, value in kept.items() if name in known})
        else:
            off = supply == "off"
            memory = Memory(
                id=meter_id,
                key=key_hex,
                supply="off" if off else "on",
                version=version,
                relay="open" if off else "closed",
                energy_wh=zlib.crc32(meter_id.encode()) % 9_000_000,
            )
        return Firmware(
            memory,
            save=self._save,
            monotonic=time.monotonic,
            network_time=lambda: self._clock.now().timestamp(),
        )

    def _meter(self, meter_id: str) -> Firmware:
        meter = self._meters.get(meter_id)
        if meter is None:
            raise UnknownSimulatedMeter(meter_id)
        return meter

    def _save(self, memory: Memory) -> None:
        self._store.save(memory.id, memory.as_json())

    # paho's thread: nothing here waits.

    def _on_connect(
        self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("the broker refuses the simulated meters: %s", reason)
            return
        client.subscribe(self._topics.every("cmd/relay"), qos=1)
        self.connected.set()
        self._jobs.put(self._birth_all)

    def _on_disconnect(self, *_args: Any) -> None:
        self.connected.clear()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        named = self._topics.read(message.topic)
        # A broker may hand over what nobody asked for; the topic in the message is what counts.
        if named is None or named[1] != "cmd/relay":
            return
        meter_id, payload, retained = named[0], bytes(message.payload), bool(message.retain)
        self._jobs.put(lambda: self._arrived(meter_id, payload, retained))

    # The simulator's own thread.

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            except Exception:
                # The edge of the thread: one meter's trouble must not silence the town.
                log.exception("a simulated meter failed")

    def _arrived(self, meter_id: str, payload: bytes, retained: bool) -> None:
        with self._lock:
            meter = self._meters.get(meter_id)
            if meter is None or not meter.memory.online or self._take_fault("drop", meter_id) is not None:
                return
            delay = self._take_fault("delay", meter_id)
            again = self._take_fault("duplicate", meter_id) is not None
            replay = self._take_fault("replay", meter_id) is not None
            older = [*self._kept.get(meter_id, [])] if replay else []
            self._kept[meter_id] = [*self._kept.get(meter_id, []), payload][-KEPT_COMMANDS:]
        arriving = [payload, *([payload] if again else []), *older]
        if delay is not None:
            self._later.put(float(delay.get("seconds", 1.0)), lambda: self._handle(meter, arriving, retained))
        else:
            self._handle(meter, arriving, retained)

    def _handle(self, meter: Firmware, payloads: Iterable[bytes], retained: bool) -> None:
        for payload in payloads:
            with self._lock:
                answers = meter.take(payload, retained=retained) if meter.memory.online else []
            for answer in answers:
                self._publish(meter.memory.id, answer)

    def _take_fault(self, name: str, meter_id: str) -> Mapping[str, Any] | None:
        for fault in self._faults.get(name, []):
            if fault.params.get("meter", meter_id) != meter_id:
                continue
            if fault.left == 1:
                self._faults[name].remove(fault)
            elif fault.left > 1:
                fault.left -= 1
            return fault.params
        return None

    def _birth_all(self) -> None:
        with self._lock:
            meters = _all(self._meters)
        for meter in meters:
            if meter.memory.online:
                self._birth(meter)

    def _birth(self, meter: Firmware) -> None:
        with self._lock:
            meter.connect()
        self._say_status(meter, online=True)
        self._say_report(meter)

    def _say_report(self, meter: Firmware) -> None:
        with self._lock:
            report = meter.report()
        self._publish(meter.memory.id, report)

    def _say_status(self, meter: Firmware, *, online: bool) -> None:
        status = write_status(Status(online, meter.memory.session_no))
        self._send(self._topics.of(meter.memory.id, "status"), status, retain=True)

    def _goodbye(self) -> None:
        with self._lock:
            meters = _all(self._meters)
        for meter in meters:
            if meter.memory.online:
                self._say_status(meter, online=False)

    def _beat(self) -> None:
        """Every online meter reports once per beat, so that silence means something."""
        with self._lock:
            meters = _all(self._meters)
        for meter in meters:
            if meter.memory.online and self.connected.is_set():
                self._say_report(meter)
        self._later.put(self._beat_s, self._beat)

    def _publish(self, meter_id: str, message: Message) -> None:
        suffix, payload = message
        self._send(self._topics.of(meter_id, suffix), payload, retain=suffix == "reported")

    def _send(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if self._client is not None:
            self._client.publish(topic, payload, qos=1, retain=retain)


def _all(meters: Mapping[str, Firmware]) -> tuple[Firmware, ...]:
    return tuple(meters.values())


class _Later:
    """Hands jobs back after so many real seconds; one thread for all of them."""

    def __init__(self, give: Callable[[Job], None]) -> None:
        self._give = give
        self._count = itertools.count()
        self._waiting: list[tuple[float, int, Job]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="meters-later", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, seconds: float, job: Job) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._count), job))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                while self._waiting and self._waiting[0][0] <= now:
                    self._give(heapq.heappop(self._waiting)[2])
                pause = self._waiting[0][0] - now if self._waiting else None
                self._changed.wait(pause)
