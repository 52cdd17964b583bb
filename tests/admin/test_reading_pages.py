"""Readings in the console: what was expected, who decided, and a file looked at before it is taken."""

from __future__ import annotations

import re
from io import BytesIO

from sqlalchemy import event, select

from core.db import Database
from core.kernel.clock import FixedClock
from core.readings.tables import ReadingRow
from core.services.readings import Readings
from tests import town
from tests.admin import metering_town
from tests.admin.conftest import post, token_in
from tests.admin.console_town import Console
from tests.admin.test_money_suspense import logged_in

FILE = "account;at;kwh\n{account};2026-03-09;1234,5\n{stranger};2026-03-09;7\n;x;y\n"


def held_row(db: Database) -> ReadingRow:
    with db.read() as session:
        return session.scalars(select(ReadingRow).where(ReadingRow.state == "held")).one()


def acts(console: Console) -> list[tuple[str, str, str]]:
    return [(e.actor, e.act, e.detail) for e in console.staff.newest_audit() if not e.act.startswith("staff.")]


def test_a_held_reading_shows_what_was_expected(console: Console, db: Database, clock: FixedClock) -> None:
    home = metering_town.held(db, clock)
    client = logged_in(console, "viewer")
    listed = client.get("/admin/readings").text
    assert home.meter.id in listed
    assert "jump" in listed
    assert "No reading waits" in client.get("/admin/readings?doubt=clock").text
    assert home.meter.id in client.get(f"/admin/readings?meter={home.meter.id.lower()}").text
    html = client.get(f"/admin/readings/{held_row(db).id}").text
    assert "1\u00a0960,4" in html
    assert "905,8" in html
    assert "4,2" in html
    assert ">estimate<" in html
    assert "<form" not in html.split("<main")[1]
    assert client.get("/admin/readings/999999").status_code == 404


def test_a_person_decides_with_a_reason_and_it_is_written_down(
    console: Console, db: Database, clock: FixedClock
) -> None:
    metering_town.held(db, clock)
    reading = held_row(db)
    address = f"/admin/readings/{reading.id}/decide"
    status, _ = post(logged_in(console, "viewer"), address, how="accept", reason="seen on site")
    assert status == 403
    client = logged_in(console, "office")
    for form, said in (
        ({"how": "accept", "reason": ""}, "Say why"),
        ({"how": "correct", "reason": "misread", "kwh": "12,3456"}, "This is no register"),
        ({"how": "correct", "reason": "misread", "kwh": "NaN"}, "This is no register"),
    ):
        status, html = post(client, address, **form)
        assert (status, said in html) == (400, True), form
    assert held_row(db).id == reading.id
    status, where = post(client, address, how="correct", reason="un chiffre de trop", kwh="1 058,4")
    assert (status, where) == (303, "/admin/readings?done=correct")
    with db.read() as session:
        row = session.get_one(ReadingRow, reading.id)
        assert (row.state, row.wh, row.said_wh, row.by) == ("accepted", 1_058_400, 1_960_400, "office")
    assert acts(console)[0] == ("office", "reading.corrected", "1\u00a0058,4 kWh: un chiffre de trop")
    status, html = post(client, address, how="accept", reason="seen on site")
    assert (status, "decided about this reading already" in html) == (409, True)


def test_accept_and_refuse(console: Console, db: Database, clock: FixedClock) -> None:
    metering_town.held(db, clock)
    client, reading = logged_in(console, "office"), held_row(db)
    assert post(client, f"/admin/readings/{reading.id}/decide", how="accept", reason="seen on site")[0] == 303
    assert post(client, f"/admin/readings/{reading.id}/decide", how="reject", reason="another meter")[0] == 303
    with db.read() as session:
        assert session.get_one(ReadingRow, reading.id).state == "rejected"
    assert [what for _, what, _ in acts(console)[:2]] == ["reading.rejected", "reading.accepted"]


def test_a_file_is_looked_at_first(console: Console, db: Database, clock: FixedClock) -> None:
    with db.begin() as session:
        home = town.home(session, kind="consumption")
    client = logged_in(console, "office")
    text = FILE.format(account=home.account_number, stranger=town.account_number(77))
    token = token_in(client.get("/admin/account").text)
    looked = client.post(
        "/admin/readings/file/look",
        data={"csrf_token": token, "file": (BytesIO(text.encode()), "relevés mars.csv")},
        content_type="multipart/form-data",
    )
    assert looked.status_code == 200
    assert "Nothing is written yet" in looked.text
    assert f"nobody knows meter or account {town.account_number(77)}" in looked.text
    with db.read() as session:
        assert session.scalars(select(ReadingRow)).all() == []
    kept = re.search(r'name="kept" value="([^"]+)"', looked.text)
    assert kept
    status, html = post(client, "/admin/readings/file/import", kept=kept.group(1), filename="relevés mars.csv")
    assert (status, "Taken in: relevés mars.csv" in html) == (200, True)
    with db.read() as session:
        assert [row.wh for row in session.scalars(select(ReadingRow))] == [1_234_500]
    assert acts(console)[0][:2] == ("office", "readings.imported")
    assert post(client, "/admin/readings/file/import", kept="%%%")[0] == 400
    assert post(client, "/admin/readings/file/look")[0] == 400
    bad = client.post(
        "/admin/readings/file/look",
        data={"csrf_token": token, "file": (BytesIO(b"meter;at;colour\n"), "x.csv")},
        content_type="multipart/form-data",
    )
    assert (bad.status_code, "There is no column" in bad.text) == (400, True)


def test_the_list_costs_the_same_however_long(console: Console, db: Database, clock: FixedClock) -> None:
    client = logged_in(console, "office")
    counts = []
    for _ in range(2):
        for _ in range(3):
            metering_town.held(db, clock)
        statements: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object, into: list[str] = statements) -> None:
            into.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        assert client.get("/admin/readings").status_code == 200
        event.remove(db.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts[0] == counts[1]
    csv = client.get("/admin/readings.csv").text
    assert csv.count("\r\n") == 7
    assert len(Readings(db, clock).held()) == 6
