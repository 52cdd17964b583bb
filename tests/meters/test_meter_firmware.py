"""One simulated meter by itself: versions, clocks, power cuts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from meters.contract import Command, write_command
from meters.firmware import Firmware, Memory, Message

KEY = bytes(32)
NOW = 1_790_000_000
OFF = Command(id="c1", ver=1, supply="off", why="nonpayment", iat=NOW, nbf=NOW, exp=NOW + 3600, now=NOW)
ON = replace(OFF, id="c2", ver=2, supply="on", why="paid", exp=NOW + 72 * 3600)


class Bench:
    """A meter on a bench, its flash memory beside it, and a wrist watch."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.saved: list[dict[str, Any]] = []
        self.meter = self._meter(Memory(id="MW000001", key=KEY.hex(), supply="on", version=0, relay="closed"))

    def reboot(self, *, from_save: int = -1) -> None:
        self.meter = self._meter(Memory(**self.saved[from_save]))

    def _meter(self, memory: Memory) -> Firmware:
        return Firmware(
            memory,
            save=lambda m: self.saved.append(m.as_json()),
            monotonic=lambda: self.seconds,
            network_time=lambda: NOW + self.seconds,
        )

    def takes(self, command: Command, *, key: bytes = KEY, retained: bool = False) -> list[str]:
        return [words(answer) for answer in self.meter.take(write_command(command, key), retained=retained)]


def words(message: Message) -> str:
    suffix, payload = message
    body = json.loads(payload)
    if suffix == "reported":
        return f"reported {body['ver']} {body['supply']} {body['relay']}"
    return f"{body['st']} {body['code']}"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_off_then_on(bench: Bench) -> None:
    assert bench.takes(OFF) == ["received ok", "applied ok", "reported 1 off open"]
    assert bench.takes(ON) == ["received ok", "applied ok", "reported 2 on closed"]


def test_equal_says_applied_again_and_older_changes_nothing(bench: Bench) -> None:
    bench.takes(OFF)
    assert bench.takes(OFF) == ["applied ok", "reported 1 off open"]
    bench.takes(ON)
    assert bench.takes(OFF) == ["superseded stale", "reported 2 on closed"]


def test_the_version_is_saved_before_the_relay_moves(bench: Bench) -> None:
    bench.takes(ON)
    first = bench.saved[0]
    assert (first["version"], first["supply"]) == (2, "on")
    bench.takes(replace(OFF, ver=3))
    # Power fails between the first save and the relay: the meter comes back knowing version 3.
    between = next(i for i, save in enumerate(bench.saved) if save["version"] == 3)
    assert bench.saved[between]["relay"] == "closed"
    bench.reboot(from_save=between)
    assert bench.takes(ON) == ["superseded stale", "reported 3 off closed"]


def test_a_stranger_an_empty_and_a_retained_message(bench: Bench) -> None:
    assert bench.takes(OFF, key=bytes(31) + b"1") == ["rejected bad_sig"]
    assert bench.takes(OFF, retained=True) == []
    assert bench.meter.take(b"") == []
    assert bench.meter.take(b"{}") == []
    assert bench.meter.memory.version == 0


def test_the_window_is_kept(bench: Bench) -> None:
    assert bench.takes(replace(OFF, now=NOW - 1)) == ["rejected early"]
    assert bench.takes(replace(OFF, now=NOW + 3601)) == ["rejected expired"]
    assert bench.meter.memory.supply == "on"


def test_a_copy_that_the_broker_kept_does_not_bring_its_old_time_back(bench: Bench) -> None:
    """The `now` in it was right when it was sent; the meter's own clock has gone on since."""
    bench.takes(ON)
    bench.seconds += 4000
    assert bench.takes(replace(OFF, ver=3)) == ["rejected expired"]
    bench.reboot()
    bench.takes(replace(ON, ver=4, now=NOW + 9000))
    bench.reboot()
    assert bench.takes(replace(OFF, ver=5)) == ["rejected expired"]


def test_without_a_clock_off_is_refused_and_on_is_not(bench: Bench) -> None:
    bench.takes(OFF)
    bench.meter.memory.clock_lost = True
    assert bench.takes(replace(ON, now=NOW - 10_000))[1] == "applied ok"
    assert bench.takes(replace(OFF, ver=3)) == ["rejected no_clock"]


def test_a_stuck_relay_says_so(bench: Bench) -> None:
    bench.meter.memory.relay_stuck = True
    assert bench.takes(OFF) == ["received ok", "failed relay_stuck", "reported 1 off closed"]
    assert bench.takes(OFF) == ["failed relay_stuck", "reported 1 off closed"]


def test_energy_only_grows_and_only_while_the_relay_is_closed(bench: Bench) -> None:
    bench.seconds += 3600
    first = bench.meter.view()["kwh"]
    assert first > 0
    bench.takes(OFF)
    bench.seconds += 36_000
    assert bench.meter.view()["kwh"] == first
