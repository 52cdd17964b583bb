"""Every aggregator in the registry has cases and a page; each recorded answer is read as it must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import structlog

from channels.sms.gateway import SmsAggregator
from channels.sms.gateways.africastalking import (
    LIVE,
    SANDBOX,
    AfricasTalkingSms,
    AfricasTalkingSmsConfig,
    read_cost,
)
from channels.sms.registry import GATEWAYS
from core.kernel.errors import PartnerDown, PartnerRefused, PartnerThrottled
from core.notices.errors import BadRecipient, NotTaken, OptedOut, RouteRefused
from core.notices.ports import OutboundText, Receipt
from core.partner_http import PartnerHttp

HERE = Path(__file__).parent / "recorded"
DOCS = Path(__file__).resolve().parents[3] / "docs" / "aggregators"
REQUIRED = {"sent", "refused", "throttled", "down", "garbage", "redacted"}
KEY = "s3cret-key-of-ours"
TEXT = OutboundText("+243815550001", "Merci", "notice:1")

# Recorded answer → what it must become. A class: that error; a tuple: that error with these attributes.
EXPECTED: dict[str, dict[str, Any]] = {
    "africastalking": {
        "sent": Receipt("africastalking", "ATXid_3f1c", "KES 0.8000"),
        "sent_charset": Receipt("africastalking", "ATXid_3f1c", "KES 0.8000"),
        "sent_200_as_text": Receipt("africastalking", "ATXid_3f1c", "USD 0.0000"),
        "sent_queued": Receipt("africastalking", "ATXid_3f1c", "KES 0.8000"),
        "sent_without_reference": Receipt("africastalking", None, "KES 0.8000"),
        "sent_word_only": Receipt("africastalking", "ATXid_3f1c", "KES 0.8000"),
        "sent_code_as_text": Receipt("africastalking", "ATXid_3f1c", "KES 0.8000"),
        "refused_sender": (RouteRefused, {"code": "402", "pause_s": 0}),
        "refused_credit": (RouteRefused, {"code": "405", "pause_s": 600}),
        "refused_credit_200": (RouteRefused, {"code": "405", "pause_s": 600}),
        "refused_without_reason": (RouteRefused, {"code": "nobody", "pause_s": 0}),
        "refused_held": (RouteRefused, {"code": "401", "pause_s": 900}),
        "refused_number": (BadRecipient, {"code": "403"}),
        "refused_landline": (BadRecipient, {"code": "404"}),
        "refused_recipient_credit": (RouteRefused, {"code": "405", "pause_s": 600}),
        "refused_blacklist": (OptedOut, {"code": "406"}),
        "refused_route": (RouteRefused, {"code": "407", "pause_s": 0}),
        "refused_do_not_disturb": (NotTaken, {"code": "409", "after_s": 3600}),
        "refused_gateway_error": (NotTaken, {"code": "501", "tries": 5}),
        "refused_once_more": (NotTaken, {"code": "502", "tries": 2}),
        "refused_key": (RouteRefused, {"code": "401", "detail": "The supplied authentication is invalid"}),
        "refused_form": (PartnerRefused, {"code": "400"}),
        "throttled": (PartnerThrottled, {"code": "429"}),
        "down_500": (PartnerDown, {"code": "500", "sent": True}),
        "down_503": (PartnerDown, {"code": "503", "sent": True}),
        "garbage_html": (PartnerDown, {"sent": True}),
        "garbage_empty": (PartnerDown, {"sent": True}),
        "garbage_shape": (PartnerDown, {"sent": True}),
        "garbage_list": (PartnerDown, {"sent": True}),
        "garbage_unlisted_code": (PartnerDown, {"code": "799", "sent": True}),
        "redacted_echo": (RouteRefused, {"code": "401", "detail": "bad key: ***"}),
    }
}


@dataclass
class Wire:
    """A network that gives one answer and remembers what it was asked."""

    answer: Callable[[httpx.Request], httpx.Response]

    def __post_init__(self) -> None:
        self.asked: list[httpx.Request] = []

    def http(self, name: str) -> PartnerHttp:
        def handle(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return self.answer(request)

        return PartnerHttp(name, transport=httpx.MockTransport(handle))


def build(name: str, wire: Wire) -> SmsAggregator:
    configs = {"africastalking": AfricasTalkingSmsConfig("mwolo", KEY, "MWOLO", "http://127.0.0.1:9/at")}
    made: SmsAggregator = GATEWAYS[name](configs[name], wire.http(name))
    return made


def recorded(name: str, case: str) -> Callable[[httpx.Request], httpx.Response]:
    told = json.loads((HERE / name / f"{case}.json").read_text("utf-8"))
    body = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
    return lambda _request: httpx.Response(
        told["status"], content=body.encode(), headers={"content-type": told["content_type"]}
    )


def cases_for(name: str) -> set[str]:
    return {path.stem for path in (HERE / name).glob("*.json")}


ALL_CASES = [(name, case) for name in sorted(GATEWAYS) for case in sorted(cases_for(name))]


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_every_gateway_has_cases_and_a_page(name: str) -> None:
    assert {case.partition("_")[0] for case in cases_for(name)} >= REQUIRED
    assert cases_for(name) == set(EXPECTED[name])
    page = (DOCS / f"{name}-sms.md").read_text("utf-8")
    adapter = GATEWAYS[name]
    assert adapter.name == name
    assert all(secret in page for secret in adapter.secrets)


@pytest.mark.parametrize(("name", "case"), ALL_CASES)
def test_an_answer_is_read_as_it_must_be(name: str, case: str) -> None:
    gateway = build(name, Wire(recorded(name, case)))
    expected = EXPECTED[name][case]
    if isinstance(expected, Receipt):
        assert gateway.send(TEXT) == expected
        return
    kind, attributes = expected
    with pytest.raises(kind) as caught:
        gateway.send(TEXT)
    assert type(caught.value) is kind
    assert {attribute: getattr(caught.value, attribute) for attribute in attributes} == attributes


@pytest.mark.parametrize(("name", "case"), ALL_CASES)
def test_one_call_one_post_and_no_secret_in_sight(name: str, case: str) -> None:
    wire = Wire(recorded(name, case))
    gateway = build(name, wire)
    said: list[str] = []
    with structlog.testing.capture_logs() as logs:
        try:
            said.append(repr(gateway.send(TEXT)))
        except Exception as error:  # every kind of error: none may carry the key
            said.append(repr(error) + str(error) + str(vars(error)))
    assert len(wire.asked) == 1
    assert KEY not in repr(logs) + "".join(said) + repr(gateway)
    assert TEXT.body not in repr(logs)


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("cut"), True),
    ],
)
@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_what_the_network_does(name: str, error: httpx.HTTPError, sent: bool) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(PartnerDown) as caught:
        build(name, Wire(fail)).send(TEXT)
    assert caught.value.sent is sent


def test_the_form_is_the_one_that_is_documented() -> None:
    wire = Wire(recorded("africastalking", "sent"))
    build("africastalking", wire).send(OutboundText("+243815550001", "Payé : 5 000 FC & merci", "notice:1"))
    request = wire.asked[0]
    assert str(request.url) == "http://127.0.0.1:9/at/version1/messaging"
    assert (request.method, request.headers["apikey"]) == ("POST", KEY)
    assert request.headers["accept"] == "application/json"
    assert parse_qs(request.content.decode()) == {
        "username": ["mwolo"],
        "to": ["+243815550001"],
        "message": ["Payé : 5 000 FC & merci"],
        "bulkSMSMode": ["1"],
        "from": ["MWOLO"],
    }


def test_a_number_the_sdk_does_not_like_is_nobodys_fault() -> None:
    wire = Wire(recorded("africastalking", "sent"))
    with pytest.raises(BadRecipient):
        build("africastalking", wire).send(OutboundText("243815550001", "Merci", "notice:1"))
    assert wire.asked == []


def test_two_accounts_live_side_by_side() -> None:
    """The SDK's module globals hold one account; its instances do not share anything."""
    wire = Wire(recorded("africastalking", "sent"))
    gateways = [
        AfricasTalkingSms(AfricasTalkingSmsConfig(user, f"key-{user}", None, "http://127.0.0.1:9"), wire.http("x"))
        for user in ("east", "west")
    ]
    for gateway in gateways:
        gateway.send(TEXT)
    assert [request.headers["apikey"] for request in wire.asked] == ["key-east", "key-west"]


def test_where_it_goes_by_default() -> None:
    assert AfricasTalkingSmsConfig("mwolo", KEY).url == LIVE
    assert AfricasTalkingSmsConfig("sandbox", KEY).url == SANDBOX
    assert KEY not in repr(AfricasTalkingSmsConfig("mwolo", KEY))


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("KES 0.8000", ("KES", Decimal("0.8"))),
        ("USD 0.0000", ("USD", Decimal(0))),
        ("0", None),
        ("", None),
        ("KES", None),
        ("KES NaN", None),
        ("lots of money", None),
    ],
)
def test_cost(text: str, cost: tuple[str, Decimal] | None) -> None:
    assert read_cost(text) == cost
