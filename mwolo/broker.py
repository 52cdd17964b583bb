"""The embedded MQTT broker: Mosquitto where the machine has it, else amqtt in a process of its own.

Loopback only and without passwords: it is for the demo, for tests and for development. A real utility gives the address
of its own broker (`MWOLO_MQTT_URL`); what that one needs stands in `docs/meters.md`. Why these two:
`docs/decisions/0003-embedded-broker.md`.

    python -m mwolo.broker --port 1883 --data DIR [--engine auto|mosquitto|amqtt]
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Engine = Literal["mosquitto", "amqtt"]
Choice = Literal["auto", "mosquitto", "amqtt"]

READY_WITHIN_S = 20.0

# Saved every 5 s and never only at the end: with the default of half an hour a power cut replays old commands.
_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
autosave_interval 5
autosave_on_changes false
persistent_client_expiration 30d
max_queued_messages 1000
message_size_limit 16384
max_keepalive 1200
log_type error
log_type warning
{user}"""


class NoBroker(RuntimeError):
    """The broker cannot be started. The text is one sentence."""


def mosquitto_binary() -> str | None:
    """Where Mosquitto is; Debian keeps it where only root looks."""
    found = shutil.which("mosquitto")
    if found is None and Path("/usr/sbin/mosquitto").exists():
        found = "/usr/sbin/mosquitto"
    return found


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """How to start the embedded broker and what its address is: for a supervisor that starts processes itself."""

    engine: Engine
    command: tuple[str, ...]
    url: str


def plan(port: int, data: Path, *, prefer: Choice = "auto") -> BrokerPlan:
    """Choose the engine and write its configuration into `data`. Raises NoBroker."""
    data.mkdir(parents=True, exist_ok=True)
    binary = mosquitto_binary()
    if prefer == "mosquitto" and binary is None:
        raise NoBroker("Mosquitto was asked for and is not on this machine.")
    if binary is not None and prefer != "amqtt":
        config = data / "mosquitto.conf"
        # Started by root it would become another user, who may not write here, and silently keep nothing.
        user = f"user {getpass.getuser()}\n" if os.geteuid() == 0 else ""
        config.write_text(_CONFIG.format(port=port, folder=data, user=user))
        return BrokerPlan("mosquitto", (binary, "-c", str(config)), f"mqtt://127.0.0.1:{port}")
    command = (sys.executable, "-m", "mwolo.broker", "--port", str(port), "--data", str(data), "--engine", "amqtt")
    return BrokerPlan("amqtt", command, f"mqtt://127.0.0.1:{port}?protocol=3.1.1")


class Broker:
    """An embedded broker as a child process, for tests and for whoever has no supervisor."""

    def __init__(self, port: int, data: Path, *, prefer: Choice = "auto") -> None:
        self._port = port
        self._plan = plan(port, data, prefer=prefer)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._plan.url

    @property
    def engine(self) -> Engine:
        return self._plan.engine

    def start(self) -> None:
        """Start it and wait until it answers. Raises NoBroker."""
        self._process = subprocess.Popen(  # noqa: S603 (our own command line, written by plan)
            self._plan.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        end = time.monotonic() + READY_WITHIN_S
        while not answers(self._port):
            if self._process.poll() is not None:
                raise NoBroker(f"The broker ended at once (exit code {self._process.returncode}).")
            if time.monotonic() > end:
                self.stop()
                raise NoBroker(f"The broker did not answer within {READY_WITHIN_S:.0f} s.")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it cleanly."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def answers(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _serve_amqtt(port: int) -> None:
    from amqtt.broker import Broker as AmqttBroker

    # The plugins are named, or it adds logging and $SYS topics; the address too, or it listens to everybody.
    broker = AmqttBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "timeout_disconnect_delay": 2,
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await broker.start()
    await ended.wait()
    await broker.shutdown()


def main(arguments: list[str] | None = None) -> int:
    """Run the embedded broker in this process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m mwolo.broker", description="The embedded MQTT broker.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--engine", choices=("auto", "mosquitto", "amqtt"), default="auto")
    asked = parser.parse_args(arguments)
    try:
        chosen = plan(asked.port, asked.data, prefer=asked.engine)
    except (NoBroker, OSError) as error:
        parser.exit(2, f"{error}\n")
    if chosen.engine == "mosquitto":
        os.execv(chosen.command[0], chosen.command)  # noqa: S606 (signals of the supervisor reach it directly)
    # amqtt tells every client that leaves as an error.
    logging.basicConfig(level=logging.CRITICAL)
    from amqtt.errors import BrokerError

    try:
        asyncio.run(_serve_amqtt(asked.port))
    except (BrokerError, OSError):
        parser.exit(2, f"Port {asked.port} cannot be opened; is another broker running there?\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
