"""The protocol under a bad network: loss, duplicates, delay, replay, meters coming and going. Real firmware, real
payloads, virtual time; once against the rules alone for many seeds, once against the service and its database."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.supply.model import LeasedCommand, MeterAck, retry_after_s
from meters.bridge import on_the_wire
from meters.contract import Command, read_ack, read_report, write_command
from meters.firmware import Firmware, Memory, Message
from tests.meters.rig import Books, a_home, commands_of, service, want

KEY = bytes(32)
BEGIN = 1_790_000_000
LOSS, DOUBLE = 0.30, 0.25


class World:
    """Virtual time, and a network that loses, doubles and delays."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.quiet_from = 4 * 3600.0  # from then on the network is merely slow, so that the end can be judged
        self._count = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._count), do))

    def carry(self, deliver: Callable[[], None]) -> None:
        if self.now < self.quiet_from and self.chance.random() < LOSS:
            return
        for _ in range(2 if self.chance.random() < DOUBLE else 1):
            self.at(self.now + self.chance.uniform(1, 400), deliver)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()


class Meter:
    """The firmware in the world; notes what it applied, and survives reboots."""

    def __init__(self, world: World, key: bytes = KEY, meter_id: str = "MW000001") -> None:
        self.world = world
        self.online = True
        self.applied: list[tuple[int, str]] = []
        self._saved = Memory(id=meter_id, key=key.hex(), supply="on", version=0, relay="closed")
        self.firmware = self._boot()

    def _boot(self) -> Firmware:
        return Firmware(
            Memory(**self._saved.as_json()),
            save=lambda memory: setattr(self, "_saved", Memory(**memory.as_json())),
            monotonic=lambda: self.world.now,
            network_time=lambda: BEGIN + self.world.now,
        )

    def reboot(self) -> None:
        self.firmware = self._boot()
        self.firmware.connect()

    def take(self, payload: bytes) -> list[Message]:
        if not self.online:
            return []
        before = self.firmware.memory.version
        answers = self.firmware.take(payload)
        memory = self.firmware.memory
        if memory.version != before:
            self.applied.append((memory.version, memory.supply))
        return answers


def play(seed: int) -> tuple[Meter, int, str]:
    """A day of one meter and a utility that follows the written rules. Returns the meter, and what was wanted last."""
    world = World(seed)
    meter = Meter(world)
    wanted: dict[str, Command] = {}
    proven: set[int] = set()
    sent: list[bytes] = []

    def deliver(payload: bytes) -> Callable[[], None]:
        def arrive() -> None:
            for suffix, answer in meter.take(payload):
                if suffix == "ack/relay":
                    world.carry(lambda answer=answer: heard(answer))  # type: ignore[misc]

        return arrive

    def heard(answer: bytes) -> None:
        ack = read_ack(answer)
        assert isinstance(ack, MeterAck)
        if ack.result == "applied":
            proven.add(ack.version)

    def send(version: int, attempt: int) -> None:
        command = wanted["newest"]
        if command.ver != version or version in proven:
            return
        now = BEGIN + int(world.now)
        payload = write_command(Command(**{**_fields(command), "now": now}), KEY)
        sent.append(payload)
        world.carry(deliver(payload))
        again = retry_after_s(command.supply, attempt, command.id)
        world.at(world.now + again, lambda: send(version, attempt + 1))

    def wish(version: int, supply: str) -> None:
        now = BEGIN + int(world.now)
        wanted["newest"] = Command(f"c{version}", version, supply, "x", now, now, now + 86400, now)  # type: ignore[arg-type]
        send(version, 1)

    times = sorted(world.chance.uniform(0, 3 * 3600) for _ in range(world.chance.randint(2, 4)))
    for version, when in enumerate(times, start=1):
        world.at(when, lambda version=version: wish(version, "off" if version % 2 else "on"))  # type: ignore[misc]
    for _ in range(2):
        away = world.chance.uniform(0, 3 * 3600)
        world.at(away, lambda: setattr(meter, "online", False))
        world.at(away + world.chance.uniform(60, 1800), lambda: setattr(meter, "online", True))
    world.at(world.chance.uniform(0, 4 * 3600), meter.reboot)
    for _ in range(3):
        world.at(world.chance.uniform(0, 6 * 3600), lambda: deliver(world.chance.choice(sent))() if sent else None)
    world.at(world.quiet_from, lambda: setattr(meter, "online", True))
    world.run(10 * 3600)
    return meter, wanted["newest"].ver, wanted["newest"].supply


def _fields(command: Command) -> dict[str, object]:
    return {name: getattr(command, name) for name in Command.__slots__}


def test_three_thousand_days_end_as_wanted_and_never_go_back() -> None:
    for seed in range(3000):
        meter, version, supply = play(seed)
        versions = [one for one, _ in meter.applied]
        assert versions == sorted(set(versions)), f"seed {seed} went back: {versions}"
        memory = meter.firmware.memory
        assert (memory.version, memory.supply) == (version, supply), f"seed {seed} ended wrong"


@pytest.mark.parametrize("seed", range(12))
def test_the_service_and_its_database_survive_the_same_network(db: Database, clock: FixedClock, seed: int) -> None:
    """The real service, minute by minute; acks, reports and PUBACKs are lost, doubled and late."""
    world = World(seed)
    world.quiet_from = 100 * 60.0
    supply = service(db, clock, Books())
    home = a_home(db, supply)
    meter = Meter(world, bytes.fromhex(home.key_hex), home.meter_id)
    begin = clock.now()
    old: list[bytes] = []

    def back(message: Message) -> None:
        suffix, payload = message
        if suffix == "ack/relay":
            ack = read_ack(payload)
            assert isinstance(ack, MeterAck)
            world.carry(lambda: _ignored(supply.take_ack(home.meter_id, ack)))
        else:
            report = read_report(payload)
            assert not isinstance(report, MeterAck)
            world.carry(lambda: _ignored(supply.take_reported(home.meter_id, report)))  # type: ignore[arg-type]

    def arrive(payload: bytes) -> None:
        for answer in meter.take(payload):
            back(answer)

    def publish(command: LeasedCommand) -> None:
        payload = write_command(on_the_wire(command), command.key)
        old.append(payload)
        world.carry(lambda: arrive(payload))
        world.carry(lambda: _ignored(supply.mark_sent(command.id, command.token)))

    wishes = sorted(world.chance.sample(range(90), 4))
    for minute in range(260):
        _move(clock, begin + timedelta(minutes=minute))
        if minute in wishes:
            want(db, clock, home, "off" if wishes.index(minute) % 2 == 0 else "on", hours=12)
        if old and world.chance.random() < 0.05:
            arrive(world.chance.choice(old))
        for command in supply.lease_commands(10):
            publish(command)
        world.run(minute * 60.0)
    rows = commands_of(db, home.meter_id)
    versions = [one for one, _ in meter.applied]
    assert versions == sorted(set(versions))
    assert (meter.firmware.memory.version, meter.firmware.memory.supply) == (rows[-1].version, rows[-1].supply)
    assert [row.state for row in rows if row.state not in ("superseded", "applied")] == []
    assert rows[-1].state == "applied"


def _ignored(_answer: object) -> None:
    return None


def _move(clock: FixedClock, to: datetime) -> None:
    clock.advance(seconds=(to - clock.now()).total_seconds())
