"""Orange RDC: what goes out on the wire, three meanings of one code, callbacks, refunds, the check, hostile XML."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cases_orange import ASKABLE, B2B, BEARER, CLIENT_SECRET, PHONE, SYSTEM_ID, TXN_ID, soap, xml
from wallet_bench import ATTEMPT_ID, NOW, Answer, Bench, attempt, fails, says, shape

from channels.wallets import soap as envelopes
from channels.wallets.operators.orange import OrangeB2bWallet, OrangeSoapWallet
from channels.wallets.operators.orange.soap import (
    StartCodes,
    StatusCodes,
    prompt_text,
    read_claim,
    read_done,
    read_start,
    read_status,
)
from core.kernel.money import Money
from core.payments.ports import (
    Accepted,
    Failed,
    Hint,
    Malformed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    RefundHint,
    Unknown,
    WalletRefund,
)
from core.payments.refund_rules import judge_refund
from core.payments.rules import judge

FRANCS = Money.units(12500, "CDF")
STATUS = StatusCodes(("200",), ("0",), {}, ("704",))


def sent(bench: Bench) -> envelopes.Message:
    return envelopes.read(bench.network.asked[-1].content)


def callback(body: str | bytes, kind: str = "callback") -> RawCallback:
    raw = body.encode() if isinstance(body, str) else body
    return RawCallback(kind, raw, {}, "POST", "/hooks/s/t/callback", "pay.example", None, NOW)


def refund(**changed: Any) -> WalletRefund:
    usual: dict[str, Any] = {
        "refund_id": "0b9f0f4e-6b1d-4c0e-9f0a-2f9d6c1d2e3f",
        "own_ref": "R0123456789ABCDEFGHJ",
        "attempt_id": ATTEMPT_ID,
        "provider_txn_id": None,
        "brand": "orange",
        "payer_phone": PHONE,
        "amount": Money.units(500, "CDF"),
        "original": FRANCS,
    }
    return WalletRefund(**{**usual, **changed})


# -- SOAP on the wire


def test_the_debit_on_the_wire() -> None:
    bench = Bench("orange", soap("orange_accepted"))
    bench.run("start", callback_url="https://pay.example/hooks/s/t/callback/1?a=1&b=2", account_number="1234 & <5>")
    (request,) = bench.network.asked
    assert str(request.url) == "https://orange.example/apigatewayom/apigwomService"
    assert request.headers["authorization"] == f"Bearer {BEARER}"
    assert request.headers["content-type"] == "text/xml; charset=utf-8"
    assert request.extensions["timeout"]["read"] == 60
    assert (sent(bench).namespace, sent(bench).operation) == ("http://services.ws1.com/", "doS2M")
    assert sent(bench).fields == {
        "subsmsisdn": "0890000003",
        "PartnId": "449",
        "mermsisdn": "0890033477",
        "transid": "E0123456789ABCDEFGHJ",
        "currency": "CDF",
        "amount": "12500",
        "callbackurl": "https://pay.example/hooks/s/t/callback/1?a=1&b=2",
        "message_s2m": prompt_text(attempt(account_number="1234 & <5>")),
    }


def test_dollars_have_two_decimals_and_a_merchant_of_their_own() -> None:
    bench = Bench("orange", soap("orange_accepted"))
    bench.run("start", amount=Money(2550, "USD"))
    assert (sent(bench).text("amount"), sent(bench).text("currency")) == ("25.50", "USD")
    assert sent(bench).text("mermsisdn") == "0890033478"
    bench.run("query", amount=Money(2550, "USD"))
    assert sent(bench).fields == {"PartnId": "449", "mermsisdn": "0890033478", "transid": "E0123456789ABCDEFGHJ"}


def test_a_currency_without_merchant_is_not_taken() -> None:
    bench = Bench("orange", fails(httpx.ReadTimeout), merchant_usd="")
    assert bench.wallet.can.decimals == {"CDF": 0}
    assert bench.run("start", amount=Money(2550, "USD")) == Failed("amount_refused", "not_sent")
    assert bench.run("query", amount=Money(2550, "USD")) == Unknown("no_merchant_USD")
    assert bench.network.asked == []


@pytest.mark.parametrize("api", ["soap", "b2b"])
def test_a_phone_of_another_country_is_never_asked(api: str) -> None:
    bench = Bench("orange", fails(httpx.ReadTimeout), api=api)
    assert bench.run("start", payer_phone="+254700000001") == Failed("payer_unknown", "not_sent")
    assert bench.network.asked == []


@pytest.mark.parametrize("language", ["fr", "sw", "ln", "kg", "lua", "en"])
def test_the_prompt_is_short_plain_and_names_account_and_amount(language: str) -> None:
    text = prompt_text(attempt(language=language, amount=Money(123456789050, "USD"), account_number="1234567897"))
    assert text.isascii()
    assert len(text) <= 160
    assert "1234567897" in text
    assert "1 234 567 890,50 USD" in text


# -- three meanings of one code


def test_zero_and_two_hundred_mean_another_thing_in_each_place() -> None:
    """In progress, paid, nothing; and nothing, refused, done: no two places agree, so none may read for another."""
    codes, own = StartCodes((), {}), "E0123456789ABCDEFGHJ"

    def said(name: str, tag: str, code: str) -> envelopes.Message:
        return envelopes.read(xml(name, **{tag: code}))

    zero = {
        "doS2M": read_start(said("orange_accepted", "resultCode", "0"), own, codes),
        "doCallback": read_claim(said("orange_callback", "ResultCode", "0")),
        "doM2S": read_done(said("orange_given_back", "resultCode", "0"), "R0123456789ABCDEFGHJ"),
        "doCheckTrans": read_status(said("orange_status", "resultCode", "0"), own, STATUS),
    }
    assert zero == {
        "doS2M": Accepted(SYSTEM_ID),
        "doCallback": Paid(None, FRANCS, payer_phone=PHONE),
        "doM2S": Unknown("0"),
        "doCheckTrans": Pending(),
    }
    two_hundred = {
        "doS2M": read_start(said("orange_accepted", "resultCode", "200"), own, codes),
        "doCallback": read_claim(said("orange_callback", "ResultCode", "200")),
        "doM2S": read_done(said("orange_given_back", "resultCode", "200"), "R0123456789ABCDEFGHJ"),
        "doCheckTrans": read_status(said("orange_status", "resultCode", "200"), own, STATUS),
    }
    assert two_hundred == {
        "doS2M": Unknown("200"),
        "doCallback": Failed("other", "200", final=False),
        "doM2S": Paid("616062846331"),
        "doCheckTrans": Paid(),
    }


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"merchant_cdf": "", "merchant_usd": ""}, "merchant_cdf"),
        ({"merchant_cdf": "890033477"}, "merchant_cdf"),
        ({"bearer_token": ""}, "bearer_token"),
        ({"status_paid_codes": "200,0"}, "status_"),
        ({"status_failed_codes": "5=broke"}, "status_failed_codes"),
        ({"status_failed_codes": "5"}, "status_failed_codes"),
        ({"start_refused_codes": "0=other"}, "start_"),
        ({"api": "rest"}, "api"),
        ({"api": "b2b", "client_id": ""}, "client_id"),
        ({"api": "b2b", "b2b_status_path": "/transactions"}, "b2b_status_path"),
        ({"api": "b2b", "b2b_not_taken_codes": "60"}, "b2b_not_taken_codes"),
        ({"api": "b2b", "b2b_words": "SUCCESS=done"}, "b2b_words"),
        ({"api": "b2b", "b2b_decimals": "CDF=1"}, "b2b_decimals"),
        ({"api": "b2b", "b2b_callback_fields": "status=status"}, "b2b_callback_fields"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Bench("orange", httpx.Response(200), **changed)


# -- SOAP callbacks


def test_a_callback_is_a_claim_with_amount_and_currency() -> None:
    wallet = Bench("orange", httpx.Response(200)).wallet
    assert wallet.read_callback(callback(xml("orange_callback"))) == Hint(
        own_ref="E0123456789ABCDEFGHJ", claim=Paid(None, FRANCS, payer_phone=PHONE), authentic=False
    )
    dollars = wallet.read_callback(callback(xml("orange_callback", currency="usd", amount="25.5")))
    assert isinstance(dollars, Hint)
    assert dollars.claim == Paid(None, Money(2550, "USD"), payer_phone=PHONE)


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"ResultCode": "17"}, Failed("other", "17", final=False)),
        ({"ResultCode": None}, Unknown("no_code")),
        ({"amount": "12,500"}, Unknown("paid_amount_unreadable")),
        ({"currency": "XXX"}, Unknown("paid_amount_unreadable")),
        ({"currency": None}, Unknown("paid_amount_unreadable")),
    ],
)
def test_other_claims(changed: dict[str, str | None], claim: object) -> None:
    hint = Bench("orange", httpx.Response(200)).wallet.read_callback(callback(xml("orange_callback", **changed)))
    assert isinstance(hint, Hint)
    assert hint.claim == claim


def test_a_callback_without_our_id_is_malformed() -> None:
    wallet = Bench("orange", httpx.Response(200)).wallet
    assert isinstance(wallet.read_callback(callback(xml("orange_callback", transid=None))), Malformed)
    assert isinstance(wallet.read_callback(callback(xml("orange_accepted"))), Malformed)


def test_the_acknowledgement_is_theirs() -> None:
    wallet = Bench("orange", httpx.Response(200)).wallet
    ack = wallet.acknowledge(callback(xml("orange_callback", PartnId="4&amp;9")))
    assert (ack.status, ack.content_type) == (200, "text/xml; charset=utf-8")
    said = envelopes.read(ack.body)
    assert (said.namespace, said.operation) == ("http://servicecb.ws.com/", "doCallbackResponse")
    assert said.fields == {"partnId": "4&9", "resultCode": "0", "resultDesc": "success"}
    assert b"<return>" in ack.body


# -- hostile XML

BOMB = (
    '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("prefix", [BOMB, OUTSIDE, '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">', "<!DOCTYPE x>"])
def test_a_document_type_ends_the_reading(prefix: str) -> None:
    body = prefix + xml("orange_callback", amount="&c;" if prefix is BOMB else "&f;" if prefix is OUTSIDE else "1")
    with pytest.raises(envelopes.Unreadable, match="document type"):
        envelopes.read(body)
    wallet = Bench("orange", httpx.Response(200, text=body)).wallet
    assert isinstance(wallet.read_callback(callback(body)), Malformed)
    assert wallet.query(attempt()) == Unknown("unreadable")
    assert wallet.acknowledge(callback(body)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        "<a>" * 10_000,
        f"<S:Envelope xmlns:S='{envelopes.SOAP_11}'><S:Body><x>{'<y/>' * 500}</x></S:Body></S:Envelope>",
        f"<S:Envelope xmlns:S='{envelopes.SOAP_11}'><S:Body><x/><y/></S:Body></S:Envelope>",
        f"<S:Envelope xmlns:S='{envelopes.SOAP_11}'><S:Body/></S:Envelope>",
        "<Envelope><Body><x/></Body></Envelope>",
        " " * 300_000,
        "<?xml version='1.0' encoding='no-such-encoding'?><a/>",
        f"<S:Envelope xmlns:S='{envelopes.SOAP_11}'><S:Body><x>&undefined;</x></S:Body></S:Envelope>",
    ],
)
def test_no_honest_message_is_read(body: str) -> None:
    for one in (body, body.encode()):
        with pytest.raises(envelopes.Unreadable):
            envelopes.read(one)


def test_two_values_for_one_field_are_not_chosen_from() -> None:
    twice = xml("orange_callback").replace("<amount>", "<amount>1</amount><amount>")
    with pytest.raises(envelopes.Unreadable, match="two values"):
        envelopes.read(twice)


def test_whatever_is_written_is_read_back_as_one_value() -> None:
    nasty = "a<b>&c</amount><amount>1</amount>]]>\"'\x00\x0b\ud800é"
    said = envelopes.read(envelopes.write("http://services.ws1.com/", "doS2M", {"message_s2m": nasty, "amount": "5"}))
    assert said.fields == {"message_s2m": "a<b>&c</amount><amount>1</amount>]]>\"'???é", "amount": "5"}


def test_latin_one_and_namespaced_fields_are_read() -> None:
    text = "<?xml version='1.0' encoding='ISO-8859-1'?>" + xml("orange_status", resultDesc="échoué")
    assert envelopes.read(text.encode("latin-1")).text("resultDesc") == "échoué"
    assert envelopes.read(text).text("resultDesc") == "échoué"
    spaced = xml("orange_callback").replace("<transid>", "<ser:transid>").replace("</transid>", "</ser:transid>")
    assert envelopes.read(spaced).text("transid") == "E0123456789ABCDEFGHJ"


# -- giving money back


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (soap("orange_given_back"), Paid("616062846331")),
        (soap("orange_given_back", resultCode="0"), Unknown("0")),
        (soap("orange_given_back", resultCode="00084"), Unknown("00084")),
        (soap("orange_given_back", transId="E0123456789ABCDEFGHJ"), Unknown("contradictory_answer")),
        (soap("orange_fault", 500), Unknown("500 fault_Server")),
        (httpx.Response(401), NotAccepted("http_401", 15)),
        (httpx.Response(429), NotAccepted("429", 10)),
        (fails(httpx.ReadTimeout), Unknown("timeout")),
        (fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    ],
)
def test_a_refund_by_soap(answer: Answer, expected: object) -> None:
    bench = Bench("orange", answer)
    assert isinstance(bench.wallet, OrangeSoapWallet)
    assert bench.wallet.refund(refund()) == expected
    assert len(bench.network.asked) == 1
    assert sent(bench).operation == "doM2S"
    assert sent(bench).fields == {
        "subsmsisdn": "0890000003",
        "PartnId": "449",
        "mermsisdn": "0890033477",
        "transid": "R0123456789ABCDEFGHJ",
        "currency": "CDF",
        "amount": "500",
    }


def test_a_refund_in_doubt_is_asked_about_by_its_own_id() -> None:
    bench = Bench("orange", soap("orange_status", resultCode="200", transId="R0123456789ABCDEFGHJ"))
    assert isinstance(bench.wallet, OrangeSoapWallet)
    assert bench.wallet.query_refund(refund()) == Paid()
    assert (sent(bench).operation, sent(bench).text("transid")) == ("doCheckTrans", "R0123456789ABCDEFGHJ")
    assert bench.wallet.refund(refund(amount=Money(50, "CDF"))) == Failed("amount_refused", "not_sent")
    assert bench.wallet.refund(refund(payer_phone="+254700000001")) == Failed("payer_unknown", "not_sent")


def test_a_refund_that_is_not_found_is_doubt_and_never_paid_again() -> None:
    """That doCheckTrans knows of refunds at all is unconfirmed: its 704 is no "not paid"."""
    bench = Bench("orange", soap("orange_status", resultCode="704", transId=None))
    assert isinstance(bench.wallet, OrangeSoapWallet)
    answer = bench.wallet.query_refund(refund())
    assert answer == Unknown("refund_not_found")
    verdicts = [
        judge_refund("unknown", answer, age_s=age_s, queries=3, posts=1, can=bench.wallet.can)
        for age_s in (901, 40_000, 90_000)
    ]
    assert [(verdict.state, verdict.book) for verdict in verdicts] == [
        ("unknown", None), ("unknown", None), ("needs_attention", None)
    ]  # fmt: skip


@pytest.mark.parametrize(("codes", "expected"), [("", Unknown("http_404_61")), ("61", NotFound())])
def test_a_404_of_the_other_api_is_doubt_unless_its_code_is_named(codes: str, expected: object) -> None:
    bench = Bench("orange", httpx.Response(404, json={"code": 61}), **ASKABLE, b2b_not_found_codes=codes)
    assert isinstance(bench.wallet, OrangeB2bWallet)
    assert bench.wallet.query_refund(refund()) == expected
    assert bench.run("query") == expected
    # One without a body is the gateway's own, whatever the setting says.
    bare = Bench("orange", httpx.Response(404, json=None), **ASKABLE, b2b_not_found_codes=codes)
    assert isinstance(bare.run("query"), Unknown)


# -- the check


def test_the_check_asks_for_each_balance_and_moves_nothing() -> None:
    bench = Bench("orange", soap("orange_balance"))
    assert isinstance(bench.wallet, OrangeSoapWallet)
    assert [finding.ok for finding in bench.wallet.check()] == [True, True, True, None]
    asked = [envelopes.read(request.content) for request in bench.network.asked]
    assert [one.operation for one in asked] == ["TcheckBal", "TcheckBal"]
    assert [one.text("subsmsisdn") for one in asked] == ["0890033477", "0890033478"]


@pytest.mark.parametrize(
    ("answer", "ok", "words"),
    [
        (soap("orange_balance", resultCode="5"), False, "merchant number"),
        (httpx.Response(401), False, "token"),
        (httpx.Response(429), None, "busy"),
        (httpx.Response(200, html="<h1>hello"), False, "path"),
        (fails(httpx.ConnectTimeout), False, "tunnel"),
    ],
)
def test_the_check_says_what_to_mend(answer: Answer, ok: bool | None, words: str) -> None:
    bench = Bench("orange", answer, merchant_usd="", base_url="http://10.0.0.1:8088")
    assert isinstance(bench.wallet, OrangeSoapWallet)
    scheme, balance, _ = bench.wallet.check()
    assert (scheme.ok, balance.ok) == (False, ok)
    assert words in balance.advice


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_a_gateway_on_this_machine_is_a_sandbox_and_nothing_to_mend(host: str) -> None:
    bench = Bench("orange", soap("orange_balance"), base_url=f"http://{host}/orange-om")
    assert isinstance(bench.wallet, OrangeSoapWallet)
    scheme = bench.wallet.check()[0]
    assert (scheme.ok, "sandbox" in scheme.what) == (None, True)


# -- B2B


def test_the_cashout_on_the_wire() -> None:
    bench = Bench("orange", says("orange_b2b_accepted", 202), **B2B)
    bench.run("start")
    (token,) = bench.network.asked_for_sessions
    assert str(token.url) == "https://orange.example/oauth/v3/token"
    assert parse_qs(token.content.decode()) == {"grant_type": ["client_credentials"]}
    basic = base64.b64decode(token.headers["authorization"].removeprefix("Basic ")).decode()
    assert basic == f"application:{CLIENT_SECRET}"
    (request,) = bench.network.asked
    assert str(request.url) == "https://orange.example/orange-money-b2b/v1/cd/transactions/cashout"
    assert request.headers["authorization"] == "Bearer token-1-never-to-be-seen"
    assert bench.network.bodies == [
        {
            "peerId": "890000003",
            "peerIdType": "msisdn",
            "amount": 12500,
            "currency": "CDF",
            "posId": "XYZ123",
            "transactionId": ATTEMPT_ID,
        }
    ]


def test_dollars_only_where_the_settings_say_so() -> None:
    bench = Bench("orange", says("orange_b2b_accepted", 202), **B2B)
    assert bench.wallet.can.decimals == {"CDF": 0}
    assert bench.run("start", amount=Money(2550, "USD")) == Failed("amount_refused", "not_sent")
    both = Bench("orange", says("orange_b2b_accepted", 202), b2b_decimals="CDF=0,USD=2", **B2B)
    assert both.run("start", amount=Money(2550, "USD")) == Accepted(TXN_ID)
    assert both.network.bodies[0]["amount"] == "25.50"


def test_a_token_lives_as_long_as_was_said_and_is_shared() -> None:
    bench = Bench("orange", says("orange_b2b_accepted", 202), **B2B)
    for _ in range(3):
        bench.run("start")
    bench.clock.advance(seconds=5400)
    bench.run("start")
    assert bench.network.sessions == 1, "7200 seconds, not the 3600 that stand for a silent answer"
    bench.clock.advance(seconds=2000)
    bench.run("start")
    assert bench.network.sessions == 2


def test_a_refused_token_is_replaced_and_the_payment_not_taken_on() -> None:
    bench = Bench("orange", says("orange_b2b_accepted", 202), **B2B)
    bench.run("start")
    bench.network.answer = httpx.Response(401, json={"code": 42, "message": "Expired credentials"})
    assert isinstance(bench.run("start"), NotAccepted)
    bench.network.answer = says("orange_b2b_accepted", 202)
    assert bench.run("start") == Accepted(TXN_ID)
    assert bench.network.asked[-1].headers["authorization"] == "Bearer token-2-never-to-be-seen"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(401, json={"code": 41}), Failed("configuration", "41")),
        (httpx.Response(503), NotAccepted("no_token_503", 15, posted=False)),
        (httpx.Response(429), NotAccepted("no_token_429", 15, posted=False)),
        (fails(httpx.ConnectError), NotAccepted("no_token_no_connection", 15, posted=False)),
    ],
)
def test_without_a_token_nothing_is_asked(answer: Answer, expected: object) -> None:
    bench = Bench("orange", says("orange_b2b_accepted", 202), **B2B)
    bench.network.session_answer = answer
    assert bench.run("start") == expected
    assert isinstance(bench.run("query"), Unknown)
    assert bench.network.asked == []


def test_without_a_status_call_nobody_is_asked_and_nothing_is_decided() -> None:
    bench = Bench("orange", fails(httpx.ReadTimeout), **B2B)
    assert bench.wallet.can.query_by_own_id is False
    assert bench.run("query") == Unknown("no_status_call")
    assert (bench.network.asked, bench.network.sessions) == ([], 0)
    assert Bench("orange", httpx.Response(200), **ASKABLE).wallet.can.query_by_own_id is True


@pytest.mark.parametrize("age_s", [60.0, 3600.0, 86_399.0, 86_400.0])
def test_an_attempt_nobody_can_be_asked_about_ends_with_a_person(age_s: float) -> None:
    wallet = Bench("orange", fails(httpx.ReadTimeout), **B2B).wallet
    verdict = judge("pending", wallet.query(attempt()), age_s=age_s, queries=3, posts=1, can=wallet.can)
    assert verdict.state == ("needs_attention" if age_s >= 86_400 else "unknown")
    assert not verdict.pay


@pytest.mark.parametrize("api", ["soap", "b2b"])
def test_when_orange_is_asked_and_when_a_prompt_is_over(api: str) -> None:
    can = Bench("orange", httpx.Response(200), api=api, calls_per_minute=7).wallet.can
    assert (can.query_slots_s, can.prompt_lifetime_s) == ((60, 120, 300, 900, 3600), 300)
    assert (can.refunds, can.callback_proof, can.calls_per_minute) == ("partial", "none", 7)


def news(**changed: Any) -> RawCallback:
    body = {k: v for k, v in shape("orange_b2b_callback", **changed).items() if v is not None}
    return callback(json.dumps(body))


def test_a_b2b_callback_is_a_claim_until_the_setting_says_otherwise() -> None:
    claim = Paid(TXN_ID, FRANCS)
    wallet = Bench("orange", httpx.Response(200), **B2B).wallet
    assert wallet.read_callback(news()) == Hint(attempt_id=ATTEMPT_ID, claim=claim, authentic=False)
    believer = Bench("orange", httpx.Response(200), b2b_believe_callback=True, **B2B).wallet
    assert believer.read_callback(news()) == Hint(attempt_id=ATTEMPT_ID, claim=claim, authentic=True)
    assert believer.can.callback_proof == "none"


@pytest.mark.parametrize(
    ("changed", "claim", "whole"),
    [
        ({"amount": None, "currency": None}, Paid(TXN_ID), False),
        ({"amount": 12500.005}, Unknown("paid_amount_unreadable"), False),
        ({"currency": None}, Unknown("paid_amount_unreadable"), False),
        ({"transactionStatus": "PENDING"}, Pending(TXN_ID), False),
        ({"transactionStatus": "FAILED", "errorCode": 60019}, Failed("other", "60019", final=False), True),
        ({"transactionStatus": "DONE"}, Unknown("status_DONE"), False),
        ({"transactionStatus": None}, Unknown("status_missing"), False),
    ],
)
def test_only_a_whole_claim_can_be_believed(changed: dict[str, Any], claim: object, whole: bool) -> None:
    believer = Bench("orange", httpx.Response(200), b2b_believe_callback=True, **B2B).wallet
    assert believer.read_callback(news(**changed)) == Hint(attempt_id=ATTEMPT_ID, claim=claim, authentic=whole)


def test_where_things_stand_in_a_callback_is_a_setting() -> None:
    fields = "own_id=data.ref,status=data.state,amount=data.sum,currency=data.cur"
    wallet = Bench("orange", httpx.Response(200), b2b_callback_fields=fields, b2b_words="OK=paid", **B2B).wallet
    body = {"data": {"ref": ATTEMPT_ID.upper(), "state": "ok", "sum": "12500.00", "cur": "cdf"}}
    assert wallet.read_callback(callback(json.dumps(body))) == Hint(attempt_id=ATTEMPT_ID, claim=Paid(None, FRANCS))


def test_a_b2b_callback_about_a_refund_is_never_believed() -> None:
    believer = Bench("orange", httpx.Response(200), b2b_believe_callback=True, **B2B).wallet
    assert believer.read_callback(news(type="cashin")) == RefundHint(ATTEMPT_ID)
    assert isinstance(believer.read_callback(news(partnerTransactionId="E0123456789ABCDEFGHJ")), Malformed)


def test_a_refund_is_a_cashin_under_its_own_id() -> None:
    bench = Bench("orange", says("orange_b2b_accepted", 202, transactionData={"txnId": "MP2"}), **B2B)
    assert isinstance(bench.wallet, OrangeB2bWallet)
    assert bench.wallet.refund(refund()) == Accepted("MP2")
    assert bench.network.asked[0].url.path.endswith("/transactions/cashin")
    assert bench.network.bodies[0]["transactionId"] == refund().refund_id
    assert bench.network.bodies[0]["amount"] == 500
    assert bench.wallet.query_refund(refund()) == Unknown("no_status_call")


def test_the_status_call_is_asked_by_our_id() -> None:
    bench = Bench("orange", httpx.Response(404, json={"code": 61}), **ASKABLE, b2b_not_found_codes="61")
    assert bench.run("query") == NotFound()
    assert bench.network.asked[0].url.path == f"/orange-money-b2b/v1/cd/transactions/{ATTEMPT_ID}"


def test_the_check_of_b2b() -> None:
    def oks(answer: Answer, session: Answer | None = None, **config: Any) -> list[bool | None]:
        bench = Bench("orange", answer, **config)
        bench.network.session_answer = session
        assert isinstance(bench.wallet, OrangeB2bWallet)
        return [finding.ok for finding in bench.wallet.check()]

    assert oks(httpx.Response(404, json={"code": 61}), **ASKABLE, b2b_not_found_codes="61") == [True, True, None]
    assert oks(httpx.Response(404, json={"code": 61}), **ASKABLE) == [True, None, None]
    assert oks(httpx.Response(404, json={}), **ASKABLE) == [True, False, None]
    assert oks(says("orange_b2b_not_found", 404), **ASKABLE) == [True, False, None]
    assert oks(fails(httpx.ReadTimeout), **B2B) == [True, False, None]
    assert oks(fails(httpx.ReadTimeout), b2b_believe_callback=True, **B2B) == [True, None, None]
    assert oks(fails(httpx.ReadTimeout), httpx.Response(401, json={}), **B2B) == [False]
    assert oks(fails(httpx.ReadTimeout), fails(httpx.ConnectError), **B2B) == [False]
