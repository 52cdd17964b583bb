"""`mwolo api token`, and the API where the product mounts it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from core import outbox
from core.api_access.rules import SCOPES
from core.settings import Settings
from mwolo.cli import main
from mwolo.wiring import Wiring
from mwolo.wsgi import create_app
from tests import town

KEY = "a-key-for-tests-of-32-characters!"


@pytest.fixture
def url(tmp_path: Path, sqlite_with_tables: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copyfile(sqlite_with_tables, tmp_path / "mwolo.db")
    address = f"sqlite:///{tmp_path / 'mwolo.db'}"
    monkeypatch.setenv("MWOLO_DATABASE_URL", address)
    monkeypatch.setenv("MWOLO_SECRET_KEY", KEY)
    return address


def test_a_token_is_made_shown_once_listed_and_revoked(url: str) -> None:
    run = CliRunner().invoke
    made = run(main, ["api", "token", "create", "website", "--scope", "customers:read", "--days", "30"])
    secret = made.output.strip()
    assert secret.startswith("mwolo_")
    listed = run(main, ["api", "token", "list"]).output
    assert "website" in listed
    assert "customers:read" in listed
    assert secret not in listed
    again = run(main, ["api", "token", "create", "website", "--scope", "all"])
    assert again.exit_code == 1
    assert "already" in again.output
    assert run(main, ["api", "token", "create", "other", "--scope", "money"]).exit_code == 1
    assert "opens nothing" in run(main, ["api", "token", "revoke", "website"]).output
    assert run(main, ["api", "token", "revoke", "website"]).exit_code == 1
    assert "revoked" in run(main, ["api", "token", "list"]).output


def _work(wiring: Wiring) -> None:
    """What the worker of `bulk` would do."""
    with wiring.db.begin() as session:
        rows = outbox.lease(session, queue="bulk", clock=wiring.clock, limit=20)
    for row in rows:
        done = wiring.handlers[row.kind](row)
        with wiring.db.begin() as session:
            outbox.finish(session, row, done, clock=wiring.clock)


def test_the_product_serves_the_api_without_cookies_and_forms(url: str, tmp_path: Path) -> None:
    """A POST needs no form token of the console; an invoice's way goes through the real services."""
    settings = Settings(
        _env_file=None,
        database_url=url,
        secret_key=KEY,
        documents_dir=str(tmp_path),
        ussd_secrets="a-secret",
        email_secrets="a-secret",
    )
    wiring = Wiring(settings)
    with wiring.db.begin() as session:
        town.invoice(session, town.home(session).contract, state="draft")
    secret = wiring.api_tokens.create("all", SCOPES, days=1)
    client = create_app(wiring).test_client()
    headers = {"Authorization": f"Bearer {secret}"}
    for step, status in (("validate", 200), ("send", 200), ("pdf", 202)):
        answer = client.post(f"/api/v1/invoices/1/{step}", headers=headers)
        assert answer.status_code == status, answer.text
        assert "Set-Cookie" not in answer.headers
    job = f"/api/v1/jobs/{answer.json['id']}"
    assert client.get(job, headers=headers).json["state"] == "waiting"
    _work(wiring)
    done = client.get(job, headers=headers).json
    assert (done["state"], done["result"]) == ("done", "/api/v1/invoices/1/pdf")
    pdf = client.get("/api/v1/invoices/1/pdf", headers=headers)
    assert pdf.data.startswith(b"%PDF")
    assert client.get("/api/docs").status_code == 200
    assert client.get("/api/v1/nothing").content_type == "application/problem+json"
    assert client.get("/nothing").content_type != "application/problem+json"
    wiring.db.dispose()
