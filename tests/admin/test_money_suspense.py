"""Money that nobody could place: two people put it where it belongs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from tests import town
from tests.admin import console_town
from tests.admin.conftest import log_in, post
from tests.admin.console_town import Console
from tests.admin.money_town import swapped, unplaced
from tests.admin.test_console_pages import english

As = Callable[[str], FlaskClient]


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    return console_town.everything_happened(db, clock)


def logged_in(console: Console, login: str) -> FlaskClient:
    client = console.app.test_client()
    assert log_in(client, login) == 303
    return english(client)


def test_what_waits_is_listed_with_its_age_and_the_best_idea(
    home: town.Home, clock: FixedClock, console: Console, as_role: As
) -> None:
    unplaced(console.money, clock, swapped(home.account_number))
    clock.advance(days=9)
    unplaced(console.money, clock, "nothing", txn="PP2", units=700)
    html = english(logged_in(console, "finance")).get("/admin/money/suspense").text
    for part in ("12 500 FC", "9 days", "7 to 29 days", "Two neighbouring digits are swapped", "0815 550 001"):
        assert part in html, part
    assert "0815 550 001" not in english(logged_in(console, "office")).get("/admin/money/suspense").text


def test_two_people_place_it_and_the_customer_s_debt_shrinks(
    home: town.Home, clock: FixedClock, console: Console, db: Database
) -> None:
    payment = unplaced(console.money, clock, swapped(home.account_number))
    first, second = logged_in(console, "finance"), logged_in(console, "finance2")
    item = f"/admin/money/suspense/{payment}"
    contract = str(home.contract.id)

    confirm = first.get(f"{item}/place?contract={contract}").text
    assert "12 500 FC for Mbuyi Kalala?" in confirm
    assert "28 500 FC" in confirm, "what is due"

    assert post(first, f"{item}/place", contract=contract, note="elle a appelé") == (303, f"{item}?done=asked")
    html = first.get(item).text
    assert "You have said so. A second person must say the same." in html
    status, _ = post(first, f"{item}/place", contract=contract, note="encore moi")
    assert console.money.reconciliation.suspense_item(payment) is not None, "one person is not two"

    assert "elle a appelé" in second.get(f"{item}/place?contract={contract}").text
    status, location = post(second, f"{item}/place", contract=contract, note="vu le reçu")
    assert (status, location) == (303, "/admin/money/suspense?done=placed")
    assert console.money.reconciliation.suspense_item(payment) is None
    brief = console.money.desk.payment(payment)
    assert brief
    assert brief.contract
    assert brief.contract.due.text == "16 000 FC"
    acts = [(e.actor, e.act) for e in console.staff.newest_audit(limit=6)]
    assert ("finance", "suspense.place") in acts
    assert ("finance2", "suspense.place") in acts


def test_an_account_number_is_typed_and_checked(home: town.Home, clock: FixedClock, console: Console) -> None:
    item = f"/admin/money/suspense/{unplaced(console.money, clock, 'COURANT')}"
    client = logged_in(console, "finance")
    wrong = client.get(f"{item}/place?account={swapped(home.account_number)}")
    assert wrong.status_code == 400
    assert "its check digit does not fit" in wrong.text
    assert f'value="{swapped(home.account_number)}"' in wrong.text, "what was typed is still there"
    nobody = client.get(f"{item}/place?account={town.account_number(777)}")
    assert nobody.status_code == 404
    assert "No contract has this account number." in nobody.text
    assert client.get(f"{item}/place").status_code == 400
    right = client.get(f"{item}/place", query_string={"account": "1OO 000 001 8"})
    assert "for Mbuyi Kalala?" in right.text


def test_a_note_is_asked_for_and_nothing_typed_is_lost_when_busy(
    home: town.Home, clock: FixedClock, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = f"/admin/money/suspense/{unplaced(console.money, clock, 'COURANT')}"
    client = logged_in(console, "finance")
    status, html = post(client, f"{item}/place", contract=str(home.contract.id), note=" ")
    assert (status, "Write down why it belongs there." in html) == (400, True)

    def busy(*_args: object) -> None:
        raise NotRecorded("busy")

    monkeypatch.setattr(console.money.reconciliation, "place", busy)
    status, html = post(client, f"{item}/place", contract=str(home.contract.id), note="vu le reçu à l'agence")
    assert status == 503
    assert "vu le reçu à l&#39;agence" in html


def test_a_placing_is_withdrawn(home: town.Home, clock: FixedClock, console: Console) -> None:
    item = f"/admin/money/suspense/{unplaced(console.money, clock, 'COURANT')}"
    client = logged_in(console, "finance")
    post(client, f"{item}/place", contract=str(home.contract.id), note="je crois")
    assert post(client, f"{item}/withdraw") == (303, f"{item}?done=withdrawn")
    assert "You have said so" not in client.get(item).text


def test_suspense_as_csv(home: town.Home, clock: FixedClock, console: Console) -> None:
    unplaced(console.money, clock, "=HYPERLINK(1)")
    text = logged_in(console, "finance").get("/admin/money/suspense.csv").data.decode("utf-8-sig")
    assert "'=HYPERLINK(1)" in text
    assert console.staff.newest_audit()[0].act == "export.suspense"


def test_what_does_not_wait_is_404(home: town.Home, console: Console) -> None:
    client = logged_in(console, "finance")
    for address in ("zz", "0f/place?contract=1", "' OR 1"):
        assert client.get(f"/admin/money/suspense/{address}").status_code == 404
