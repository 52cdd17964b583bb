"""No list asks more of the database because there is more in it: every page of the console and every list of the API
that needs no argument, found in the map of addresses, with 3 and with 60 rows of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Connection

from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import agents_town, console_town, money_town
from tests.admin.conftest import log_in
from tests.channels.api import api_town
from tests.core.statements import statements_of
from tests.multiplied import fill_empty, multiply

FEW, MANY = 3, 60
# What ends a session, and what is no page.
NOT_LISTS = ("/admin/logout", "/admin/static")


@pytest.fixture
def filled(db: Database, clock: FixedClock) -> console_town.Console:
    """The console of a town in which everything happened once."""
    console = console_town.build(db, clock)
    home = console_town.everything_happened(db, clock)
    money_town.trouble(db, clock)
    money_town.unplaced(console.money, clock, "77", txn="PP900001")
    agent = agents_town.hired(console, db, credit=100_000)
    agents_town.filled(console, agent, 50_000)
    agents_town.offered(console, agent, 20_000)
    agents_town.sold(console, agent, home.account_number, 2_000)
    with db.begin() as session:
        town.phone_link(session, home.customer, phone="+243815550077", confirmed=False)
    fill_empty(db)
    return console


def addresses(app: Flask, prefix: str) -> list[str]:
    """Every address below `prefix` that is read with GET and has no blank."""
    found = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments and rule.rule.startswith(prefix)
    }
    return sorted(rule for rule in found if not rule.startswith(NOT_LISTS))


@contextmanager
def _writers(db: Database) -> Iterator[list[str]]:
    said: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def cost(db: Database, ask: Callable[[], int]) -> tuple[int, int]:
    """(status, statements) of one request, the second of its kind: what is read once for all is read before."""
    ask()
    with statements_of(db) as read, _writers(db) as written:
        status = ask()
    said = [line for line in (*read, *written) if line.lstrip()[:6].upper() in ("SELECT", "WITH R", "UPDATE", "INSERT")]
    return status, len(said)


def grown(db: Database, asked: Sequence[str], ask: Callable[[str], int]) -> dict[str, str]:
    """address → what it cost with few rows and with many, where that is not the same, or it broke."""

    def costs() -> dict[str, tuple[int, int]]:
        return {path: cost(db, partial(ask, path)) for path in asked}

    multiply(db, FEW)
    few = costs()
    multiply(db, MANY // FEW, already=FEW)
    many = costs()
    return {
        path: f"{few[path][1]} statements, then {many[path][1]}; answers {few[path][0]} and {many[path][0]}"
        for path in asked
        if few[path] != many[path] or few[path][0] >= 500
    }


def test_no_page_of_the_console_asks_more_of_a_larger_utility(filled: console_town.Console, db: Database) -> None:
    client = filled.app.test_client()
    assert log_in(client, "admin") == 303
    asked = [path + ("?q=Mbuyi" if path.endswith("/search") else "") for path in addresses(filled.app, "/admin/")]
    assert len(asked) >= 30
    assert grown(db, asked, lambda path: client.get(path).status_code) == {}


def test_no_list_of_the_api_asks_more_of_a_larger_utility(
    filled: console_town.Console, db: Database, clock: FixedClock
) -> None:
    api = api_town.build(db, clock)
    asked = [path.removeprefix("/api/v1") for path in addresses(api.app, "/api/v1/")]
    assert len(asked) >= 8
    assert grown(db, asked, lambda path: api.get(path, limit=100).status_code) == {}
