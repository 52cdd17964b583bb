"""What travels: exact payloads, and strangers' payloads that must come back as values."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.supply.model import MeterAck, MeterReport
from meters.contract import (
    Command,
    Forged,
    Malformed,
    Reading,
    Status,
    Topics,
    read_ack,
    read_command,
    read_reading,
    read_report,
    read_status,
    write_ack,
    write_command,
    write_report,
    write_status,
)
from meters.mqtt import BadMqttUrl, MqttAddress

KEY = bytes(range(32))
COMMAND = Command(
    id="9d0c1c7e-6f5e-4c0e-8a54-0d1c39a6f001", ver=42, supply="off", why="nonpayment", iat=1_790_000_000,
    nbf=1_790_003_600, exp=1_790_020_000, now=1_790_003_700, inv="F2026-000123",
)  # fmt: skip


def test_a_command_is_signed_as_written_down() -> None:
    """The signature again, by hand: a meter's firmware is written from the same page."""
    fields = json.loads(write_command(COMMAND, KEY))
    signed = (
        '{"exp":1790020000,"iat":1790000000,"id":"9d0c1c7e-6f5e-4c0e-8a54-0d1c39a6f001","inv":"F2026-000123",'
        '"nbf":1790003600,"now":1790003700,"supply":"off","ver":42,"why":"nonpayment"}'
    )
    assert fields["sig"] == hmac.new(KEY, signed.encode(), hashlib.sha256).hexdigest()[:32]
    assert len(write_command(COMMAND, KEY)) < 512


@pytest.mark.parametrize("command", [COMMAND, replace(COMMAND, inv=None), replace(COMMAND, why="payé", supply="on")])
def test_a_command_comes_back(command: Command) -> None:
    assert read_command(write_command(command, KEY), KEY) == command


def test_any_changed_field_is_a_forgery() -> None:
    fields = json.loads(write_command(COMMAND, KEY))
    for name, value in fields.items():
        if name == "sig":
            changed: Any = "0" * 32
        elif isinstance(value, int):
            changed = value + 1
        else:
            changed = "on" if name == "supply" else value + "x"
        assert isinstance(read_command(json.dumps({**fields, name: changed}).encode(), KEY), Forged), name
    assert isinstance(read_command(write_command(COMMAND, KEY), KEY[::-1]), Forged)
    assert isinstance(read_command(json.dumps({**fields, "more": 1}).encode(), KEY), Forged)


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"null", b"[]", b'"a"', b"\xff", b"[" * 500, b'{"ver":NaN}', b"1" * 600]
)
def test_rubbish_is_malformed_everywhere(payload: bytes) -> None:
    assert isinstance(read_command(payload, KEY), Malformed)
    for reader in (read_ack, read_report, read_status, read_reading):
        assert isinstance(reader(payload), Malformed)


@pytest.mark.parametrize(
    "change",
    [
        {"ver": -1}, {"ver": True}, {"ver": 1.0}, {"ver": "42"}, {"ver": 2**60}, {"ver": None}, {"supply": "open"},
        {"supply": None}, {"id": ""}, {"id": "x" * 65}, {"why": ["nonpayment"]}, {"sig": None}, {"sig": "é" * 33},
        {"now": {}}, {"inv": 5},
    ],
)  # fmt: skip
def test_a_field_that_is_not_what_it_must_be(change: dict[str, Any]) -> None:
    fields = {**json.loads(write_command(COMMAND, KEY)), **change}
    assert isinstance(read_command(json.dumps(fields).encode(), KEY), Malformed)


def test_a_field_twice_is_malformed() -> None:
    payload = write_command(COMMAND, KEY)
    assert isinstance(read_command(payload.replace(b'"ver":42', b'"ver":41,"ver":42'), KEY), Malformed)


def test_a_command_too_long_is_not_written() -> None:
    with pytest.raises(ValueError):
        write_command(replace(COMMAND, why="x" * 500), KEY)


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    read_command(payload, KEY)
    for reader in (read_ack, read_report, read_status, read_reading):
        reader(payload)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = (
    *("id", "ver", "supply", "why", "inv", "iat", "nbf", "exp", "now", "sig", "st", "code"),
    *("relay", "load_side_v", "at", "bd", "online", "m", "seq", "r", "t", "wh", "q", "tamper"),
)


@given(st.dictionaries(st.sampled_from(_NAMES), _json | st.sampled_from(["on", "off", "open", "applied", "ok", 1])))
def test_no_document_raises(document: dict[str, Any]) -> None:
    payload = json.dumps(document).encode()
    read_command(payload, KEY)
    for reader in (read_ack, read_report, read_status, read_reading):
        reader(payload)


def test_the_meters_own_words_come_back() -> None:
    ack = MeterAck("id", 42, "applied", "ok", "off", "open", 0, 17, 1_790_003_701)
    assert read_ack(write_ack(ack)) == ack
    report = MeterReport(42, "off", "open", 0, 17, 1_790_003_701, energy_wh=1_234_567)
    read = read_report(write_report(report, firmware="1.4.2"))
    assert isinstance(read, MeterReport)
    assert replace(read, raw={}) == report
    assert read.raw["fw"] == "1.4.2"
    assert read_status(write_status(Status(True, 17))) == Status(True, 17)
    batch = read_reading(b'{"m":"MW000001","bd":17,"seq":912,"r":[{"t":1790000000,"wh":1234567,"w":340,"q":0}]}')
    assert isinstance(batch, Reading)
    assert (batch.meter_id, batch.points[0].wh) == ("MW000001", 1_234_567)


def test_topics_name_one_meter_and_nobody_elses() -> None:
    topics = Topics("mwolo")
    assert topics.of("MW000001", "cmd/relay") == "mwolo/v1/m/MW000001/cmd/relay"
    assert topics.every("reported") == "mwolo/v1/m/+/reported"
    assert topics.read("mwolo/v1/m/MW000001/ack/relay") == ("MW000001", "ack/relay")
    for foreign in ("", "mwolo/v1/m/", "mwolo/v1/m/+/status", "mwolo/v1/m/MW000001", "x/mwolo/v1/m/MW000001/status",
                    "other/v1/m/MW000001/status", "mwolo/v1/m/mw000001/status", "mwolo/v1/m//status"):  # fmt: skip
        assert topics.read(foreign) is None
    for bad in ("#", "+", "A/B", "short", "$SYS000", "MW 00001"):
        with pytest.raises(ValueError):
            topics.of(bad, "status")
    for bad in ("", "a/b", "+", "#", "Upper"):
        with pytest.raises(ValueError):
            Topics(bad)


def test_the_brokers_address() -> None:
    address = MqttAddress.parse("mqtts://bridge:s%40fe@broker.example?protocol=3.1.1&ca=/etc/ca.pem")
    assert (address.host, address.port, address.user, address.password) == ("broker.example", 8883, "bridge", "s@fe")
    assert (address.tls, address.ca, address.is_v5) == (True, "/etc/ca.pem", False)
    assert "s@fe" not in repr(address)
    assert MqttAddress.parse("mqtt://127.0.0.1").port == 1883
    for bad in ("", "127.0.0.1:1883", "http://x", "mqtt://", "mqtt://x:port", "mqtt://x?protocol=4"):
        with pytest.raises(BadMqttUrl):
            MqttAddress.parse(bad)
