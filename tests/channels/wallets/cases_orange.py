"""What Orange RDC may answer through either of its APIs, and what we make of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
from wallet_bench import HTML, SHAPES, Bench, Case, fails, says, shape

from channels.wallets.operators.orange import OrangeConfig
from core.kernel.money import Money
from core.payments.ports import Accepted, Failed, NotAccepted, NotFound, Paid, Pending, Unknown

BEARER, CLIENT_SECRET = "orange-bearer-never-to-be-seen", "orange-client-secret-never-to-be-seen"
SECRETS = (BEARER, CLIENT_SECRET)
PHONE = "+243890000003"
USUAL: Mapping[str, Any] = {"brand": "orange", "payer_phone": PHONE}
UNSENDABLE = (Money(1250050, "CDF"), Money(100, "KES"))
SYSTEM_ID, TXN_ID = "730733438533", "MP260302.0900.A00073"


def config(**changed: Any) -> OrangeConfig:
    usual = {
        "base_url": "https://orange.example",
        "bearer_token": BEARER,
        "partner_id": "449",
        "merchant_cdf": "0890033477",
        "merchant_usd": "0890033478",
        "client_id": "application",
        "client_secret": CLIENT_SECRET,
        "b2b_pos_id": "XYZ123",
    }
    return OrangeConfig(**{**usual, **changed})


def login(request: httpx.Request, number: int) -> httpx.Response | None:
    if not request.url.path.endswith("/token"):
        return None
    return says("orange_b2b_token", access_token=f"token-{number}-never-to-be-seen")


def options(bench: Bench) -> Mapping[str, Any]:
    return {}


def xml(name: str, **changed: str | None) -> str:
    """A recorded message, with the text of some elements changed; None leaves the element out."""
    text = (SHAPES / f"{name}.xml").read_text("utf-8")
    for tag, value in changed.items():
        put = "" if value is None else f"<{tag}>{value}</{tag}>"
        text, times = re.subn(rf"<{tag}>[^<]*</{tag}>", put, text)
        assert times == 1, tag
    return text


def soap(name: str, status: int = 200, **changed: str | None) -> httpx.Response:
    return httpx.Response(status, text=xml(name, **changed), headers={"content-type": "text/xml"})


def _start(code: str | None, status: int = 200) -> httpx.Response:
    return soap("orange_accepted", status, resultCode=code)


def _status(code: str | None, **changed: str | None) -> httpx.Response:
    return soap("orange_status", resultCode=code, **changed)


def _word(word: str, http: int = 200, **changed: Any) -> httpx.Response:
    return httpx.Response(http, json=shape("orange_b2b_accepted") | changed | {"status": word})


def _code(status: int, code: int) -> httpx.Response:
    return says("orange_b2b_not_found", status, code=code)


B2B = {"api": "b2b"}
ASKABLE = {"api": "b2b", "b2b_status_path": "/transactions/{id}"}
# Fields that no known answer has, read where they stand.
_MORE = "E0123456789ABCDEFGHJ</transId><systemId>7</systemId><transId>E0123456789ABCDEFGHJ"
_TOLD = {"start_refused_codes": "17=limit_reached,60019=no_funds", "start_not_taken_codes": "99"}

CASES = [
    # SOAP: doS2M
    Case("accepted", _start("0"), Accepted(SYSTEM_ID)),
    Case("accepted_without_id", soap("orange_accepted", systemId=None), Accepted(None)),
    Case("two_hundred_is_no_word_of_a_start", _start("200"), Unknown("200")),
    Case("duplicate", soap("orange_wrong_id"), Unknown("704")),
    Case("refused", _start("17"), Failed("limit_reached", "17"), config=_TOLD),
    Case("no_funds", _start("60019"), Failed("no_funds", "60019"), config=_TOLD),
    Case("overloaded", _start("99"), NotAccepted("99", 30), config=_TOLD),
    Case("unlisted", _start("17"), Unknown("17")),
    Case("no_code", _start(None), Unknown("no_code")),
    Case("zero_on_an_error_status", _start("0", 500), Unknown("500")),
    Case("somebody_elses", soap("orange_accepted", transId="E9999"), Unknown("contradictory_answer")),
    Case("another_operation", soap("orange_status"), Unknown("contradictory_answer")),
    Case("server_fault", soap("orange_fault", 500), Unknown("500 fault_Server")),
    Case("client_fault", soap("orange_fault", 500, faultcode="S:Client"), Unknown("fault_Client")),
    Case("fault_on_200", soap("orange_fault", 200), Unknown("fault_Server")),
    Case("token_refused", httpx.Response(401), NotAccepted("http_401", 15)),
    Case("address_refused", httpx.Response(403, html="no"), Failed("configuration", "http_403")),
    Case("wrong_path", httpx.Response(404), Failed("configuration", "http_404")),
    Case("bad_request", httpx.Response(400), Unknown("http_400")),
    Case("timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    Case("cut", fails(httpx.RemoteProtocolError), Unknown("cut")),
    Case("not_connected", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    Case("garbage", HTML, Unknown("unreadable")),
    Case("garbage_empty", httpx.Response(200), Unknown("unreadable")),
    Case("server_error", httpx.Response(502, html="Bad Gateway"), Unknown("502")),
    Case("throttled", httpx.Response(429), NotAccepted("429", 10)),
    Case("forbidden_b2b", _code(403, 53), Failed("configuration", "403"), config=B2B),
    # SOAP: doCheckTrans
    Case("query_paid", _status("200"), Paid(), "query"),
    Case("query_paid_with_id", soap("orange_status", resultCode="200", transId=_MORE), Paid("7"), "query"),
    Case("query_pending", _status("0"), Pending(), "query"),
    Case("query_failed", _status("00084"), Failed("configuration", "00084", final=False), "query"),
    Case("query_poor", _status("60019"), Failed("no_funds", "60019", final=False), "query"),
    Case("query_not_found", _status("704", transId=None), NotFound(), "query"),
    Case("query_unlisted", _status("00042"), Unknown("00042"), "query"),
    Case("query_no_code", _status(None), Unknown("no_code"), "query"),
    Case("query_somebody_elses", _status("200", transId="E9999"), Unknown("contradictory_answer"), "query"),
    Case("query_another_operation", _start("0"), Unknown("contradictory_answer"), "query"),
    Case("query_listed_by_the_office", _status("00042"), Paid(), "query", config={"status_paid_codes": "200, 00042"}),
    Case("query_fault", soap("orange_fault", 500), Unknown("500 fault_Server"), "query"),
    Case("query_timeout", fails(httpx.ReadTimeout), Unknown("timeout"), "query"),
    Case("query_garbage", HTML, Unknown("unreadable"), "query"),
    Case("query_token_refused", httpx.Response(401), Unknown("http_401"), "query"),
    Case("query_throttled", httpx.Response(429), Unknown("429"), "query"),
    # B2B: cashout
    Case("accepted_b2b", says("orange_b2b_accepted", 202), Accepted(TXN_ID), config=B2B),
    Case("success_is_no_word_of_a_start_b2b", _word("SUCCESS", 200),
         Unknown("answer_SUCCESS"), config=B2B),
    Case("somebody_elses_b2b", says("orange_b2b_accepted", 202, transactionData={"transactionId": "other"}),
         Unknown("contradictory_answer"), config=B2B),
    Case("not_activated_b2b", says("orange_b2b_not_found", 404), Failed("configuration", "60"), config=B2B),
    Case("unlisted_b2b", _code(400, 23), Unknown("http_400_23"), config=B2B),
    Case("duplicate_b2b", _code(409, 60), Unknown("http_409_60"), config=B2B),
    Case("token_refused_b2b", httpx.Response(401, json={"code": 42}), NotAccepted("token_refused", 1), config=B2B),
    Case("overloaded_b2b", httpx.Response(503, json={"code": 5}), NotAccepted("5", 30),
         config={**B2B, "b2b_not_taken_codes": "5"}),
    Case("server_error_b2b", httpx.Response(503, json={"code": 5}), Unknown("503"), config=B2B),
    Case("throttled_b2b", httpx.Response(429), NotAccepted("429", 10), config=B2B),
    Case("timeout_b2b", fails(httpx.ReadTimeout), Unknown("timeout"), config=B2B),
    Case("not_connected_b2b", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False), config=B2B),
    Case("garbage_b2b", HTML, Unknown("unreadable"), config=B2B),
    # B2B: a status call, where there is one
    Case("query_paid_b2b", _word("SUCCESS"),
         Paid(TXN_ID, Money.units(12500, "CDF")), "query", config=ASKABLE),
    Case("query_pending_b2b", says("orange_b2b_accepted"), Pending(TXN_ID), "query", config=ASKABLE),
    Case("query_failed_b2b", _word("FAILED", errorCode=60019),
         Failed("other", "60019", final=False), "query", config=ASKABLE),
    Case("query_new_word_b2b", _word("PARKED"), Unknown("status_PARKED"), "query",
         config=ASKABLE),
    Case("query_not_found_b2b", httpx.Response(404, json={"code": 61}), NotFound(), "query",
         config={**ASKABLE, "b2b_not_found_codes": "61"}),
    Case("query_404_of_nobody_knows_what_b2b", httpx.Response(404, json={"code": 61}), Unknown("http_404_61"), "query",
         config=ASKABLE),
    Case("query_404_without_a_code_b2b", httpx.Response(404, json={}), Unknown("http_404_no_code"), "query",
         config={**ASKABLE, "b2b_not_found_codes": "61"}),
    Case("query_not_activated_b2b", says("orange_b2b_not_found", 404), Unknown("http_404_60"), "query", config=ASKABLE),
    Case("query_token_refused_b2b", httpx.Response(401), Unknown("token_refused"), "query", config=ASKABLE),
    Case("query_timeout_b2b", fails(httpx.ReadTimeout), Unknown("timeout"), "query", config=ASKABLE),
]  # fmt: skip
