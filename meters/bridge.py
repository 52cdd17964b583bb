"""The bridge: the only owner of a connection to the broker. It leases commands, signs and publishes them, and hands in
what meters say. It decides nothing.

Three threads: paho's own (never waits: it appends to bounded queues), one that writes what came in and acknowledges it
after the commit, and the loop itself.
"""

from __future__ import annotations

import json
import logging
import queue
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.kernel.errors import NotRecorded
from core.readings.model import AFTER_OUTAGE, CLOCK_DOUBTFUL, MEASURED, Point
from core.services.readings import Readings
from core.services.supply import Supply
from core.supply.model import LeasedCommand, MeterAck, MeterReport
from meters.contract import (
    INBOUND,
    Command,
    Malformed,
    Reading,
    Status,
    Topics,
    read_ack,
    read_reading,
    read_report,
    read_status,
    write_command,
)
from meters.mqtt import MqttAddress, Will, build_client, close_connection, guarded, open_connection, publish_properties

log = logging.getLogger(__name__)
T = TypeVar("T")

# Telemetry that meters send while a new version is being installed is queued for so long.
SESSION_S = 24 * 3600
# Some 5 MB. amqtt hands over without waiting for answers, so a town that reports at once must fit in here.
INBOUND_MAX = 10_000
# A broker that has not answered a publication by then gets the command again; versions make that harmless.
PUBACK_WAIT_S = 10.0
HEARTBEAT_S = 15.0
PACE_MAX_S = 0.05
DEAF_AFTER_S = 60.0
# The year 2100, in seconds since 1970.
_CLOCK_END = 4_102_444_800


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """Where the broker is and how the bridge behaves. `poll_s`: how often it looks for commands when nobody calls it;
    `hold_s`: how long it keeps its right to be the bridge without renewing it; `batch`: commands per look."""

    mqtt_url: str
    utility: str
    client_id: str = "mwolo-bridge"
    poll_s: float = 0.5
    hold_s: float = 15.0
    batch: int = 20


@dataclass(frozen=True, slots=True)
class _Arrived:
    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int


@dataclass(frozen=True, slots=True)
class _Published:
    command: LeasedCommand
    at: float


