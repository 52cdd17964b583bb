"""`mwolo import`, from a template to the last line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from core.customers.tables import ContractRow, CustomerRow
from core.db import Database
from core.imports.tables import ImportRow
from mwolo.cli import main
from tests import town


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["import", *words], catch_exceptions=False)

    def file(self, text: str | bytes, name: str = "file.csv") -> str:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)


@pytest.fixture
def shell(db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    monkeypatch.setenv("MWOLO_DATABASE_URL", db.url.render_as_string())
    monkeypatch.setenv("MWOLO_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("MWOLO_USSD_SECRETS", "s" * 20)
    return Shell(tmp_path)


def _count(db: Database, table: type[CustomerRow] | type[ContractRow] | type[ImportRow]) -> int:
    with db.read() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def test_the_templates_make_a_utility(shell: Shell, db: Database) -> None:
    with db.begin() as session:
        town.agency(session, code="KIN")
    for kind in ("customers", "contracts", "meters", "balances"):
        file = shell.file(shell("template", kind).output, f"{kind}.csv")
        tried = shell(kind, file, "--dry-run")
        assert (tried.exit_code, tried.output) == (0, f"{kind}.csv: 1 good, 0 bad.\n")
        done = shell(kind, file)
        assert done.exit_code == 0, done.output
        assert f"{kind}.csv: done, 1 of 1 lines are in." in done.output
        again = shell(kind, file)
        assert again.exit_code == 1
    listed = shell("list").output.splitlines()
    assert len(listed) == 4
    assert all(" done " in line for line in listed)


def test_bad_lines_by_number_column_value_and_reason(shell: Shell, db: Database) -> None:
    file = shell.file("reference;nom;téléphone\nC-1;Mbuyi;\nC-2;;08155\n", "clients.csv")
    bad = Path(file).with_name("bad.csv")
    for more in (("--dry-run",), ()):
        said = shell("customers", file, "--bad-lines", str(bad), *more)
        assert said.exit_code == 1
        assert said.output.splitlines() == [
            "line 3, téléphone “08155”: 08155 is no phone number in use.",
            "line 3, nom: It is empty.",
            "clients.csv: 1 good, 1 bad. Nothing was imported.",
            f"The bad lines are in {bad}: mend them there and import that file.",
        ]
    assert "C-2" in bad.read_text(encoding="utf-8-sig")
    assert (_count(db, CustomerRow), _count(db, ImportRow)) == (0, 0)


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01", b"reference;nom\n", b"reference\nC-1\n", b'reference;nom\nC-1;"x\n']
)
def test_nonsense_is_one_sentence_and_exit_code_1(shell: Shell, data: bytes) -> None:
    said = shell("customers", shell.file(data))
    assert said.exit_code == 1
    assert said.output.strip()
    assert "Traceback" not in said.output


def test_a_file_that_is_too_large_is_not_even_read(shell: Shell) -> None:
    path = Path(shell.file(b""))
    with path.open("wb") as out:
        out.truncate(200_000_000)
    said = shell("customers", str(path))
    assert said.exit_code == 1
    assert "larger than 25 MB" in said.output


def test_an_import_that_was_interrupted_is_finished(shell: Shell, db: Database) -> None:
    from core.imports.model import Kind
    from core.kernel.clock import SystemClock
    from core.services.imports import Imports

    service = Imports(db, SystemClock(), lambda *_: None)
    text = "reference,name\n" + "".join(f"C-{n},Mbuyi\n" for n in range(100))
    import_id = service.take(Kind.CUSTOMERS, "x.csv", text.encode(), by="a")
    service.accept(import_id, by="a")
    assert not service.carry_on(import_id, patience_s=0)
    said = shell("finish", str(import_id))
    assert (said.exit_code, _count(db, CustomerRow)) == (0, 100)
    assert shell("finish", "99").exit_code == 1
