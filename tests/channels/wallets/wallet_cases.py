"""What each mobile-money operator may answer, and what we make of it. An operator without its cases fails the tests.

Shapes are files in shapes/, as the operators' documents and samples show them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.wallets.operators.pawapay import PawapayConfig
from channels.wallets.operators.vodacom import VodacomConfig
from channels.wallets.registry import build
from core.kernel.clock import FixedClock
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import (
    Accepted,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    Unknown,
    Wallet,
    WalletAttempt,
)

SHAPES = Path(__file__).parent / "shapes"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ATTEMPT_ID = "5f0c2b7e-9a1d-4c1f-8e22-a7b0c4d5e6f7"
CONVERSATION = "b7f0a1c2d3e4f5061728394a5b6c7d8e"
VODACOM_API_KEY = "vodacom-api-key-never-to-be-seen"
PAWAPAY_TOKEN = "pawapay-token-never-to-be-seen"
VODACOM_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]
REQUIRED_CASES = frozenset({
    "accepted", "refused", "no_funds", "timeout", "not_connected", "garbage", "server_error", "throttled",
    "overloaded", "duplicate", "query_paid", "query_pending", "query_failed", "query_not_found", "query_timeout",
    "query_garbage",
})  # fmt: skip


def shape(name: str, **changed: Any) -> dict[str, Any]:
    return {**json.loads((SHAPES / f"{name}.json").read_text("utf-8")), **changed}


def says(name: str, status: int = 200, **changed: Any) -> httpx.Response:
    return httpx.Response(status, json=shape(name, **changed))


def fails(error: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("the network", request=request)

    return answer


def attempt(**changed: Any) -> WalletAttempt:
    usual = WalletAttempt(
        attempt_id=ATTEMPT_ID,
        own_ref="E0123456789ABCDEFGHJ",
        brand="mpesa",
        payer_phone="+243810000001",
        amount=Money.units(12500, "CDF"),
        account_number="1234567897",
        description="Facture d'électricité n° 000123",
    )
    return WalletAttempt(**{name: getattr(usual, name) for name in usual.__dataclass_fields__} | changed)


@dataclass(frozen=True)
class Case:
    """One answer of an operator to one call, and the value that comes of it."""

    name: str
    answer: Answer
    expected: object
    call: Literal["start", "query"] = "start"
    config: Mapping[str, Any] = field(default_factory=dict)


class Network:
    """An operator that gives the same answer to every call on money, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.session_answer: Answer | None = None
        self.asked: list[httpx.Request] = []
        self.asked_for_sessions: list[httpx.Request] = []
        self.sessions = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/getSession/"):
            self.sessions += 1
            self.asked_for_sessions.append(request)
            if self.session_answer is not None:
                return _given(self.session_answer, request)
            return says("vodacom_session", output_SessionID=f"session-{self.sessions}-never-to-be-seen")
        self.asked.append(request)
        return _given(self.answer, request)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.asked if request.method == "POST"]


def _given(answer: Answer, request: httpx.Request) -> httpx.Response:
    return answer if isinstance(answer, httpx.Response) else answer(request)


class Bench:
    """One wallet, built through the registry, on a network made for it. Sleeping moves its clock."""

    def __init__(self, name: str, answer: Answer, **config: Any) -> None:
        self.clock = FixedClock(NOW)
        self.network = Network(answer)
        self.slept: list[float] = []
        self.http = PartnerHttp(name, transport=httpx.MockTransport(self.network))
        self.config = CONFIGS[name](**config)
        options = {"sleep": self.sleep} if name == "vodacom" else {}
        self.wallet: Wallet = build(name, self.config, http=self.http, clock=self.clock, **options)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds=seconds)

    def run(self, call: str, **changed: Any) -> object:
        return self.wallet.start(attempt(**changed)) if call == "start" else self.wallet.query(attempt(**changed))