class Bridge:
    """One bridge. `run` blocks until `stop` is set. A second one waits until the first gives its lease up or dies.

    `readings` None: what registers say is counted and dropped.
    """

    def __init__(self, supply: Supply, config: BridgeConfig, readings: Readings | None = None) -> None:
        self._supply = supply
        self._readings = readings
        self._config = config
        self._address = MqttAddress.parse(config.mqtt_url)
        self._topics = Topics(config.utility)
        self._holder = f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}"
        self._bell = threading.Event()
        self._inbound: queue.Queue[_Arrived | None] = queue.Queue(INBOUND_MAX)
        self._pubacks: queue.SimpleQueue[tuple[Client, int, bool, str]] = queue.SimpleQueue()
        self._waiting: dict[int, _Published] = {}
        self._client: Client | None = None
        self._connection = 0
        self._connected = threading.Event()
        self._ended = threading.Event()
        self._heard_at = time.monotonic()
        self._beat_at = 0.0
        self._held_at = float("-inf")
        self._refused_some = False
        self.counts: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def wake(self) -> None:
        """A hint that there is something to publish; the bridge would find it by itself within `poll_s`."""
        self._bell.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then give the lease back and leave the broker cleanly."""
        writer = threading.Thread(target=self._write_inbound, name="bridge-inbound", daemon=True)
        writer.start()
        try:
            while not stop.is_set():
                self._step()
                self._bell.wait(self._config.poll_s)
                self._bell.clear()
        finally:
            self._leave()
            self._ended.set()
            self._inbound.put(None)
            writer.join(timeout=10)

    def _step(self) -> None:
        try:
            if not self._hold():
                # Another bridge has the lease. Two with one client id would throw each other out once a second.
                self._disconnect()
                return
            self._connect()
            self._watch()
            self._take_pubacks()
            while self.connected and self._publish_due() == self._config.batch:
                self._take_pubacks()
        except NotRecorded:
            # The database is busy; every step is a row that is still there at the next look.
            self.counts["database_busy"] += 1
        except Exception:
            # The edge of the process: whatever it is, the next look starts afresh, and the rows have not moved.
            log.exception("the bridge's step failed")
            self.counts["failed_steps"] += 1

    def _hold(self) -> bool:
        now = time.monotonic()
        if now - self._held_at < self._config.hold_s / 3:
            return True
        if self._supply.hold_bridge(self._holder, for_s=self._config.hold_s):
            self._held_at = now
            return True
        self._held_at = float("-inf")
        return False

    def _publish_due(self) -> int:
        commands = self._paced(lambda: self._supply.lease_commands(self._config.batch))
        for command in commands:
            self._publish(command)
        return len(commands)

    def _publish(self, command: LeasedCommand) -> None:
        client = self._client
        if client is None:
            self._supply.mark_unsent(command.id, command.token, "not connected")
            return
        payload = write_command(on_the_wire(command), command.key)
        left_s = int((command.not_after - command.now).total_seconds())
        properties = publish_properties(self._address, expiry_s=left_s, correlation=uuid.UUID(command.id).bytes)
        topic = self._topics.of(command.meter_id, "cmd/relay")
        # Never retained: a meter that comes back in a month must not find an off of today.
        info = client.publish(topic, payload, qos=1, retain=False, properties=properties)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            self._supply.mark_unsent(command.id, command.token, f"client error {int(info.rc)}")
            self.counts["unsent"] += 1
            return
        self._waiting[info.mid] = _Published(command, time.monotonic())
        self.counts["published"] += 1

    def _take_pubacks(self) -> None:
        while True:
            try:
                client, mid, taken, words = self._pubacks.get_nowait()
            except queue.Empty:
                break
            published = self._waiting.pop(mid, None) if client is self._client else None
            if published is None:
                continue
            command = published.command
            if taken:
                self._paced(partial(self._supply.mark_sent, command.id, command.token))
            else:
                log.warning("the broker refused a command for %s: %s", command.meter_id, words)
                self._supply.mark_unsent(command.id, command.token, words)
                self.counts["unsent"] += 1
        limit = time.monotonic() - PUBACK_WAIT_S
        for mid in [mid for mid, published in self._waiting.items() if published.at < limit]:
            command = self._waiting.pop(mid).command
            self._supply.mark_unsent(command.id, command.token, "the broker did not answer")
            self.counts["unsent"] += 1

    def _paced(self, write: Callable[[], T]) -> T:
        """Write, then leave as long a gap where all writers share one turn.

        A writer that waits for SQLite looks only every 100 ms: a thousand small transactions back to back (every meter
        is back after an outage) kept everybody else waiting for more than their 2 s (measured).
        """
        began = time.monotonic()
        try:
            return write()
        finally:
            if self._supply.shares_one_writer:
                self._ended.wait(min(time.monotonic() - began, PACE_MAX_S))

    # Connection and watchdog.

    def _connect(self) -> None:
        if self._client is not None:
            return
        will = Will(self._topics.bridge_status, _bridge_status(online=False, holder=self._holder))
        client = build_client(
            self._address, client_id=self._config.client_id, session_s=SESSION_S, will=will, manual_ack=True
        )
        client.on_connect = guarded("connect", self._on_connect)
        client.on_disconnect = guarded("disconnect", self._on_disconnect)
        client.on_message = guarded("message", self._on_message)
        client.on_publish = guarded("publish", self._on_publish)
        self._client = client
        self._connection += 1
        self._heard_at = time.monotonic()
        open_connection(client, self._address, session_s=SESSION_S)

    def _watch(self) -> None:
        """Beat, and hear the own beat: a client may say it is connected when its thread is dead or nobody routes."""
        client, now = self._client, time.monotonic()
        if client is None or not self.connected or not self._inbound.empty():
            # While there is a backlog the broker holds everything back behind it, the heartbeat too.
            self._heard_at = now
            return
        if now - self._beat_at >= HEARTBEAT_S:
            self._beat_at = now
            status = _bridge_status(online=True, holder=self._holder)
            client.publish(self._topics.bridge_status, status, qos=1, retain=True)
        if now - self._heard_at > DEAF_AFTER_S:
            log.error("the bridge has heard nothing, not even itself, for %.0f s; it connects anew", DEAF_AFTER_S)
            self.counts["deaf"] += 1
            self._disconnect()
        elif self._refused_some and self._inbound.empty():
            # What found the queue full was not acknowledged; the broker brings it again to a new connection.
            self._refused_some = False
            self._disconnect()

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._connected.clear()
            close_connection(client)
        # Numbers of publications begin anew with the next client; what nobody answered is leased again in time.
        self._waiting.clear()

    def _leave(self) -> None:
        client = self._client
        if client is not None and self.connected:
            status = _bridge_status(online=False, holder=self._holder)
            client.publish(self._topics.bridge_status, status, qos=1, retain=True)
        try:
            self._take_pubacks()
            self._supply.leave_bridge(self._holder)
        except NotRecorded:
            log.info("the bridge's lease runs out by itself")
        self._disconnect()

    # paho's thread: nothing here waits or touches the database.

    def _on_connect(
        self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.error("the broker refuses the bridge: %s", reason)
            return
        # Here, always: a client that subscribed once only is deaf after the broker lost its session.
        client.subscribe([(self._topics.every(suffix), 1) for suffix in INBOUND])
        client.subscribe(self._topics.bridge_status, qos=1)
        self._heard_at = time.monotonic()
        self._beat_at = 0.0
        self._connected.set()
        self._bell.set()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._connected.clear()
        # What was delivered before and not acknowledged comes again; an answer to the old copy would be for nobody.
        self._connection += 1
        if reason.is_failure:
            log.warning("the bridge lost its broker: %s", reason)

    def _on_publish(
        self, client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._pubacks.put((client, mid, not reason.is_failure, str(reason)))
        self._bell.set()

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        arrived = _Arrived(message.topic, bytes(message.payload), message.mid, message.qos, self._connection)
        self._heard_at = time.monotonic()
        if arrived.topic == self._topics.bridge_status:
            client.ack(arrived.mid, arrived.qos)
            return
        try:
            self._inbound.put_nowait(arrived)
        except queue.Full:
            self._refused_some = True
            self.counts["inbound_full"] += 1

    # The writer's thread.

    def _write_inbound(self) -> None:
        while True:
            arrived = self._inbound.get()
            if arrived is None:
                return
            self._take_until_recorded(arrived)
            client = self._client
            if client is not None and arrived.connection == self._connection:
                client.ack(arrived.mid, arrived.qos)

    def _take_until_recorded(self, arrived: _Arrived) -> None:
        """A busy database is waited for: behind this message the queue fills, and behind the queue the broker holds."""
        while not self._ended.is_set():
            try:
                self._paced(lambda: self._take(arrived))
            except NotRecorded:
                self.counts["database_busy"] += 1
                self._ended.wait(0.2)
                continue
            except Exception:
                # The edge of the thread: one message that breaks us must not silence every meter.
                log.exception("a message could not be taken from %s", arrived.topic)
                self.counts["failed_messages"] += 1
            return

    def _take(self, arrived: _Arrived) -> None:
        named = self._topics.read(arrived.topic)
        reader = _READERS.get(named[1]) if named else None
        if named is None or reader is None:
            self.counts["foreign"] += 1
            return
        if not arrived.payload:
            return  # somebody cleared a retained topic; live subscribers are told with an empty message
        meter_id, read = named[0], reader(arrived.payload)
        match read:
            case Malformed(why):
                log.info("unreadable %s of %s: %s", named[1], meter_id, why)
                self.counts["malformed"] += 1
            case MeterAck():
                self._count(self._supply.take_ack(meter_id, read))
            case MeterReport():
                self._count(self._supply.take_reported(meter_id, read))
                if read.energy_wh is not None:
                    quality = MEASURED if read.clock_ok else CLOCK_DOUBTFUL
                    self._keep(meter_id, [Point(_moment(read.at), read.energy_wh, quality)], "report")
            case Status(online, session_no):
                self._count(self._supply.take_status(meter_id, online=online, session_no=session_no))
            case Reading():
                self.counts["readings" if read.meter_id == meter_id else "foreign"] += 1
                if read.meter_id == meter_id:
                    self._keep(meter_id, [Point(_moment(p.t), p.wh, _quality(p.q)) for p in read.points], "mqtt")
        self._bell.set()

    def _keep(self, meter_id: str, points: list[Point], source: str) -> None:
        if self._readings is not None and points:
            taken = self._readings.take(meter_id, points, source=source)
            self.counts["readings_held"] += taken.held

    def _count(self, taken: str) -> None:
        self.counts[taken] += 1


Readable = MeterAck | MeterReport | Status | Reading | Malformed

_READERS: dict[str, Callable[[bytes], Readable]] = {
    "ack/relay": read_ack,
    "reported": read_report,
    "status": read_status,
    "tele/reading": read_reading,
}


def on_the_wire(command: LeasedCommand) -> Command:
    return Command(
        id=command.id,
        ver=command.version,
        supply=command.supply,
        why=command.reason,
        iat=int(command.issued_at.timestamp()),
        nbf=int(command.not_before.timestamp()),
        exp=int(command.not_after.timestamp()),
        now=int(command.now.timestamp()),
        inv=command.invoice_number,
    )


def _moment(seconds: int) -> datetime:
    """The meter's clock. One that counts beyond all calendars is read as their end, and held for it."""
    return datetime.fromtimestamp(min(seconds, _CLOCK_END), UTC)


def _quality(claimed: int) -> int:
    """What a meter may say of its own readings: measured, or after an outage. Anything else is doubtful."""
    return claimed if claimed in (MEASURED, CLOCK_DOUBTFUL, AFTER_OUTAGE) else CLOCK_DOUBTFUL


def _bridge_status(*, online: bool, holder: str) -> bytes:
    return json.dumps({"online": online, "by": holder}, separators=(",", ":")).encode()
