"""The bridge and simulated meters on real brokers: Mosquitto with MQTT 5 and 3.1.1, and the embedded one."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db import Database
from core.kernel.clock import FixedClock
from core.notices.tables import NoticeRow
from core.supply.tables import MeterReportedRow
from meters import bridge as bridge_module
from meters.contract import Topics
from meters.mqtt import MqttAddress, build_client, close_connection, open_connection
from mwolo.broker import Broker
from tests.meters.rig import (
    UTILITY,
    Books,
    Shelf,
    Switched,
    a_home,
    bridge_on,
    commands_of,
    meters_on,
    running,
    service,
    wait_for_state,
    want,
)
from tests.realparts import free_port, mosquitto_server, wait_until

TOPICS = Topics(UTILITY)


def reported_relay(db: Database, home: Switched) -> str:
    with db.read() as session:
        return session.get_one(MeterReportedRow, home.meter_id).relay


@pytest.fixture(
    params=[
        pytest.param("mosquitto-5", marks=pytest.mark.mosquitto),
        pytest.param("mosquitto-3.1.1", marks=pytest.mark.mosquitto),
        "embedded",
    ]
)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a running broker."""
    if request.param == "embedded":
        embedded = Broker(free_port(), tmp_path / "broker", prefer="amqtt")
        embedded.start()
        try:
            yield embedded.url
        finally:
            embedded.stop()
        return
    with mosquitto_server() as port:
        if port is None:
            pytest.skip("no Mosquitto on this machine")
        yield f"mqtt://127.0.0.1:{port}?protocol={request.param.removeprefix('mosquitto-')}"


@pytest.fixture
def books() -> Books:
    return Books()


def test_off_and_on_again(db: Database, clock: FixedClock, books: Books, broker: str) -> None:
    """An off and the on that follows reach the meter, are proven by its own word, and the customer is told of both."""
    supply = service(db, clock, books)
    home = a_home(db, supply)
    with meters_on(broker, Shelf(), clock, home) as meters, running(bridge_on(broker, supply)):
        assert want(db, clock, home, "off") == 1
        wait_for_state(db, home.meter_id, 1, "applied")
        assert (meters.state(home.meter_id)["supply"], meters.state(home.meter_id)["relay"]) == ("off", "open")
        assert want(db, clock, home, "on", hours=72) == 2
        wait_for_state(db, home.meter_id, 2, "applied")
        assert (meters.state(home.meter_id)["supply"], meters.state(home.meter_id)["relay"]) == ("on", "closed")
    with db.read() as session:
        told = [(n.kind, n.recipient) for n in session.query(NoticeRow).order_by(NoticeRow.id)]
    assert told == [("supply.off", home.phone), ("supply.on", home.phone)]


def test_duplicates_and_replays_change_nothing(db: Database, clock: FixedClock, books: Books, broker: str) -> None:
    """Every command comes twice, and old ones come again after newer ones: the meter ends as wanted."""
    supply = service(db, clock, books)
    home = a_home(db, supply)
    with meters_on(broker, Shelf(), clock, home) as meters, running(bridge_on(broker, supply)):
        meters.fault("duplicate", 0, {})
        meters.fault("replay", 0, {})
        for version in range(1, 5):
            want(db, clock, home, "off" if version % 2 else "on")
            wait_for_state(db, home.meter_id, version, "applied")
        state = meters.state(home.meter_id)
    applied = [step["version"] for step in state["history"] if step["result"] == "applied"]
    assert applied == [1, 2, 3, 4]
    assert (state["supply"], state["version"]) == ("on", 4)
    assert any(step["result"] == "stale" for step in state["history"]), "the replays did arrive"


def test_a_meter_that_was_away_gets_it_when_it_is_back(
    db: Database, clock: FixedClock, books: Books, broker: str
) -> None:
    supply = service(db, clock, books)
    home = a_home(db, supply)
    with meters_on(broker, Shelf(), clock, home) as meters, running(bridge_on(broker, supply)):
        meters.set(home.meter_id, online=False)
        want(db, clock, home, "off")
        wait_for_state(db, home.meter_id, 1, "sent")
        assert meters.state(home.meter_id)["supply"] == "on"
        meters.set(home.meter_id, online=True)
        wait_for_state(db, home.meter_id, 1, "applied")


def test_a_meter_keeps_its_version_across_a_reboot(db: Database, clock: FixedClock, books: Books, broker: str) -> None:
    supply, shelf = service(db, clock, books), Shelf()
    home = a_home(db, supply)
    with running(bridge_on(broker, supply)):
        with meters_on(broker, shelf, clock, home):
            want(db, clock, home, "off")
            wait_for_state(db, home.meter_id, 1, "applied")
        with meters_on(broker, shelf, clock, home) as meters:
            assert (meters.state(home.meter_id)["version"], meters.state(home.meter_id)["supply"]) == (1, "off")
            want(db, clock, home, "on")
            wait_for_state(db, home.meter_id, 2, "applied")


