"""`mwolo queues`: what waits and what was given up, at the command line."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from core.db import Database
from core.outbox import OutboxRow
from core.staff.tables import AuditRow
from mwolo.cli import main
from tests import town


@pytest.fixture
def db(tmp_path: Path, sqlite_with_tables: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    shutil.copyfile(sqlite_with_tables, tmp_path / "mwolo.db")
    monkeypatch.setenv("MWOLO_DATABASE_URL", f"sqlite:///{tmp_path / 'mwolo.db'}")
    monkeypatch.setenv("MWOLO_SECRET_KEY", "a-key-for-tests-of-32-characters!")
    monkeypatch.setenv("MWOLO_REDIS_URL", f"unix://{tmp_path}/none.sock")
    return Database(f"sqlite:///{tmp_path / 'mwolo.db'}")


def test_listed_tried_again_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jeanne")
    run = CliRunner().invoke
    now = datetime.now(UTC)
    with db.begin() as session:
        home = town.home(session)
        invoice = town.invoice(session, home.contract)
        rows = [
            OutboxRow(
                kind="document.invoice", key=f"k{n}", queue="bulk", body={"invoice_id": invoice.id}, state="dead",
                attempts=8, last_error="disk full", available_at=now, created_at=now,
            )
            for n in range(2)
        ]  # fmt: skip
        session.add_all(rows)
        session.flush()
        first, second = (str(row.id) for row in rows)
    listed = run(main, ["queues"])
    assert listed.exit_code == 0, listed.output
    for part in (
        f"dead {first} document.invoice invoice T-000001",
        "disk full",
        "Redis does not answer",
        "No dispatcher",
    ):
        assert part in listed.output, part
    assert "is tried again" in run(main, ["queues", "retry", first]).output
    again = run(main, ["queues", "retry", first])
    assert (again.exit_code, "is not dead" in again.output) == (1, True)
    assert run(main, ["queues", "give-up", second, "--reason", " "]).exit_code == 1
    assert "is given up" in run(main, ["queues", "give-up", second, "--reason", "printed by hand"]).output
    with db.read() as session:
        assert set(session.scalars(select(OutboxRow.state))) == {"pending", "dead"}
        audited = session.execute(select(AuditRow.actor, AuditRow.act)).all()
    assert [tuple(entry) for entry in audited] == [("jeanne", "queues.again"), ("jeanne", "queues.gave_up")]
    db.dispose()
