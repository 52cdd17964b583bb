"""Agencies in the console: list, one, new, change, close, days that differ; who may; what is written down."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from io import StringIO

import pytest
from flask.testing import FlaskClient

from core.db import Database
from core.kernel.clock import FixedClock
from core.services.agencies import Agencies
from core.services.places import Places
from tests import town
from tests.admin.conftest import post
from tests.admin.console_town import HOSTILE, Console
from tests.core.statements import statements_of

HERE = "/admin/settings/agencies"
GOMA = {
    "code": "gom", "name": "Agence Goma", "place": "NK-v-goma", "address": "5 bd Kanyamuhanga",
    "phone0": "0812 345 678", "phone1": "0995550111", "day0": "8h-12h, 13h-16h30", "day1": "8h-12h",
    "latitude": "-1,674", "longitude": "29.228",
}  # fmt: skip

AsRole = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def places(console: Console, db: Database) -> None:
    Places(db).load()


def english(client: FlaskClient) -> FlaskClient:
    post(client, "/admin/language", language="en")
    return client


def acts(console: Console) -> list[tuple[str, str, str]]:
    return [(e.act, e.subject, e.detail) for e in reversed(console.staff.newest_audit()) if e.act.startswith("agency.")]


def test_an_agency_is_made_changed_closed_and_opened_again(console: Console, as_role: AsRole) -> None:
    finance = english(as_role("finance"))
    status, there = post(finance, f"{HERE}/new", **GOMA)
    assert (status, there) == (303, f"{HERE}/1?done=created")
    shown = finance.get(there).text
    for words in (
        "Agence Goma", "Nord-Kivu", "0812 345 678", "0995 550 111", "8:00-12:00, 13:00-16:30", "-1.674, 29.228",
        "open now",
    ):  # fmt: skip
        assert words in shown, words
    form = finance.get(f"{HERE}/1/edit").text
    assert 'value="08:00-12:00, 13:00-16:30"' in form
    assert post(finance, f"{HERE}/1/edit", **{**GOMA, "name": "Agence du Lac", "day1": ""})[0] == 303
    assert post(finance, f"{HERE}/1/close")[0] == 303
    assert "closed for good" in finance.get(f"{HERE}/1").text
    assert "Agence du Lac" not in finance.get(HERE).text
    assert "Agence du Lac" in finance.get(f"{HERE}?state=closed").text
    assert post(finance, f"{HERE}/1/reopen")[0] == 303
    assert [act for act, _, _ in acts(console)] == [
        "agency.created", "agency.changed", "agency.closed", "agency.reopened",
    ]  # fmt: skip
    assert "name: Agence Goma > Agence du Lac" in acts(console)[1][2]


def test_another_place_brings_its_own_town(as_role: AsRole) -> None:
    finance = english(as_role("finance"))
    post(finance, f"{HERE}/new", **GOMA)
    for place, told in (("KN-c-gombe", "Kinshasa · Gombe"), ("NK-v-butembo", "Butembo")):
        form = finance.get(f"{HERE}/1/edit").text
        kept = {name: re.search(rf'name="{name}" value="([^"]*)"', form) for name in ("city", "commune")}
        typed = {name: found.group(1) for name, found in kept.items() if found}
        assert post(finance, f"{HERE}/1/edit", **{**GOMA, **typed, "place": place})[0] == 303
        assert f"<dd>{told}</dd>" in finance.get(f"{HERE}/1").text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"phone0": "12"}, "12 is no telephone number."),
        ({"place": "XX"}, "Choose a place."),
        ({"day3": "morning"}, "Thursday: hours are written"),
        ({"code": "?"}, "A code has 2 to 12"),
        ({"latitude": "far"}, "Coordinates are two numbers"),
    ],
)
def test_a_refused_form_keeps_what_was_typed(as_role: AsRole, changed: dict[str, str], said: str) -> None:
    finance = english(as_role("finance"))
    status, shown = post(finance, f"{HERE}/new", **{**GOMA, **changed})
    assert status in (400, 409)
    assert said in shown
    assert 'value="5 bd Kanyamuhanga"' in shown


def test_days_that_differ_are_noted_here_and_everywhere(console: Console, as_role: AsRole) -> None:
    finance = english(as_role("finance"))
    post(finance, f"{HERE}/new", **GOMA)
    assert post(finance, f"{HERE}/1/days", day="2026-03-10", hours="", reason="Deuil")[0] == 303
    shown = finance.get(f"{HERE}/1").text
    assert "Deuil" in shown
    assert "shut now" in shown
    assert post(finance, f"{HERE}/days", day="2026-12-24", hours="8h-12h", reason="Veille de Noël")[0] == 303
    assert "Veille de Noël" in finance.get(f"{HERE}/1").text
    assert "Veille de Noël" in finance.get(f"{HERE}/days").text
    assert post(finance, f"{HERE}/1/days", day="yesterday", hours="")[0] == 400
    assert post(finance, f"{HERE}/1/days", day="2026-03-11", hours="late")[0] == 400
    assert post(finance, f"{HERE}/1/days", day="2020-03-11", hours="")[0] == 409
    # A day of all agencies is not taken back at one of them.
    assert post(finance, f"{HERE}/1/days/drop", id="2")[0] == 303
    assert "Veille de Noël" in finance.get(f"{HERE}/1").text
    assert post(finance, f"{HERE}/days/drop", id="2")[0] == 303
    assert post(finance, f"{HERE}/1/days/drop", id="1")[0] == 303
    assert "Deuil" not in finance.get(f"{HERE}/1").text
    assert [act for act, _, _ in acts(console)][1:] == [
        "agency.day", "agency.day", "agency.day.refused", "agency.day_dropped", "agency.day_dropped",
    ]  # fmt: skip


def test_everybody_looks_and_only_finance_changes(as_role: AsRole) -> None:
    post(as_role("finance"), f"{HERE}/new", **GOMA)
    viewer = as_role("viewer")
    assert "Agence Goma" in viewer.get(HERE).text
    assert f"{HERE}/1/edit" not in viewer.get(f"{HERE}/1").text
    for address in (f"{HERE}/new", f"{HERE}/1/edit", f"{HERE}/1/close", f"{HERE}/1/days", f"{HERE}/days"):
        assert post(viewer, address)[0] == 403, address
    assert viewer.get(f"{HERE}/999").status_code == 404


def test_the_list_is_a_file_too(as_role: AsRole) -> None:
    finance = english(as_role("finance"))
    post(finance, f"{HERE}/new", **{**GOMA, "name": "=SUM(A1)"})
    rows = list(csv.reader(StringIO(finance.get(f"{HERE}.csv").text.lstrip("\ufeff"))))
    assert rows[1][:5] == ["GOM", "'=SUM(A1)", "active", "Nord-Kivu", "Goma"]


def test_what_is_typed_is_shown_as_text(as_role: AsRole) -> None:
    finance = as_role("finance")
    post(finance, f"{HERE}/new", **{**GOMA, "name": HOSTILE[:80], "address": HOSTILE})
    for address in (HERE, f"{HERE}/1", f"{HERE}/1/edit", f"{HERE}?like={HOSTILE[:50]}"):
        assert "<script>alert" not in finance.get(address).text, address


def test_a_list_is_a_fixed_number_of_statements(
    console: Console, as_role: AsRole, db: Database, clock: FixedClock
) -> None:
    viewer = as_role("viewer")
    with db.begin() as session:
        town.agency(session)
    with statements_of(db) as few:
        viewer.get(HERE)
    with db.begin() as session:
        for _ in range(60):
            town.agency(session)
    with statements_of(db) as many:
        shown = viewer.get(HERE).text
    assert len(many) == len(few)
    assert shown.count("Agence Kinshasa") == 50
    assert viewer.get(f"{HERE}?page=1").text.count("Agence Kinshasa") == 11
    assert len(Agencies(db, clock, console.staff.audit).all()) == 61
