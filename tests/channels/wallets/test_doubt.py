"""An operator that answers nothing but 5xx is seen to be in trouble, with whatever body of its own they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import cases_airtel
import cases_mpesa_ke
import cases_orange
import httpx
import pytest
from refund_bench import asked, refund
from wallet_bench import Bench, says

from channels.wallets.doubt import doubt
from core.payments.circuit import condition
from core.payments.ports import Unknown

Body = Callable[[int], httpx.Response]
B2B = {"api": "b2b", "b2b_status_path": "/transactions/{id}"}
BODIES: Mapping[str, tuple[str, Body, Mapping[str, Any]]] = {
    "airtel": ("airtel", lambda status: cases_airtel.error("ESB000001", status), {}),
    "airtel's gateway": ("airtel", lambda status: says("airtel_router", status, status_code="ROUTER117"), {}),
    "vodacom": ("vodacom", lambda status: says("vodacom_internal_error", status), {}),
    "vodacom without a code": ("vodacom", lambda status: httpx.Response(status, json={}), {}),
    "pawapay": ("pawapay", lambda status: says("pawapay_unknown_error", status), {}),
    "orange, a fault": ("orange", lambda status: cases_orange.soap("orange_fault", status), {}),
    "orange, an answer": ("orange", lambda status: cases_orange.soap("orange_accepted", status), {}),
    "orange, no XML": ("orange", lambda status: httpx.Response(status, html="no"), {}),
    "orange b2b": ("orange", lambda status: httpx.Response(status, json={"code": 1, "message": "x"}), B2B),
    "mpesa_ke": ("mpesa_ke", lambda status: cases_mpesa_ke.error("500.003.1001", "Internal Server Error", status), {}),
}


# What an operator has no call for.
WITHOUT = {("mpesa_ke", "refund"), ("mpesa_ke", "query_refund"), ("airtel", "query_refund")}
CALLS = [
    (call, body)
    for body in BODIES
    for call in ("start", "query", "refund", "query_refund")
    if (BODIES[body][0], call) not in WITHOUT
]


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize(("call", "body"), CALLS)
def test_nothing_but_such_answers_is_trouble(call: str, body: str, status: int) -> None:
    name, answer, config = BODIES[body]
    bench = Bench(name, answer(status), **config)
    if call in ("refund", "query_refund"):
        whole = {"amount": refund().original} if name == "airtel" else {}
        said = asked(bench, call, **whole)
    else:
        said = bench.run(call, **({"provider_ref": "ws_CO_1"} if name == "mpesa_ke" and call == "query" else {}))
    assert isinstance(said, Unknown)
    assert said.why.startswith(str(status))
    kind: Literal["start", "query"] = "start" if call in ("start", "refund") else "query"
    assert condition(kind, said) == "troubled"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("orange", cases_orange.soap("orange_fault", 500, faultcode="S:Client")),
        ("mpesa_ke", cases_mpesa_ke.core_says("The transaction is being processed")),
        ("mpesa_ke", cases_mpesa_ke.error("500.002.1001", "Duplicate OriginatorConversationID", 500)),
        ("mpesa_ke", cases_mpesa_ke.core_says("Wrong credentials")),
        ("airtel", cases_airtel.error("ESB000001", 200)),
    ],
)
def test_a_clear_word_about_the_request_is_none(name: str, answer: httpx.Response) -> None:
    said = Bench(name, answer).run("start")
    assert condition("start", said) == "unclear"


def test_how_doubt_is_written() -> None:
    assert doubt(500, "ESB000001") == "500 ESB000001"
    assert doubt(503, None) == "503"
    assert doubt(400, "INS-6") == "INS-6"
    assert doubt(408, None) == "http_408"
