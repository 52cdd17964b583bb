"""A file in the console: looked at, mended, imported by somebody who may."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from core.customers.tables import CustomerRow
from core.db import Database
from core.imports.tables import ImportRow
from core.staff.tables import AuditRow
from tests import town
from tests.admin.conftest import post, token_in
from tests.admin.console_town import HOSTILE, Console

As = Callable[[str], FlaskClient]
GOOD = "reference;nom\nC-1;Mbuyi Élodie\nC-2;Kalala\n"
BAD = f"reference;nom;tel\nC-1;Mbuyi;\nC-2;=1+1;{HOSTILE.replace(';', ',')[:30]}\n".replace('"', "")


def upload(
    client: FlaskClient, text: str | bytes, kind: str = "customers", name: str = "clients.csv"
) -> tuple[int, str]:
    data = text if isinstance(text, bytes) else text.encode()
    token = token_in(client.get("/admin/account").text)
    form = {"csrf_token": token, "kind": kind, "file": (BytesIO(data), name)}
    answer = client.post("/admin/imports", data=form)
    return answer.status_code, answer.location if answer.status_code == 303 else answer.text


def test_a_good_file_goes_in_when_a_person_says_so(as_role: As, db: Database) -> None:
    client = as_role("finance")
    assert "/admin/imports" in client.get("/admin/settings/").text
    status, where = upload(client, GOOD)
    assert (status, where) == (303, "/admin/imports/1")
    shown = client.get(where).text
    assert "clients.csv" in shown
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == 0, "looked at only"
    assert post(client, f"{where}/run") == (303, where)
    with db.read() as session:
        names = session.scalars(select(CustomerRow.name).order_by(CustomerRow.id)).all()
        acts = session.scalars(select(AuditRow.act).where(AuditRow.act.like("import.%")).order_by(AuditRow.id)).all()
    assert names == ["Mbuyi Élodie", "Kalala"]
    assert acts == ["import.checked", "import.started", "import.done"]
    assert post(client, f"{where}/run")[0] == 409
    status, said = upload(client, GOOD)
    assert status == 409
    assert "finance" in said
    assert "clients.csv" in client.get("/admin/imports").text


def test_bad_lines_are_told_and_taken_back_without_formulas(as_role: As, db: Database) -> None:
    client = as_role("finance")
    _, where = upload(client, BAD)
    shown = client.get(where).text
    assert "<script>" not in shown
    assert f"{where}/run" not in shown, "nothing to press"
    assert post(client, f"{where}/run")[0] == 409
    answer = client.get(f"{where}/lines.csv?which=all")
    assert answer.mimetype == "text/csv"
    assert answer.text.startswith("\ufeff")
    assert '"\'=1+1"' in answer.text
    assert client.get(f"{where}/lines.csv?which=good").text.splitlines()[1:] == ['"C-1";"Mbuyi";""']
    assert len(client.get(f"{where}/lines.csv").text.splitlines()) == 2
    assert client.get(f"{where}/lines.csv?which=x").status_code == 404
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(CustomerRow)) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01\x02", b"PK\x03\x04zip", b"reference\n", b"a;b\n1;2\n", b"reference;nom\n"]
)
def test_nonsense_is_a_sentence_and_nothing_is_kept(as_role: As, db: Database, data: bytes) -> None:
    status, said = upload(as_role("finance"), data)
    assert status == 409
    assert 'role="alert"' in said
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(ImportRow)) == 0


def test_no_file_no_kind_and_a_file_that_is_too_large(as_role: As) -> None:
    client = as_role("finance")
    assert post(client, "/admin/imports", kind="customers")[0] == 400
    assert upload(client, GOOD, kind="ghosts")[0] == 400
    status, said = upload(client, b"reference;nom\n" + b"C-1;Mbuyi\n" * 2_530_000)
    assert status == 413
    assert "25 M" in said
    assert upload(client, b"reference;nom\n" + b"C-1;Mbuyi\n" * 2_501_000)[0] == 409


def test_opening_balances_are_imported_by_a_second_person(as_role: As, db: Database) -> None:
    with db.begin() as session:
        account = town.home(session).account_number
    client, where = as_role("finance"), "/admin/imports/1"
    assert upload(client, f"compte;solde;devise\n{account};500;FC\n", kind="balances") == (303, where)
    assert f"{where}/run" not in client.get(where).text
    assert post(client, f"{where}/run")[0] == 409
    second = as_role("finance2")
    assert f"{where}/run" in second.get(where).text
    assert post(second, f"{where}/run")[0] == 303
    assert "O26-" in second.get("/admin/customers/1").text


@pytest.mark.parametrize("role", ["viewer", "office"])
def test_who_may_not(as_role: As, role: str) -> None:
    client = as_role(role)
    for address in ("/admin/imports", "/admin/imports.csv", "/admin/imports/1", "/admin/imports/templates/meters.csv"):
        assert client.get(address).status_code == 403
    assert post(client, "/admin/imports")[0] == 403
    assert post(client, "/admin/imports/1/run")[0] == 403
    assert "/admin/imports" not in client.get("/admin/settings/").text


def test_lists_templates_and_what_is_not_there(as_role: As, console: Console) -> None:
    client = as_role("finance")
    assert client.get("/admin/imports").status_code == 200
    upload(client, GOOD)
    exported = client.get("/admin/imports.csv").text
    assert "clients.csv" in exported
    noted = console.staff.newest_audit(limit=1)[0]
    assert (noted.actor, noted.act, noted.detail) == ("finance", "export.imports", "1 rows")
    for kind in ("customers", "contracts", "meters", "balances"):
        answer = client.get(f"/admin/imports/templates/{kind}.csv")
        assert len(answer.text.splitlines()) == 2, "a first line and an example"
        assert answer.headers["Content-Disposition"].endswith(f'"{kind}.csv"')
    assert client.get("/admin/imports/templates/ghosts.csv").status_code == 404
    assert client.get("/admin/imports/99").status_code == 404
    assert post(client, "/admin/imports/99/run")[0] == 404


def test_long_files_are_looked_at_by_the_queue(as_role: As, monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    monkeypatch.setattr("core.services.imports.INLINE_LINES", 1)
    client = as_role("finance")
    _, where = upload(client, GOOD)
    waiting = client.get(where)
    assert waiting.headers["Refresh"]
    assert post(client, f"{where}/run")[0] == 409
