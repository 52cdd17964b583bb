"""API tokens in the console: issued once, never kept or logged, revoked; administrators only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from flask.testing import FlaskClient
from sqlalchemy import text

from core.api_access.rules import SCOPES
from core.db import Database
from core.db.tables import metadata
from core.kernel.clock import FixedClock
from core.services.api_tokens import ApiTokens
from tests.admin.conftest import post, token_in
from tests.admin.console_town import Console
from tests.core.statements import statements_of

HERE = "/admin/settings/tokens"
AsRole = Callable[[str], FlaskClient]


def english(client: FlaskClient) -> FlaskClient:
    post(client, "/admin/language", language="en")
    return client


def issue(client: FlaskClient, name: str, *scopes: str, days: str = "90") -> tuple[int, str]:
    token = token_in(client.get(HERE).text)
    answer = client.post(HERE, data={"csrf_token": token, "name": name, "days": days, "scope": list(scopes)})
    return answer.status_code, answer.text


def secret_in(html: str) -> str:
    found = re.search(r"mwolo_[A-Za-z0-9_-]{30,}", html)
    assert found, "a new token is shown"
    return found.group()


@pytest.fixture
def tokens(console: Console, db: Database, clock: FixedClock) -> ApiTokens:
    return ApiTokens(db, clock, console.staff.audit)


def test_a_token_is_shown_once_and_opens_what_it_may(as_role: AsRole, tokens: ApiTokens) -> None:
    admin = english(as_role("admin"))
    status, shown = issue(admin, "website", "customers:read", "payments:read")
    assert status == 200
    program = tokens.who(secret_in(shown))
    assert program is not None
    assert program.scopes == {"customers:read", "payments:read"}
    listed = admin.get(HERE).text
    assert "website" in listed
    assert secret_in(shown) not in listed
    assert "issued 10/03/2026 09:00 by admin" in listed
    assert post(admin, f"{HERE}/revoke", name="website") == (303, f"{HERE}?done=1")
    assert tokens.who(secret_in(shown)) is None
    assert "revoked" in admin.get(HERE).text


def test_the_token_is_never_stored_or_logged(
    console: Console, as_role: AsRole, db: Database, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    admin = as_role("admin")
    with structlog.testing.capture_logs() as logs:
        secret = secret_in(issue(admin, "website", "customers:read")[1])
        issue(admin, "website", "customers:read")
        admin.get(HERE)
        post(admin, f"{HERE}/revoke", name="website")
    with db.read() as session:
        for table in metadata.sorted_tables:
            for row in session.execute(text(f'SELECT * FROM "{table.name}"')):
                assert secret not in str(tuple(row)), table.name
    db.dispose()
    for file in tmp_path.glob("mwolo.db*"):
        assert secret.encode() not in file.read_bytes(), file.name
    said = capfd.readouterr()
    assert secret not in str(logs) + said.out + said.err
    assert secret not in str(console.staff.newest_audit())


def test_each_act_is_in_the_audit_log(console: Console, as_role: AsRole) -> None:
    admin = as_role("admin")
    issue(admin, "website", "customers:read")
    issue(admin, "website", "customers:read")
    post(admin, f"{HERE}/revoke", name="website")
    post(admin, f"{HERE}/revoke", name="website")
    admin.get(f"{HERE}.csv")
    said = [(e.actor, e.act, e.subject) for e in reversed(console.staff.newest_audit()) if "token" in e.act]
    assert said == [
        ("admin", "api.token.created", "website"),
        ("admin", "api.token.created.refused", "website"),
        ("admin", "api.token.revoked", "website"),
        ("admin", "api.token.revoked.refused", "website"),
        ("admin", "export.api_tokens", "all"),
    ]


@pytest.mark.parametrize(
    ("name", "scopes", "days", "said"),
    [
        ("Web Site", ["customers:read"], "90", "A name has 2 to 40"),
        ("website", [], "90", "Choose what it may do"),
        ("website", ["everything"], "90", "Choose what it may do"),
        ("website", ["customers:read"], "731", "A token lives 1 to 730 days."),
        ("website", ["customers:read"], "many", "A token lives 1 to 730 days."),
    ],
)
def test_what_cannot_be_is_refused_and_stays_typed(
    as_role: AsRole, tokens: ApiTokens, name: str, scopes: list[str], days: str, said: str
) -> None:
    status, shown = issue(english(as_role("admin")), name, *scopes, days=days)
    assert status == 409
    assert said in shown
    assert f'value="{name}"' in shown
    assert tokens.all_tokens() == []


def test_only_administrators_see_any_of_it(as_role: AsRole) -> None:
    for role in ("viewer", "office", "finance"):
        client = as_role(role)
        assert client.get(HERE).status_code == 403
        assert client.get(f"{HERE}.csv").status_code == 403
        assert post(client, HERE, name="website", days="9", scope="customers:read")[0] == 403
        assert post(client, f"{HERE}/revoke", name="website")[0] == 403


def test_the_list_is_one_read_and_a_file(as_role: AsRole, db: Database, tokens: ApiTokens) -> None:
    admin = english(as_role("admin"))
    with statements_of(db) as few:
        admin.get(HERE)
    for number in range(5):
        tokens.create(f"program-{number}", SCOPES, days=30)
    with statements_of(db) as many:
        admin.get(HERE)
    assert len(few) == len(many)
    lines = admin.get(f"{HERE}.csv").text.splitlines()
    assert len(lines) == 6
    assert "program-0" in lines[1]
