"""What pawaPay may answer, and what we make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from wallet_bench import HTML, Bench, Case, fails, says, shape

from channels.wallets.operators.pawapay import PawapayConfig
from core.kernel.money import Money
from core.payments.ports import Accepted, Failed, NotAccepted, NotFound, Paid, Pending, Unknown

TOKEN = "pawapay-token-never-to-be-seen"
SECRETS = (TOKEN,)
USUAL: Mapping[str, Any] = {}
UNSENDABLE = (Money(1250050, "CDF"), Money(100, "KES"))


def config(**changed: Any) -> PawapayConfig:
    return PawapayConfig(api_token=TOKEN, **changed)


def login(request: httpx.Request, number: int) -> httpx.Response | None:
    return None


def options(bench: Bench) -> Mapping[str, Any]:
    return {"sleep": bench.sleep}


def _found(name: str, **changed: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "FOUND", "data": shape(name, **changed)})


def _rejected(code: str, status: int = 200) -> httpx.Response:
    return says("pawapay_rejected", status, failureReason={"failureCode": code})


_PAID = Paid("PP260302.0900.A12345", Money.units(12500, "CDF"), payer_phone="+243970000001")
CASES = [
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
