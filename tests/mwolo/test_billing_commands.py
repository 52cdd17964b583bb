"""`mwolo tariffs`, `mwolo readings` and `mwolo bill`, from a file to a sent invoice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from core.billing.tables import InvoiceRow
from core.customers.tables import ContractRow
from core.db import Database
from core.kernel.clock import SystemClock
from core.kernel.clock import local_date as day_of
from core.services.tariffs import Tariffs
from mwolo.cli import main
from tests import town

TARIFF = {
    "code": "SOCIAL",
    "name": "Forfait social",
    "kind": "flat",
    "currency": "CDF",
    "valid_from": "2024-01-01",
    "flat": "15000",
    "levies": [{"code": "vat", "name": "TVA", "percent": "16"}],
}

Says = Callable[..., str]


@pytest.fixture
def says(db: Database, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Runs the command line on the test's database; its output, whatever it ended with."""
    monkeypatch.setenv("MWOLO_DATABASE_URL", db.url.render_as_string())
    monkeypatch.setenv("MWOLO_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("MWOLO_USSD_SECRETS", "s" * 20)

    def run(*words: str) -> str:
        return CliRunner().invoke(main, list(words), catch_exceptions=False).output

    return run


def test_from_a_tariff_to_sent_invoices(db: Database, says: Says, tmp_path: Path) -> None:
    file = tmp_path / "social.json"
    file.write_text(json.dumps(TARIFF), encoding="utf-8")
    assert "has a version from 2024-01-01" in says("tariffs", "add", str(file))
    assert "begins today or later" in says("tariffs", "add", str(file))
    assert "SOCIAL" in says("tariffs", "list")
    tariff = Tariffs(db, SystemClock()).all()[0].id
    with db.begin() as session:
        home, other = town.home(session, kind="flat"), town.home(session, kind="consumption")
        for one in (home, other):
            session.get_one(ContractRow, one.contract.id).tariff_id = tariff
    today = day_of(SystemClock().now(), "Africa/Kinshasa")
    period = f"{today:%Y-%m}"
    dry = says("bill", "--period", period, "--dry-run")
    assert "1 invoices would be drafted of 2 contracts, 17 400 FC." in dry
    assert home.account_number in dry
    done = says("bill", "--period", period, "--agency", "AG001", "--send")
    assert "1 invoices drafted of 2 contracts" in done
    assert f"left out: {other.account_number}" in done
    assert "1 validated." in done
    assert "1 sent." in done
    with db.read() as session:
        (invoice,) = session.scalars(select(InvoiceRow))
    assert (invoice.state, invoice.number) == ("sent", f"{today.year}-AG001-000001")
    assert "has not begun" in says("bill", "--period", "2099-01")
    assert "write it as" in says("bill", "--period", "11/2026")


def test_a_file_of_readings_and_a_decision(db: Database, says: Says, tmp_path: Path) -> None:
    with db.begin() as session:
        home = town.home(session, kind="consumption")
    file = tmp_path / "readings.csv"
    lines = ["2026-01-31,100", "2026-02-01,110", "2026-02-02,999110", "tomorrow,5"]
    file.write_text("account,at,kwh\n" + "\n".join(f"{home.account_number},{line}" for line in lines), encoding="utf-8")
    assert "4 lines: 2 would be taken, 1 would be held for review, 0 known already, 1 bad." in says(
        "readings", "import", str(file), "--dry-run"
    )
    done = says("readings", "import", str(file))
    assert "line 5: at is no day" in done
    assert "2 taken, 1 held" in done
    held = says("readings", "held")
    assert "999110 kWh after 110 kWh  jump" in held
    number = held.split()[0]
    assert "a number of kWh" in says("readings", "decide", number, "--kwh", "x", "--reason", "r")
    assert "Done." in says("readings", "decide", number, "--kwh", "119,5", "--reason", "a digit too many")
    assert says("readings", "held") == "No reading waits for a person.\n"
