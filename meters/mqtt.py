"""One way to build an MQTT client, for the bridge and for the simulated meters, and the address they share.

`mqtt://user:password@host:port?protocol=3.1.1`; `mqtts://` speaks TLS (`?ca=FILE` names the authority). MQTT 5 unless
`protocol` says otherwise: the embedded broker without Mosquitto speaks 3.1.1 only.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

log = logging.getLogger(__name__)

KEEPALIVE_S = 60
# paho's own default is no limit at all.
QUEUED_MAX = 1000
INFLIGHT_MAX = 20


class BadMqttUrl(ValueError):
    """The address of the broker cannot be read. The text is one sentence."""


@dataclass(frozen=True, slots=True)
class MqttAddress:
    host: str
    port: int
    protocol: Literal["5", "3.1.1"] = "5"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None

    @classmethod
    def parse(cls, url: str) -> MqttAddress:
        """Read an address. Raises BadMqttUrl; the text never carries the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadMqttUrl("the MQTT address is no URL") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise BadMqttUrl("the MQTT address must look like mqtt://host:1883 or mqtts://host:8883")
        asked = parse_qs(parts.query)
        protocol = asked.get("protocol", ["5"])[0]
        if protocol not in ("5", "3.1.1"):
            raise BadMqttUrl(f"protocol must be 5 or 3.1.1, not {protocol!r}")
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=port or (8883 if tls else 1883),
            protocol="3.1.1" if protocol == "3.1.1" else "5",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=tls,
            ca=asked.get("ca", [None])[0],
        )

    @property
    def is_v5(self) -> bool:
        return self.protocol == "5"


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for a client that fell silent (QoS 1, retained). `delay_s` needs MQTT 5."""

    topic: str
    payload: bytes
    delay_s: int = 0


def build_client(
    address: MqttAddress,
    *,
    client_id: str,
    session_s: int,
    will: Will | None = None,
    manual_ack: bool = False,
    queued_max: int = QUEUED_MAX,
) -> Client:
    """A client that is not connected yet. `session_s`: how long the broker keeps its queue while it is away (MQTT 5;
    with 3.1.1 for ever); 0 starts clean. `queued_max` 0: no limit. Give it callbacks, then `open_connection`."""
    kept = session_s > 0
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if address.is_v5 else MQTTProtocolVersion.MQTTv311,
        clean_session=None if address.is_v5 else not kept,
        manual_ack=manual_ack,
    )
    client.max_queued_messages_set(queued_max)
    client.max_inflight_messages_set(INFLIGHT_MAX)
    client.reconnect_delay_set(1, 10)
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set_context(ssl.create_default_context(cafile=address.ca))
    if will is not None:
        _set_will(client, address, will)
    client.on_socket_open = no_delay
    return client


def open_connection(client: Client, address: MqttAddress, *, session_s: int) -> None:
    """Start to connect and go on trying; returns at once."""
    if address.is_v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session_s
        client.connect_async(address.host, address.port, KEEPALIVE_S, clean_start=session_s == 0, properties=properties)
    else:
        client.connect_async(address.host, address.port, KEEPALIVE_S)
    client.loop_start()


def close_connection(client: Client) -> None:
    """Say goodbye and end the network thread. In this order: the other way round it may wait for ever."""
    client.disconnect()
    client.loop_stop()


def publish_properties(address: MqttAddress, *, expiry_s: int | None, correlation: bytes | None) -> Properties | None:
    """What MQTT 5 adds to a publication; None with 3.1.1, where only the payload's own `exp` guards."""
    if not address.is_v5:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry_s is not None:
        properties.MessageExpiryInterval = max(1, expiry_s)
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties


def no_delay(_client: Client, _userdata: Any, sock: Any) -> None:
    """paho never sets TCP_NODELAY, and a relay command then waits 44 ms for nothing (measured: 90 times slower)."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        log.debug("no TCP_NODELAY on this socket")


def guarded(name: str, body: Callable[..., None]) -> Callable[..., None]:
    """Wrap a callback: an exception inside one ends paho's thread without a word, and it still says connected."""

    def call(*args: Any) -> None:
        try:
            body(*args)
        except Exception:
            # The edge of paho's thread; see above.
            log.exception("MQTT callback failed: %s", name)

    return call


def _set_will(client: Client, address: MqttAddress, will: Will) -> None:
    properties = None
    if address.is_v5 and will.delay_s:
        properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        properties.WillDelayInterval = will.delay_s
    client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
