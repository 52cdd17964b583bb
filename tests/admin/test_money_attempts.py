"""The attempts of the console: found again, shown whole, without a secret, and asked about once more."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.db import Database
from core.desk.money_model import AttemptFilter, Place
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.outbox import OutboxRow
from core.payments.tables import AttemptRow
from tests import town
from tests.admin import console_town, money_town
from tests.admin.conftest import post
from tests.admin.console_town import OWN_REF, TXN, Console
from tests.admin.money_town import PATH_SECRET
from tests.admin.test_console_pages import english

As = Callable[[str], FlaskClient]
HANGING = "EUNKNOWN000000000001"


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    home = console_town.everything_happened(db, clock)
    money_town.trouble(db, clock)
    return home


@pytest.mark.parametrize(
    ("query", "refs"),
    [
        ("", {HANGING, OWN_REF}),
        ("state=unknown", {HANGING}),
        ("state=nonsense", {HANGING, OWN_REF}),
        ("wallet=vodacom", {HANGING, OWN_REF}),
        ("wallet=orange", set()),
        ("brand=mpesa&state=succeeded", {OWN_REF}),
        ("phone=0815 550 001", {HANGING, OWN_REF}),
        ("phone=0990000000", set()),
        ("phone=%00' OR 1=1", set()),
        (f"ref={OWN_REF.lower()}", {OWN_REF}),
        ("attention=1", set()),
    ],
)
def test_attempts_are_found_by_their_filters(home: town.Home, as_role: As, query: str, refs: set[str]) -> None:
    html = as_role("office").get(f"/admin/money/attempts?{query}").text
    assert {ref for ref in (HANGING, OWN_REF) if f">{ref}<" in html} == refs


def test_what_needs_somebody_is_counted_and_listed(home: town.Home, db: Database, as_role: As) -> None:
    with db.begin() as session:
        for ref, state, flag in ((HANGING, "needs_attention", None), (OWN_REF, "succeeded", "two_transactions")):
            attempt = session.scalars(select(AttemptRow).where(AttemptRow.own_ref == ref)).one()
            attempt.state, attempt.flag = state, flag
    html = english(as_role("office")).get("/admin/money/attempts?attention=1").text
    assert "2 need somebody" in html
    assert "two transactions for one request" in html


def test_every_look_up_on_both_databases(any_db: Database, clock: FixedClock) -> None:
    home = console_town.everything_happened(any_db, clock)
    money_town.trouble(any_db, clock)
    desk = console_town.build(any_db, clock).money.desk
    assert [(f.open, f.ended, f.paid) for f in desk.wallet_figures(("vodacom", "orange")).values()] == [
        (1, 2, 1), (0, 0, 0),
    ]  # fmt: skip
    view = desk.attempt(money_town.by_reference(any_db, HANGING).id, whole_numbers=False)
    assert view
    assert (len(view.callbacks), len(view.asked.posts), view.customer) == (1, 1, "Mbuyi Kalala")
    assert desk.attention_count() == 0
    assert desk.stray_callbacks(whole_numbers=True) == ()
    brief = desk.contract_by_account(home.account_number)
    assert brief == desk.contract_by_id(home.contract.id)
    assert brief
    assert brief.due.text == "28 500 FC"
    assert desk.contract_by_account("0") is None
    assert desk.payment("none") is None


def test_the_list_goes_on_without_gap_or_twin(any_db: Database, clock: FixedClock) -> None:
    console_town.everything_happened(any_db, clock)
    with any_db.begin() as session:
        for attempt in session.scalars(select(AttemptRow)):
            attempt.created_at = clock.real_now()  # all at one instant: the id decides
    console = console_town.build(any_db, clock)
    seen: list[str] = []
    after: Place | None = None
    for _ in range(10):
        found = console.money.desk.attempts(AttemptFilter(), after=after, limit=1)
        seen += [entry.line.id for entry in found.entries]
        after = found.older
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 3


def test_one_attempt_shows_its_whole_life_and_no_secret(home: town.Home, db: Database, as_role: As) -> None:
    attempt = money_town.by_reference(db, HANGING)
    html = english(as_role("finance")).get(f"/admin/money/attempts/{attempt.id}").text
    for part in (
        "28 500 FC", "not known yet", HANGING, "The wallet is asked again in 40 s.", "Asked 2 times so far.",
        "Query now", "MP260310.0912.A00417", "28500.00", "243815550001", "41.77.8.9", "/hooks/b41f/•••/callback/",
    ):  # fmt: skip
        assert part in html, part
    assert PATH_SECRET not in html
    assert "very-secret-key" not in html


def test_numbers_in_callbacks_are_masked_for_the_office(home: town.Home, db: Database, as_role: As) -> None:
    attempt = money_town.by_reference(db, HANGING)
    html = as_role("office").get(f"/admin/money/attempts/{attempt.id}").text
    assert "243815550001" not in html
    assert "081***0001" in html


def test_the_money_of_an_attempt_stands_on_its_page(home: town.Home, db: Database, as_role: As) -> None:
    html = english(as_role("office")).get(f"/admin/money/attempts/{money_town.by_reference(db, OWN_REF).id}").text
    assert TXN in html
    assert "30 000 FC received" in html


def test_query_now_stages_one_question_and_is_written_down(
    home: town.Home, db: Database, as_role: As, console: Console
) -> None:
    attempt = money_town.by_reference(db, HANGING)
    client = english(as_role("office"))
    status, location = post(client, f"/admin/money/attempts/{attempt.id}/query")
    assert status == 303
    assert "on its way" in client.get(location).text
    with db.read() as session:
        asked = session.scalars(select(OutboxRow).where(OutboxRow.key.contains(attempt.id))).all()
        assert [row.kind for row in asked] == ["attempt.query"]
    entry = console.staff.newest_audit()[0]
    assert (entry.actor, entry.act, entry.subject) == ("office", "attempt.query_now", HANGING)
    assert "asked for by office" in client.get(f"/admin/money/attempts/{attempt.id}").text


def test_query_now_is_refused_in_words(home: town.Home, db: Database, as_role: As) -> None:
    attempt = money_town.by_reference(db, HANGING)
    with db.begin() as session:
        session.get_one(AttemptRow, attempt.id).state = "cancelled"
    status, html = post(english(as_role("office")), f"/admin/money/attempts/{attempt.id}/query")
    assert status == 409
    assert "There is nothing to ask the wallet about this attempt now." in html


def test_a_busy_database_loses_nothing(
    home: town.Home, db: Database, as_role: As, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(attempt_id: str, by: str) -> bool:
        raise NotRecorded("busy")

    monkeypatch.setattr(console.money.payments, "ask_soon", busy)
    attempt = money_town.by_reference(db, HANGING)
    status, html = post(english(as_role("office")), f"/admin/money/attempts/{attempt.id}/query")
    assert status == 503
    assert "Nothing was recorded" in html
    assert "Query now" in html, "the page is still there to try again"


def test_attempts_as_csv_follow_the_filter(home: town.Home, as_role: As, console: Console) -> None:
    text = english(as_role("finance")).get("/admin/money/attempts.csv?state=unknown").data.decode("utf-8-sig")
    rows = list(csv.reader(StringIO(text)))
    assert [row[1] for row in rows[1:]] == [HANGING]
    assert len(rows[0]) == len(rows[1])
    assert console.staff.newest_audit()[0].act == "export.attempts"


@pytest.mark.parametrize("address", ["attempts/nope", "attempts/" + "0" * 36, "attempts?after=x~y", "nothing"])
def test_what_is_not_there_is_404(home: town.Home, as_role: As, address: str) -> None:
    assert as_role("office").get(f"/admin/money/{address}").status_code == 404


def test_a_viewer_is_not_led_to_the_money(home: town.Home, as_role: As) -> None:
    assert "/admin/money/" not in as_role("viewer").get("/admin/").text
    assert "/admin/money/" in as_role("office").get("/admin/").text


def test_callbacks_that_belong_to_nothing_are_shown_and_safe(home: town.Home, db: Database, as_role: As) -> None:
    with db.begin() as session:
        for count in range(25):
            at = datetime(2026, 3, 10, 7, count, tzinfo=UTC)
            money_town.called_back(session, None, at, b"<script>alert(1)</script>", "unmatched")
    client = english(as_role("office"))
    html = client.get("/admin/money/callbacks").text
    assert html.count("belongs to nothing we know") == 20
    assert "<script>alert" not in html
    assert PATH_SECRET not in html
    assert html.count("Older") == 1
