"""Airtel Money: what goes out on the wire, the token, signing, the hash of a callback, refunds, the checks."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cases_airtel import CLIENT_SECRET, KEY, MONEY_ID, OWN_REF, SIGNED, config, error, found, key_answer
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from wallet_bench import ATTEMPT_ID, NOW, Answer, Bench, attempt, fails, says, shape

from channels.wallets.airtel_signing import fitting_form, hash_fits, load_signing_key, read_validity
from channels.wallets.operators.airtel import AirtelWallet
from channels.wallets.registry import build
from channels.wallets.sessions import InProcessStore
from core.kernel.money import Money
from core.payments.ports import (
    Accepted,
    Failed,
    Hint,
    Malformed,
    NotAccepted,
    Paid,
    RawCallback,
    Unknown,
    WalletRefund,
)

TAKEN = says("airtel_accepted")


def wallet_of(bench: Bench) -> AirtelWallet:
    assert isinstance(bench.wallet, AirtelWallet)
    return bench.wallet


# -- on the wire


def test_the_debit_on_the_wire() -> None:
    bench = Bench("airtel", TAKEN)
    bench.run("start")
    (sent,) = bench.network.asked
    assert str(sent.url) == "https://openapi.airtel.cd/merchant/v1/payments/"
    assert sent.headers["authorization"] == "Bearer token-1-never-to-be-seen"
    assert (sent.headers["x-country"], sent.headers["x-currency"]) == ("CD", "CDF")
    assert not {"x-signature", "x-key"} & set(sent.headers)
    assert bench.network.bodies == [
        {
            "reference": "1234567897",
            "subscriber": {"country": "CD", "currency": "CDF", "msisdn": "990000001"},
            "transaction": {"amount": 12500, "country": "CD", "currency": "CDF", "id": OWN_REF},
        }
    ]


def test_dollars_have_two_decimals_and_are_a_number() -> None:
    bench = Bench("airtel", TAKEN)
    bench.run("start", amount=Money(2550, "USD"), account_number="7")
    (sent,) = bench.network.asked
    assert b'"amount":25.50,' in sent.content
    assert sent.headers["x-currency"] == "USD"
    assert bench.network.bodies[0]["reference"] == OWN_REF


def test_the_enquiry_goes_by_our_own_id() -> None:
    bench = Bench("airtel", says("airtel_paid"), base_url="https://openapiuat.airtel.cd/", country="CG")
    bench.run("query")
    (sent,) = bench.network.asked
    assert (sent.method, str(sent.url)) == ("GET", f"https://openapiuat.airtel.cd/standard/v1/payments/{OWN_REF}")
    assert sent.headers["x-country"] == "CG"


def test_a_number_of_another_country_is_never_sent() -> None:
    bench = Bench("airtel", TAKEN)
    assert bench.run("start", payer_phone="+254700000001") == Failed("payer_unknown", "not_sent")
    assert bench.network.asked == []


# -- the token


def test_a_token_is_asked_for_as_documented_and_shared() -> None:
    bench = Bench("airtel", TAKEN)
    bench.run("start")
    bench.run("query")
    (asked,) = bench.network.asked_for_sessions
    assert (asked.method, str(asked.url)) == ("POST", "https://openapi.airtel.cd/auth/oauth2/token")
    assert json.loads(asked.content) == {
        "client_id": "client-1",
        "client_secret": CLIENT_SECRET,
        "grant_type": "client_credentials",
    }


def test_a_token_is_renewed_before_its_180_seconds_are_over() -> None:
    bench = Bench("airtel", TAKEN)
    bench.run("start")
    bench.clock.advance(seconds=100)
    bench.run("start")
    assert bench.network.sessions == 1
    bench.clock.advance(seconds=56)
    bench.run("start")
    assert bench.network.sessions == 2
    assert bench.network.asked[-1].headers["authorization"] == "Bearer token-2-never-to-be-seen"


def test_workers_share_one_token() -> None:
    store = InProcessStore()
    bench = Bench("airtel", TAKEN)
    for _ in range(2):
        wallet = build("airtel", bench.config, http=bench.http, clock=bench.clock, session_store=store)
        assert wallet.start(attempt(payer_phone="+243990000001")) == Accepted()
    assert bench.network.sessions == 1


def test_a_refused_token_is_replaced_and_the_debit_was_not_taken() -> None:
    bench = Bench("airtel", says("airtel_unauthorized", 401))
    assert bench.run("start") == NotAccepted("token_refused", 1)
    bench.network.answer = TAKEN
    assert bench.run("start") == Accepted()
    assert bench.network.asked[-1].headers["authorization"] == "Bearer token-2-never-to-be-seen"
    assert bench.network.asked[0].content == bench.network.asked[1].content, "the same id on the second POST"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says("airtel_token_refused", 401), Failed("configuration", "invalid_client")),
        (httpx.Response(404, html="?"), Failed("configuration", "http_404")),
        (says("airtel_router", 400), Failed("configuration", "ROUTER006")),
        (httpx.Response(200, json={}), NotAccepted("no_token_http_200", 15, posted=False)),
        (httpx.Response(503), NotAccepted("no_token_503", 15, posted=False)),
        (httpx.Response(503, json={"error": "busy"}), NotAccepted("no_token_busy", 15, posted=False)),
        (httpx.Response(429), NotAccepted("no_token_429", 15, posted=False)),
        (fails(httpx.ReadTimeout), NotAccepted("no_token_timeout", 15, posted=False)),
        (fails(httpx.ConnectError), NotAccepted("no_token_no_connection", 15, posted=False)),
    ],
)
def test_without_a_token_nothing_is_asked(answer: Answer, expected: object) -> None:
    bench = Bench("airtel", TAKEN)
    bench.network.session_answer = answer
    assert bench.run("start") == expected
    assert isinstance(bench.run("query"), Unknown)
    assert bench.network.asked == []


@pytest.mark.parametrize("said", [{"expires_in": 180}, {"expires_in": "soon"}, {"expires_in": None}])
def test_a_lifetime_in_any_shape(said: dict[str, Any]) -> None:
    bench = Bench("airtel", TAKEN)
    bench.network.session_answer = says("airtel_token", **said)
    bench.run("start")
    bench.run("start")
    assert bench.network.sessions == 1


# -- signing (v2)


def opened(sent: httpx.Request) -> bytes:
    """What the signature of a request covers, read as Airtel reads it."""
    key, iv = KEY.decrypt(base64.b64decode(sent.headers["x-key"]), PKCS1v15()).split(b":")
    cipher = Cipher(AES256(base64.b64decode(key)), CBC(base64.b64decode(iv))).decryptor()
    padded = cipher.update(base64.b64decode(sent.headers["x-signature"])) + cipher.finalize()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def test_v2_signs_the_very_bytes() -> None:
    bench = Bench("airtel", TAKEN, **SIGNED)
    bench.run("start", amount=Money(2500, "USD"))
    bench.run("start")
    first, second = bench.network.asked
    assert first.url.path == "/merchant/v2/payments/"
    assert opened(first) == first.content
    assert opened(second) == second.content
    assert first.headers["x-key"] != second.headers["x-key"], "a new AES key for each message"
    assert [str(asked.url.path) for asked in bench.network.asked_for_sessions] == [
        "/auth/oauth2/token",
        "/v1/rsa/encryption-keys",
    ]


def test_a_key_is_kept_until_its_end_or_until_they_cannot_read_us() -> None:
    bench = Bench("airtel", TAKEN, **SIGNED)

    def keys() -> int:
        return sum(asked.url.path == "/v1/rsa/encryption-keys" for asked in bench.network.asked_for_sessions)

    bench.run("start")
    bench.clock.advance(days=10)
    bench.run("start")
    assert keys() == 1, "12 March 2026, 21:29 in the east of Africa, is not reached"
    bench.clock.advance(hours=9)
    bench.run("start")
    assert keys() == 2
    bench = Bench("airtel", error("N/A", 403, dp="DP00800001026"), **SIGNED)
    bench.run("start")
    bench.run("start")
    assert keys() == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error("ROUTER007"), Failed("configuration", "ROUTER007")),
        (httpx.Response(502), NotAccepted("no_key_502", 15, posted=False)),
        (says("airtel_unauthorized", 401), NotAccepted("no_key_token_refused", 15, posted=False)),
        (key_answer(key="bm8ga2V5"), NotAccepted("no_key_unreadable", 15, posted=False)),
        (error("N/A", 200), NotAccepted("no_key_200", 15, posted=False)),
    ],
)
def test_without_a_key_nothing_is_sent(answer: httpx.Response, expected: object) -> None:
    bench = Bench("airtel", TAKEN, **SIGNED)
    bench.run("query")
    bench.network.session_answer = answer
    assert bench.run("start") == expected
    assert [sent.method for sent in bench.network.asked] == ["GET"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("12-03-2026 21:29:26", datetime(2026, 3, 12, 17, 29, 26, tzinfo=UTC)),
        ("2026-03-12T21:29:26.000", datetime(2026, 3, 12, 17, 29, 26, tzinfo=UTC)),
        ("1773350966", datetime.fromtimestamp(1773350966, UTC)),
        ("1773350966000", datetime.fromtimestamp(1773350966, UTC)),
        ("one day", None),
        (None, None),
    ],
)
def test_when_a_key_ends(text: str | None, moment: datetime | None) -> None:
    assert read_validity(text) == moment


def test_keys_come_as_der_or_pem() -> None:
    text = key_answer().json()["data"]["key"]
    assert load_signing_key(text).public_numbers() == KEY.public_key().public_numbers()
    pem = f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
    assert load_signing_key(pem).public_numbers() == KEY.public_key().public_numbers()


# -- the callback

# The values of our own notes on Airtel, made with another program.
TOLD = {
    "id": "INV7F3A9C",
    "message": "Paid CDF 12500 to UTILITY demo",
    "status_code": "TS",
    "airtel_money_id": "MP260105.1015.A00001",
}
OVER_TRANSACTION = "Blcq/PYaQrS0in0sl0bg+c5VD9++J9NEiinUJOHgIo8="
OVER_WRAPPED = "+9LMdaB16NyuSc4GNR/QpJPVD3mUc0ED6wiZxzyU6kI="


def raw(body: object) -> RawCallback:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawCallback("callback", text, {}, "POST", "/hooks/s/t/callback", "pay.example", None, NOW)


@pytest.mark.parametrize(
    ("form", "given"), [("transaction", OVER_TRANSACTION), ("wrapped", OVER_WRAPPED), ("raw", OVER_WRAPPED)]
)
def test_known_hashes(form: str, given: str) -> None:
    callback = {"transaction": TOLD, "hash": given}
    compact = json.dumps(callback, separators=(",", ":")).encode()
    assert hash_fits(form, "callback-key", compact, callback)
    assert not hash_fits(form, "another-key", compact, callback)
    assert not hash_fits(form, "", compact, callback)
    assert not hash_fits(form, "callback-key", compact, {**callback, "hash": given[:-2] + "A="})
    bench = Bench("airtel", TAKEN, callback_hash=form, callback_key="callback-key")
    hint = bench.wallet.read_callback(raw(compact))
    assert hint == Hint(own_ref="INV7F3A9C", claim=Paid("MP260105.1015.A00001"), authentic=False)


def test_a_raw_body_is_hashed_as_it_came() -> None:
    callback = {"hash": OVER_WRAPPED, "transaction": TOLD}
    compact = json.dumps(callback, separators=(",", ":")).encode()
    assert hash_fits("raw", "callback-key", compact, callback), "the hash may stand first"
    spaced = json.dumps(callback, indent=1).encode()
    assert not hash_fits("raw", "callback-key", spaced, callback)
    assert hash_fits("wrapped", "callback-key", spaced, callback)
    assert fitting_form("callback-key", spaced, callback) == "wrapped"


def test_either_key_may_make_the_hash() -> None:
    body = json.dumps({"transaction": TOLD, "hash": OVER_TRANSACTION}).encode()
    changed: dict[str, Any] = {"callback_hash": "transaction", "callback_hash_key": "client_secret"}
    bench = Bench("airtel", TAKEN, client_secret="callback-key", **changed)
    assert isinstance(bench.wallet.read_callback(raw(body)), Hint)
    assert Bench("airtel", TAKEN, **changed).wallet.read_callback(raw(body)) == Malformed("hash")


@pytest.mark.parametrize("extra", [{}, {"hash": None}, {"hash": 5}, {"hash": "é"}, {"hash": OVER_TRANSACTION}])
def test_a_wrong_or_missing_hash(extra: dict[str, Any]) -> None:
    body = {**shape("airtel_callback"), **extra}
    strict = Bench("airtel", TAKEN, callback_hash="transaction")
    assert strict.wallet.read_callback(raw(body)) == Malformed("hash")
    lenient = Bench("airtel", TAKEN, callback_hash="transaction", callback_hash_required=False)
    assert lenient.wallet.read_callback(raw(body)) == Hint(own_ref=OWN_REF, claim=Paid(MONEY_ID), authentic=False)
    assert isinstance(Bench("airtel", TAKEN).wallet.read_callback(raw(body)), Hint)


def test_a_number_with_decimals_in_a_callback_breaks_nothing() -> None:
    body = b'{"transaction":{"id":"E1","status_code":"TS","x":1.50,"y":"\\ud800"},"hash":"x"}'
    assert Bench("airtel", TAKEN, callback_hash="wrapped").wallet.read_callback(raw(body)) == Malformed("hash")


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"status_code": "TF"}, Failed("other", "TF")),
        ({"status_code": "TIP"}, None),
        ({"airtel_money_id": "null"}, Paid(None)),
        ({"status_code": "200"}, Unknown("200")),
        ({"status_code": None}, Unknown("status_missing")),
    ],
)
def test_what_a_callback_claims(changed: dict[str, Any], claim: object) -> None:
    told = {**shape("airtel_callback")["transaction"], **changed}
    hint = Bench("airtel", TAKEN).wallet.read_callback(raw({"transaction": told}))
    assert isinstance(hint, Hint)
    assert not hint.authentic
    assert claim is None or hint.claim == claim


def test_words_too_long_to_keep() -> None:
    told = {**shape("airtel_callback")["transaction"], "airtel_money_id": "M" * 81}
    hint = Bench("airtel", TAKEN).wallet.read_callback(raw({"transaction": told}))
    assert isinstance(hint, Hint)
    assert hint.claim == Paid(None)
    assert Bench("airtel", found("x" * 500)).run("query") == Unknown("X" * 32)


# -- refunds


def refund(**changed: Any) -> WalletRefund:
    usual: dict[str, Any] = {
        "refund_id": "1d0c2b7e-9a1d-4c1f-8e22-a7b0c4d5e6f7",
        "own_ref": "E1123456789ABCDEFGHJ",
        "attempt_id": ATTEMPT_ID,
        "provider_txn_id": MONEY_ID,
        "brand": "airtel",
        "payer_phone": "+243990000001",
        "amount": Money.units(12500, "CDF"),
        "original": Money.units(12500, "CDF"),
    }
    return WalletRefund(**{**usual, **changed})


def test_a_refund_names_airtels_own_id() -> None:
    bench = Bench("airtel", says("airtel_refunded"), **SIGNED)
    assert wallet_of(bench).refund(refund()) == Accepted("MP260106.0900.R00002")
    (sent,) = bench.network.asked
    assert (sent.method, sent.url.path) == ("POST", "/standard/v1/payments/refund")
    assert bench.network.bodies == [{"transaction": {"airtel_money_id": MONEY_ID}}]
    assert opened(sent) == sent.content


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"amount": Money.units(12499, "CDF")}, Failed("amount_refused", "full_only")),
        ({"provider_txn_id": None}, Failed("not_found", "no_airtel_money_id")),
    ],
)
def test_what_cannot_be_refunded_is_never_sent(changed: dict[str, Any], expected: object) -> None:
    bench = Bench("airtel", says("airtel_refunded"))
    assert wallet_of(bench).refund(refund(**changed)) == expected
    assert bench.network.asked == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            says("airtel_refunded", data={"transaction": {"airtel_money_id": MONEY_ID, "status": "Success."}}),
            Accepted(),
        ),
        (says("airtel_refunded", data={}), Unknown("ESB000010")),
        (error("ESB000045"), Failed("not_found", "ESB000045")),
        (error("ESB000034"), Failed("configuration", "ESB000034")),
        (error("ESB000011"), Unknown("ESB000011")),
        (error("ESB000041"), Unknown("ESB000041")),
        (error("N/A", dp="DP00800001005"), Unknown("http_400_missing")),
        (httpx.Response(504), Unknown("504")),
        (fails(httpx.ReadTimeout), Unknown("timeout")),
        (fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
        (says("airtel_unauthorized", 401), NotAccepted("token_refused", 1)),
        (httpx.Response(429), NotAccepted("429", 10)),
    ],
)
def test_what_airtel_says_of_a_refund(answer: Answer, expected: object) -> None:
    assert wallet_of(Bench("airtel", answer)).refund(refund()) == expected


def test_nobody_can_be_asked_about_a_refund() -> None:
    bench = Bench("airtel", says("airtel_paid"))
    assert wallet_of(bench).query_refund(refund()) == Unknown("refunds_have_no_enquiry")
    assert bench.network.asked == []


# -- settings and checks


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": ""},
        {"version": "v3"},
        {"country": "COD1"},
        {"callback_hash": "sha"},
        {"callback_key": "", "callback_hash": "raw"},
        {"token_lifetime_s": 5},
    ],
)
def test_a_wrong_setting_is_told_at_start(changed: dict[str, Any]) -> None:
    bench = Bench("airtel", TAKEN)
    with pytest.raises(ValueError, match=next(iter(changed))):
        build("airtel", config(**changed), http=bench.http, clock=bench.clock)


def checked(answer: Answer, session_answer: Answer | None = None, **changed: Any) -> dict[str, bool | None]:
    bench = Bench("airtel", answer, **changed)
    bench.network.session_answer = session_answer
    told = {finding.what: finding.ok for finding in wallet_of(bench).check()}
    for secret in bench.cases.SECRETS:
        assert secret not in str(told)
    return told


def found_at(told: dict[str, bool | None], words: str) -> bool | None:
    (ok,) = [ok for what, ok in told.items() if words in what]
    return ok


def test_a_check_says_what_works() -> None:
    url = "https://pay.utility.example/hooks/abc/secret/callback"
    told = checked(error("ESB000045", 200), callback_url=url, callback_hash="raw", version="v2")
    assert list(told.values()) == [True, True, None, True, True, True, True, None]
    assert found_at(told, "1024 bits") is True
    assert "secret" not in str(told), "the address carries a secret"


def test_a_check_says_what_does_not() -> None:
    told = checked(TAKEN, says("airtel_token_refused", 401), base_url="http://openapi.airtel.cd")
    assert found_at(told, "not https") is False
    assert found_at(told, "invalid_client") is False
    assert found_at(checked(TAKEN, fails(httpx.ConnectError)), "no_connection") is False
    told = checked(says("airtel_router", 400))
    assert [ok for what, ok in told.items() if "ROUTER006" in what] == [False, False]
    assert found_at(checked(httpx.Response(502)), "currency USD: 502") is None


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("http://pay.utility.example/hooks/a/b/callback", False),
        ("https://41.0.0.1/hooks/a/b/callback", False),
        ("https://pay.utility.example/callback", False),
        ("", None),
    ],
)
def test_a_callback_address_they_would_not_call(url: str, ok: bool | None) -> None:
    assert found_at(checked(TAKEN, callback_url=url), "callback address") is ok


@pytest.mark.parametrize(("off_s", "ok"), [(0, True), (29, True), (-3600, False), (3600, False)])
def test_a_clock_that_is_off(off_s: int, ok: bool) -> None:
    date = (NOW + timedelta(seconds=off_s)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = httpx.Response(200, json=shape("airtel_token"), headers={"date": date})
    assert found_at(checked(TAKEN, answer), "clock") is ok
