"""The door: tokens and scopes, pace, sizes, problems, and one answer per key."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from channels.api import Pace
from channels.api.problems import KINDS
from core.api_access.errors import BadToken
from core.api_access.rules import SCOPES
from core.api_access.tables import ApiRequestRow, ApiTokenRow
from core.billing.tables import InvoiceRow
from core.db import Database
from core.kernel.clock import FixedClock
from core.kernel.errors import NotRecorded
from core.payments.counter_tables import DeclaredPaymentRow
from core.staff.tables import AuditRow
from tests.channels.api import api_town
from tests.channels.api.api_town import Api

CASH = {"way": "cash", "amount": {"minor": 500_000, "currency": "CDF"}}


def problem(answer: TestResponse) -> tuple[int, str]:
    """Status and kind; every problem looks the same."""
    assert answer.content_type == "application/problem+json"
    said = answer.json
    assert said is not None
    assert said["status"] == answer.status_code
    assert set(said) == {"type", "title", "status", "detail", "errors", "trace"}
    return answer.status_code, said["type"].removeprefix("urn:mwolo:problem:")


# -- tokens --------------------------------------------------------------------------------------------------------


def test_no_token_a_wrong_one_a_revoked_one_and_an_old_one_look_the_same(api: Api, clock: FixedClock) -> None:
    revoked, old = api.token("revoked", "customers:read"), api.token("old", "customers:read", days=2)
    assert api.get("/customers", secret=old).status_code == 200
    api.tokens.revoke("revoked")
    clock.advance(days=2)
    secrets = ("-", "mwolo_wrong", revoked, old, "x" * 5_000, "mwolo_é")
    assert len({api.get("/customers", secret=secret).text for secret in secrets}) == 1
    answer = api.get("/customers", secret="-")
    assert problem(answer) == (401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_does_what_its_scopes_say_and_refusals_tell_nothing_of_what_is_there(api: Api, db: Database) -> None:
    api_town.homes(db, 1)
    reader = api.token("reader", "invoices:read")
    assert api.get("/invoices", secret=reader).status_code == 200
    for invoice_id in (1, 999):
        assert problem(api.post(f"/invoices/{invoice_id}/send", secret=reader)) == (403, "not-allowed")
    for path in ("/customers/1", "/customers/999", "/payments", "/agents"):
        assert problem(api.get(path, secret=reader))[0] == 403


def test_places_are_public_and_nothing_else_is(api: Api, db: Database) -> None:
    api_town.homes(db, 1)
    assert api.get("/agencies", secret="-").status_code == 200
    assert api.get("/agencies/1", secret="-").json["name"] == "Agence Kinshasa"
    document = api.get("/openapi.json", secret="-").json
    public = [
        op["operationId"] for methods in document["paths"].values() for op in methods.values() if not op["security"]
    ]
    assert sorted(public) == ["getAgency", "getProvince", "listAgencies", "listProvinces"]


def test_only_the_hash_of_a_token_is_kept_and_its_life_is_written_down(api: Api, db: Database) -> None:
    secret = api.token("counter-1", "payments:declare")
    with db.read() as session:
        row = session.scalars(select(ApiTokenRow).where(ApiTokenRow.name == "counter-1")).one()
        assert secret not in str(vars(row))
        assert row.last_used_at is None
    api.get("/customers", secret=secret)
    api.tokens.revoke("counter-1", by="chief")
    (view,) = [view for view in api.tokens.all_tokens() if view.name == "counter-1"]
    assert view.last_used_at is not None
    assert view.revoked_at is not None
    with db.read() as session:
        acts = list(session.execute(select(AuditRow.act, AuditRow.subject).where(AuditRow.subject == "counter-1")))
    assert [act for act, _ in acts] == ["api.token.created", "api.token.revoked"]


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("X", ["customers:read"], 1),
        ("fine", [], 1),
        ("fine", ["money:all"], 1),
        ("fine", ["agents:read"], 0),
        ("fine", ["agents:read"], 731),
        ("everything", ["agents:read"], 1),
    ],
)
def test_tokens_that_cannot_be(api: Api, name: str, scopes: list[str], days: int) -> None:
    with pytest.raises(BadToken):
        api.tokens.create(name, scopes, days=days)


# -- pace and size -------------------------------------------------------------------------------------------------


def test_each_token_has_its_own_pace_and_guessing_is_slowed_down(db: Database, clock: FixedClock) -> None:
    api = api_town.build(db, clock, pace=Pace(burst=3, per_minute=60))
    other = api.token("other", *SCOPES)
    assert [api.get("/customers").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = api.get("/customers")
    assert problem(answer) == (429, "too-many-requests")
    assert answer.headers["Retry-After"]
    assert api.get("/customers", secret=other).status_code == 200
    assert [api.get("/customers", secret="mwolo_guess").status_code for _ in range(4)] == [401, 401, 401, 429]
    clock.advance(seconds=2)
    assert api.get("/customers").status_code == 200


def test_once_an_address_has_guessed_too_often_no_token_from_it_is_looked_up(
    db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_town.build(db, clock, pace=Pace(burst=3, per_minute=60))
    looked_up: list[str] = []
    who = api.tokens.who

    def counted(secret: str) -> object:
        looked_up.append(secret)
        return who(secret)

    monkeypatch.setattr(api.tokens, "who", counted)
    assert [api.get("/agencies").status_code for _ in range(4)] == [200, 200, 200, 429], "public pages are apart"
    assert api.get("/customers").status_code == 200
    looked_up.clear()
    for number in range(10):
        api.get("/customers", secret=f"mwolo_guess{number}")
    assert len(looked_up) == 3
    assert api.get("/customers").status_code == 200, "a program that is known goes on"
    late = api.token("late", "customers:read")
    assert problem(api.get("/customers", secret=late)) == (429, "too-many-requests")
    clock.advance(seconds=2)
    assert api.get("/customers", secret=late).status_code == 200


def test_what_is_too_large_not_json_or_not_declared_is_refused(api: Api) -> None:
    client, headers = api.app.test_client(), {"Authorization": f"Bearer {api.secret}", "Idempotency-Key": "k"}

    def send(content: bytes, kind: str = "application/json") -> tuple[int, str]:
        return problem(client.post("/api/v1/payments", headers=headers, data=content, content_type=kind))

    assert send(b"x" * 70_000) == (413, "too-large")
    assert send(b"a=b", "application/x-www-form-urlencoded") == (415, "not-json")
    for broken in (b"", b"{", b'{"way": "\xff"}', b'"\\ud800"', b"[" * 5_000):
        assert send(broken)[0] in (400, 422)
    assert send(b'{"way": "cash", "surprise": 1}') == (422, "invalid-input")


def test_a_problem_says_where_and_never_repeats_what_was_sent(api: Api) -> None:
    answer = api.post("/payments", {**CASH, "account_number": "1234567890", "reference": "x" * 41}, key="k")
    assert problem(answer) == (422, "invalid-input")
    assert [fault["at"] for fault in answer.json["errors"]] == ["reference"]
    assert "x" * 41 not in answer.text
    assert problem(api.get("/customers", limit="1e1")) == (422, "invalid-input")
    assert problem(api.get("/customers", limit=["1", "2"])) == (422, "invalid-input")
    assert problem(api.get("/payments", since="1772000000")) == (422, "invalid-input")
    assert problem(api.get("/payments", since="0001-01-01T00:00:00+14:00")) == (422, "invalid-input")


def test_paths_and_methods_that_are_none_are_problems_too(api: Api) -> None:
    assert problem(api.get("/nothing")) == (404, "not-found")
    assert problem(api.get("/customers/none")) == (404, "not-found")
    assert problem(api.get("/customers/99999999999999999999")) == (404, "not-found")
    answer = api.app.test_client().delete("/api/v1/customers")
    assert problem(answer) == (405, "method-not-allowed")
    assert "GET" in answer.headers["Allow"]
    for none in (answer, api.get("/nothing")):
        assert (none.headers["X-Content-Type-Options"], none.headers["Cache-Control"]) == ("nosniff", "no-store")
    outside = api.app.test_client().get("/elsewhere")
    assert outside.content_type != "application/problem+json"


def test_a_fault_of_ours_tells_the_program_a_trace_and_nothing_else(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret inner words")

    monkeypatch.setattr(api.tokens, "who", broken)
    answer = api.get("/customers")
    assert problem(answer) == (500, "internal")
    assert answer.json["trace"]
    assert "secret inner words" not in answer.text


# -- keys ----------------------------------------------------------------------------------------------------------


def test_the_same_key_gets_the_first_answer_and_another_content_is_refused(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    body = {**CASH, "account_number": home.account_number}
    first = api.post("/payments", body, key="slip-17")
    again = api.post("/payments", dict(reversed(body.items())), key="slip-17")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.data == first.data
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    other = {**body, "amount": {"minor": 600_000, "currency": "CDF"}}
    assert problem(api.post("/payments", other, key="slip-17")) == (409, "key-reused")
    assert problem(api.post(f"/payments/{first.json['id']}/confirm", key="slip-17")) == (409, "key-reused")
    # A key is its token's own.
    assert api.post("/payments", other, key="slip-17", secret=api.token("other", *SCOPES)).status_code == 201
    with db.read() as session:
        assert len(session.scalars(select(DeclaredPaymentRow.id)).all()) == 2


def test_a_refusal_is_the_first_answer_too(api: Api, db: Database) -> None:
    api_town.homes(db, 1)
    refused = api.post("/invoices/1/send", key="send-1")
    assert problem(refused) == (409, "state-conflict")
    assert api.post("/invoices/1/validate", key="validate-1").status_code == 200
    assert api.post("/invoices/1/send", key="send-1").data == refused.data
    assert api.post("/invoices/1/send", key="send-2").status_code == 200


def test_where_a_repetition_would_make_a_second_thing_a_key_is_needed(api: Api, db: Database) -> None:
    (home,) = api_town.homes(db, 1)
    answer = api.post("/payments", {**CASH, "account_number": home.account_number})
    assert problem(answer) == (400, "malformed")
    for key in ("", "a b", "é", "x" * 81):
        assert problem(api.post("/invoices/1/validate", key=key or " "))[0] == 400


def test_a_request_that_died_is_taken_up_again_and_makes_nothing_twice(
    api: Api, db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the work and before its answer is kept: the key rests, then the work is done again."""
    (home,) = api_town.homes(db, 1)
    body = {**CASH, "account_number": home.account_number}

    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(api.tokens, "keep", dies)
        with pytest.raises(SystemExit):
            api.post("/payments", body, key="k")
    assert problem(api.post("/payments", body, key="k")) == (409, "key-in-hand")
    clock.advance(minutes=3)
    assert api.post("/payments", body, key="k").status_code == 201
    with db.read() as session:
        assert len(session.scalars(select(DeclaredPaymentRow.id)).all()) == 1


