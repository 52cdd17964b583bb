"""What only Mosquitto can show: a power cut of the broker, and who may hear and say what."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from core.db import Database
from core.kernel.clock import FixedClock
from core.supply.model import MeterReport
from meters.acl import acl_file
from meters.contract import Status, Topics, write_report, write_status
from meters.mqtt import MqttAddress, build_client, close_connection, open_connection
from mwolo.broker import Broker, mosquitto_binary
from tests.meters.rig import (
    UTILITY,
    Books,
    Shelf,
    a_home,
    bridge_on,
    commands_of,
    meters_on,
    running,
    service,
    state_of,
    wait_for_state,
    want,
)
from tests.realparts import exercised, free_port, mosquitto_server, wait_until

pytestmark = pytest.mark.mosquitto
TOPICS = Topics(UTILITY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    binary = mosquitto_binary()
    if binary is None:
        pytest.skip("no Mosquitto on this machine")
    exercised("Mosquitto", binary)
    return tmp_path / "broker"


def test_a_broker_killed_after_its_puback_loses_the_command_and_the_meter_still_gets_it(
    db: Database, clock: FixedClock, folder: Path
) -> None:
    """The broker said it had the command, and a power cut took it before it was saved. The row did not believe it."""
    supply = service(db, clock, Books())
    home = a_home(db, supply)
    shelf = Shelf()
    broker = Broker(free_port(), folder, prefer="mosquitto")
    broker.start()
    try:
        # The meter has a session at the broker, and is away when the command comes.
        with meters_on(broker.url, shelf, clock, home):
            pass
        with running(bridge_on(broker.url, supply)) as bridge:
            assert want(db, clock, home, "off") == 1
            wait_for_state(db, home.meter_id, 1, "sent")
            broker.kill()
            wait_until(lambda: not bridge.connected, what="the bridge to notice")
            broker.start()
            wait_until(lambda: bridge.connected, what="the bridge to come back")
            with meters_on(broker.url, shelf, clock, home) as meters:
                # Nothing but the birth of the meter and the row in the database can bring it now.
                wait_for_state(db, home.meter_id, 1, "applied")
                assert meters.state(home.meter_id)["supply"] == "off"
    finally:
        broker.stop()


def test_a_broker_killed_again_and_again_never_takes_a_meter_back(
    db: Database, clock: FixedClock, folder: Path
) -> None:
    """After a kill Mosquitto may bring commands again that were consumed before; versions make that harmless."""
    supply = service(db, clock, Books(), retry_scale=0.01)
    home = a_home(db, supply)
    broker = Broker(free_port(), folder, prefer="mosquitto")
    broker.start()
    try:
        with meters_on(broker.url, Shelf(), clock, home) as meters, running(bridge_on(broker.url, supply)) as bridge:
            for version in range(1, 6):
                wait_until(lambda: bridge.connected, what="the bridge to be connected")
                want(db, clock, home, "off" if version % 2 else "on")
                wait_until(
                    lambda version=version: state_of(db, home.meter_id, version) != "queued", what="it to be taken"
                )
                broker.kill()
                broker.start()

                def settled(version: int = version) -> bool:
                    clock.advance(seconds=1)
                    return state_of(db, home.meter_id, version) == "applied"

                wait_until(settled, what=f"version {version} to be applied")
            history = meters.state(home.meter_id)["history"]
    finally:
        broker.stop()
    applied = [step["version"] for step in history if step["result"] == "applied"]
    assert applied == [1, 2, 3, 4, 5]


def test_the_bridge_hears_again_after_the_broker_lost_everything(db: Database, clock: FixedClock, folder: Path) -> None:
    supply = service(db, clock, Books())
    home = a_home(db, supply)
    broker = Broker(free_port(), folder, prefer="mosquitto")
    broker.start()
    try:
        with meters_on(broker.url, Shelf(), clock, home) as meters, running(bridge_on(broker.url, supply)) as bridge:
            broker.kill()
            for kept in folder.glob("mosquitto.db*"):
                kept.unlink()
            wait_until(lambda: not bridge.connected and not meters.connected.is_set(), what="both to notice")
            broker.start()
            wait_until(lambda: bridge.connected and meters.connected.is_set(), what="both to come back")
            want(db, clock, home, "off")
            wait_for_state(db, home.meter_id, 1, "applied")
    finally:
        broker.stop()


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[int]:
    """A Mosquitto with the product's own access rules; users: bridge, MWAAAAAA, MWBBBBBB, each its name as password."""
    passwd = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    if not Path(passwd).exists():
        pytest.skip("no mosquitto_passwd on this machine")
    rules, users = tmp_path / "acl", tmp_path / "users"
    rules.write_text(acl_file(UTILITY))
    users.touch()
    for name in ("bridge", "MWAAAAAA", "MWBBBBBB"):
        subprocess.run([passwd, "-b", str(users), name, name], check=True, capture_output=True)
    as_me = "user root\n" if os.geteuid() == 0 else ""
    config = f"{as_me}allow_anonymous false\nacl_file {rules}\npassword_file {users}\n"
    with mosquitto_server(config) as port:
        if port is None:
            pytest.skip("no Mosquitto on this machine")
        yield port


