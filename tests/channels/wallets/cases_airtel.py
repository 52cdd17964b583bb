"""What Airtel may answer, and what we make of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from wallet_bench import HTML, Bench, Case, fails, says, shape

from channels.wallets.operators.airtel import AirtelConfig
from core.kernel.money import Money
from core.payments.ports import Accepted, Failed, NotAccepted, NotFound, Paid, Pending, Unknown

OWN_REF = "E0123456789ABCDEFGHJ"
MONEY_ID = "MP260105.1016.A00001"
CLIENT_SECRET = "airtel-client-secret-never-to-be-seen"
CALLBACK_KEY = "airtel-callback-key-never-to-be-seen"
SECRETS = (CLIENT_SECRET, CALLBACK_KEY)
USUAL: Mapping[str, Any] = {"brand": "airtel", "payer_phone": "+243990000001"}
UNSENDABLE = (Money(1250050, "CDF"), Money(100, "KES"))
# As short as theirs.
KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
SIGNED = {"version": "v2"}


def config(**changed: Any) -> AirtelConfig:
    usual = {"client_id": "client-1", "client_secret": CLIENT_SECRET, "callback_key": CALLBACK_KEY}
    return AirtelConfig(**{**usual, **changed})


def login(request: httpx.Request, number: int) -> httpx.Response | None:
    if request.url.path == "/auth/oauth2/token":
        return says("airtel_token", access_token=f"token-{number}-never-to-be-seen")
    return key_answer() if request.url.path == "/v1/rsa/encryption-keys" else None


def options(bench: Bench) -> Mapping[str, Any]:
    return {}


def key_answer(**changed: Any) -> httpx.Response:
    der = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    data = {**shape("airtel_key")["data"], "key": base64.b64encode(der).decode(), **changed}
    return says("airtel_key", data=data)


def error(code: str, status: int = 400, dp: str = "DP00800001005") -> httpx.Response:
    said = {**shape("airtel_error")["status"], "result_code": code, "response_code": dp}
    return httpx.Response(status, json={"status": said})


def found(status: str | None, **changed: Any) -> httpx.Response:
    """An enquiry's answer with this transaction status, on HTTP 200."""
    transaction = {**shape("airtel_paid")["data"]["transaction"], "status": status, **changed}
    return says("airtel_paid", data={"transaction": transaction})


def taken(status: str | None, http_status: int = 200, **changed: Any) -> httpx.Response:
    transaction = {**shape("airtel_accepted")["data"]["transaction"], "status": status, **changed}
    return says("airtel_accepted", http_status, data={"transaction": transaction})


def _claims(status: str, dp: str, *, success: bool) -> httpx.Response:
    """A transaction status beside numbers and a flag that say something else."""
    envelope = {**shape("airtel_paid")["status"], "response_code": dp, "success": success, "message": "FAILED"}
    return httpx.Response(200, json={**found(status).json(), "status": envelope})


