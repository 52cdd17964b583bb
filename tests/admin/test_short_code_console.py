"""Where people leave the menu: counted as they did it, on both databases; the pages, the CSV and the picture."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from core.db import Database
from core.kernel.clock import FixedClock
from core.services.menu_use import DAYS_MAX, MenuUse
from core.services.turns import Turns
from core.turns.model import EndEntry, TurnEntry

TODAY = date(2026, 3, 10)


def dial(
    clock: FixedClock,
    name: str,
    *screens: str,
    pause_s: float = 4,
    day: date = TODAY,
    network: str = "63001",
    language: str = "fr",
    status: str = "",
    silence_s: int = 0,
) -> list[TurnEntry | EndEntry]:
    """One session: its screens, `.` behind the last where it ended with our END; and what the network told."""
    at = clock.now()
    entries: list[TurnEntry | EndEntry] = []
    for position, state in enumerate(screens):
        entries.append(
            TurnEntry(
                "africastalking", name, "+243815550001", "*123#", day.isoformat(), position, state.rstrip("."),
                position, "0" * 32, "", "a screen", state.endswith("."), None,
                (at + timedelta(seconds=pause_s * position)).isoformat(), None, network, language,
            )
        )  # fmt: skip
    if status:
        last = at + timedelta(seconds=pause_s * (len(screens) - 1) + silence_s)
        entries.append(
            EndEntry(
                "africastalking", name, "+243815550001", "*123#", network, status, "", None, None, day.isoformat(),
                last.isoformat(),
            )
        )  # fmt: skip
    return entries


def a_week(db: Database, clock: FixedClock) -> None:
    turns = Turns(db)
    for batch in (
        dial(clock, "paid", "home", "pay.menu", "pay.confirm", "pay.begun.", status="reached_end"),
        dial(clock, "slow", "home", "pay.menu", pause_s=11.9, network="63002", language="sw"),
        dial(clock, "hung up", "home", "pay.menu", status="left", silence_s=3),
        dial(clock, "silent", "home", status="left", silence_s=25),
        dial(clock, "broken", "home", status="failed"),
        dial(clock, "before", "home", day=TODAY - timedelta(days=30)),
    ):
        turns.record(batch)


def test_where_people_leave(any_db: Database, clock: FixedClock) -> None:
    a_week(any_db, clock)
    use = MenuUse(any_db, clock).of()
    assert (use.where.first, use.where.last) == (TODAY - timedelta(days=6), TODAY)
    assert (use.networks, use.languages) == (["63001", "63002"], ["fr", "sw"])
    counted = {(p.state, p.network): p for p in use.passages}
    home, menu = counted["home", "63001"], counted["pay.menu", "63001"]
    assert (home.shown, home.answered, home.left, home.hung_up, home.timed_out, home.failed) == (4, 2, 2, 0, 1, 1)
    assert (home.median_s, home.untold) == (4, 0)
    assert (menu.shown, menu.answered, menu.left, menu.hung_up, menu.untold) == (2, 1, 1, 1, 0)
    begun = counted["pay.begun", "63001"]
    assert (begun.shown, begun.ended, begun.left, begun.asked, begun.left_share, begun.median_s) == (
        1,
        1,
        0,
        0,
        0,
        None,
    )
    theirs = counted["home", "63002"]
    assert (theirs.language, theirs.median_s, counted["pay.menu", "63002"].untold) == ("sw", 11, 1)


def test_days_networks_and_languages_are_chosen(any_db: Database, clock: FixedClock) -> None:
    a_week(any_db, clock)
    of = MenuUse(any_db, clock).of
    before = TODAY - timedelta(days=30)
    assert sum(p.shown for p in of(before, before).passages) == 1
    assert sum(p.shown for p in of(before, TODAY).passages) == 11
    assert sum(p.shown for p in of(network="63002").passages) == 2
    assert sum(p.shown for p in of(language="fr", network="63002").passages) == 0
    assert of(TODAY, before).where == of(before, TODAY).where
    assert of(TODAY - timedelta(days=900), TODAY).where.first == TODAY - timedelta(days=DAYS_MAX - 1)


def test_three_statements_and_an_index(any_db: Database, clock: FixedClock) -> None:
    a_week(any_db, clock)
    said: list[tuple[str, object]] = []
    event.listen(any_db._reader, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    MenuUse(any_db, clock).of()
    reads = [one for one in said if one[0] != "BEGIN"]
    assert len(reads) == 3
    if any_db.is_sqlite:
        with any_db.read() as session:
            for statement, values in reads:
                plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()  # type: ignore[arg-type]
                assert any("ix_turn_day" in str(row) or "ix_session_end_day" in str(row) for row in plan), statement


def test_the_page_and_its_table(db: Database, clock: FixedClock, as_role: Callable[[str], FlaskClient]) -> None:
    a_week(db, clock)
    office = as_role("office")
    html = office.get("/admin/ussd/").text
    assert "pay.menu" in html
    assert "63002" in html
    assert "before" not in html
    assert office.get("/admin/ussd/?network=63009").status_code == 200
    assert office.get("/admin/ussd/?first=nonsense").status_code == 404
    answer = office.get("/admin/ussd/use.csv?first=2026-03-10&last=2026-03-10&network=63002")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")), delimiter=";"))
    assert [row[:7] for row in rows[1:]] == [
        ["home", "63002", "sw", "1", "1", "0", "0"],
        ["pay.menu", "63002", "sw", "1", "0", "0", "1"],
    ]
    assert as_role("viewer").get("/admin/ussd/use.csv").status_code == 403


@pytest.mark.parametrize("language", ["fr", "lua"])
def test_the_picture_brings_its_own_style_and_no_other(as_role: Callable[[str], FlaskClient], language: str) -> None:
    client = as_role("viewer")
    assert f"/admin/ussd/map.svg?language={language}" in client.get(f"/admin/ussd/map?language={language}").text
    answer = client.get(f"/admin/ussd/map.svg?language={language}")
    assert answer.mimetype == "image/svg+xml"
    assert f"<text>{language}</text>" in answer.text
    style = answer.text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'self' 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]
    assert client.get("/admin/ussd/map.svg?language=xx").status_code == 404
