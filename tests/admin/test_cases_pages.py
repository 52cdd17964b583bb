"""Cases and promises in the console: who may, what a form does once, and what lists, story and CSV show."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from admin.words import name, state
from core.billing.tables import HoldRow
from core.cases.rules import KINDS
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.digits import grouped
from core.notices.tables import NoticeRow
from core.promises.tables import PromiseRow
from core.services.billing import Billing
from core.staff.tables import AuditRow
from tests import town
from tests.admin.conftest import token_in
from tests.admin.console_town import HOSTILE, Console

As = Callable[[str], FlaskClient]


def key_in(html: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', html)
    assert found
    return found.group(1)


def send(client: FlaskClient, page: str, address: str, **data: str) -> tuple[int, str]:
    """A form as its page carries it: the status, and where it leads or the page."""
    html = client.get(page).text
    answer = client.post(address, data={"csrf_token": token_in(html), "key": key_in(html), **data})
    return answer.status_code, answer.location if answer.status_code == 303 else answer.text


@pytest.fixture
def home(db: Database, clock: FixedClock) -> town.Home:
    with db.begin() as session:
        found = town.home(session)
        invoice = town.invoice(session, found.contract)
    Billing(db, clock).send_invoice(invoice.id)
    return found


@pytest.fixture
def number(console: Console, home: town.Home) -> str:
    return console.cases.cases.open_by_staff(
        kind="outage", body=f"Dark since noon {HOSTILE}", account=home.account_number, phone=home.phone, key="k",
        by="office",
    )  # fmt: skip


def audited(db: Database) -> list[tuple[str, str, str]]:
    with db.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id))
        return [(row.actor, row.act, row.subject) for row in rows]


def test_every_code_has_words() -> None:
    assert all(name("case", kind) != kind for kind in KINDS)
    assert all(state("case", code)[0] for code in ("open", "taken", "answered", "closed"))
    assert all(state("promise", code)[0] for code in ("open", "kept", "broken", "cancelled"))


def test_a_case_is_opened_taken_answered_and_closed(
    home: town.Home, db: Database, as_role: As, console: Console
) -> None:
    client = as_role("office")
    status, leads = send(
        client, "/admin/cases/new", "/admin/cases/new", kind="complaint", body="A long queue.",
        account=home.account_number, phone="0812 345 678",
    )  # fmt: skip
    assert status == 303
    number = leads.split("/")[-1].partition("?")[0]
    page = f"/admin/cases/{number}"
    assert "A long queue." in client.get(page).text
    for address, data in (("take", {"to": ""}), ("note", {"text": "Called."}), ("answer", {"text": "We open two."})):
        assert send(client, page, f"{page}/{address}", **data)[0] == 303
    with db.read() as session:
        bodies = [row.body for row in session.scalars(select(NoticeRow).where(NoticeRow.kind == "case.answer"))]
    assert ["We open two." in body for body in bodies] == [True]
    assert send(client, page, f"{page}/close", text="Answered.")[0] == 303
    file = console.cases.cases.one(number)
    assert file is not None
    assert (file.line.state, file.line.assigned_to, file.line.closed_by) == ("closed", "office", "office")
    acts = [(actor, act) for actor, act, subject in audited(db) if act.startswith("case.")]
    assert acts == [("office", f"case.{word}") for word in ("opened", "taken", "noted", "answered", "closed")]
    assert "textarea" not in client.get(page).text, "nothing is done to a closed case"


def test_the_number_of_a_case_finds_its_customer(number: str, home: town.Home, as_role: As) -> None:
    for typed in (number, grouped(number)):
        found = as_role("viewer").get("/admin/search", query_string={"q": typed})
        assert found.location == f"/admin/customers/{home.customer.id}"


def test_a_form_that_is_sent_twice_does_it_once(number: str, as_role: As, console: Console) -> None:
    client = as_role("office")
    html = client.get(f"/admin/cases/{number}").text
    data = {"csrf_token": token_in(html), "key": key_in(html), "text": "Once."}
    assert [client.post(f"/admin/cases/{number}/note", data=data).status_code for _ in range(2)] == [303, 303]
    file = console.cases.cases.one(number)
    assert file is not None
    assert [note.text for note in file.notes].count("Once.") == 1


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "party", "body": "x"},
        {"kind": "other", "body": " "},
        {"kind": "other", "body": "x", "account": "123"},
        {"kind": "other", "body": "x", "account": "9999999994"},
        {"kind": "other", "body": "x", "phone": "12"},
    ],
)
def test_what_a_new_case_needs(data: dict[str, str], as_role: As, console: Console) -> None:
    status, html = send(as_role("office"), "/admin/cases/new", "/admin/cases/new", **data)
    assert status in (400, 409)
    assert 'role="alert"' in html
    assert console.cases.cases.counts().live == 0


def test_what_cannot_be_done_is_said(number: str, as_role: As) -> None:
    client, page = as_role("office"), f"/admin/cases/{number}"
    for address, text in (("answer", "x" * 500), ("answer", " "), ("note", " "), ("close", " "), ("close", "x" * 300)):
        status, html = send(client, page, f"{page}/{address}", text=text)
        assert status == 400
        assert 'role="alert"' in html
    before = client.get(page).text
    assert send(client, page, f"{page}/close", text="Repaired.")[0] == 303
    late = {"csrf_token": token_in(before), "key": key_in(before), "text": "late"}
    assert client.post(f"{page}/note", data=late).status_code == 409
    assert client.post(f"{page}/note", data={**late, "key": "no key"}).status_code == 400
    assert client.get("/admin/cases/1234567").status_code == 404
    assert client.get("/admin/cases/abc").status_code == 404


def test_who_only_looks_on_sees_no_forms(number: str, as_role: As) -> None:
    client = as_role("viewer")
    html = client.get(f"/admin/cases/{number}").text
    assert "textarea" not in html
    assert "<script>alert" not in html
    assert client.get("/admin/cases/new").status_code == 403
    assert client.get("/admin/cases.csv").status_code == 403
    assert client.get("/admin/promises").status_code == 200


def test_lists_filter_and_export(number: str, as_role: As, console: Console, db: Database) -> None:
    client = as_role("office")
    shown = f"/admin/cases/{number}"
    assert shown in client.get("/admin/cases").text
    assert shown in client.get("/admin/cases?view=open&kind=outage").text
    for query in ("view=closed", "kind=dispute", "mine=1", "view=taken"):
        assert shown not in client.get(f"/admin/cases?{query}").text, query
    console.cases.cases.take(number, to="office", key="k2", by="office")
    assert shown in client.get("/admin/cases?mine=1&view=nonsense").text
    table = client.get("/admin/cases.csv").text
    assert len(table.splitlines()) == 2
    assert "outage" in table
    assert ("office", "export.cases", "all") in audited(db)


def test_the_story_and_the_first_page_tell_of_it(number: str, home: town.Home, as_role: As, console: Console) -> None:
    client = as_role("office")
    story = client.get(f"/admin/customers/{home.customer.id}?kind=reported").text
    assert f"/admin/cases/{number}" in story
    assert "<script>alert" not in story
    assert f"{number[:3]} {number[3:6]}" in client.get(f"/admin/customers/{home.customer.id}").text
    assert 'href="/admin/cases"' in client.get("/admin/").text
    assert console.desk.today().cases.open == 1


def test_a_promise_is_seen_and_cancelled_by_name(
    home: town.Home, db: Database, clock: FixedClock, as_role: As, console: Console
) -> None:
    day = (clock.now() + timedelta(days=3)).date()
    console.cases.promises.make(
        contract_id=home.contract.id, promised_on=day, phone=home.phone, language="fr", turn_key="t", say=lambda _: None
    )
    client = as_role("office")
    listed = client.get("/admin/promises").text
    assert "28 500 FC" in listed
    assert "13/03/2026" in listed
    assert "13/03/2026" in client.get(f"/admin/customers/{home.customer.id}?kind=reported").text
    assert len(client.get("/admin/promises.csv").text.splitlines()) == 2
    with db.read() as session:
        promise_id = session.scalars(select(PromiseRow.id)).one()
    page = f"/admin/promises/{promise_id}"

    def cancel(**data: str) -> int:
        return client.post(f"{page}/cancel", data={"csrf_token": token_in(client.get(page).text), **data}).status_code

    assert cancel(reason=" ") == 400
    assert cancel(reason="Wrong account") == 303
    assert "Wrong account" in client.get(page).text
    with db.read() as session:
        assert session.scalars(select(HoldRow)).one().until_at == clock.now()
    assert ("office", "promise.cancelled", home.account_number) in audited(db)
    again = client.post(
        f"{page}/cancel", data={"csrf_token": token_in(client.get("/admin/account").text), "reason": "x"}
    )
    assert again.status_code == 409
    assert client.get("/admin/promises/999").status_code == 404
