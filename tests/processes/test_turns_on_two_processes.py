"""The correctness table of turns on two real web processes, with real payments, on both databases."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select

from channels.ussd.sessions import connect
from core.db import Database
from core.db.upgrade import upgrade
from core.payments.tables import AttemptRow
from mwolo.processes import Supervisor
from tests.channels.ussd.turn_table import World, run_all
from tests.channels.ussd.ussd_world import populate
from tests.realparts import PostgresServer, free_port, redis_server, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.redis_server]

SECRET = "a-path-secret-for-tests"
# The scenarios take a few callers each, the last one five hundred.
CALLERS = 560


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'mwolo.db'}"
        if request.param == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres")
            url = stack.enter_context(server.new_database())
        db = Database(url)
        stack.callback(db.dispose)
        upgrade(db)
        people = populate(db, CALLERS)
        redis_url = stack.enter_context(redis_server())
        supervisor = Supervisor(tmp_path, lambda _text: None)
        stack.callback(supervisor.stop)
        ports = [free_port(), free_port()]
        for number, port in enumerate(ports):
            command = [sys.executable, "-m", "mwolo.cli", "web", "--port", str(port), "--processes", "1"]
            supervisor.start(f"web-{number}", command, environment(url, redis_url))
        for child, port in zip(supervisor.children, ports, strict=True):
            wait_until(
                lambda port=port: ready(port), what=f"{child.name} to answer: {child.last_lines()}", timeout_s=240
            )
        client = connect(redis_url)
        stack.callback(client.close)

        def attempts(phone: str) -> int:
            with db.read() as session:
                return session.scalar(select(func.count()).where(AttemptRow.asked_by_phone == phone)) or 0

        addresses = [f"http://127.0.0.1:{port}/ussd/africastalking/{SECRET}" for port in ports]
        yield World(addresses, iter(people), attempts, lambda: client.flushall())


def environment(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MWOLO_")},
        "MWOLO_DATABASE_URL": database_url,
        "MWOLO_REDIS_URL": redis_url,
        "MWOLO_SECRET_KEY": "a secret key for tests, long enough",
        "MWOLO_USSD_SECRETS": SECRET,
        "MWOLO_HOOK_SECRETS": SECRET,
        "MWOLO_PAWAPAY_API_TOKEN": "never-called",
        "MWOLO_WALLET_ROUTES": "mpesa=pawapay,airtel=pawapay,orange=pawapay",
        "MWOLO_LOG_LEVEL": "warning",
    }


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def test_no_answer_is_wrong(world: World) -> None:
    """Duplicates, late ones, strangers, stars, nothing, everything at once: no wrong screen, one payment each."""
    assert run_all(world) == {}
