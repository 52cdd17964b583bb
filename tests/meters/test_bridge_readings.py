"""What registers report by radio becomes readings, once, whatever comes again and whoever says it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from core.db import Database
from core.kernel.clock import FixedClock
from core.services.readings import Readings
from meters.bridge import Bridge, BridgeConfig
from meters.contract import Topics
from meters.mqtt import MqttAddress, build_client, close_connection, open_connection
from mwolo.broker import Broker
from tests.meters.rig import UTILITY, Books, a_home, running, service
from tests.realparts import free_port, wait_until

# The clock of the tests stands on 10 March 2026, 08:00.
AT = int(datetime(2026, 3, 10, 6, tzinfo=UTC).timestamp())


def test_batches_and_reports_become_readings(db: Database, clock: FixedClock, tmp_path: Path) -> None:
    supply, readings = service(db, clock, Books()), Readings(db, clock)
    home, other = a_home(db, supply), a_home(db, supply)
    topics = Topics(UTILITY)
    broker = Broker(free_port(), tmp_path / "broker", prefer="amqtt")
    broker.start()
    batch = {
        "m": home.meter_id,
        "bd": 1,
        "seq": 1,
        "r": [{"t": AT + n * 900, "wh": 1_000 + n, "q": n} for n in range(6)],
    }
    report = {
        "ver": 0, "supply": "on", "relay": "closed", "load_side_v": 230, "e_imp_wh": 1_010, "bd": 1,
        "at": AT + 6_000, "clock_ok": False,
    }  # fmt: skip
    said = (("tele/reading", batch), ("tele/reading", batch), ("reported", report))
    meter = build_client(address := MqttAddress.parse(broker.url), client_id="meter", session_s=0)
    config = BridgeConfig(mqtt_url=broker.url, utility=UTILITY, poll_s=0.02)
    try:
        with running(Bridge(supply, config, readings)) as bridge:
            open_connection(meter, address, session_s=0)
            wait_until(meter.is_connected, what="the meter to connect")
            # A batch on somebody else's topic names the wrong meter: it is nobody's.
            meter.publish(topics.of(other.meter_id, "tele/reading"), json.dumps(batch), qos=1).wait_for_publish(30)
            for suffix, document in said:
                meter.publish(topics.of(home.meter_id, suffix), json.dumps(document), qos=1).wait_for_publish(30)
            wait_until(lambda: len(readings.of_meter(home.meter_id)) == 7, what="the readings to be kept")
            wait_until(lambda: bridge.counts["readings"] == 2, what="both batches to be taken")
            assert bridge.counts["foreign"] == 1
            assert bridge.counts["failed_messages"] == 0
            close_connection(meter)
    finally:
        broker.stop()
    kept = readings.of_meter(home.meter_id)
    assert [(row.wh, row.quality, row.source) for row in kept] == [
        (1_010, 1, "report"),
        (1_005, 1, "mqtt"),
        (1_004, 1, "mqtt"),
        (1_003, 1, "mqtt"),
        (1_002, 2, "mqtt"),
        (1_001, 1, "mqtt"),
        (1_000, 0, "mqtt"),
    ]
    assert readings.of_meter(other.meter_id) == []
