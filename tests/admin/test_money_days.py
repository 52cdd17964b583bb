"""Reports looked at and taken in, lines settled, days signed: all from the console."""

from __future__ import annotations

import io
import re

import pytest
from flask.testing import FlaskClient

from core.db import Database
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import console_town
from tests.admin.conftest import post, token_in
from tests.admin.console_town import TXN, Console
from tests.admin.money_town import statement
from tests.admin.test_money_suspense import logged_in

DAY = "/admin/money/days/vodacom/CDF/2026-03-10"


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    return console_town.everything_happened(db, clock)


def look(client: FlaskClient, data: bytes, *, name: str = "mars.csv", currency: str = "CDF") -> tuple[int, str]:
    token = token_in(client.get("/admin/account").text)
    form = {"csrf_token": token, "wallet": "vodacom", "currency": currency, "file": (io.BytesIO(data), name)}
    answer = client.post("/admin/money/statements/look", data=form)
    return answer.status_code, answer.text


def filled(html: str) -> dict[str, str]:
    """The mapping form of a page as a browser would send it."""
    form = html[html.index('class="card mapping"') :]
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<input id="[^"]+" name="(opt-[^"]+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'name="(opt-[^"]+)" rows="4">([^<]*)<', form))
    for name, inner in re.findall(r'<select id="[^"]+" name="([^"]+)">(.*?)</select>', form):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', inner)
        if chosen:
            found[name] = chosen[1] if chosen[1] is not None else chosen[2]
    return found


def take_in(client: FlaskClient, data: bytes) -> tuple[int, str]:
    _, html = look(client, data)
    fields = {name: value for name, value in filled(html).items() if name != "csrf_token"}
    return post(client, "/admin/money/statements/import", **fields)


def test_a_report_is_looked_at_before_anything_is_taken(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    status, html = look(client, statement(TXN))
    assert status == 200
    for part in ("30 000 FC", "243815557777 - SOMEBODY", "“1.2.3” is no amount.", "5 rows", "our guess"):
        assert part in html, part
    assert not console.money.reconciliation.imports()


def test_a_report_is_taken_in_once(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    status, location = take_in(client, statement(TXN))
    assert status == 303
    html = client.get(location).text
    assert "Taken in: 3 new lines, 0 known already, 1 without money, 1 not readable." in html
    assert "mars.csv" in html
    assert "line 5: “1.2.3” is no amount." in html
    _, location = take_in(client, statement(TXN))
    assert "This very file was taken in before" in client.get(location).text
    assert console.staff.newest_audit()[0].act == "statement.imported"
    _, html = look(client, statement(TXN, '"30,500.00"'))
    assert "our guess" not in html, "the columns are kept"


def test_columns_are_corrected_and_looked_at_again(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    _, html = look(client, statement(TXN).replace(b"Paid In", b"Montant recu"))
    assert "Not in this file:" in html
    fields = {name: value for name, value in filled(html).items() if name != "csrf_token"}
    status, html = post(
        client, "/admin/money/statements/look", **(fields | {"col-amount_in": "Montant recu", "opt-thousands": ","})
    )
    assert status == 200
    assert "30 000 FC" in html
    assert "Not in this file:" not in html
    status, html = post(client, "/admin/money/statements/import", **(fields | {"col-amount_in": "", "col-at": ""}))
    assert status == 409
    assert "Say which column holds the amount." in html
    assert 'name="kept"' in html, "the file is still in the page"


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        (b"", "empty.csv", "The file is empty."),
        (b"\xd0\xcf\x11\xe0 old", "old.xls", "old Excel file"),
        (b"x" * 10_000_001, "large.csv", "larger than 10 MB"),
        (b"PK\x03\x04 not a workbook", "broken.xlsx", ""),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_words(
    home: town.Home, console: Console, data: bytes, name: str, says: str
) -> None:
    status, html = look(logged_in(console, "finance"), data, name=name)
    assert status in (400, 409, 413)
    assert 'role="alert"' in html
    assert says in html


def test_large_forms_are_for_those_who_may_and_end_somewhere(home: town.Home, console: Console) -> None:
    console.app.config["MAX_CONTENT_LENGTH"] = 256 * 1024
    finance = logged_in(console, "finance")
    middling = statement(TXN) + (b",,,," + b"x" * 400 + b",,,,,,\n") * 2_000
    assert look(finance, middling)[0] == 200
    assert look(finance, b"x" * 16_000_000)[0] == 413
    assert look(logged_in(console, "office"), middling)[0] in (403, 413)
    status, _ = post(finance, "/admin/money/suspense/0f/withdraw", note="x" * 300_000)
    assert status == 413


@pytest.mark.parametrize("kept", ["", "not base 64", "AAAA", "eJw="])
def test_a_file_that_was_tampered_with_is_chosen_anew(home: town.Home, console: Console, kept: str) -> None:
    status, html = post(
        logged_in(console, "finance"), "/admin/money/statements/import", wallet="vodacom", currency="CDF", kept=kept
    )
    assert status in (400, 409)
    assert 'role="alert"' in html


def test_a_day_shows_what_agrees_and_what_does_not(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    take_in(client, statement(TXN, '"31,000.00"'))
    html = client.get("/admin/money/days").text
    for part in ("35 000 FC", "36 000 FC", "difference: 1 000 FC", "1 to look at", "The amounts differ."):
        assert part in html, part
    html = client.get(DAY).text
    assert "31 000 FC" in html
    assert TXN in html
    assert TXN not in client.get(f"{DAY}?outcome=matched").text
    assert TXN in client.get(f"{DAY}?outcome=open").text
    text = client.get(f"{DAY}.csv").data.decode("utf-8-sig")
    assert "31000.00" in text


def test_a_line_is_settled_with_a_note(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    take_in(client, statement(TXN, '"31,000.00"'))
    (line,) = console.money.reconciliation.lines("vodacom", open_only=True)
    address = f"/admin/money/lines/{line.id}"
    html = client.get(address).text
    assert "Our payment of 30 000 FC" in html, "what it was compared with"
    status, html = post(client, f"{address}/settle", choice="", note="x")
    assert (status, "Choose what it is." in html) == (400, True)
    status, html = post(client, f"{address}/settle", choice="accept", note="")
    assert (status, "Write down why." in html) == (400, True)
    assert 'value="accept" checked' in html
    status, html = post(client, f"{address}/settle", choice="match", target=line.payment_id or "", note="la même")
    assert (status, "The amounts differ: the line can be accepted as it is" in html) == (409, True)
    assert "la même" in html
    status, location = post(client, f"{address}/settle", choice="accept", note="frais inclus, dit M-Pesa")
    assert status == 303
    html = client.get(location).text
    assert "frais inclus, dit M-Pesa" in html
    assert "Settled." in html
    assert not console.money.reconciliation.lines("vodacom", open_only=True)
    assert console.staff.newest_audit()[0].act == "line.settled"


def test_a_day_is_signed_by_a_person_and_once(home: town.Home, console: Console, clock: FixedClock) -> None:
    client = logged_in(console, "finance")
    take_in(client, statement(TXN, '"31,000.00"'))
    status, html = post(client, f"{DAY}/close", note="trop tôt")
    assert status == 409, "the day is not over"
    clock.advance(days=1)
    client = logged_in(console, "finance")
    status, html = post(client, f"{DAY}/close", note="")
    assert status == 409, "something is open and nobody says why"
    status, location = post(client, f"{DAY}/close", note="M-Pesa corrige demain")
    assert status == 303
    html = client.get(location).text
    assert "Signed. Later corrections are new entries." in html
    assert "M-Pesa corrige demain" in html
    assert "sign this day" not in html
    assert post(client, f"{DAY}/close", note="encore")[0] == 409
    assert "signed" in client.get("/admin/money/days").text


@pytest.mark.parametrize(
    "address", ["days/nobody/CDF/2026-03-10", "days/vodacom/XXX/2026-03-10", "days/vodacom/CDF/yesterday", "lines/999"]
)
def test_what_is_not_there_is_404(home: town.Home, console: Console, address: str) -> None:
    assert logged_in(console, "office").get(f"/admin/money/{address}").status_code == 404


def test_the_office_looks_on(home: town.Home, console: Console) -> None:
    take_in(logged_in(console, "finance"), statement(TXN, '"31,000.00"'))
    office = logged_in(console, "office")
    assert "sign this day" not in office.get(DAY).text
    html = office.get("/admin/money/lines/1").text
    assert "The line as it came" not in html
    assert "243815550001" not in html
    assert "Look at it first" not in office.get("/admin/money/statements").text


def test_a_report_with_much_new_money_is_released_by_a_person(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    _, head, line, *_ = statement(TXN).decode().splitlines()
    lines = [line.replace(TXN, f"STRANGE{n}").replace("30,000", f"{31 + n},000") for n in range(12)]
    take_in(client, "\n".join([head, *lines]).encode())
    html = client.get("/admin/money/statements").text
    assert "12 lines are new to us" in html
    (view,) = console.money.reconciliation.imports()
    where = f"/admin/money/statements/{view.id}/release"
    status, html = post(client, where, note=" ")
    assert (status, "Say in a note why." in html) == (409, True)
    status, location = post(client, where, note="The till of the market.")
    assert status == 303
    html = client.get(location).text
    assert "Released: its new money is booked." in html
    assert "released by finance" in html
    assert console.staff.newest_audit()[0].act == "statement.released"
    assert not console.money.reconciliation.lines("vodacom", open_only=True)
