"""Safaricom's Daraja: what goes out on the wire, the one token, callbacks, and money by bill number."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from cases_mpesa_ke import CALLBACK, CHECKOUT, KEY, PASSKEY, SECRET, config, core_says, error, status
from wallet_bench import ATTEMPT_ID, HTML, NOW, Answer, Bench, attempt, fails, says, shape

from channels.wallets.operators.mpesa_ke.codes import password
from core.kernel.money import Money
from core.payments.ports import (
    Accepted,
    BillNumbers,
    BillPayment,
    Checkable,
    Failed,
    Finding,
    Hint,
    Malformed,
    NotAccepted,
    Paid,
    Pending,
    RawCallback,
    Unknown,
)

PAID_AT = datetime(2026, 1, 5, 7, 15, 32, tzinfo=UTC)


def bench(answer: Answer | None = None, **changed: Any) -> Bench:
    return Bench("mpesa_ke", answer or says("mpesa_ke_accepted"), **changed)


def raw(name: str, kind: str = "callback", **changed: Any) -> RawCallback:
    return sent(shape(name, **changed), kind)


def sent(body: object, kind: str = "callback") -> RawCallback:
    return RawCallback(kind, json.dumps(body).encode(), {}, "POST", f"/hooks/s/t/{kind}", "pay.example", None, NOW)


def stk(**changed: Any) -> RawCallback:
    body = shape("mpesa_ke_callback_paid")
    body["Body"]["stkCallback"].update(changed)
    return sent(body)


# -- the push


def test_the_push_on_the_wire() -> None:
    one = bench()
    assert one.run("start") == Accepted(CHECKOUT)
    (request,) = one.network.asked
    assert str(request.url) == "https://sandbox.safaricom.co.ke/mpesa/stkpush/v1/processrequest"
    assert request.headers["authorization"] == "Bearer token-1-never-to-be-seen"
    assert request.extensions["timeout"]["read"] == 30
    at = "20260302120000"  # nine in UTC is noon in Nairobi
    assert one.network.bodies == [
        {
            "BusinessShortCode": "174379",
            "Password": base64.b64encode(f"174379{PASSKEY}{at}".encode()).decode(),
            "Timestamp": at,
            "TransactionType": "CustomerPayBillOnline",
            "Amount": "250",
            "PartyA": "254712345678",
            "PartyB": "174379",
            "PhoneNumber": "254712345678",
            "CallBackURL": CALLBACK,
            "AccountReference": "1234567897HJ",
            "TransactionDesc": "Facture d",
        }
    ]


def test_the_password_of_the_documents() -> None:
    expected = "MTc0Mzc5ZGVtby1wYXNza2V5MjAyNjAxMDUxMDE1MDA="
    assert password("174379", "demo-passkey", "20260105101500") == expected


def test_a_till_receives_for_its_head_office() -> None:
    one = bench(short_code="600000", party_b="700111", transaction_type="CustomerBuyGoodsOnline")
    one.run("start")
    (body,) = one.network.bodies
    assert (body["BusinessShortCode"], body["PartyB"], body["TransactionType"]) == (
        "600000",
        "700111",
        "CustomerBuyGoodsOnline",
    )


def test_an_attempt_without_an_account_is_named_by_its_own_reference() -> None:
    one = bench()
    one.run("start", account_number="E0123456789ABCDEFGHJ", description="!?")
    (body,) = one.network.bodies
    assert (body["AccountReference"], body["TransactionDesc"]) == ("789ABCDEFGHJ", "Facture")


@pytest.mark.parametrize("phone", ["+243810000001", "+25471234567", "+254612345678", "+2547123456789", "+254201234567"])
def test_a_number_daraja_cannot_have_is_never_sent(phone: str) -> None:
    one = bench(fails(httpx.ReadTimeout))
    assert one.run("start", payer_phone=phone) == Failed("payer_unknown", "not_sent")
    assert (one.network.asked, one.network.sessions) == ([], 0)


@pytest.mark.parametrize("units", [1, 250_000])
def test_the_limits_themselves_are_sent(units: int) -> None:
    one = bench()
    assert one.run("start", amount=Money.units(units, "KES"), payer_phone="+254110000001") == Accepted(CHECKOUT)
    assert one.network.bodies[0]["Amount"] == str(units)


def test_without_a_callback_address_nothing_is_sent() -> None:
    one = bench(fails(httpx.ReadTimeout))
    assert one.run("start", callback_url=None) == Failed("configuration", "no_callback_address")
    for word in ("M-Pesa", "mpesa", "Safaricom", "exec", "CMD", "sqL", "query"):
        address = f"https://pay.example/{word}/callback/{ATTEMPT_ID}"
        assert one.run("start", callback_url=address) == Failed("configuration", "callback_address_refused")
    assert one.network.asked == []


def test_a_query_asks_by_the_id_of_the_answer_or_not_at_all() -> None:
    one = bench(says("mpesa_ke_status"))
    assert one.run("query", provider_ref=None) == Unknown("no_checkout_id")
    assert one.network.asked == []
    assert one.run("query") == Paid()
    (body,) = one.network.bodies
    assert (body["CheckoutRequestID"], body["Timestamp"]) == (CHECKOUT, "20260302120000")
    assert one.network.asked[0].url.path == "/mpesa/stkpushquery/v1/query"


# -- the one token


def test_the_token_is_asked_for_once_and_in_basic() -> None:
    one = bench()
    one.run("start")
    one.run("query")
    (request,) = one.network.asked_for_sessions
    assert request.method == "GET"
    assert str(request.url.query, "ascii") == "grant_type=client_credentials"
    assert request.headers["authorization"] == f"Basic {base64.b64encode(f'{KEY}:{SECRET}'.encode()).decode()}"


def test_a_token_lives_as_long_as_daraja_says() -> None:
    for said, minutes in (("3599", 55), (1200, 19), (None, 55)):
        one = bench()
        one.network.session_answer = says("mpesa_ke_token", expires_in=said, access_token="never-to-be-seen")
        one.run("start")
        one.clock.advance(minutes=minutes - 8)
        one.run("start")
        assert one.network.sessions == 1, said
        one.clock.advance(minutes=8)
        one.run("start")
        assert one.network.sessions == 2, said


def test_a_refused_token_is_replaced_once() -> None:
    one = bench(error("404.001.03", "Invalid Access Token", 404))
    assert one.run("start") == NotAccepted("token_refused", 1)
    one.network.answer = says("mpesa_ke_accepted")
    assert one.run("start") == Accepted(CHECKOUT)
    assert one.network.asked[-1].headers["authorization"] == "Bearer token-2-never-to-be-seen"
    assert one.network.sessions == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(400, text=""), Failed("configuration", "http_400")),
        (error("400.008.02", "Invalid grant type passed"), Failed("configuration", "400.008.02")),
        (error("500.003.1001", "Internal", 500), NotAccepted("no_token_500.003.1001", 15, posted=False)),
        (httpx.Response(503), NotAccepted("no_token_503", 15, posted=False)),
        (httpx.Response(429), NotAccepted("no_token_429", 15, posted=False)),
        (httpx.Response(200, json={}), NotAccepted("no_token_no_token", 15, posted=False)),
        (HTML, NotAccepted("no_token_unreadable", 15, posted=False)),
        (fails(httpx.ReadTimeout), NotAccepted("no_token_timeout", 15, posted=False)),
    ],
)
def test_without_a_token_nothing_is_sent(answer: Answer, expected: object) -> None:
    one = bench()
    one.network.session_answer = answer
    assert one.run("start") == expected
    assert isinstance(one.run("query"), Unknown)
    assert one.network.asked == []


# -- callbacks


def test_a_callback_of_money() -> None:
    claim = Paid("SA12ABCDE3", Money.units(250, "KES"), PAID_AT, "+254712345678")
    assert bench().wallet.read_callback(stk()) == Hint(provider_ref=CHECKOUT, claim=claim)


def test_items_in_any_order_odd_ones_and_none() -> None:
    wallet = bench().wallet
    items = [{"Name": "PhoneNumber", "Value": "2547 ***** 149"}, {"Name": "Amount", "Value": "1"}, {"Name": "Balance"}]
    odd = wallet.read_callback(stk(ResultCode="0", CallbackMetadata={"Item": items}))
    assert odd == Hint(provider_ref=CHECKOUT, claim=Paid(None, Money.units(1, "KES")))
    for nothing in ({}, {"Item": []}, {"Item": {"Name": "Amount", "Value": 1}}, None):
        assert wallet.read_callback(stk(CallbackMetadata=nothing)) == Hint(provider_ref=CHECKOUT, claim=Paid())
    junk = [{"Name": "Amount", "Value": -1}, {"Name": "MpesaReceiptNumber", "Value": "N/A"},
            {"Name": "TransactionDate", "Value": 20261399000000}]  # fmt: skip
    assert wallet.read_callback(stk(CallbackMetadata={"Item": junk})) == Hint(provider_ref=CHECKOUT, claim=Paid())


@pytest.mark.parametrize(
    ("code", "claim"),
    [
        (1032, Failed("cancelled", "1032", final=False)),
        ("1037", Failed("unreachable", "1037", final=False)),
        (1, Failed("no_funds", "1")),
        ("SFC_IC0003", Failed("other", "SFC_IC0003")),
        (4999, Pending()),
        (31415, Unknown("31415")),
    ],
)
def test_a_callback_without_money(code: int | str, claim: object) -> None:
    body = shape("mpesa_ke_callback_failed")
    body["Body"]["stkCallback"]["ResultCode"] = code
    assert bench().wallet.read_callback(sent(body)) == Hint(provider_ref=CHECKOUT, claim=claim)


@pytest.mark.parametrize(
    "changed", [{"CheckoutRequestID": ""}, {"CheckoutRequestID": None}, {"ResultCode": None}, {"ResultCode": {}}]
)
def test_a_callback_that_says_nothing(changed: dict[str, Any]) -> None:
    assert isinstance(bench().wallet.read_callback(stk(**changed)), Malformed)


@pytest.mark.parametrize("kind", ["result", "timeout"])
def test_nothing_of_ours_is_answered_elsewhere(kind: str) -> None:
    assert isinstance(bench().wallet.read_callback(raw("mpesa_ke_callback_paid", kind)), Malformed)


def test_what_daraja_is_told_of_each_callback() -> None:
    wallet = bench().wallet
    for kind, said in (("callback", "Accepted"), ("confirm", "Success")):
        ack = wallet.acknowledge(raw("mpesa_ke_notice", kind))
        assert (ack.status, json.loads(ack.body)) == (200, {"ResultCode": 0, "ResultDesc": said})


# -- the bill number


def bills(**changed: Any) -> BillNumbers:
    wallet = bench(**changed).wallet
    assert isinstance(wallet, BillNumbers)
    return wallet


@pytest.mark.parametrize("payer", ["2547 ***** 149", hashlib.sha256(b"254712345678").hexdigest(), "254708374149"])
def test_a_confirmation_is_money_that_came(payer: str) -> None:
    expected = BillPayment("SA12ABCDE3", Money.units(250, "KES"), "1234567897", payer, PAID_AT)
    assert bench().wallet.read_callback(raw("mpesa_ke_notice", "confirm", MSISDN=payer)) == expected
    asked = raw("mpesa_ke_notice", "validate", MSISDN=payer, OrgAccountBalance="")
    assert bills().read_validation(asked) == expected


def test_a_notice_with_little_in_it() -> None:
    little = {"TransID": "SA1", "TransAmount": 5, "BusinessShortCode": 174379}
    assert bench().wallet.read_callback(sent(little, "confirm")) == BillPayment("SA1", Money.units(5, "KES"), "")


@pytest.mark.parametrize(
    "changed",
    [
        {"BusinessShortCode": "600984"},
        {"BusinessShortCode": None},
        {"TransID": ""},
        {"TransAmount": "0.00"},
        {"TransAmount": "-5"},
        {"TransAmount": "a lot"},
    ],
)
def test_a_notice_that_is_not_ours_or_says_nothing(changed: dict[str, Any]) -> None:
    assert isinstance(bench().wallet.read_callback(raw("mpesa_ke_notice", "confirm", **changed)), Malformed)
    assert isinstance(bills().read_validation(raw("mpesa_ke_notice", "validate", **changed)), Malformed)


def test_bill_number_and_till_are_ours_too() -> None:
    wallet = bench(short_code="600000", party_b="700111", bill_number="888888").wallet
    for code in ("600000", "700111", "888888"):
        assert isinstance(wallet.read_callback(raw("mpesa_ke_notice", "confirm", BusinessShortCode=code)), BillPayment)


def test_what_a_payer_is_told_before_he_pays() -> None:
    asked, wallet = raw("mpesa_ke_notice", "validate"), bills()
    codes = {why: json.loads(wallet.answer_validation(asked, why).body)["ResultCode"]
             for why in (None, "unknown_account", "amount_refused", "other")}  # fmt: skip
    assert codes == {None: "0", "unknown_account": "C2B00012", "amount_refused": "C2B00013", "other": "C2B00016"}


VALIDATE, CONFIRM = "https://pay.example/hooks/a/b/validate", "https://pay.example/hooks/a/b/confirm"


def register(one: Bench, validate: str = VALIDATE) -> Finding:
    found = one.wallet.register_bill_number(validate, CONFIRM)  # type: ignore[attr-defined]
    assert isinstance(found, Finding)
    return found


def test_registering_the_addresses() -> None:
    one = bench(says("mpesa_ke_registered"), bill_number="600984", c2b_default="Cancelled")
    assert register(one).ok
    assert one.network.asked[0].url.path == "/mpesa/c2b/v2/registerurl"
    assert one.network.bodies == [
        {
            "ShortCode": "600984",
            "ResponseType": "Cancelled",
            "ConfirmationURL": CONFIRM,
            "ValidationURL": VALIDATE,
        }
    ]
    assert register(bench(says("mpesa_ke_registered", ResponseCode="00000000"), c2b_version="v1")).ok


def test_an_address_that_is_refused_is_not_printed_with_its_secret() -> None:
    one = bench(says("mpesa_ke_registered"))
    found = register(one, "https://pay.example/hooks/a/s3cret-of-the-door/mpesa/validate")
    assert (found.ok, one.network.asked) == (False, [])
    assert "s3cret" not in f"{found.what} {found.advice}"
    assert "pay.example" in found.what


def test_registering_again_is_fine() -> None:
    found = register(bench(error("500.003.1001", "Urls are already registered", 500)))
    assert (found.ok, "already" in found.what) == (True, True)
    assert register(bench(httpx.Response(409, json={}))).ok


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (error("401.003.01", "Error Occurred - no apiproduct match found", 401), "C2B_VERSION to v1"),
        (error("400.003.02", "Bad Request"), "400.003.02"),
        (error("404.001.03", "Invalid Access Token", 404), "404.001.03"),
        (says("mpesa_ke_registered", ResponseCode="1"), "refused"),
        (fails(httpx.ReadTimeout), "timeout"),
    ],
)
def test_a_registration_that_fails_says_why(answer: Answer, told: str) -> None:
    found = register(bench(answer))
    assert found.ok is False
    assert told in f"{found.what} {found.advice}"


def test_an_address_daraja_refuses_is_not_even_registered() -> None:
    one = bench(fails(httpx.ReadTimeout))
    assert register(one, "https://pay.example/hooks/mPesa/b/validate").ok is False
    assert one.network.asked == []


# -- settings and checks


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"consumer_secret": ""}, "consumer_secret"),
        ({"passkey": ""}, "passkey"),
        ({"short_code": ""}, "short_code"),
        ({"short_code": "12"}, "short_code"),
        ({"party_b": "till"}, "party_b"),
        ({"bill_number": "12345678"}, "bill_number"),
        ({"transaction_type": "CustomerBuyGoodsOnline"}, "party_b"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        bench(**changed)


def findings(one: Bench) -> dict[str, bool | None]:
    assert isinstance(one.wallet, Checkable)
    return {found.what: found.ok for found in one.wallet.check()}


def unknown_id(**headers: str) -> httpx.Response:
    answer = error("400.002.02", "Bad Request - Invalid CheckoutRequestID")
    answer.headers.update(headers)
    return answer


def test_a_check_of_what_works() -> None:
    one = bench(unknown_id(date=format_datetime(NOW)))
    assert findings(one) == {
        "sandbox.safaricom.co.ke, short code 174379": True,
        "Daraja gives a token for these keys": True,
        "Daraja takes short code and passkey": True,
        "our clock agrees with Daraja's": True,
    }
    assert [request.url.path for request in one.network.asked] == ["/mpesa/stkpushquery/v1/query"]


@pytest.mark.parametrize(
    ("answer", "changed", "found"),
    [
        (core_says("Wrong credentials"), {}, ("Daraja refuses the short code: 500.001.1001 Wrong credentials", False)),
        (error("500.003.02", "System is busy", 500), {}, ("Daraja is too busy to say: 500.003.02", None)),
        (error("404.001.03", "Invalid Access Token", 404), {}, ("the token was ended by another one meanwhile", None)),
        (status("1032"), {}, ("Daraja takes short code and passkey", True)),
        (unknown_id(), {}, ("Daraja did not say what time its clock has", None)),
        (unknown_id(date="Mon, 02 Mar 2026 09:10:00 GMT"), {}, ("our clock and Daraja's are 600 s apart", False)),
        (unknown_id(date="noon"), {}, ("Daraja did not say what time its clock has", None)),
        (fails(httpx.ReadTimeout), {}, ("a status query got no answer: timeout", False)),
        (
            unknown_id(),
            {"base_url": "https://api.safaricom.co.ke/"},
            ("api.safaricom.co.ke with the sandbox's short code", False),
        ),
    ],
)
def test_a_check_says_what_does_not(answer: Answer, changed: dict[str, Any], found: tuple[str, bool | None]) -> None:
    assert found in findings(bench(answer, **changed)).items()


def test_a_check_with_wrong_keys_ends_there() -> None:
    one = bench()
    one.network.session_answer = httpx.Response(400, text="")
    assert findings(one)["Daraja gives no token: http_400"] is False
    assert one.network.asked == []


def test_a_config_needs_its_three_secrets() -> None:
    assert config().base_url == "https://sandbox.safaricom.co.ke"
    assert attempt().own_ref.endswith("HJ")
