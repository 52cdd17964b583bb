"""What Vodacom may answer, and what we make of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from wallet_bench import HTML, Bench, Case, fails, says

from channels.wallets.operators.vodacom import VodacomConfig
from core.kernel.money import Money
from core.payments.ports import Accepted, Failed, NotAccepted, NotFound, Paid, Pending, Unknown

CONVERSATION = "b7f0a1c2d3e4f5061728394a5b6c7d8e"
API_KEY = "vodacom-api-key-never-to-be-seen"
SECRETS = (API_KEY,)
USUAL: Mapping[str, Any] = {}
UNSENDABLE = (Money(1250050, "CDF"), Money(100, "KES"))
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WARMUP = timedelta(seconds=30)
ASYNC = {"mode": "async"}


def config(**changed: Any) -> VodacomConfig:
    return VodacomConfig(**{"api_key": API_KEY, "public_key": public_key_text(), **changed})


def login(request: httpx.Request, number: int) -> httpx.Response | None:
    if not request.url.path.endswith("/getSession/"):
        return None
    return says("vodacom_session", output_SessionID=f"session-{number}-never-to-be-seen")


def options(bench: Bench) -> Mapping[str, Any]:
    return {"sleep": bench.sleep}


def public_key_text() -> str:
    return base64.b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def unsealed(request: httpx.Request) -> str:
    """What a bearer hides: the API key or a session id."""
    sealed = base64.b64decode(request.headers["authorization"].removeprefix("Bearer "))
    return KEY.decrypt(sealed, padding.PKCS1v15()).decode()


def _code(code: str, status: int = 400, **changed: Any) -> httpx.Response:
    return says("vodacom_internal_error", status, output_ResponseCode=code, **changed)


def _status(status: str, **changed: Any) -> httpx.Response:
    return says("vodacom_status", output_ResponseTransactionStatus=status, **changed)


CASES = [
    Case("paid", says("vodacom_paid", 201), Paid("8AB12CD34E")),
    Case("accepted", says("vodacom_accepted", 201), Accepted(CONVERSATION), config=ASYNC),
    Case("accepted_with_id", says("vodacom_paid", 201), Accepted(CONVERSATION), config=ASYNC),
    Case("sync_without_id", says("vodacom_accepted", 201), Accepted(CONVERSATION)),
    Case("somebody_elses", says("vodacom_paid", 201, output_ThirdPartyConversationID="0" * 32),
         Unknown("contradictory_answer")),
    Case("paid_on_an_error_status", says("vodacom_paid", 500), Unknown("contradictory_answer")),
    Case("refused", says("vodacom_refused", 400), Failed("limit_reached", "INS-990")),
    Case("no_funds", says("vodacom_no_funds", 422), Failed("no_funds", "INS-2006")),
    Case("cancelled", _code("INS-5", 401), Failed("cancelled", "INS-5", final=False)),
    Case("transaction_failed_is_no_login", _code("INS-6", 401), Unknown("INS-6")),
    Case("timed_out_there", _code("INS-9", 408), Unknown("INS-9")),
    Case("duplicate", says("vodacom_duplicate", 409), Unknown("INS-10")),
    Case("overloaded", says("vodacom_overloaded", 503), NotAccepted("INS-16", 30)),
    Case("internal_error", says("vodacom_internal_error", 500), Unknown("500 INS-1")),
    Case("unlisted", _code("INS-6140", 400), Unknown("INS-6140")),
    Case("wrong_amount", _code("INS-15"), Failed("amount_refused", "INS-15")),
    Case("wrong_number", _code("INS-2051"), Failed("payer_unknown", "INS-2051")),
    Case("our_bug", _code("INS-21"), Failed("configuration", "INS-21")),
    Case("disputed_code", _code("INS-995"), Unknown("INS-995")),
    Case("no_code", httpx.Response(400, json={}), Unknown("no_code_http_400")),
    Case("timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    Case("cut", fails(httpx.RemoteProtocolError), Unknown("cut")),
    Case("not_connected", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    Case("garbage", HTML, Unknown("unreadable")),
    Case("server_error", httpx.Response(502, html="Bad Gateway"), Unknown("502")),
    Case("throttled", httpx.Response(429), NotAccepted("429", 10)),
    Case("expired_session", says("vodacom_session_refused", 401), NotAccepted("session_refused", 30)),
    Case("session_not_made", _code("INS-989", 401), NotAccepted("session_refused", 30)),
    Case("query_paid", _status("Completed"), Paid("8AB12CD34E"), "query"),
    Case("query_paid_without_id", _status("Completed", output_OriginalTransactionID="N/A"), Paid(None), "query"),
    Case("query_reversed", _status("Completed", output_Reversed="true"), Unknown("reversed"), "query"),
    Case("query_pending", _status("Pending"), Pending(), "query"),
    Case("query_failed", _status("Failed"), Failed("other", "Failed"), "query"),
    Case("query_cancelled", _status("Cancelled"), Failed("cancelled", "Cancelled", final=False), "query"),
    Case("query_expired", _status("Expired"), Failed("prompt_expired", "Expired", final=False), "query"),
    Case("query_not_found", _status("N/A", output_OriginalTransactionID="N/A"), NotFound(), "query"),
    Case("query_no_such_id", _code("INS-18"), NotFound(), "query"),
    Case("query_too_early", _code("INS-23"), Unknown("INS-23"), "query"),
    Case("query_unlisted", _code("INS-6140"), Unknown("INS-6140"), "query"),
    Case("query_new_word", _status("Parked"), Unknown("status_Parked"), "query"),
    Case("query_own_fault_is_not_the_payments", _code("INS-13"), Unknown("INS-13"), "query"),
    Case("query_timeout", fails(httpx.ReadTimeout), Unknown("timeout"), "query"),
    Case("query_garbage", HTML, Unknown("unreadable"), "query"),
    Case("query_expired_session", says("vodacom_session_refused", 401), Unknown("session_refused"), "query"),
]  # fmt: skip