def test_a_stuck_relay_is_a_persons_work(db: Database, clock: FixedClock, books: Books, broker: str) -> None:
    supply = service(db, clock, books)
    home = a_home(db, supply)
    with meters_on(broker, Shelf(), clock, home) as meters, running(bridge_on(broker, supply)):
        meters.set(home.meter_id, relay_stuck=True)
        want(db, clock, home, "off")
        wait_for_state(db, home.meter_id, 1, "failed")
        assert meters.state(home.meter_id)["relay"] == "closed"
        meters.set(home.meter_id, relay_stuck=False)
        wait_until(lambda: reported_relay(db, home) == "open", what="the repaired meter to report")
    assert commands_of(db, home.meter_id)[0].end_code == "relay_stuck"


def test_rubbish_and_forgeries_stop_nobody(db: Database, clock: FixedClock, books: Books, broker: str) -> None:
    """Whatever is published on a meter's topics, the bridge goes on and the forged command is not obeyed."""
    supply = service(db, clock, books)
    home = a_home(db, supply)
    address = MqttAddress.parse(broker)
    stranger = build_client(address, client_id="stranger", session_s=0)
    with meters_on(broker, Shelf(), clock, home) as meters, running(bridge_on(broker, supply)) as bridge:
        open_connection(stranger, address, session_s=0)
        wait_until(stranger.is_connected, what="the stranger to connect")
        for payload in (b"", b"{", b"[]", b"\xff\xfe", b"[" * 5000, b'{"ver":1e400}', b'{"online":1,"bd":-1}'):
            for suffix in ("ack/relay", "reported", "status", "tele/reading", "cmd/relay"):
                sent = stranger.publish(TOPICS.of(home.meter_id, suffix), payload, qos=1)
                sent.wait_for_publish(30)
        wait_until(lambda: bridge.counts["malformed"] >= 20, what="the rubbish to be counted")
        want(db, clock, home, "off")
        wait_for_state(db, home.meter_id, 1, "applied")
        assert meters.state(home.meter_id)["version"] == 1
        assert bridge.counts["failed_messages"] == 0
        close_connection(stranger)


def test_a_second_bridge_waits_for_the_first(db: Database, clock: FixedClock, books: Books, broker: str) -> None:
    supply = service(db, clock, books)
    first, second = bridge_on(broker, supply), bridge_on(broker, supply)
    import threading

    stop = threading.Event()
    waiting = threading.Thread(target=second.run, args=(stop,), daemon=True)
    with running(first):
        waiting.start()
        home = a_home(db, supply)
        want(db, clock, home, "off")
        wait_for_state(db, home.meter_id, 1, "sent")
        assert not second.connected
    wait_until(lambda: second.connected, what="the second bridge to take over")
    stop.set()
    waiting.join(30)


def test_both_find_their_way_back_to_an_embedded_broker_that_was_killed(
    db: Database, clock: FixedClock, books: Books, tmp_path: Path
) -> None:
    """It keeps nothing on disk; subscriptions and reports are made anew, and the next command arrives."""
    supply = service(db, clock, books)
    home = a_home(db, supply)
    embedded = Broker(free_port(), tmp_path / "broker", prefer="amqtt")
    embedded.start()
    try:
        with (
            meters_on(embedded.url, Shelf(), clock, home) as meters,
            running(bridge_on(embedded.url, supply)) as bridge,
        ):
            embedded.kill()
            wait_until(lambda: not bridge.connected and not meters.connected.is_set(), what="both to notice")
            want(db, clock, home, "off")
            embedded.start()
            wait_for_state(db, home.meter_id, 1, "applied")
    finally:
        embedded.stop()


def test_a_bridge_that_hears_nothing_connects_anew(
    db: Database, clock: FixedClock, books: Books, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still says it is connected; only its own heartbeat can tell that nothing is routed to it."""
    monkeypatch.setattr(bridge_module, "HEARTBEAT_S", 0.1)
    supply = service(db, clock, books)
    home = a_home(db, supply)
    with running(bridge_on(broker, supply)) as bridge:
        client = bridge._client
        assert client is not None
        client.unsubscribe(TOPICS.bridge_status)
        monkeypatch.setattr(bridge_module, "DEAF_AFTER_S", 0.5)
        wait_until(lambda: bridge.counts["deaf"] >= 1, what="the bridge to notice")
        monkeypatch.setattr(bridge_module, "DEAF_AFTER_S", 60.0)
        wait_until(lambda: bridge.connected and bridge._client is not client, what="the bridge to be back")
        with meters_on(broker, Shelf(), clock, home):
            want(db, clock, home, "off")
            wait_for_state(db, home.meter_id, 1, "applied")


def test_a_broker_that_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "mwolo.broker", "--port", str(taken.getsockname()[1]), "--data", str(tmp_path),
             "--engine", "amqtt"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be opened" in done.stderr
