"""Meters in the console: which need somebody, one with all that it was told, and supply on by a person."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import event

from core.db import Database
from core.kernel.clock import FixedClock
from core.supply.tables import MeterDesiredRow
from tests import town
from tests.admin import metering_town
from tests.admin.conftest import post
from tests.admin.console_town import Console
from tests.admin.test_money_suspense import logged_in


def listed(html: str) -> list[str]:
    return re.findall(r'<a class="mono" href="/admin/meters/(MW\d+)"', html)


def test_the_list_is_sieved(console: Console, db: Database, clock: FixedClock) -> None:
    held = metering_town.held(db, clock)
    metering_town.off(db, clock, held)
    radio, keypad = metering_town.prepaid_homes(db, clock)
    with db.begin() as session:
        silent = town.home(session)
        town.heard(session, silent.meter, at=clock.real_now() - timedelta(hours=60))
    client = logged_in(console, "viewer")
    ids = [home.meter.id for home in (held, radio, keypad, silent)]
    assert listed(client.get("/admin/meters").text) == sorted(ids)
    for asked, expected in (
        ("odd=out_of_step", [held]),
        ("odd=silent", [silent]),
        ("odd=task", [held]),
        ("control=openpaygo_token", [keypad]),
        ("wanted=off", [held]),
        ("reported=none", [keypad]),
        (f"q={radio.meter.id.lower()}", [radio]),
        ("q=100%25", []),
        ("odd=nonsense&control=x", [held, radio, keypad, silent]),
    ):
        found = listed(client.get(f"/admin/meters?{asked}").text)
        assert found == sorted(home.meter.id for home in expected), asked


def test_one_meter_shows_what_it_was_told_and_said(console: Console, db: Database, clock: FixedClock) -> None:
    held = metering_town.held(db, clock)
    metering_town.off(db, clock, held)
    radio, _ = metering_town.prepaid_homes(db, clock)
    client = logged_in(console, "viewer")
    html = client.get(f"/admin/meters/{held.meter.id}").text
    for said in ("out of step", "The relay did not follow.", "waiting", ">estimate<", "jump", held.customer.name):
        assert said in html, said
    assert "Supply on" not in html
    html = client.get(f"/admin/meters/{radio.meter.id}").text
    for said in ("7 149 FC", "12,345 kWh", "1 851 FC"):
        assert said in html, said
    assert client.get("/admin/meters/NOBODY").status_code == 404


def test_tokens_are_whole_only_for_those_who_may(console: Console, db: Database, clock: FixedClock) -> None:
    _, keypad = metering_town.prepaid_homes(db, clock)
    [issue] = metering_town.prepaid_of(db, clock).issues(keypad.contract.id)
    address = f"/admin/meters/{keypad.meter.id}"
    seen = logged_in(console, "viewer").get(address).text.replace(" ", "")
    whole = logged_in(console, "office").get(address).text.replace(" ", "")
    for token in issue.tokens:
        assert token not in seen
        assert f"******{token[-3:]}" in seen
        assert token in whole


def test_a_person_wants_supply_on(console: Console, db: Database, clock: FixedClock) -> None:
    home = metering_town.held(db, clock)
    metering_town.off(db, clock, home)
    address = f"/admin/meters/{home.meter.id}/on"
    assert post(logged_in(console, "office"), address, reason="mistake")[0] == 403
    client = logged_in(console, "finance")
    assert "Supply on" in client.get(f"/admin/meters/{home.meter.id}").text
    status, html = post(client, address, reason=" ")
    assert (status, "Say why" in html) == (400, True)
    assert post(client, address, reason="coupé par erreur") == (303, f"/admin/meters/{home.meter.id}?done=on")
    with db.read() as session:
        desired = session.get_one(MeterDesiredRow, home.meter.id)
        assert (desired.supply, desired.reason, desired.set_by, desired.version) == ("on", "staff", "finance", 2)
    assert post(client, address, reason="coupé par erreur")[1].endswith("done=so")
    entry = next(e for e in console.staff.newest_audit() if e.act == "supply.on")
    assert (entry.actor, entry.subject, entry.detail) == ("finance", home.meter.id, "coupé par erreur")


def test_what_is_off_for_safety_and_what_has_no_switch_stay(console: Console, db: Database, clock: FixedClock) -> None:
    home = metering_town.held(db, clock)
    metering_town.off(db, clock, home, reason="safety")
    _, keypad = metering_town.prepaid_homes(db, clock)
    client = logged_in(console, "finance")
    for meter_id in (home.meter.id, keypad.meter.id):
        status, html = post(client, f"/admin/meters/{meter_id}/on", reason="please")
        assert (status, "not in a state" in html) == (409, True)
    with db.read() as session:
        assert session.get_one(MeterDesiredRow, home.meter.id).supply == "off"


def test_lists_cost_the_same_however_long(console: Console, db: Database, clock: FixedClock) -> None:
    client, counts = logged_in(console, "office"), []
    for _ in range(2):
        for _ in range(3):
            metering_town.off(db, clock, metering_town.held(db, clock))
        statements: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object, into: list[str] = statements) -> None:
            into.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        assert client.get("/admin/meters").status_code == 200
        event.remove(db.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert client.get("/admin/meters.csv?odd=out_of_step").text.count("\r\n") == 7
    assert "MW00000001" in client.get("/admin/meters.csv?q=MW00000001").text
    assert client.get("/admin/meters/MW00000001/readings.csv").text.count("\r\n") == 17
