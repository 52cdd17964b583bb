"""What travels between the utility and a meter: topics and payloads, version `v1`.

Everything that arrives is a stranger's until it was read here; what cannot be read comes back as a `Malformed`, never
as an exception. Integers only; energy in Wh as a register that only grows; times in seconds since 1970.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.supply.model import MeterAck, MeterReport, Relay, Supply

METER_ID = re.compile(r"[A-Z0-9]{6,20}")
UTILITY = re.compile(r"[a-z0-9-]{1,20}")

# Ours stay under 512 bytes, so that one command is one segment on 2G; a reading batch may be longer.
COMMAND_BYTES_MAX = 512
INBOUND_BYTES_MAX = 8192
SIGNATURE_BYTES = 16
_WHOLE_MAX = 2**53 - 1
_ACK_RESULTS = frozenset({"received", "applied", "rejected", "failed", "superseded"})
_ACK_CODES = frozenset({"ok", "stale", "expired", "early", "bad_sig", "no_clock", "relay_stuck", "local_lock"})

Inbound = Literal["ack/relay", "reported", "tele/reading", "status"]
INBOUND: tuple[Inbound, ...] = ("ack/relay", "reported", "tele/reading", "status")


@dataclass(frozen=True, slots=True)
class Malformed:
    """It cannot be read. `why` is for the log; it never quotes the payload."""

    why: str


@dataclass(frozen=True, slots=True)
class Command:
    """One relay command. `why`: the reason; `inv`: the invoice's number; `nbf`, `exp`, `now`: business time."""

    id: str
    ver: int
    supply: Supply
    why: str
    iat: int
    nbf: int
    exp: int
    now: int
    inv: str | None = None


@dataclass(frozen=True, slots=True)
class Forged:
    """It reads like a command, and the signature is not of this meter's key. `command` must not be obeyed."""

    command: Command


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a meter is connected. `bd` is the number of the connection, so that a late will can be told."""

    online: bool
    bd: int


@dataclass(frozen=True, slots=True)
class Point:
    t: int
    wh: int
    q: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A batch of cumulative register readings."""

    meter_id: str
    bd: int
    seq: int
    points: tuple[Point, ...] = field(default=())


class Topics:
    """Names of topics under `<utility>/v1`. Raises ValueError for a name that would open more than one topic."""

    def __init__(self, utility: str) -> None:
        if not UTILITY.fullmatch(utility):
            raise ValueError(f"not a utility's name: {utility!r}")
        self.utility = utility
        self.root = f"{utility}/v1/m"
        self.bridge_status = f"{utility}/v1/srv/bridge/status"

    def of(self, meter_id: str, suffix: str) -> str:
        if not METER_ID.fullmatch(meter_id):
            raise ValueError(f"not a meter's id: {meter_id!r}")
        return f"{self.root}/{meter_id}/{suffix}"

    def every(self, suffix: str) -> str:
        """The filter that takes one suffix of every meter."""
        return f"{self.root}/+/{suffix}"

    def read(self, topic: str) -> tuple[str, str] | None:
        """(meter id, suffix), or None for a topic of somebody else."""
        head, _, rest = topic.partition(f"{self.root}/")
        meter_id, _, suffix = rest.partition("/")
        if head or not suffix or not METER_ID.fullmatch(meter_id):
            return None
        return meter_id, suffix


