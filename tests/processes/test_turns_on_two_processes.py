"""The correctness table of turns on two real web processes, with real payments, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select

from channels.ussd.sessions import connect
from core.db import Database
from core.db.upgrade import upgrade
from core.payments.tables import AttemptRow
from tests.channels.ussd.turn_table import World, run_all
from tests.channels.ussd.ussd_world import populate
from tests.processes.web_pair import two_web_processes
from tests.realparts import PostgresServer, redis_server

pytestmark = [pytest.mark.processes, pytest.mark.redis_server]

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
        pair = stack.enter_context(two_web_processes(tmp_path, url, redis_url))
        client = connect(redis_url)
        stack.callback(client.close)

        def attempts(phone: str) -> int:
            with db.read() as session:
                return session.scalar(select(func.count()).where(AttemptRow.asked_by_phone == phone)) or 0

        yield World(pair.turn_urls, iter(people), attempts, lambda: client.flushall())


def test_no_answer_is_wrong(world: World) -> None:
    """Duplicates, late ones, strangers, stars, nothing, everything at once: no wrong screen, one payment each."""
    assert run_all(world) == {}
