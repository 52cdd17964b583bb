"""What Daraja may answer, and what we make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from wallet_bench import ATTEMPT_ID, HTML, Bench, Case, fails, says

from channels.wallets.operators.mpesa_ke import MpesaKeConfig
from core.kernel.money import Money
from core.payments.ports import Accepted, Failed, NotAccepted, Paid, Pending, Unknown

CHECKOUT = "ws_CO_05012026101500254700000000"
PAYER = "+254712345678"
CALLBACK = f"https://pay.example/hooks/0f1a2b3c4d5e/a1b2c3d4/callback/{ATTEMPT_ID}"
KEY, SECRET, PASSKEY = "consumer-key-never-to-be-seen", "consumer-secret-never-to-be-seen", "demo-passkey"
SECRETS = (KEY, SECRET, PASSKEY)
USUAL: Mapping[str, Any] = {
    "payer_phone": PAYER,
    "amount": Money.units(250, "KES"),
    "callback_url": CALLBACK,
    "provider_ref": CHECKOUT,
}
UNSENDABLE = (
    Money(25050, "KES"),
    Money(0, "KES"),
    Money.units(250_001, "KES"),
    Money.units(12500, "CDF"),
    Money.units(10, "USD"),
)


def config(**changed: Any) -> MpesaKeConfig:
    return MpesaKeConfig(**{"consumer_key": KEY, "consumer_secret": SECRET, "passkey": PASSKEY, **changed})


def login(request: httpx.Request, number: int) -> httpx.Response | None:
    if request.url.path != "/oauth/v1/generate":
        return None
    return says("mpesa_ke_token", access_token=f"token-{number}-never-to-be-seen")


def options(bench: Bench) -> Mapping[str, Any]:
    return {"sleep": bench.sleep}


def error(code: str, message: str, status: int = 400) -> httpx.Response:
    return says("mpesa_ke_error", status, errorCode=code, errorMessage=message)


def core_says(message: str) -> httpx.Response:
    """The one code with four meanings."""
    return error("500.001.1001", message, 500)


def status(code: str | int, text: str = "") -> httpx.Response:
    return says("mpesa_ke_status", ResultCode=code, ResultDesc=text)


CASES = [
    Case("accepted", says("mpesa_ke_accepted"), Accepted(CHECKOUT)),
    Case("accepted_without_id", says("mpesa_ke_accepted", CheckoutRequestID=""), Unknown("no_checkout_id")),
    Case("acknowledged_otherwise", says("mpesa_ke_accepted", ResponseCode="1"), Unknown("response_1")),
    Case("no_code", httpx.Response(200, json={}), Unknown("response_missing")),
    Case("refused", core_says("Wrong credentials"), Failed("configuration", "500.001.1001")),
    Case("no_such_merchant", core_says("Merchant does not exist"), Failed("configuration", "500.001.1001")),
    Case("busy", core_says("Unable to lock subscriber, a transaction is already in process for the current subscriber"),
         Failed("busy", "500.001.1001")),
    Case("already_in_process", core_says("The transaction is being processed"), Unknown("500.001.1001")),
    Case("core_says_something_new", core_says("Please call us"), Unknown("500 500.001.1001")),
    Case("wrong_number", error("400.002.02", "Bad Request - Invalid PhoneNumber"),
         Failed("payer_unknown", "400.002.02")),
    Case("wrong_amount", error("400.002.02", "Bad Request - Invalid Amount"), Failed("amount_refused", "400.002.02")),
    Case("wrong_address", error("400.002.02", "Bad Request - Invalid CallBackURL"),
         Failed("configuration", "400.002.02")),
    Case("no_such_product", error("401.003.01", "Error Occurred - no apiproduct match found", 401),
         Failed("configuration", "401.003.01")),
    Case("wrong_path", error("404.001.01", "Resource not found", 404), Failed("configuration", "404.001.01")),
    Case("duplicate", error("500.002.1001", "Duplicate OriginatorConversationID", 500), Unknown("500.002.1001")),
    Case("overloaded", error("500.003.02", "System is busy. Please try again in few minutes.", 503),
         NotAccepted("500.003.02", 30)),
    Case("quota", error("500.003.03", "Quota Violation", 500), NotAccepted("500.003.03", 60)),
    Case("spike_arrest", says("mpesa_ke_spike_arrest", 500),
         NotAccepted("policies.ratelimit.SpikeArrestViolation", 30)),
    Case("internal_error", error("500.003.1001", "Internal Server Error", 500), Unknown("500 500.003.1001")),
    Case("unlisted", error("499.001", "?"), Unknown("499.001")),
    Case("nothing_said", httpx.Response(400, text=""), Unknown("http_400")),
    Case("expired_token", error("404.001.03", "Invalid Access Token", 404), NotAccepted("token_refused", 1)),
    Case("expired_token_in_other_words", error("401.002.01", "Error Occurred - Invalid Access Token - x", 401),
         NotAccepted("token_refused", 1)),
    Case("timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    Case("cut", fails(httpx.RemoteProtocolError), Unknown("cut")),
    Case("not_connected", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    Case("garbage", HTML, Unknown("unreadable")),
    Case("server_error", httpx.Response(502, html="Bad Gateway"), Unknown("502")),
    Case("throttled", httpx.Response(429), NotAccepted("429", 10)),
    Case("query_paid", says("mpesa_ke_status"), Paid(), "query"),
    Case("query_paid_as_a_number", status(0), Paid(), "query"),
    Case("query_pending", core_says("The transaction is being processed"), Pending(), "query"),
    Case("query_pending_4999", status("4999", "The transaction is still under processing"), Pending(), "query"),
    Case("query_pending_in_words", status("5000", "The transaction is still under processing"), Pending(), "query"),
    Case("query_failed", status("2001", "The initiator information is invalid."), Failed("wrong_pin", "2001"), "query"),
    Case("no_funds", status("1", "The balance is insufficient for the transaction."), Failed("no_funds", "1"), "query"),
    Case("query_limit", status("4"), Failed("limit_reached", "4"), "query"),
    Case("query_same_again_too_soon", status("17"), Failed("busy", "17"), "query"),
    Case("query_locked", status(1001), Failed("busy", "1001"), "query"),
    Case("query_cancelled", status("1032"), Failed("cancelled", "1032", final=False), "query"),
    Case("query_unreachable", status(1037), Failed("unreachable", "1037", final=False), "query"),
    Case("query_expired", status("1019"), Failed("prompt_expired", "1019", final=False), "query"),
    Case("query_not_sent", status("1025"), Failed("unreachable", "1025"), "query"),
    Case("query_no_such_number", status("SFC_IC0003"), Failed("other", "SFC_IC0003"), "query"),
    Case("query_wrong_product", status("2028"), Failed("configuration", "2028"), "query"),
    Case("query_busy_there", status("26"), Unknown("26"), "query"),
    Case("query_without_a_result", says("mpesa_ke_status", ResultCode=None), Unknown("no_result_code"), "query"),
    Case("query_not_answered", says("mpesa_ke_status", ResponseCode="1"), Unknown("response_1"), "query"),
    Case("query_about_another", says("mpesa_ke_status", CheckoutRequestID="ws_CO_x"),
         Unknown("contradictory_answer"), "query"),
    # An id that they made themselves: that they do not find it says nothing about the money.
    Case("query_not_found", error("400.002.02", "Bad Request - Invalid CheckoutRequestID"),
         Unknown("400.002.02"), "query"),
    Case("query_own_fault_is_not_the_payments", core_says("Wrong credentials"), Unknown("500.001.1001"), "query"),
    Case("query_throttled", says("mpesa_ke_spike_arrest", 429), Unknown("429"), "query"),
    Case("query_timeout", fails(httpx.ReadTimeout), Unknown("timeout"), "query"),
    Case("query_garbage", HTML, Unknown("unreadable"), "query"),
    Case("query_expired_token", error("404.001.03", "Invalid Access Token", 404), Unknown("token_refused"), "query"),
]  # fmt: skip
