"""A console with one member of staff per role, and clients logged in as each."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core.db import Database
from core.kernel.clock import FixedClock
from tests.admin import console_town
from tests.admin.console_town import PASSWORD, Console


@pytest.fixture
def console(db: Database, clock: FixedClock) -> Console:
    return console_town.build(db, clock)


def token_in(html: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert found, "a page with a form carries its token"
    return found.group(1)


def log_in(client: FlaskClient, login: str, password: str = PASSWORD) -> int:
    token = token_in(client.get("/admin/login").text)
    answer = client.post("/admin/login", data={"csrf_token": token, "login": login, "password": password})
    return answer.status_code


@pytest.fixture
def as_role(console: Console) -> Callable[[str], FlaskClient]:
    def client_for(role: str) -> FlaskClient:
        client = console.app.test_client()
        assert log_in(client, role) == 303
        return client

    return client_for


def post(client: FlaskClient, address: str, /, **data: str) -> tuple[int, str]:
    """Send a form as the page would: the status, and the page (or where it leads)."""
    token = token_in(client.get("/admin/search", follow_redirects=True).text)
    answer = client.post(address, data={"csrf_token": token, **data})
    return answer.status_code, answer.location if answer.status_code == 303 else answer.text