CASES = [
    Case("accepted", says("airtel_accepted"), Accepted()),
    Case("accepted_signed", says("airtel_accepted"), Accepted(), config=SIGNED),
    Case("accepted_in_other_words", taken("Success."), Accepted()),
    Case("accepted_in_progress", taken("TIP"), Accepted()),
    Case("paid_at_once_is_asked_all_the_same", taken("TS"), Accepted()),
    Case("failed_at_once", taken("TF"), Failed("other", "TF", final=False)),
    Case("accepted_without_status", taken(None), Unknown("status_missing")),
    Case("a_word_nobody_knows", taken("PARKED"), Unknown("status_PARKED")),
    Case("somebody_elses", taken("SUCCESS", id="E9999999999999999999"), Unknown("another_transaction")),
    Case("taken_on_an_error_status", taken("SUCCESS", 400), Unknown("ESB000010")),
    Case("refused", error("ESB000008"), Failed("configuration", "ESB000008")),
    Case("wrong_number", error("ESB000033"), Failed("payer_unknown", "ESB000033")),
    Case("wrong_number_elsewhere", error("ESB000036"), Failed("payer_unknown", "ESB000036")),
    Case("wrong_country", error("ESB000034", 200), Failed("configuration", "ESB000034")),
    Case("gateway_refuses", says("airtel_router", 400), Failed("configuration", "ROUTER006")),
    Case("gateway_timeout", says("airtel_router", 400, status_code="ROUTER117"), Unknown("ROUTER117")),
    Case("refused_and_taken", httpx.Response(200, json={**taken("SUCCESS").json(), **error("ESB000035").json()}),
         Unknown("contradictory_answer")),
    # Only the enquiry knows why a push failed, and it does not say: no_funds is a failure like any other.
    Case("no_funds", found("TF"), Failed("other", "TF"), "query"),
    Case("number_two_tables_dispute", error("N/A", dp="DP00800001007"), Unknown("http_400")),
    Case("success_by_number_alone", error("N/A", 200, dp="DP00800001001"), Unknown("status_missing")),
    Case("signature_differs", error("N/A", 403, dp="DP00800001026"), Unknown("http_403"), config=SIGNED),
    Case("duplicate", error("ESB000041"), Unknown("ESB000041")),
    Case("something_went_wrong", error("ESB000001", 200), Unknown("ESB000001")),
    Case("not_initiated_perhaps", error("ESB000004", 500), Unknown("500 ESB000004")),
    Case("request_failed", error("ESB000011", 200), Unknown("ESB000011")),
    Case("unlisted", error("ESB000099"), Unknown("ESB000099")),
    Case("forbidden", httpx.Response(403, html="no"), Unknown("http_403")),
    Case("read_timeout_there", httpx.Response(408, json={}), Unknown("http_408")),
    Case("timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    Case("cut", fails(httpx.RemoteProtocolError), Unknown("cut")),
    Case("not_connected", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    Case("garbage", HTML, Unknown("unreadable")),
    Case("server_error", httpx.Response(502, html="Bad Gateway"), Unknown("502")),
    Case("server_error_in_json", error("N/A", 500), Unknown("500")),
    Case("throttled", httpx.Response(429), NotAccepted("429", 10)),
    # Airtel has no word for it on which nothing was surely taken on.
    Case("overloaded", httpx.Response(503, html="Service Unavailable"), Unknown("503")),
    Case("expired_token", says("airtel_unauthorized", 401), NotAccepted("token_refused", 1)),
    Case("query_paid", says("airtel_paid"), Paid(MONEY_ID), "query"),
    Case("query_paid_says_false", _claims("TS", "DP00800001005", success=False), Paid(MONEY_ID), "query"),
    Case("query_paid_without_id", found("TS", airtel_money_id="N/A"), Paid(None), "query"),
    Case("query_paid_in_small_letters", found("ts"), Paid(MONEY_ID), "query"),
    Case("query_pending", found("TIP"), Pending(), "query"),
    Case("query_pending_says_success", _claims("TIP", "DP00800001001", success=True), Pending(), "query"),
    Case("query_failed", found("TF"), Failed("other", "TF"), "query"),
    Case("query_failed_says_success", _claims("TF", "DP00800001006", success=True), Failed("other", "TF"), "query"),
    Case("query_expired", found("TE"), Failed("prompt_expired", "TE", final=False), "query"),
    Case("query_ambiguous", found("TA"), Unknown("TA"), "query"),
    Case("query_new_word", found("TX"), Unknown("TX"), "query"),
    Case("query_success_is_no_status", found("SUCCESS"), Unknown("SUCCESS"), "query"),
    Case("query_somebody_elses", found("TS", id="E9999999999999999999"), Unknown("another_transaction"), "query"),
    Case("query_paid_on_an_error_status", says("airtel_paid", 400), Unknown("http_400_TS"), "query"),
    Case("query_not_found", error("ESB000045", 200), NotFound(), "query"),
    Case("query_not_found_on_404", error("ESB000045", 404), NotFound(), "query"),
    Case("query_not_found_by_number_alone", error("N/A", 200, dp="DP00800001025"), Unknown("http_200"), "query"),
    Case("query_status_not_at_hand", error("ESB000014", 200), Pending(), "query"),
    Case("query_request_failed", error("ESB000011", 200), Failed("other", "ESB000011", final=False), "query"),
    Case("query_own_fault_is_not_the_payments", error("ESB000034"), Unknown("ESB000034"), "query"),
    Case("query_gateway_fault", says("airtel_router", 400), Unknown("ROUTER006"), "query"),
    Case("query_timeout", fails(httpx.ReadTimeout), Unknown("timeout"), "query"),
    Case("query_garbage", HTML, Unknown("unreadable"), "query"),
    Case("query_server_error", error("ESB000045", 503), Unknown("503 ESB000045"), "query"),
    Case("query_throttled", httpx.Response(429), Unknown("429"), "query"),
    Case("query_expired_token", says("airtel_unauthorized", 401), Unknown("token_refused"), "query"),
]  # fmt: skip