class Ear:
    """A client of one user that notes what is delivered to it."""

    def __init__(self, port: int, user: str, *filters: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        address = MqttAddress("127.0.0.1", port, user=user, password=user)
        self.client: Client = build_client(address, client_id=f"ear-{user}", session_s=0)
        self.granted = 0
        self.client.on_subscribe = lambda *_: setattr(self, "granted", self.granted + 1)
        self.client.on_message = lambda _c, _d, message: self.heard.append((message.topic, bytes(message.payload)))
        open_connection(self.client, address, session_s=0)
        wait_until(self.client.is_connected, what=f"{user} to connect")
        for one in filters:
            self.client.subscribe(one, qos=1)
        wait_until(lambda: self.granted == len(filters), what="the subscriptions")

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(30)

    def close(self) -> None:
        close_connection(self.client)


def test_a_meter_hears_nothing_of_another(walled: int) -> None:
    """Asserted by what is delivered: the subscriptions themselves are all granted."""
    bridge = Ear(walled, "bridge")
    spy = Ear(walled, "MWAAAAAA", "#", f"{UTILITY}/#", TOPICS.of("MWBBBBBB", "cmd/relay"), TOPICS.every("desired"))
    bridge.say(TOPICS.of("MWBBBBBB", "cmd/relay"), b"not yours")
    bridge.say(TOPICS.of("MWBBBBBB", "desired"), b"not yours", retain=True)
    bridge.say(TOPICS.of("MWAAAAAA", "cmd/relay"), b"yours")
    wait_until(lambda: spy.heard, what="its own command")
    late = Ear(walled, "MWAAAAAA", "#")
    bridge.say(TOPICS.of("MWAAAAAA", "cmd/relay"), b"again")
    wait_until(lambda: late.heard, what="its own second command")
    assert {topic for topic, _ in spy.heard + late.heard} == {TOPICS.of("MWAAAAAA", "cmd/relay")}
    for ear in (bridge, spy, late):
        ear.close()


def test_a_meter_cannot_speak_for_another_nor_command(db: Database, clock: FixedClock, walled: int) -> None:
    """A stolen meter's password reports a neighbour as switched off, and commands it: neither arrives."""
    supply = service(db, clock, Books())
    home = a_home(db, supply)
    victim = Ear(walled, "MWBBBBBB", TOPICS.of("MWBBBBBB", "cmd/relay"))
    thief = Ear(walled, "MWAAAAAA")
    url = f"mqtt://bridge:bridge@127.0.0.1:{walled}"
    with running(bridge_on(url, supply)) as bridge:
        want(db, clock, home, "off")
        wait_for_state(db, home.meter_id, 1, "sent")
        forged = write_report(MeterReport(1, "off", "open", 0, 1, 100), firmware="x")
        thief.say(TOPICS.of(home.meter_id, "reported"), forged)
        thief.say(TOPICS.of("MWBBBBBB", "cmd/relay"), b"off with it")
        thief.say(TOPICS.of("MWAAAAAA", "status"), write_status(Status(True, 1)))
        wait_until(lambda: bridge.counts["unknown_meter"] == 1, what="the bridge to hear the thief's own status")
    assert commands_of(db, home.meter_id)[0].state == "sent"
    assert victim.heard == []
    for ear in (victim, thief):
        ear.close()