def test_a_busy_database_leaves_no_trace_and_the_key_free(
    api: Api, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_town.homes(db, 1)

    def busy(*_: object, **__: object) -> None:
        raise NotRecorded("busy")

    with monkeypatch.context() as patch:
        patch.setattr("core.services.billing.Billing.validate_invoice", busy)
        assert problem(api.post("/invoices/1/validate", key="k")) == (503, "not-recorded")
    assert api.post("/invoices/1/validate", key="k").status_code == 200
    with db.read() as session:
        assert session.get_one(InvoiceRow, 1).state == "validated"


def test_answers_are_forgotten_after_two_days(api: Api, db: Database, clock: FixedClock) -> None:
    api_town.homes(db, 2)
    api.post("/invoices/1/validate", key="one")
    clock.advance(hours=49)
    api.post("/invoices/2/validate", key="two")
    with db.read() as session:
        assert list(session.scalars(select(ApiRequestRow.key))) == ["two"]


def test_a_key_that_comes_again_after_that_with_another_content_makes_another_thing(
    api: Api, db: Database, clock: FixedClock
) -> None:
    """The first answer is forgotten: money that is declared then is not swallowed by what was declared before."""
    (home,) = api_town.homes(db, 1)
    body = {**CASH, "account_number": home.account_number}
    first = api.post("/payments", body, key="k").get_json()
    clock.advance(days=3)
    assert api.post("/payments", body, key="k").get_json() == first, "the same again is still the same"
    clock.advance(days=3)
    other = api.post("/payments", {**body, "amount": {"minor": 700_000, "currency": "CDF"}}, key="k").get_json()
    assert (other["id"] != first["id"], other["amount"]["minor"]) == (True, 700_000)
    made = [
        api.post("/customers", {"name": name}, key="c").get_json()["name"] for name in ("Awa", "Bibi") if _later(clock)
    ]
    assert made == ["Awa", "Bibi"]


def _later(clock: FixedClock) -> bool:
    clock.advance(days=3)
    return True


def test_content_that_nobody_reads_may_be_anything(api: Api, db: Database) -> None:
    api_town.homes(db, 1)
    headers = {"Authorization": f"Bearer {api.secret}", "Idempotency-Key": "k"}
    answer = api.app.test_client().post("/api/v1/invoices/1/validate", data=b"[" * 60_000, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("moment", ["@9999-12-31T23:59:59-23:00", "@0001-01-01T00:00:00+14:00"])
def test_a_cursor_outside_the_calendar_is_none(api: Api, moment: str) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(["payments", moment, "x"]).encode()).rstrip(b"=").decode()
    assert problem(api.get("/payments", after=cursor)) == (404, "not-found")


def test_one_request_sent_many_times_at_once_is_carried_out_once(any_db: Database, clock: FixedClock) -> None:
    """A program's retries overtake each other: one makes the thing, the others wait their turn or hear its answer."""
    api = api_town.build(any_db, clock)
    (home,) = api_town.homes(any_db, 1)
    body = {**CASH, "account_number": home.account_number}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.post("/payments", body, key="k"), range(12)))
    said = [problem(answer)[1] for answer in answers if answer.status_code != 201]
    assert set(said) <= {"key-in-hand", "not-recorded"}
    assert len({answer.data for answer in answers if answer.status_code == 201}) == 1
    with any_db.read() as session:
        assert len(session.scalars(select(DeclaredPaymentRow.id)).all()) == 1


# -- the page and the document -------------------------------------------------------------------------------------


def test_the_page_opens_without_a_token_under_a_strict_policy_and_names_everything(api: Api) -> None:
    client = api.app.test_client()
    page = client.get("/api/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert "http://" not in page.text.replace("http://localhost", "")
    document = client.get("/api/v1/openapi.json").json
    for path in document["paths"]:
        assert path in page.text
    for kind in KINDS:
        assert kind.type in page.text
    assert client.get("/api/static/docs.css").status_code == 200


def test_the_document_is_openapi_3_1_with_the_paths_that_were_promised(api: Api) -> None:
    document = api.app.test_client().get("/api/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"
    promised = {
        ("get", "/invoices/{id}/pdf"),
        ("post", "/invoices/{id}/pdf"),
        ("post", "/invoices/{id}/validate"),
        ("post", "/invoices/{id}/send"),
        ("get", "/payments/{id}/receipt"),
        ("post", "/payments/{id}/confirm"),
        ("get", "/agencies"),
        ("get", "/jobs/{id}"),
    }
    there = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert promised <= there
    ids = [op["operationId"] for methods in document["paths"].values() for op in methods.values()]
    assert len(ids) == len(set(ids))
