"""Vodacom: a payment is reversed, whole or in part; what can be checked without moving money."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from cases_vodacom import API_KEY, CONVERSATION, WARMUP, unsealed
from refund_bench import REFUND_ID, asked, refunding
from wallet_bench import HTML, NOW, Answer, Bench, fails, says, shape

from core.kernel.money import Money
from core.payments.ports import (
    Accepted,
    Checkable,
    Failed,
    Finding,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    RefundHint,
    Unknown,
)
from core.payments.refund_rules import judge_refund

REVERSAL = "R" + REFUND_ID.replace("-", "")
DONE = says("vodacom_paid", 201, output_TransactionID="9ZZ", output_ThirdPartyConversationID=REVERSAL)


def code(text: str, status: int = 400) -> httpx.Response:
    return says("vodacom_internal_error", status, output_ResponseCode=text)


CASES: list[tuple[str, Answer, object]] = [
    ("paid", DONE, Paid("9ZZ")),
    ("taken on", says("vodacom_accepted", 201, output_ThirdPartyConversationID=REVERSAL), Accepted(CONVERSATION)),
    ("somebody else's", says("vodacom_paid", 201), Unknown("contradictory_answer")),
    ("paid on an error status", says("vodacom_paid", 500), Unknown("contradictory_answer")),
    ("no such payment", code("INS-18"), Failed("not_found", "INS-18")),
    ("not enough there", code("INS-2006", 422), Failed("no_funds", "INS-2006")),
    ("wrong amount", code("INS-15"), Failed("amount_refused", "INS-15")),
    ("not our right", code("INS-21"), Failed("configuration", "INS-21")),
    ("overloaded", code("INS-16", 503), NotAccepted("INS-16", 30)),
    ("duplicate", code("INS-10", 409), Unknown("INS-10")),
    ("unlisted", code("INS-6666"), Unknown("INS-6666")),
    ("cancelled", code("INS-5", 401), Failed("cancelled", "INS-5", final=False)),
    ("expired session", says("vodacom_session_refused", 401), NotAccepted("session_refused", 30)),
    ("timeout", fails(httpx.ReadTimeout), Unknown("timeout")),
    ("no connection", fails(httpx.ConnectError), NotAccepted("no_connection", posted=False)),
    ("throttled", httpx.Response(429), NotAccepted("429", 10)),
    ("garbage", HTML, Unknown("unreadable")),
]


@pytest.mark.parametrize(("answer", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_vodacom_says_of_a_reversal(answer: Answer, expected: object) -> None:
    bench = refunding("vodacom", answer)
    assert asked(bench, "refund") == expected
    assert len(bench.network.asked) == 1


def test_the_reversal_on_the_wire() -> None:
    bench = refunding("vodacom", DONE)
    asked(bench, "refund")
    (sent,) = bench.network.asked
    assert (sent.method, sent.url.path) == ("PUT", "/sandbox/ipg/v2/vodacomDRC/reversal/")
    assert unsealed(sent) == "session-1-never-to-be-seen"
    assert json.loads(sent.content) == {
        "input_ReversalAmount": "500",
        "input_Country": "DRC",
        "input_ServiceProviderCode": "000000",
        "input_ThirdPartyConversationID": REVERSAL,
        "input_TransactionID": "8AB12CD34E",
    }


def test_an_asynchronous_application_only_accepts() -> None:
    assert asked(refunding("vodacom", DONE, mode="async"), "refund") == Accepted(CONVERSATION)


def test_what_cannot_be_asked_for_is_not_sent() -> None:
    bench = refunding("vodacom", fails(httpx.ReadTimeout))
    assert asked(bench, "refund", provider_txn_id=None) == Failed("configuration", "no_transaction_id")
    assert asked(bench, "refund", amount=Money(50, "CDF")) == Failed("amount_refused", "not_sent")
    assert bench.network.asked == []


def status(state: str, **changed: Any) -> httpx.Response:
    return says("vodacom_status", output_ResponseTransactionStatus=state, **changed)


NOT_KNOWN = code("INS-18")


def two_answers(reversal: Answer, payment: Answer) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        chosen = reversal if request.url.params["input_QueryReference"] == REVERSAL else payment
        return chosen if isinstance(chosen, httpx.Response) else chosen(request)

    return answer


WHOLE = {"amount": Money.units(12500, "CDF")}
QUESTIONS: list[tuple[str, Answer, Answer, dict[str, Any], object]] = [
    ("known by its own id", status("Completed", output_OriginalTransactionID="9ZZ"), NOT_KNOWN, {}, Paid("9ZZ")),
    ("pending", status("Pending"), NOT_KNOWN, {}, Pending()),
    ("failed", status("Failed"), NOT_KNOWN, {}, Failed("other", "Failed")),
    ("too early", code("INS-23"), NOT_KNOWN, {}, Unknown("INS-23")),
    ("a new word", status("Parked"), NOT_KNOWN, {}, Unknown("status_parked")),
    ("the payment is reversed", NOT_KNOWN, status("Completed", output_Reversed="true"), WHOLE, Paid()),
    ("reversed, how much?", NOT_KNOWN, status("Completed", output_Reversed="true"), {}, Unknown("reversed_in_part")),
    ("the payment stands", NOT_KNOWN, status("Completed"), WHOLE, NotFound()),
    ("a part, and the payment stands", NOT_KNOWN, status("Completed"), {}, Unknown("reversal_not_told")),
    ("nothing is told", NOT_KNOWN, status("Completed", output_Reversed=""), WHOLE, Unknown("reversal_not_told")),
    ("the second question fails", NOT_KNOWN, fails(httpx.ReadTimeout), WHOLE, Unknown("timeout")),
    ("nothing is known", NOT_KNOWN, NOT_KNOWN, WHOLE, Unknown("INS-18")),
    ("no number to ask by", NOT_KNOWN, HTML, {"provider_txn_id": None}, NotFound()),
    ("timeout", fails(httpx.ReadTimeout), NOT_KNOWN, {}, Unknown("timeout")),
    ("session refused", says("vodacom_session_refused", 401), NOT_KNOWN, {}, Unknown("session_refused")),
]


def test_a_part_that_is_not_known_is_never_taken_for_not_paid() -> None:
    bench = refunding("vodacom", two_answers(NOT_KNOWN, status("Completed", output_Reversed="false")))
    answer = asked(bench, "query_refund")
    late = judge_refund("unknown", answer, age_s=901, queries=3, posts=1, can=bench.wallet.can)  # type: ignore[arg-type]
    assert (late.state, late.book) == ("unknown", None)


@pytest.mark.parametrize(
    ("reversal", "payment", "changed", "expected"), [q[1:] for q in QUESTIONS], ids=[q[0] for q in QUESTIONS]
)
def test_what_became_of_a_reversal(
    reversal: Answer, payment: Answer, changed: dict[str, Any], expected: object
) -> None:
    bench = refunding("vodacom", two_answers(reversal, payment))
    assert asked(bench, "query", **changed) == expected


def test_a_callback_about_a_reversal_is_told_from_one_about_a_payment() -> None:
    bench = Bench("vodacom", httpx.Response(200))
    body = json.dumps(shape("vodacom_callback", input_ThirdPartyConversationID=REVERSAL)).encode()
    raw = RawCallback("callback", body, {}, "POST", "/h", "us", None, NOW)
    assert bench.wallet.read_callback(raw) == RefundHint(REFUND_ID)
    assert json.loads(bench.wallet.acknowledge(raw).body)["output_ThirdPartyConversationID"] == REVERSAL


# -- checks


def checked(answer: Answer, *, session: Answer | None = None, **config: Any) -> list[Finding]:
    bench = Bench("vodacom", answer, **config)
    bench.network.session_answer = session
    bench.clock.advance(seconds=WARMUP.total_seconds())
    return list(cast("Checkable", bench.wallet).check())


def wrong(found: list[Finding]) -> list[str]:
    return [finding.what for finding in found if finding.ok is False]


def test_what_can_be_checked() -> None:
    found = checked(NOT_KNOWN)
    assert wrong(found) == []
    assert "Status questions are answered." in [finding.what for finding in found]
    production = checked(NOT_KNOWN, environment="openapi", mode="async")
    told = " ".join(finding.what for finding in production)
    assert "Production, market vodacomDRC." in told
    assert "asynchronous" in told
    assert "The origin is *" in told


@pytest.mark.parametrize(
    ("answer", "session", "said"),
    [
        (NOT_KNOWN, code("INS-2", 401), "No session: INS-2."),
        (NOT_KNOWN, fails(httpx.ConnectError), "Vodacom does not answer: no_connection."),
        (code("INS-13"), None, "The service provider code is refused."),
        (code("INS-998"), None, "The market vodacomDRC is refused."),
        (code("INS-21"), None, "A status question was refused: INS-21."),
        (fails(httpx.ReadTimeout), None, "A status question was not answered: timeout."),
    ],
)
def test_what_a_check_finds_wrong(answer: Answer, session: Answer | None, said: str) -> None:
    found = checked(answer, session=session)
    assert said in wrong(found)
    assert API_KEY not in repr(found)
