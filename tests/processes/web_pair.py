"""Two real web processes on one database and one Redis, for tests that speak HTTP to both."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from core.settings import read
from mwolo.processes import Supervisor
from mwolo.wiring import Wiring
from tests.realparts import free_port, wait_until

W = TypeVar("W", bound=Wiring)

SECRET = "a-path-secret-for-tests"
SECRET_KEY = "a secret key for tests, long enough"


@dataclass(frozen=True)
class WebPair:
    """`ports`: one for each process. `logs`: the folder they write into."""

    ports: tuple[int, ...]
    logs: Path

    @property
    def turn_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}/ussd/africastalking/{SECRET}" for port in self.ports]


@contextmanager
def two_web_processes(folder: Path, database_url: str, redis_url: str) -> Iterator[WebPair]:
    """Start them, wait until both are ready, stop them."""
    with ExitStack() as stack:
        supervisor = Supervisor(folder, lambda _text: None)
        stack.callback(supervisor.stop)
        ports = (free_port(), free_port())
        for number, port in enumerate(ports):
            command = [sys.executable, "-m", "mwolo.cli", "web", "--port", str(port), "--processes", "1"]
            supervisor.start(f"web-{number}", command, environment(database_url, redis_url))
        for child, port in zip(supervisor.children, ports, strict=True):
            wait_until(
                lambda port=port: _ready(port), what=f"{child.name} to answer: {child.last_lines()}", timeout_s=240
            )
        yield WebPair(ports, folder)


@contextmanager
def wired(kind: type[W], database_url: str, redis_url: str) -> Iterator[W]:
    """The product in this process, with the settings of the web processes and what they keep fresh in memory."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MWOLO_")]:
            patch.delenv(name)
        for name, value in environment(database_url, redis_url).items():
            patch.setenv(name, value)
        wiring = kind(read(), busy_timeout_s=20)
    wiring.payments.circuits.refresh()
    wiring.routing.refresh()
    yield wiring
    wiring.db.dispose()


def environment(database_url: str, redis_url: str) -> dict[str, str]:
    """What a web process is started with. No wallet is ever called: nobody carries out what turns write."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MWOLO_")},
        "MWOLO_DATABASE_URL": database_url,
        "MWOLO_REDIS_URL": redis_url,
        "MWOLO_SECRET_KEY": SECRET_KEY,
        "MWOLO_USSD_SECRETS": SECRET,
        "MWOLO_HOOK_SECRETS": SECRET,
        "MWOLO_PAWAPAY_API_TOKEN": "never-called",
        "MWOLO_WALLET_ROUTES": "mpesa=pawapay,airtel=pawapay,orange=pawapay",
    }


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
