"""What the pages show: today, search, one customer's story; hostile text stays text."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO

import pytest
from flask.testing import FlaskClient

from core.csv_files import plain_cell
from core.db import Database
from core.desk.model import Entry
from core.kernel.clock import FixedClock
from tests import town
from tests.admin import console_town
from tests.admin.conftest import token_in
from tests.admin.console_town import CODE, HOSTILE, OWN_REF, RECEIPT, TXN, Console

As = Callable[[str], FlaskClient]


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    return console_town.everything_happened(db, clock)


def english(client: FlaskClient) -> FlaskClient:
    data = {"csrf_token": token_in(client.get("/admin/account").text), "language": "en"}
    client.post("/admin/language", data=data)
    return client


def test_today_shows_money_what_hangs_and_what_failed(home: town.Home, as_role: As) -> None:
    html = english(as_role("viewer")).get("/admin/").text
    assert "30 000 FC" in html
    assert "not known yet" in html
    assert "not enough money in the wallet" in html
    assert "Meters out of step" in html
    assert "the gateway refused the number" in html
    assert html.count(f"/admin/customers/{home.customer.id}") >= 3


def test_today_on_an_empty_system_is_calm(as_role: As) -> None:
    html = english(as_role("viewer")).get("/admin/").text
    assert "Every wallet has answered." in html
    assert "Every meter reports what is wanted of it." in html


ANYTHING = (
    "+243815550001", "0815550001", "0815 550 001", "00243 81 555 0001", "815-550-001", "1000000018", "100 000 001 8",
    "MW00000001", "mw00000001", RECEIPT, RECEIPT.lower(), CODE, f"{CODE[:3]} {CODE[3:]}", TXN, TXN.lower(), OWN_REF,
    OWN_REF.lower(), "Kalala", "mbuyi kal",
)  # fmt: skip


def test_search_finds_her_by_anything(home: town.Home, as_role: As) -> None:
    client = as_role("viewer")
    for words in ANYTHING:
        answer = client.get("/admin/search", query_string={"q": words})
        assert answer.status_code == 303, words
        assert answer.location == f"/admin/customers/{home.customer.id}", words


def test_search_finds_nobody_politely(home: town.Home, as_role: As) -> None:
    client = as_role("viewer")
    for words in ("", " ", "zzzz", "%", "_", "0812345678", "1" * 500, "'; DROP TABLE customer"):
        assert client.get("/admin/search", query_string={"q": words}).status_code == 200, words


def test_several_hits_are_a_list(home: town.Home, db: Database, as_role: As) -> None:
    with db.begin() as session:
        town.home(session, name="Kalala Ilunga")
    html = as_role("viewer").get("/admin/search?q=kalala").text
    assert "Kalala Ilunga" in html
    assert "Mbuyi Kalala" in html


def test_the_story_tells_everything_in_order(home: town.Home, as_role: As) -> None:
    html = english(as_role("office")).get(f"/admin/customers/{home.customer.id}").text
    order = [
        "Work for a crew", "EUNKNOWN000000000001", "30 000 FC received", OWN_REF, "Dialled *123#",
        "Decision: supply", "Sans paiement", "Rappel:", "Invoice T-000001 sent",
    ]  # fmt: skip
    places = [html.index(text) for text in order]
    assert places == sorted(places), "newest first"
    for part in (RECEIPT, TXN, OWN_REF, "AbsentSubscriber", "Tapez votre code M-Pesa", "28 500 FC", "1 500 FC"):
        assert part in html


def test_the_story_is_filtered_by_kind(home: town.Home, as_role: As) -> None:
    client = english(as_role("viewer"))
    html = client.get(f"/admin/customers/{home.customer.id}?kind=dial").text
    assert "Dialled *123#" in html
    assert "to its end" in html
    assert "network Vodacom" in html
    assert RECEIPT not in html
    assert "Dialled *123#" in client.get(f"/admin/customers/{home.customer.id}?kind=nonsense").text


def test_the_story_goes_on_page_by_page_without_gap_or_twin(
    home: town.Home, console: Console, clock: FixedClock
) -> None:
    whole = console.desk.story(home.customer.id, limit=500)
    assert whole.older is None
    pages: list[Entry] = []
    before = None
    for _ in range(100):
        page = console.desk.story(home.customer.id, before=before, limit=3)
        pages += page.entries
        before = page.older
        if before is None:
            break
    assert len(pages) == len(whole.entries) > 12
    assert {id(type(e)) for e in pages} == {id(type(e)) for e in whole.entries}
    assert [e.at for e in pages] == [e.at for e in whole.entries]


@pytest.mark.parametrize("address", ["/admin/customers/999", "/admin/customers/1?before=yesterday", "/admin/x/y"])
def test_what_is_not_there_is_404_in_words(home: town.Home, as_role: As, address: str) -> None:
    answer = as_role("viewer").get(address)
    assert answer.status_code == 404
    assert "<h1>" in answer.text


def test_hostile_names_stay_text(db: Database, clock: FixedClock, as_role: As) -> None:
    home = console_town.everything_happened(db, clock, name=HOSTILE)
    client = as_role("admin")
    for address in ("/admin/", f"/admin/customers/{home.customer.id}", "/admin/search?q=script"):
        html = client.get(address, follow_redirects=True).text
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "&lt;script&gt;" in html


def test_a_receipt_is_handed_out_to_the_office_only(home: town.Home, as_role: As) -> None:
    answer = as_role("office").get("/admin/receipts/abc.pdf")
    assert answer.content_type == "application/pdf"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert as_role("viewer").get("/admin/receipts/abc.pdf").status_code == 403


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(StringIO(text.removeprefix("\ufeff")), delimiter=","))


def test_each_table_of_today_is_csv(home: town.Home, as_role: As) -> None:
    client = english(as_role("finance"))
    for table in ("money", "open", "failed", "queues", "dead", "messages", "meters"):
        answer = client.get(f"/admin/today/{table}.csv")
        assert answer.status_code == 200, table
        rows = rows_of(answer.data.decode("utf-8"))
        assert len(rows) >= 2, table
        assert len({len(row) for row in rows}) == 1, table


def test_a_formula_in_a_name_is_text_in_the_csv(db: Database, clock: FixedClock, as_role: As, console: Console) -> None:
    console_town.everything_happened(db, clock, name='=HYPERLINK("http://evil.test","x")')
    rows = rows_of(english(as_role("finance")).get("/admin/today/open.csv").data.decode("utf-8"))
    assert rows[1][3].startswith("'=")
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert console.staff.newest_audit()[0].act == "export.today"


def test_the_story_is_csv_too(home: town.Home, as_role: As) -> None:
    rows = rows_of(english(as_role("office")).get(f"/admin/customers/{home.customer.id}/story.csv").data.decode())
    assert len({len(row) for row in rows}) == 1
    assert any(TXN in cell for row in rows for cell in row)
    assert any("Tapez votre code" in cell for row in rows for cell in row)


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=1+1", "'=1+1"), ("+243", "'+243"), ("-1", "'-1"), ("@x", "'@x"), ("\t=1", "'\t=1"), (" =1", "' =1"),
     ("plain", "plain"), (12, "12"), (None, ""), ("a\x00b", "ab")],
)  # fmt: skip
def test_cells_are_plain(value: object, cell: str) -> None:
    assert plain_cell(value) == cell


def test_the_audit_page_says_whether_the_chain_holds(as_role: As) -> None:
    html = english(as_role("admin")).get("/admin/audit").text
    assert "chain whole" in html
    assert "staff.log_in" in html


def test_a_password_is_changed_and_everybody_is_logged_out(as_role: As) -> None:
    client = as_role("viewer")
    data = {"csrf_token": token_in(client.get("/admin/account").text), "old": console_town.PASSWORD}
    short = client.post("/admin/account/password", data={**data, "new": "short", "again": "short"})
    assert short.status_code == 400
    done = client.post(
        "/admin/account/password", data={**data, "new": "une autre lampe allumee", "again": "une autre lampe allumee"}
    )
    assert done.status_code == 303
    assert client.get("/admin/").status_code == 303
