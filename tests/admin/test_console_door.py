"""The console's door, checked from the table of routes: who may, what a write needs, what every answer says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import IntegerConverter, Rule

from admin.auth import ANYBODY, RULES, safe_next, session_cookie
from core.db import Database
from core.kernel.clock import FixedClock
from core.staff.rules import Permission, Role, may
from tests.admin import console_town
from tests.admin.conftest import log_in, token_in
from tests.admin.console_town import PASSWORD, Console

SAMPLES = {
    "customer_id": "1", "payment_id": "0f", "table": "money", "filename": "console.css", "rest": "nothing/here",
    "run_id": "1", "slip_id": "1", "employee_id": "1", "item_id": "1", "rates_id": "1",
    "attempt_id": "0f", "refund_id": "0f", "wallet": "vodacom", "day": "2026-03-09", "currency": "CDF", "line_id": "1",
    "contract_id": "1", "hold_id": "1", "task_id": "1", "stop_id": "1", "draft_id": "1",
    "import_id": "1", "number": "1000019", "promise_id": "1", "agent_id": "1", "agency_id": "1", "staff_id": "1",
    "invoice_id": "1", "period": "2026-02", "order_id": "1", "kind": "customers",
    "meter_id": "MW00000001", "reading_id": "1", "code": "BT-CDF",
}  # fmt: skip


def addresses(console: Console) -> Iterator[tuple[Rule, str, str]]:
    """(rule, method, address) of every route of the console."""
    adapter = console.app.url_map.bind("localhost")
    for rule in console.app.url_map.iter_rules():
        if rule.endpoint.startswith("admin."):
            address = adapter.build(rule.endpoint, {name: SAMPLES[name] for name in rule.arguments})
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule, method, address


def send(client: FlaskClient, method: str, address: str) -> int:
    data = {}
    if method == "POST":
        page = client.get("/admin/account")
        data = {"csrf_token": token_in(page.text if page.status_code == 200 else client.get("/admin/login").text)}
    return client.open(address, method=method, data=data).status_code


def test_every_route_has_a_rule_and_every_rule_a_route(console: Console) -> None:
    assert {rule.endpoint for rule, _, _ in addresses(console)} == set(RULES)


def test_each_role_gets_what_the_table_says(
    console: Console, db: Database, clock: FixedClock, as_role: Callable[[str], FlaskClient]
) -> None:
    console_town.everything_happened(db, clock)
    for role in Role:
        client = as_role(role)
        for rule, method, address in addresses(console):
            wanted = RULES[rule.endpoint]
            if isinstance(wanted, Permission) and rule.endpoint != "admin.log_out":
                status = send(client, method, address)
                assert (status == 403) == (not may(role, wanted)), f"{role} {method} {address}: {status}"
                assert status < 500


def test_without_log_in_every_page_leads_to_the_door(console: Console) -> None:
    for rule, method, address in addresses(console):
        if RULES[rule.endpoint] is ANYBODY:
            continue
        client = console.app.test_client()
        data = {"csrf_token": token_in(client.get("/admin/login").text)}
        answer = client.open(address, method=method, data=data if method == "POST" else None)
        assert answer.status_code == 303, address
        assert answer.location.startswith("/admin/login")


def test_a_write_without_a_token_is_refused_on_every_route(
    console: Console, as_role: Callable[[str], FlaskClient]
) -> None:
    client = as_role("admin")
    writes = [address for _, method, address in addresses(console) if method == "POST"]
    assert len(writes) >= 5
    for address in writes:
        assert client.post(address, data={}).status_code == 400, address
        assert client.post(address, data={"csrf_token": "made up"}).status_code == 400, address
    assert client.get("/admin/").status_code == 200, "and nobody was logged out by it"


def test_an_id_beyond_all_ids_is_a_page_that_is_not_there(
    console: Console, as_role: Callable[[str], FlaskClient]
) -> None:
    """SQLite cannot even be asked for it: that was a fault of ours, and an error in the log, for a mistyped address."""
    admin, finance, beyond = as_role("admin"), as_role("finance"), "9" * 25
    token = token_in(admin.get("/admin/account").text)
    for rule, method, _ in addresses(console):
        numbers = [name for name in rule.arguments if isinstance(rule._converters[name], IntegerConverter)]
        if not numbers:
            continue
        given = {name: beyond if name in numbers else SAMPLES[name] for name in rule.arguments}
        address = console.app.url_map.bind("localhost").build(rule.endpoint, given)
        client = finance if "money" in address else admin
        answer = client.open(address, method=method, data={"csrf_token": token} if method == "POST" else None)
        assert answer.status_code in ((404, 403, 400) if client is finance else (404, 403)), (method, address)
    for address in (
        "/admin/imports?before=",
        "/admin/readings?after=",
        "/admin/audit?before=-",
        "/admin/payroll?before=",
    ):
        assert admin.get(address + beyond).status_code == 404, address


def test_a_moment_outside_the_calendar_is_no_place_to_go_on_from(as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("finance")
    for moment in ("9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00%2B14:00"):
        assert client.get(f"/admin/money/attempts?after={moment}~x").status_code == 404, moment


def test_a_character_that_nobody_types_is_refused(any_db: Database, clock: FixedClock) -> None:
    """PostgreSQL cannot be asked about it: that was a fault of ours on some pages, and a strange login on SQLite."""
    client = console_town.build(any_db, clock).app.test_client()
    assert log_in(client, "admin") == 303
    for address in ("payroll/employees?after=%00", "meters?q=a%00b", "tariffs/a%00b", "search?q=x&y=%00"):
        assert client.get(f"/admin/{address}").status_code == 400, address
    token = token_in(client.get("/admin/account").text)
    for address, said in (
        ("settings/staff/new", {"login": "a\x00b", "name": "A", "role": "viewer"}),
        ("settings/tokens/revoke", {"name": "a\x00b"}),
    ):
        assert client.post(f"/admin/{address}", data={"csrf_token": token, **said}).status_code == 400, address


def test_fields_that_somebody_tampered_with_are_refused(
    console: Console, as_role: Callable[[str], FlaskClient]
) -> None:
    client = as_role("finance")
    token = token_in(client.get("/admin/account").text)
    rule = {"whose": "9" * 30, "basis_points": "200", "least": "", "most": "", "from": "", "kind": "bill"}
    for address, said in (
        ("readings/file/look", {"kept": "²"}),
        ("readings/file/import", {"kept": "²"}),
        ("agents/commission", rule),
        ("money/statements/look", {"kept": "²", "wallet": "vodacom", "currency": "CDF"}),
    ):
        assert client.post(f"/admin/{address}", data={"csrf_token": token, **said}).status_code == 400, address


def test_every_answer_carries_the_headers(console: Console, as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("admin")
    for _, method, address in addresses(console):
        if address == "/admin/logout":
            continue
        answer = client.open(address, method=method)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        kept = address.startswith("/admin/static/")
        assert ("no-store" in answer.headers["Cache-Control"]) is not kept
        assert "Strict-Transport-Security" not in answer.headers, "plain http promises nothing"


def test_no_page_has_anything_inline(console: Console, db: Database, clock: FixedClock) -> None:
    console_town.everything_happened(db, clock)
    client = console.app.test_client()
    log_in(client, "admin")
    assert " style=" not in console.app.test_client().get("/admin/login").text
    money = ("attempts", "callbacks", "suspense", "days", "statements", "refunds", "wallets")
    pages = ("customers/1", "account", "audit", "nope", *(f"money/{name}" for name in money))
    for address in ("/admin/", *(f"/admin/{name}" for name in pages)):
        html = client.get(address).text
        assert "style=" not in html
        assert "<style" not in html
        assert " onclick=" not in html
        assert html.count("<script") == 1, "one file of our own"
        assert "//cdn" not in html


def test_over_https_the_cookie_is_bound_to_the_host(db: Database, clock: FixedClock) -> None:
    client = console_town.build(db, clock, secure=True).app.test_client()
    page = client.get("/admin/login", base_url="https://console.test")
    answer = client.post(
        "/admin/login",
        base_url="https://console.test",
        data={"csrf_token": token_in(page.text), "login": "viewer", "password": PASSWORD},
        headers={"Referer": "https://console.test/admin/login"},
    )
    assert answer.status_code == 303
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith(session_cookie(True)))
    assert cookie.startswith("__Host-")
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Domain" not in cookie
    assert "max-age=63072000" in answer.headers["Strict-Transport-Security"]


def test_a_wrong_password_says_no_more_than_an_unknown_name(console: Console) -> None:
    client = console.app.test_client()
    token = token_in(client.get("/admin/login").text)
    answers = [
        client.post("/admin/login", data={"csrf_token": token, "login": login, "password": "wrong"})
        for login in ("viewer", "nobody")
    ]
    assert [a.status_code for a in answers] == [403, 403]
    assert answers[0].text.replace("viewer", "") == answers[1].text.replace("nobody", "")


def test_many_tries_from_one_address_are_slowed_down(console: Console) -> None:
    client = console.app.test_client()
    token = token_in(client.get("/admin/login").text)
    statuses = [
        client.post("/admin/login", data={"csrf_token": token, "login": f"x{n}", "password": "y"}).status_code
        for n in range(14)
    ]
    assert statuses[0] == 403
    assert statuses[-1] == 429


def test_log_in_gives_a_new_cookie_and_ends_the_old_session(console: Console) -> None:
    client = console.app.test_client()
    log_in(client, "office")
    first = client.get_cookie("mwolo-staff")
    assert first
    token = token_in(client.get("/admin/account").text)
    client.post("/admin/login", data={"csrf_token": token, "login": "office", "password": PASSWORD})
    second = client.get_cookie("mwolo-staff")
    assert second
    assert first.value != second.value
    client.set_cookie("mwolo-staff", first.value)
    assert client.get("/admin/").status_code == 303


def test_log_out_ends_the_session_on_the_server(console: Console, as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("office")
    cookie = client.get_cookie("mwolo-staff")
    assert cookie
    client.post("/admin/logout", data={"csrf_token": token_in(client.get("/admin/account").text)})
    client.set_cookie("mwolo-staff", cookie.value)
    assert client.get("/admin/").status_code == 303


@pytest.mark.parametrize(
    ("target", "goes_to"),
    [
        ("/admin/customers/3", "/admin/customers/3"),
        ("/admin/search?q=0812345678", "/admin/search?q=0812345678"),
        ("https://evil.test/admin/", "/admin/"),
        ("//evil.test/admin/", "/admin/"),
        ("/admin//evil.test", "/admin/"),
        ("/admin/\\evil.test", "/admin/"),
        ("/admin/login", "/admin/"),
        ("", "/admin/"),
    ],
)
def test_log_in_leads_to_the_console_and_nowhere_else(target: str, goes_to: str) -> None:
    assert safe_next(target) == goes_to


def test_the_language_is_switched_and_remembered(console: Console, as_role: Callable[[str], FlaskClient]) -> None:
    client = as_role("viewer")
    page = client.get("/admin/")
    assert '<html lang="fr">' in page.text
    data = {"csrf_token": token_in(page.text), "language": "en", "next": "/admin/"}
    assert client.post("/admin/language", data=data).location == "/admin/"
    assert '<html lang="en">' in client.get("/admin/").text
    assert '<html lang="en">' in client.get("/admin/search").text


def test_a_page_that_breaks_says_so_without_details(
    console: Console, as_role: Callable[[str], FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_limits: int) -> None:
        raise RuntimeError("secret detail")

    client = as_role("admin")
    monkeypatch.setattr(console.desk, "today", broken)
    answer = client.get("/admin/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    assert "Content-Security-Policy" in answer.headers


def test_the_stylesheet_stays_small(console: Console) -> None:
    client = console.app.test_client()
    assert len(client.get("/admin/static/console.css").data) < 25_000
    assert len(client.get("/admin/static/console.js").data) < 2_000