def canonical(fields: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: every field but `sig`, sorted by name, compact JSON in ASCII."""
    body = {name: value for name, value in fields.items() if name != "sig"}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signature(fields: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA256 with the meter's key, the first 16 bytes, as hexadecimal."""
    return hmac.new(key, canonical(fields), hashlib.sha256).digest()[:SIGNATURE_BYTES].hex()


def write_command(command: Command, key: bytes) -> bytes:
    """The signed payload. The meter's own key binds it to this meter: another one finds a bad signature."""
    fields: dict[str, Any] = {
        "id": command.id,
        "ver": command.ver,
        "supply": command.supply,
        "why": command.why,
        "iat": command.iat,
        "nbf": command.nbf,
        "exp": command.exp,
        "now": command.now,
    }
    if command.inv is not None:
        fields["inv"] = command.inv
    fields["sig"] = signature(fields, key)
    payload = _compact(fields)
    if len(payload) > COMMAND_BYTES_MAX:
        raise ValueError("a relay command must fit into 512 bytes")
    return payload


def read_command(payload: bytes, key: bytes) -> Command | Malformed | Forged:
    """What the meter makes of a payload: a command of its own utility, rubbish, or a forgery."""
    fields = _document(payload, COMMAND_BYTES_MAX)
    if isinstance(fields, Malformed):
        return fields
    try:
        command = Command(
            id=_text(fields, "id", 64),
            ver=_whole(fields, "ver"),
            supply=_supply(fields),
            why=_text(fields, "why", 40),
            iat=_whole(fields, "iat"),
            nbf=_whole(fields, "nbf"),
            exp=_whole(fields, "exp"),
            now=_whole(fields, "now"),
            inv=_text(fields, "inv", 40) if "inv" in fields else None,
        )
        given = _text(fields, "sig", 2 * SIGNATURE_BYTES)
    except _Unreadable as error:
        return Malformed(str(error))
    if not hmac.compare_digest(given.encode(), signature(fields, key).encode()):
        return Forged(command)
    return command


def write_ack(ack: MeterAck) -> bytes:
    return _compact(
        {
            "id": ack.command_id,
            "ver": ack.version,
            "st": ack.result,
            "code": ack.code,
            "supply": ack.supply,
            "relay": ack.relay,
            "load_side_v": ack.load_side_v,
            "at": ack.at,
            "bd": ack.session_no,
        }
    )


def read_ack(payload: bytes) -> MeterAck | Malformed:
    fields = _document(payload, INBOUND_BYTES_MAX)
    if isinstance(fields, Malformed):
        return fields
    try:
        return MeterAck(
            command_id=_text(fields, "id", 64),
            version=_whole(fields, "ver"),
            result=_one_of(fields, "st", _ACK_RESULTS),
            code=_one_of(fields, "code", _ACK_CODES),
            supply=_supply(fields),
            relay=_relay(fields),
            load_side_v=_whole(fields, "load_side_v"),
            session_no=_whole(fields, "bd"),
            at=_whole(fields, "at"),
        )
    except _Unreadable as error:
        return Malformed(str(error))


def write_report(report: MeterReport, *, firmware: str) -> bytes:
    return _compact(
        {
            "ver": report.version,
            "supply": report.supply,
            "relay": report.relay,
            "load_side_v": report.load_side_v,
            "e_imp_wh": report.energy_wh,
            "fw": firmware,
            "clock_ok": report.clock_ok,
            "credit_wh": None,
            "tamper": list(report.tamper),
            "bd": report.session_no,
            "at": report.at,
        }
    )


def read_report(payload: bytes) -> MeterReport | Malformed:
    """A meter's document on itself. Fields that we do not know are kept in `raw`: firmware may be ahead of us."""
    fields = _document(payload, INBOUND_BYTES_MAX)
    if isinstance(fields, Malformed):
        return fields
    try:
        tamper = fields.get("tamper", [])
        if not isinstance(tamper, list) or not all(isinstance(one, str) and len(one) <= 40 for one in tamper):
            raise _Unreadable("tamper")
        return MeterReport(
            version=_whole(fields, "ver"),
            supply=_supply(fields),
            relay=_relay(fields),
            load_side_v=_whole(fields, "load_side_v"),
            session_no=_whole(fields, "bd"),
            at=_whole(fields, "at"),
            energy_wh=None if fields.get("e_imp_wh") is None else _whole(fields, "e_imp_wh"),
            clock_ok=_flag(fields, "clock_ok") if "clock_ok" in fields else True,
            tamper=tuple(tamper),
            raw=fields,
        )
    except _Unreadable as error:
        return Malformed(str(error))


def write_status(status: Status) -> bytes:
    return _compact({"online": status.online, "bd": status.bd})


def read_status(payload: bytes) -> Status | Malformed:
    fields = _document(payload, INBOUND_BYTES_MAX)
    if isinstance(fields, Malformed):
        return fields
    try:
        return Status(_flag(fields, "online"), _whole(fields, "bd"))
    except _Unreadable as error:
        return Malformed(str(error))


def read_reading(payload: bytes) -> Reading | Malformed:
    """A batch of readings; the payload names its meter, and the caller compares it with the topic's."""
    fields = _document(payload, INBOUND_BYTES_MAX)
    if isinstance(fields, Malformed):
        return fields
    try:
        points = fields.get("r")
        if not isinstance(points, list) or not all(isinstance(one, dict) for one in points):
            raise _Unreadable("r")
        return Reading(
            meter_id=_text(fields, "m", 20),
            bd=_whole(fields, "bd"),
            seq=_whole(fields, "seq"),
            points=tuple(Point(_whole(one, "t"), _whole(one, "wh"), _whole(one, "q")) for one in points),
        )
    except _Unreadable as error:
        return Malformed(str(error))


class _Unreadable(Exception):
    """Inside this module only: a field is missing or not what it must be."""


def _compact(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True).encode()


def _document(payload: bytes, bytes_max: int) -> dict[str, Any] | Malformed:
    if not payload:
        return Malformed("empty")
    if len(payload) > bytes_max:
        return Malformed("too long")
    try:
        body = json.loads(payload.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError, _Unreadable):
        return Malformed("not JSON")
    return body if isinstance(body, dict) else Malformed("not an object")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        # Two readers may each take another one of the twins; what is signed must mean one thing.
        raise _Unreadable("a field twice")
    return body


def _refuse(name: str) -> Any:
    raise _Unreadable(name)


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _WHOLE_MAX:
        raise _Unreadable(name)
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        raise _Unreadable(name)
    return value


def _text(fields: Mapping[str, Any], name: str, length_max: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        raise _Unreadable(name)
    return value


def _one_of(fields: Mapping[str, Any], name: str, choices: frozenset[str]) -> str:
    value = _text(fields, name, 40)
    if value not in choices:
        raise _Unreadable(name)
    return value


def _supply(fields: Mapping[str, Any]) -> Supply:
    return "off" if _one_of(fields, "supply", frozenset({"on", "off"})) == "off" else "on"


def _relay(fields: Mapping[str, Any]) -> Relay:
    return "open" if _one_of(fields, "relay", frozenset({"open", "closed"})) == "open" else "closed"
