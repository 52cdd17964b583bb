"""pawaPay: refunds by our own id, reports, and what can be checked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from cases_pawapay import TOKEN
from refund_bench import REFUND_ID, asked, refunding
from wallet_bench import ATTEMPT_ID, HTML, NOW, Answer, Bench, fails, shape

from channels.wallets.operators.pawapay.statements import read_report
from core.kernel.errors import PartnerDown, PartnerError, PartnerRefused
from core.kernel.money import Money
from core.payments.ports import (
    Accepted,
    Checkable,
    Failed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    RefundHint,
    Statements,
    Unknown,
)


def took(status: str = "ACCEPTED", code: str | None = None, http: int = 200, **changed: Any) -> httpx.Response:
    reason = {"failureReason": {"failureCode": code}} if code else {}
    return httpx.Response(http, json={"refundId": REFUND_ID, "status": status, **reason, **changed})


def found(**changed: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "FOUND", "data": shape("pawapay_refund", **changed)})


CASES: list[tuple[str, str, Answer, object]] = [
    ("refund", "accepted", took(), Accepted()),
    ("refund", "the same id again", took("DUPLICATE_IGNORED"), Accepted()),
    ("refund", "somebody else's", took(refundId="0" * 36), Unknown("another_refund")),
    ("refund", "back already", took("REJECTED", "DEPOSIT_ALREADY_REFUNDED"),
     Failed("other", "DEPOSIT_ALREADY_REFUNDED")),
    ("refund", "too much", took("REJECTED", "AMOUNT_TOO_LARGE"), Failed("amount_refused", "AMOUNT_TOO_LARGE")),
    ("refund", "not allowed", took("REJECTED", "REFUNDS_NOT_ALLOWED"), Failed("configuration", "REFUNDS_NOT_ALLOWED")),
    ("refund", "another under way", took("REJECTED", "REFUND_IN_PROGRESS"), NotAccepted("REFUND_IN_PROGRESS", 60)),
    ("refund", "operator away", took("REJECTED", "PROVIDER_TEMPORARILY_UNAVAILABLE"),
     NotAccepted("PROVIDER_TEMPORARILY_UNAVAILABLE", 60)),
    ("refund", "undecided", took("REJECTED", "UNKNOWN_ERROR"), Unknown("UNKNOWN_ERROR")),
    ("refund", "wrong token", took("", "AUTHENTICATION_ERROR", 401), Failed("configuration", "AUTHENTICATION_ERROR")),
    ("refund", "their error", httpx.Response(500), Unknown("500")),
    ("refund", "timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    ("refund", "no connection", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    ("refund", "throttled", httpx.Response(429), NotAccepted("429", 10)),
    ("refund", "garbage", HTML, Unknown("unreadable")),
    ("query", "paid", found(), Paid("PP260302.0910.R54321", Money.units(500, "CDF"))),
    ("query", "pending", found(status="PROCESSING"), Pending()),
    ("query", "enqueued", found(status="ENQUEUED"), Pending()),
    ("query", "failed", found(status="FAILED", failureReason={"failureCode": "RECIPIENT_NOT_FOUND"}),
     Failed("payer_unknown", "RECIPIENT_NOT_FOUND")),
    ("query", "failed perhaps", found(status="FAILED", failureReason={"failureCode": "UNKNOWN_ERROR"}),
     Failed("other", "UNKNOWN_ERROR", final=False)),
    ("query", "in reconciliation", found(status="IN_RECONCILIATION"), Unknown("IN_RECONCILIATION")),
    ("query", "unreadable amount", found(amount="much"), Unknown("refunded_amount_unreadable")),
    ("query", "somebody else's", found(refundId="0" * 36), Unknown("another_refund")),
    ("query", "not found", httpx.Response(200, json={"status": "NOT_FOUND"}), NotFound()),
    ("query", "wrong token", took("", "AUTHENTICATION_ERROR", 401), Unknown("AUTHENTICATION_ERROR")),
    ("query", "timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    ("query", "garbage", HTML, Unknown("unreadable")),
]  # fmt: skip


@pytest.mark.parametrize(("call", "answer", "expected"), [(c[0], c[2], c[3]) for c in CASES], ids=[c[1] for c in CASES])
def test_what_pawapay_says_of_a_refund(call: str, answer: Answer, expected: object) -> None:
    bench = refunding("pawapay", answer)
    assert asked(bench, call) == expected
    assert len(bench.network.asked) == 1


def test_the_refund_on_the_wire() -> None:
    bench = refunding("pawapay", took())
    asked(bench, "refund")
    (sent,) = bench.network.asked
    assert str(sent.url) == "https://api.sandbox.pawapay.io/v2/refunds"
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(sent.content) == {
        "refundId": REFUND_ID,
        "depositId": ATTEMPT_ID,
        "amount": "500",
        "currency": "CDF",
        "clientReferenceId": "ERFND456789ABCDEFGHJ",
    }
    asked(bench, "query")
    assert bench.network.asked[-1].url.path == f"/v2/refunds/{REFUND_ID}"


def test_what_cannot_be_asked_for_is_not_sent() -> None:
    bench = refunding("pawapay", fails(httpx.ReadTimeout))
    assert asked(bench, "refund", attempt_id=None) == Failed("configuration", "no_deposit")
    assert asked(bench, "refund", amount=Money(50, "CDF")) == Failed("amount_refused", "not_sent")
    assert bench.network.asked == []


@pytest.mark.parametrize("kind", ["callback", "result"])
def test_a_callback_about_a_refund_is_a_hint_and_nothing_more(kind: str) -> None:
    bench = refunding("pawapay", httpx.Response(200))
    raw = RawCallback(kind, json.dumps(shape("pawapay_refund")).encode(), {}, "POST", "/h", "us", None, NOW)
    assert bench.wallet.read_callback(raw) == RefundHint(REFUND_ID)


# -- reports

REPORT = "\r\n".join(
    [
        "Creation Date,MSISDN,Transaction ID,Amount,Currency,Country,MNO,Type,Financial Transaction ID,Fee",
        f"2026-03-01 10:00:00,243810000001,{ATTEMPT_ID},12500.00,CDF,COD,Vodacom,DEPOSIT,8AB12CD34E,187.00",
        f"2026-03-01T11:00:00Z,243810000001,{REFUND_ID},-500,CDF,COD,Vodacom,REFUND,9CD,",
        "2026-03-01 12:00:00,,w1,-12000,CDF,COD,,WITHDRAWAL,,",
        f"2026-03-01 10:00:00,,{ATTEMPT_ID},-187,CDF,COD,,DEPOSIT_FEE,,",
    ]
)
START = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_report_is_read() -> None:
    paid, back, out, fee = read_report(REPORT)
    assert (paid.kind, paid.amount, paid.own_ids, paid.provider_txn_id, paid.payer) == (
        "payment", Money.units(12500, "CDF"), (ATTEMPT_ID,), "8AB12CD34E", "243810000001",
    )  # fmt: skip
    assert (paid.at, paid.fee) == (START + timedelta(hours=10), Money.units(187, "CDF"))
    assert (back.kind, back.amount, back.own_ids) == ("refund", Money.units(500, "CDF"), (REFUND_ID,))
    assert (out.kind, fee.kind) == ("payout", "fee")
    assert len({line.row_key for line in (paid, back, out, fee)}) == 4
    assert read_report(REPORT)[0].row_key == paid.row_key
    assert read_report("\ufeff" + REPORT)[0] == paid


def test_rows_without_any_id_are_each_a_line_and_the_same_in_every_report() -> None:
    head, *_ = REPORT.splitlines()
    one, two = "2026-03-10 08:00:00,,,1000,CDF,COD,,SETTLEMENT,,", "2026-03-10 09:00:00,,,2000,CDF,COD,,SETTLEMENT,,"
    lines = read_report("\n".join([head, one, two, one]))
    assert len({line.row_key for line in lines}) == 3
    assert [line.row_key for line in read_report("\n".join([head, one]))] == [lines[0].row_key]
    alike: Counter[str] = Counter()
    both = read_report("\n".join([head, one]), alike) + read_report("\n".join([head, one]), alike)
    assert [line.row_key for line in both] == [lines[0].row_key, lines[2].row_key]


@pytest.mark.parametrize("cell", ["2026-03-01 10:00:00", "12500.00", "CDF"])
def test_half_a_report_is_no_report(cell: str) -> None:
    with pytest.raises(PartnerDown, match="line 2"):
        read_report(REPORT.replace(cell, "?", 1))


class Writer:
    """pawaPay writing a report: ready when it was looked at a few times."""

    def __init__(self, looks: int = 2, url: str = "https://files.example/report.csv", **last: Any) -> None:
        self.looks, self.url, self.last = looks, url, last
        self.bodies: list[dict[str, Any]] = []
        self.tokens: dict[str, bool] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.tokens[path] = "authorization" in request.headers
        if path == "/v2/wallet-balances":
            wallets = [{"country": "COD", "currency": "CDF", "balance": "1"}, {"country": "ZMB", "currency": "ZMW"}]
            return httpx.Response(200, json={"balances": wallets})
        if path == "/v2/statements":
            self.bodies.append(json.loads(request.content))
            return httpx.Response(200, json={"statementId": "s1", "status": "ACCEPTED"})
        if path == "/v2/statements/s1":
            self.looks -= 1
            data = {"status": "PROCESSING"} if self.looks > 0 else {"status": "COMPLETED", "downloadUrl": self.url}
            return httpx.Response(200, json={"status": "FOUND", "data": data | self.last})
        return httpx.Response(200, text=REPORT, headers={"content-type": "text/csv"})


def report(writer: Callable[[httpx.Request], httpx.Response], days: int = 1, **config: Any) -> list[Any]:
    bench = Bench("pawapay", writer, **config)
    return list(cast("Statements", bench.wallet).statement(START, START + timedelta(days=days)))


def test_a_report_is_asked_for_waited_for_and_fetched() -> None:
    writer = Writer()
    lines = report(writer, days=40, statement_callback_url="https://us/x")
    assert [line.kind for line in lines[:4]] == ["payment", "refund", "payout", "fee"]
    assert [(b["startDate"], b["endDate"]) for b in writer.bodies] == [
        ("2026-03-01T00:00:00", "2026-04-01T00:00:00"), ("2026-04-01T00:00:00", "2026-04-10T00:00:00"),
    ]  # fmt: skip
    assert writer.bodies[0]["wallet"] == {"country": "COD", "currency": "CDF"}
    assert writer.bodies[0]["callbackUrl"] == "https://us/x"
    assert not writer.tokens["/report.csv"], "our token stays with pawaPay"
    assert writer.tokens["/v2/statements/s1"]


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        (Writer(looks=10**6), PartnerDown),
        (Writer(url="http://files.example/report.csv"), PartnerRefused),
        (Writer(status="FAILED"), PartnerDown),
        (fails(httpx.ReadTimeout), PartnerDown),
        (lambda _request: httpx.Response(401, json={}), PartnerRefused),
    ],
    ids=["never ready", "in the clear", "failed", "timeout", "refused"],
)
def test_no_report(writer: Callable[[httpx.Request], httpx.Response], error: type[PartnerError]) -> None:
    with pytest.raises(error):
        report(writer, statement_timeout_s=4)


# -- checks


def conf(signed: bool = True, decimals: str = "NONE", providers: tuple[str, ...] = ()) -> dict[str, Any]:
    names = providers or ("VODACOM_MPESA_COD", "AIRTEL_COD", "ORANGE_COD")
    operations = {"DEPOSIT": {"minAmount": "100", "maxAmount": "7000000", "decimalsInAmount": decimals}, "REFUND": {}}
    usd = {"DEPOSIT": {"minAmount": "1", "maxAmount": "2500", "decimalsInAmount": "TWO_PLACES"}}
    currencies = [{"currency": "CDF", "operationTypes": operations}, {"currency": "USD", "operationTypes": usd}]
    listed = [{"provider": name, "currencies": currencies} for name in names]
    return {
        "signatureConfiguration": {"signedCallbacks": signed},
        "countries": [{"country": "COD", "providers": listed}],
    }


def checked(answer: Answer, **config: Any) -> list[Any]:
    def network(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/public-key/http":
            return httpx.Response(200, json=[])
        return answer if isinstance(answer, httpx.Response) else answer(request)

    return list(cast("Checkable", Bench("pawapay", network, **config).wallet).check())


def test_what_can_be_checked() -> None:
    found = checked(httpx.Response(200, json=conf()), public_authority="us.example")
    assert [f.what for f in found if f.ok is False] == ["pawaPay lists no public key that can be read."]
    assert any("VODACOM_MPESA_COD takes CDF from 100 to 7000000." in f.what for f in found)
    assert any("USD" in f.what and "no refunds listed" in f.what for f in found)
    lacking = checked(httpx.Response(200, json=conf(signed=False, providers=("AIRTEL_COD",))), decimals={"CDF": 2})
    wrong = " ".join(f.what for f in lacking if f.ok is False)
    for said in ("VODACOM_MPESA_COD (mpesa) is not part", "takes CDF with 0 decimals, we send 2", "not signed"):
        assert said in wrong
    assert TOKEN not in repr(lacking)


@pytest.mark.parametrize(
    "answer", [httpx.Response(401, json={"failureReason": {"failureCode": "AUTHENTICATION_ERROR"}}),
               fails(httpx.ConnectError), httpx.Response(503), HTML, httpx.Response(200, json=[])]
)  # fmt: skip
def test_a_check_never_raises(answer: Answer) -> None:
    assert any(finding.ok is False for finding in checked(answer))
