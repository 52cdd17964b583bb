"""`mwolo pdf`: a paper by what people call it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.db import Database
from core.kernel.money import Money
from core.settlement.events import WalletMoney
from core.settlement.post import post
from mwolo.cli import main
from tests import town


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    real_now = now


@pytest.fixture
def db(tmp_path: Path, sqlite_with_tables: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    shutil.copyfile(sqlite_with_tables, tmp_path / "mwolo.db")
    monkeypatch.setenv("MWOLO_DATABASE_URL", f"sqlite:///{tmp_path / 'mwolo.db'}")
    monkeypatch.setenv("MWOLO_SECRET_KEY", "a-key-for-tests-of-32-characters!")
    monkeypatch.setenv("MWOLO_DOCUMENTS_DIR", str(tmp_path / "documents"))
    monkeypatch.chdir(tmp_path)
    return Database(f"sqlite:///{tmp_path / 'mwolo.db'}")


def test_by_number_code_and_id(db: Database, tmp_path: Path) -> None:
    run = CliRunner().invoke
    clock = _Clock()
    with db.begin() as session:
        home = town.home(session)
        invoice = town.invoice(session, home.contract)
        amount = Money.units(1_000, "CDF")
        payment = town.payment(session, home.contract, amount)
        money = WalletMoney(
            key="k", payment_id=payment.id, wallet="vodacom", contract_id=home.contract.id, amount=amount
        )
        post(session, money, clock=clock)
        names = (payment.verification_code, payment.receipt_number.lower(), payment.id)
    papers = set()
    for name in names:
        made = run(main, ["pdf", "receipt", name, "-o", "r.pdf"])
        assert made.exit_code == 0, made.output
        papers.add((tmp_path / "r.pdf").read_bytes())
    assert len(papers) == 1, "one payment, one paper"
    for name in (invoice.number, str(invoice.id)):
        assert run(main, ["pdf", "invoice", name]).exit_code == 0
    assert (tmp_path / f"invoice-{invoice.number.lower()}.pdf").read_bytes().startswith(b"%PDF")
    assert run(main, ["pdf", "invoice", str(invoice.id), "-o", "-"]).stdout_bytes.startswith(b"%PDF")


def test_what_is_not_there_and_where_nothing_can_be_written(db: Database) -> None:
    run = CliRunner().invoke
    with db.begin() as session:
        invoice = town.invoice(session, town.home(session).contract)
    for kind, name in (("invoice", "999"), ("receipt", "nobody"), ("payslip", "7")):
        answer = run(main, ["pdf", kind, name])
        assert (answer.exit_code, "There is no" in answer.output) == (1, True)
    answer = run(main, ["pdf", "invoice", str(invoice.id), "-o", "no/such/folder/x.pdf"])
    assert "cannot be written" in answer.output
