"""Airtel in the box: tokens, both versions, enquiry, refund, callbacks, and each way it can fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_public_key
from werkzeug.test import TestResponse

from core.kernel.ids import own_reference
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Product, until

HOOK = "/hooks/airtel"


class AirtelCaller:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.token = ""

    def log_in(self, **changes: str) -> TestResponse:
        config = self.box.config
        body = {
            "client_id": config.airtel_client_id,
            "client_secret": config.airtel_client_secret,
            "grant_type": "client_credentials",
        }
        reply = self.box.app.test_client().post("/airtel/auth/oauth2/token", json={**body, **changes})
        self.token = (reply.json or {}).get("access_token", self.token)
        return reply

    def headers(self, **changes: str | None) -> dict[str, str]:
        usual = {"Authorization": f"Bearer {self.token}", "X-Country": "CD", "X-Currency": "CDF"}
        return {name: value for name, value in {**usual, **changes}.items() if value is not None}

    def pay(self, own_id: str, phone: str = AIRTEL, *, amount: Any = 12500, **changes: Any) -> TestResponse:
        body = {
            "reference": "1234567890",
            "subscriber": {"country": "CD", "currency": "CDF", "msisdn": phone[4:]},
            "transaction": {"amount": amount, "country": "CD", "currency": "CDF", "id": own_id},
        }
        return self.post("/merchant/v1/payments/", {**body, **changes})

    def post(self, path: str, body: Any, **headers: str | None) -> TestResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **self.headers(**headers)}
        return self.box.app.test_client().post(f"/airtel{path}", data=content, headers=sent)

    def get(self, path: str, **headers: str | None) -> TestResponse:
        return self.box.app.test_client().get(f"/airtel{path}", headers=self.headers(**headers))

    def state(self, own_id: str) -> str:
        return str(self.get(f"/standard/v1/payments/{own_id}").json["data"]["transaction"]["status"])

    def refund(self, number: str) -> TestResponse:
        return self.post("/standard/v1/payments/refund", {"transaction": {"airtel_money_id": number}})

    def signature(self, body: bytes) -> dict[str, str]:
        key = load_der_public_key(base64.b64decode(self.get("/v1/rsa/encryption-keys").json["data"]["key"]))
        assert isinstance(key, RSAPublicKey)
        secret, start = os.urandom(32), os.urandom(16)
        padder, cipher = PKCS7(128).padder(), Cipher(AES256(secret), CBC(start)).encryptor()
        sealed = cipher.update(padder.update(body) + padder.finalize()) + cipher.finalize()
        opener = base64.b64encode(secret) + b":" + base64.b64encode(start)
        return {
            "x-signature": base64.b64encode(sealed).decode(),
            "x-key": base64.b64encode(key.encrypt(opener, PKCS1v15())).decode(),
        }


@pytest.fixture
def airtel(open_box: Callable[..., Box], product: Product) -> AirtelCaller:
    caller = AirtelCaller(open_box(airtel_callback_url=product.url(HOOK)))
    caller.log_in()
    return caller


def code(reply: TestResponse) -> tuple[int, str]:
    status = reply.json["status"]
    return reply.status_code, status.get("result_code") or status["response_code"]


def told(product: Product) -> list[dict[str, Any]]:
    return [json.loads(letter.body) for letter in product.at(HOOK)]


def paid(airtel: AirtelCaller) -> tuple[str, str]:
    """A payment somebody made: our id and theirs."""
    own_id = own_reference()
    airtel.pay(own_id)
    airtel.box.answers(AIRTEL)
    return own_id, airtel.box.entry("airtel", own_id)["provider_txn_id"]


# -- tokens


def test_a_token_lives_180_seconds(airtel: AirtelCaller) -> None:
    reply = airtel.log_in()
    assert (reply.json["expires_in"], reply.json["token_type"]) == ("180", "bearer")
    assert code(airtel.get("/standard/v1/payments/anything")) == (200, "ESB000045")
    airtel.box.clock.ahead = 181
    late = airtel.get("/standard/v1/payments/anything")
    assert (late.status_code, late.json["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("token", ["", "made-up", "9999999999.0-aa-bb", "-"])
def test_a_token_nobody_gave(airtel: AirtelCaller, token: str) -> None:
    airtel.token = token
    assert airtel.pay(own_reference()).status_code == 401
    for path in ("/standard/v1/users/balance", "/standard/v1/users/970000002", "/v1/rsa/encryption-keys"):
        assert airtel.get(path).status_code == 401
    assert airtel.refund("anything").status_code == 401
    assert airtel.box.get("wallets/airtel/ledger")["entries"] == []


def test_wrong_credentials(airtel: AirtelCaller) -> None:
    for wrong in ({"client_id": "x"}, {"client_secret": "x"}, {"grant_type": "password"}):
        reply = airtel.log_in(**wrong)
        assert (reply.status_code, reply.json["error"]) == (401, "invalid_client")


def test_tokens_outlive_the_box(open_box: Callable[..., Box]) -> None:
    caller = AirtelCaller(open_box())
    caller.log_in()
    again = AirtelCaller(open_box())
    again.token = caller.token
    assert code(again.get("/standard/v1/payments/anything")) == (200, "ESB000045")


# -- a customer pays


def test_taken_is_not_paid(airtel: AirtelCaller, product: Product) -> None:
    own_id = own_reference()
    reply = airtel.pay(own_id)
    assert code(reply) == (200, "ESB000010")
    assert reply.json["data"] == {"transaction": {"id": own_id, "status": "SUCCESS"}}
    assert airtel.state(own_id) == "TIP"
    prompt = airtel.box.prompt(AIRTEL)
    assert (prompt["wallet"], prompt["amount"]) == ("airtel", "12500")
    assert airtel.box.answers(AIRTEL) == "paid"
    entry = airtel.box.entry("airtel", own_id)
    assert airtel.get(f"/standard/v1/payments/{own_id}").json["data"]["transaction"] == {
        "id": own_id,
        "status": "TS",
        "message": f"Paid CDF 12500 to MWOLO, Trans ID {entry['provider_txn_id']}.",
        "airtel_money_id": entry["provider_txn_id"],
    }
    [news] = until(lambda: told(product))
    assert (news["transaction"]["id"], news["transaction"]["status_code"]) == (own_id, "TS")
    assert news["transaction"]["airtel_money_id"] == entry["provider_txn_id"]
    assert airtel.box.balance(AIRTEL) == "7500"


def test_the_enquiry_knows_our_id_alone(airtel: AirtelCaller) -> None:
    _, number = paid(airtel)
    assert code(airtel.get(f"/standard/v1/payments/{number}")) == (200, "ESB000045")


@pytest.mark.parametrize("form", ["off", "transaction", "wrapped", "raw"])
def test_the_hash_of_a_callback(open_box: Callable[..., Box], product: Product, form: str) -> None:
    airtel = AirtelCaller(open_box(airtel_callback_url=product.url(HOOK), airtel_callback_hash=form))
    airtel.log_in()
    paid(airtel)
    [letter] = until(lambda: product.at(HOOK))
    news = json.loads(letter.body)
    given = news.pop("hash", None)
    over = {"transaction": news["transaction"], "wrapped": news, "raw": news}.get(form)
    if over is None:
        assert given is None
        return
    text = json.dumps(over, separators=(",", ":"), ensure_ascii=False).encode()
    key = airtel.box.config.airtel_callback_key.encode()
    assert given == base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def test_dollars(airtel: AirtelCaller) -> None:
    airtel.box.post("seed", {"phones": [{"phone": "+243990000055", "currency": "USD", "balance": 30}]})
    own_id, where = own_reference(), {"country": "CD", "currency": "USD"}
    text = {
        "reference": "facture",
        "subscriber": {**where, "msisdn": "990000055"},
        "transaction": {**where, "amount": 25.5, "id": own_id},
    }
    assert code(airtel.post("/merchant/v1/payments", text, **{"X-Currency": "USD"})) == (200, "ESB000010")
    airtel.box.answers("+243990000055")
    assert (airtel.box.entry("airtel", own_id)["amount"], airtel.box.balance("+243990000055")) == ("25.50", "4.50")


@pytest.mark.parametrize(("pin", "amount", "reason"), [(None, 12500, "declined"), ("1234", 25000, "no_funds")])
def test_a_payer_who_does_not_pay(
    airtel: AirtelCaller, product: Product, pin: str | None, amount: int, reason: str
) -> None:
    own_id = own_reference()
    airtel.pay(own_id, amount=amount)
    airtel.box.answers(AIRTEL, pin)
    assert airtel.state(own_id) == "TF"
    assert airtel.box.entry("airtel", own_id)["reason"] == reason
    [news] = until(lambda: told(product))
    assert (news["transaction"]["status_code"], "airtel_money_id" in news["transaction"]) == ("TF", False)


def test_a_prompt_nobody_answers(open_box: Callable[..., Box], product: Product) -> None:
    airtel = AirtelCaller(open_box(prompt_lifetime_s=0.05, airtel_callback_url=product.url(HOOK)))
    airtel.log_in()
    own_id = own_reference()
    airtel.pay(own_id)
    until(lambda: airtel.state(own_id) == "TE")
    [news] = until(lambda: told(product))
    assert news["transaction"]["status_code"] == "TF"


def test_an_id_is_taken_once(airtel: AirtelCaller) -> None:
    own_id = own_reference()
    airtel.pay(own_id)
    assert code(airtel.pay(own_id)) == (400, "ESB000041")
    airtel.box.answers(AIRTEL)
    assert code(airtel.pay(own_id)) == (400, "ESB000041")
    assert airtel.box.entry("airtel", own_id)["prompts"] == 1


def test_a_busy_phone_and_a_strangers_number(airtel: AirtelCaller) -> None:
    first, second = own_reference(), own_reference()
    airtel.pay(first)
    assert code(airtel.pay(second)) == (200, "ESB000010")
    assert (airtel.state(first), airtel.state(second)) == ("TIP", "TF")
    assert airtel.box.entry("airtel", second)["reason"] == "busy"
    for phone in (MPESA, "+243990007777"):
        reply = airtel.pay(own_reference(), phone)
        assert (*code(reply), reply.json["status"]["message"]) == (400, "DP00800001005", "Msisdn Not Found")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reference": ""}, "ESB000008"),
        ({"reference": None}, "ESB000008"),
        ({"subscriber": "970000002"}, "ESB000008"),
        ({"amount": "12500"}, "ESB000008"),
        ({"amount": 12.5}, "ESB000008"),
        ({"amount": 0}, "ESB000008"),
        ({"amount": True}, "ESB000008"),
        ({"subscriber": {"msisdn": "243970000002"}}, "ESB000033"),
        ({"subscriber": {"msisdn": "0970000002"}}, "ESB000033"),
        ({"subscriber": {"msisdn": "970000002", "country": "CG"}}, "ESB000034"),
        ({"subscriber": {"msisdn": "970000002", "currency": "USD"}}, "ESB000035"),
        ({"transaction": {"amount": 100, "id": "x y"}}, "ESB000008"),
    ],
)
def test_bad_fields(airtel: AirtelCaller, changes: dict[str, Any], expected: str) -> None:
    assert code(airtel.pay(own_reference(), **changes)) == (400, expected)
    assert airtel.box.get("wallets/airtel/ledger")["entries"] == []


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("X-Country", None, "ROUTER003"),
        ("X-Country", "ZM", "ROUTER006"),
        ("X-Currency", None, "ROUTER119"),
        ("X-Currency", "ZMW", "ROUTER112"),
    ],
)
def test_bad_headers(airtel: AirtelCaller, header: str, value: str | None, expected: str) -> None:
    changed = {header: value}
    for reply in (
        airtel.get("/standard/v1/payments/anything", **changed),
        airtel.get("/standard/v1/users/balance", **changed),
        airtel.post("/merchant/v1/payments/", {}, **changed),
        airtel.post("/standard/v1/payments/refund", {"transaction": {"airtel_money_id": "x"}}, **changed),
    ):
        assert code(reply) == (400, expected)


def test_a_body_that_is_no_json(airtel: AirtelCaller) -> None:
    for body in (b"", b"[]", b"{", b"[" * 100_000):
        assert code(airtel.post("/merchant/v1/payments/", body)) == (400, "ESB000008")


# -- signing


def signed_payment(airtel: AirtelCaller, own_id: str) -> bytes:
    subscriber = {"msisdn": AIRTEL[4:]}
    transaction = {"amount": 500, "id": own_id}
    return json.dumps({"reference": "F", "subscriber": subscriber, "transaction": transaction}).encode()


@pytest.mark.parametrize("signing", ["optional", "required"])
def test_a_signature_is_read(open_box: Callable[..., Box], signing: str) -> None:
    airtel = AirtelCaller(open_box(airtel_signing=signing))
    airtel.log_in()
    own_id = own_reference()
    body = signed_payment(airtel, own_id)
    right = airtel.signature(body)
    for spoilt in (
        {**right, "x-signature": right["x-signature"][:-4] + "AAA="},
        {**right, "x-key": base64.b64encode(b"x" * 128).decode()},
        {"x-key": right["x-key"]},
        {**right, "x-signature": "é"},
        airtel.signature(body + b" "),
    ):
        assert code(airtel.post("/merchant/v2/payments/", body, **spoilt)) == (403, "DP00800001026")
    plain = airtel.post("/merchant/v2/payments/", signed_payment(airtel, own_reference()))
    assert plain.status_code == (200 if signing == "optional" else 403)
    if signing == "optional":
        airtel.box.answers(AIRTEL, None)
    assert code(airtel.post("/merchant/v2/payments/", body, **right)) == (200, "ESB000010")
    airtel.box.answers(AIRTEL)
    assert airtel.state(own_id) == "TS"


# -- refunds and questions


def test_all_of_it_goes_back_once(airtel: AirtelCaller) -> None:
    own_id, number = paid(airtel)
    reply = airtel.refund(number)
    assert (*code(reply), reply.json["status"]["success"]) == (200, "ESB000010", False)
    [back] = airtel.box.get("wallets/airtel/ledger")["refunds"]
    assert reply.json["data"]["transaction"] == {"airtel_money_id": back["provider_txn_id"], "status": "SUCCESS"}
    assert (back["state"], back["amount"], airtel.box.balance(AIRTEL)) == ("paid", "12500", "20000")
    assert airtel.state(own_id) == "TS", "the enquiry speaks of the payment"
    assert code(airtel.refund(number)) == (400, "ESB000011")
    assert airtel.box.balance(AIRTEL) == "20000"
    for unknown in ("MP999", own_id, ""):
        assert code(airtel.refund(unknown)) == (400, "ESB000045")


def test_faults_of_a_refund(airtel: AirtelCaller) -> None:
    _, number = paid(airtel)
    airtel.box.fault("airtel", "refused", operation="refund", code="ESB000034")
    assert code(airtel.refund(number)) == (400, "ESB000034")
    airtel.box.fault("airtel", "lost_answer", operation="refund")
    assert airtel.refund(number).status_code == 502
    assert airtel.box.balance(AIRTEL) == "20000"


def test_balance_and_user(airtel: AirtelCaller) -> None:
    _, number = paid(airtel)
    assert airtel.get("/standard/v1/users/balance").json["data"]["balance"] == "12,500.00"
    airtel.refund(number)
    assert airtel.get("/standard/v1/users/balance").json["data"]["balance"] == "0.00"
    for msisdn in ("970000002", "243970000002"):
        data = airtel.get(f"/standard/v1/users/{msisdn}").json["data"]
        assert (data["msisdn"], data["is_barred"]) == ("970000002", False)
    assert airtel.get(f"/standard/v1/users/{MPESA[4:]}").json["status"]["response_code"] == "DP02200000000"


# -- faults


@pytest.mark.parametrize(("fault", "status"), [("throttled", 429), ("overloaded", 503), ("error_before_accept", 500)])
def test_faults_before_anything_is_taken_on(airtel: AirtelCaller, fault: str, status: int) -> None:
    airtel.box.fault("airtel", fault)
    own_id = own_reference()
    assert airtel.pay(own_id).status_code == status
    assert code(airtel.get(f"/standard/v1/payments/{own_id}")) == (200, "ESB000045")
    assert code(airtel.pay(own_id)) == (200, "ESB000010"), "the same id is free"


@pytest.mark.parametrize(("fault", "status"), [("error_after_accept", 500), ("lost_answer", 502)])
def test_faults_that_hide_an_accepted_payment(airtel: AirtelCaller, fault: str, status: int) -> None:
    airtel.box.fault("airtel", fault)
    own_id = own_reference()
    assert airtel.pay(own_id).status_code == status
    airtel.box.answers(AIRTEL)
    assert airtel.state(own_id) == "TS"


def test_fault_expired_token(airtel: AirtelCaller) -> None:
    airtel.box.fault("airtel", "expired_token")
    own_id = own_reference()
    assert airtel.pay(own_id).status_code == 401
    assert airtel.pay(own_id).status_code == 401, "that token stays dead"
    airtel.log_in()
    assert code(airtel.get(f"/standard/v1/payments/{own_id}")) == (200, "ESB000045")


@pytest.mark.parametrize("refusal", [None, "ROUTER006"])
def test_fault_refused(airtel: AirtelCaller, product: Product, refusal: str | None) -> None:
    airtel.box.fault("airtel", "refused", **({} if refusal is None else {"code": refusal}))
    own_id = own_reference()
    assert code(airtel.pay(own_id)) == (400, refusal or "ESB000008")
    assert code(airtel.get(f"/standard/v1/payments/{own_id}")) == (200, "ESB000045")
    airtel.pay(own_reference())
    airtel.box.answers(AIRTEL)
    until(lambda: len(told(product)) == 1)


def test_fault_refused_by_the_wallet_itself(airtel: AirtelCaller) -> None:
    airtel.box.fault("airtel", "refused", code="DP00800001008")
    own_id = own_reference()
    assert code(airtel.pay(own_id)) == (200, "ESB000010")
    assert airtel.state(own_id) == "TF"


@pytest.mark.parametrize(("params", "state"), [({}, "TIP"), ({"status": "TA"}, "TA")])
def test_fault_never_final(airtel: AirtelCaller, params: dict[str, str], state: str) -> None:
    airtel.box.fault("airtel", "never_final", **params)
    own_id = own_reference()
    airtel.pay(own_id)
    assert (airtel.state(own_id), airtel.box.get("prompts")) == (state, [])


def test_fault_late_success(airtel: AirtelCaller, product: Product) -> None:
    airtel.box.fault("airtel", "late_success", seconds=0.05)
    own_id = own_reference()
    airtel.pay(own_id)
    airtel.box.answers(AIRTEL)
    until(lambda: told(product) and told(product)[-1]["transaction"]["status_code"] == "TS")
    assert airtel.state(own_id) == "TS"


@pytest.mark.parametrize(("fault", "amount", "taken"), [("wrong_amount", 5000, "5000"), ("no_funds", None, None)])
def test_faults_of_the_purse(airtel: AirtelCaller, fault: str, amount: int | None, taken: str | None) -> None:
    airtel.box.fault("airtel", fault, **({} if amount is None else {"amount": amount}))
    own_id = own_reference()
    airtel.pay(own_id)
    airtel.box.answers(AIRTEL)
    entry = airtel.box.entry("airtel", own_id)
    assert (entry["state"], entry["amount"]) == (("paid", taken) if taken else ("failed", "12500"))
    assert airtel.state(own_id) == ("TS" if taken else "TF")


@pytest.mark.parametrize(("fault", "count"), [("lost_callback", 0), ("duplicate_callback", 2)])
def test_faults_of_the_callback(airtel: AirtelCaller, product: Product, fault: str, count: int) -> None:
    airtel.box.fault("airtel", fault)
    for _ in range(2):  # the second payment has no fault: its one callback ends the wait
        airtel.pay(own_reference(), amount=500)
        airtel.box.answers(AIRTEL)
    until(lambda: len(told(product)) == count + 1)


def test_fault_callback_before_answer(airtel: AirtelCaller, product: Product) -> None:
    airtel.box.fault("airtel", "callback_before_answer")
    call = airtel.box.later(lambda: airtel.pay(own_reference()))
    airtel.box.answers(AIRTEL)
    assert code(call.result(20)) == (200, "ESB000010")
    assert [news["transaction"]["status_code"] for news in told(product)] == ["TS"]


@pytest.mark.parametrize("fault", ["forged_callback", "unknown_reference"])
def test_callbacks_nobody_should_believe(airtel: AirtelCaller, product: Product, fault: str) -> None:
    airtel.box.fault("airtel", fault)
    own_id = own_reference()
    airtel.pay(own_id)
    [news] = until(lambda: told(product))
    assert news["transaction"]["status_code"] == "TS"
    assert (news["transaction"]["id"] == own_id) == (fault == "forged_callback")
    text = json.dumps(news["transaction"], separators=(",", ":"), ensure_ascii=False).encode()
    key = airtel.box.config.airtel_callback_key.encode()
    assert news["hash"] != base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    assert airtel.state(own_id) == "TIP"


def test_fault_reversed(airtel: AirtelCaller) -> None:
    airtel.box.fault("airtel", "reversed", seconds=0)
    own_id, _ = paid(airtel)
    until(lambda: airtel.box.get("wallets/airtel/ledger")["reversals"])
    assert (airtel.state(own_id), airtel.box.balance(AIRTEL)) == ("TS", "20000")


def test_fault_clock_skew(airtel: AirtelCaller) -> None:
    def at() -> float:
        return parsedate_to_datetime(airtel.log_in().headers["Date"]).timestamp()

    right = at()
    airtel.box.fault("airtel", "clock_skew", seconds=7200)
    assert at() >= right + 7200


@pytest.mark.parametrize("operation", ["start", "query"])
def test_fault_slow(airtel: AirtelCaller, operation: str) -> None:
    airtel.box.fault("airtel", "slow", seconds=60, operation=operation)
    own_id = own_reference()
    call = airtel.box.later(lambda: airtel.pay(own_id))
    airtel.box.prompt(AIRTEL)
    if operation == "query":
        call.result(20)
        call = airtel.box.later(lambda: airtel.get(f"/standard/v1/payments/{own_id}"))
    airtel.box.answers(AIRTEL)
    assert not call.done()


def test_fault_lost_answer_of_an_enquiry(airtel: AirtelCaller) -> None:
    airtel.box.fault("airtel", "lost_answer", operation="query")
    assert airtel.get("/standard/v1/payments/anything").status_code == 502
    assert code(airtel.get("/standard/v1/payments/anything")) == (200, "ESB000045")