def public_key_text() -> str:
    return base64.b64encode(
        VODACOM_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


def unsealed(request: httpx.Request) -> str:
    """What a bearer hides: the API key or a session id."""
    sealed = base64.b64decode(request.headers["authorization"].removeprefix("Bearer "))
    return VODACOM_KEY.decrypt(sealed, padding.PKCS1v15()).decode()


def _vodacom(**changed: Any) -> VodacomConfig:
    return VodacomConfig(**{"api_key": VODACOM_API_KEY, "public_key": public_key_text(), **changed})


def _pawapay(**changed: Any) -> PawapayConfig:
    return PawapayConfig(api_token=PAWAPAY_TOKEN, **changed)


CONFIGS: Mapping[str, Callable[..., object]] = {"vodacom": _vodacom, "pawapay": _pawapay}
SECRETS: Mapping[str, tuple[str, ...]] = {"vodacom": (VODACOM_API_KEY,), "pawapay": (PAWAPAY_TOKEN,)}

HTML = httpx.Response(200, html="<h1>Welcome</h1>")
ASYNC = {"mode": "async"}


def _code(code: str, status: int = 400, **changed: Any) -> httpx.Response:
    return says("vodacom_internal_error", status, output_ResponseCode=code, **changed)


def _status(status: str, **changed: Any) -> httpx.Response:
    return says("vodacom_status", output_ResponseTransactionStatus=status, **changed)


_VODACOM = [
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
    Case("internal_error", says("vodacom_internal_error", 500), Unknown("INS-1")),
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


def _found(name: str, **changed: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "FOUND", "data": shape(name, **changed)})


def _rejected(code: str, status: int = 200) -> httpx.Response:
    return says("pawapay_rejected", status, failureReason={"failureCode": code})


_PAID = Paid("PP260302.0900.A12345", Money.units(12500, "CDF"), payer_phone="+243970000001")
_PAWAPAY = [
    Case("accepted", says("pawapay_accepted"), Accepted()),
    Case("somebody_elses", says("pawapay_accepted", depositId="0" * 36), Unknown("another_deposit")),
    Case("duplicate", says("pawapay_duplicate"), Accepted()),
    Case("refused", says("pawapay_rejected"), Failed("amount_refused", "AMOUNT_OUT_OF_BOUNDS")),
    Case("refused_unlisted", _rejected("NEW_WORD"), Failed("other", "NEW_WORD")),
    Case("no_funds", _rejected("INSUFFICIENT_BALANCE"), Failed("no_funds", "INSUFFICIENT_BALANCE")),
    Case("wrong_number", _rejected("INVALID_PHONE_NUMBER", 400), Failed("payer_unknown", "INVALID_PHONE_NUMBER")),
    Case("wrong_token", says("pawapay_wrong_token", 401), Failed("configuration", "AUTHENTICATION_ERROR")),
    Case("overloaded", says("pawapay_unavailable"), NotAccepted("PROVIDER_TEMPORARILY_UNAVAILABLE", 60)),
    Case("undecided", _rejected("UNKNOWN_ERROR"), Unknown("UNKNOWN_ERROR")),
    Case("server_error", says("pawapay_unknown_error", 500), Unknown("500")),
    Case("no_code", httpx.Response(404, json={}), Unknown("http_404_no_status")),
    Case("timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    Case("not_connected", fails(httpx.ConnectTimeout), NotAccepted("no_connection", posted=False)),
    Case("garbage", HTML, Unknown("unreadable")),
    Case("throttled", httpx.Response(429), NotAccepted("429", 10)),
    Case("query_paid", _found("pawapay_completed"), _PAID, "query"),
    Case("query_paid_unreadable", _found("pawapay_completed", amount="12 500"), Unknown("paid_amount_unreadable"),
         "query"),
    Case("query_paid_other_currency", _found("pawapay_completed", currency="USD", amount="5.5"),
         Paid("PP260302.0900.A12345", Money(550, "USD"), payer_phone="+243970000001"), "query"),
    Case("query_pending", _found("pawapay_accepted"), Pending(), "query"),
    Case("query_processing", _found("pawapay_accepted", status="PROCESSING"), Pending(), "query"),
    Case("query_in_reconciliation", _found("pawapay_accepted", status="IN_RECONCILIATION"),
         Unknown("IN_RECONCILIATION"), "query"),
    Case("query_failed", _found("pawapay_failed"), Failed("no_funds", "INSUFFICIENT_BALANCE"), "query"),
    Case("query_failed_undecided", _found("pawapay_failed", failureReason={"failureCode": "UNKNOWN_ERROR"}),
         Failed("other", "UNKNOWN_ERROR", final=False), "query"),
    Case("query_not_found", says("pawapay_not_found"), NotFound(), "query"),
    Case("query_somebody_elses", _found("pawapay_completed", depositId="0" * 36), Unknown("another_deposit"), "query"),
    Case("query_new_word", _found("pawapay_accepted", status="PARKED"), Unknown("PARKED"), "query"),
    Case("query_odd_shape", httpx.Response(200, json=[]), Unknown("status_missing"), "query"),
    Case("query_wrong_token", says("pawapay_wrong_token", 401), Unknown("AUTHENTICATION_ERROR"), "query"),
    Case("query_timeout", fails(httpx.ReadTimeout), Unknown("timeout"), "query"),
    Case("query_garbage", HTML, Unknown("unreadable"), "query"),
]  # fmt: skip

CASES: Mapping[str, list[Case]] = {"vodacom": _VODACOM, "pawapay": _PAWAPAY}
WARMUP = timedelta(seconds=30)
