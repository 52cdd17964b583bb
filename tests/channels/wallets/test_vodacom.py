"""Vodacom M-Pesa: what goes out on the wire, sessions that take time to live, the callback."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest
from cases_vodacom import API_KEY, CONVERSATION, WARMUP, public_key_text, unsealed
from wallet_bench import ATTEMPT_ID, NOW, Answer, Bench, attempt, fails, says, shape

from channels.wallets.operators.vodacom import VodacomConfig
from channels.wallets.registry import build
from core.kernel.money import Money
from core.payments.ports import Accepted, Failed, Hint, NotAccepted, Paid, RawCallback, Unknown

PAID = says("vodacom_paid", 201)


def callback(**changed: str) -> RawCallback:
    body = json.dumps(shape("vodacom_callback", **changed)).encode()
    return RawCallback("callback", body, {}, "POST", "/hooks/s/t/callback", "pay.example", None, NOW)


def test_the_debit_on_the_wire() -> None:
    bench = Bench("vodacom", PAID)
    bench.run("start")
    (sent,) = bench.network.asked
    assert str(sent.url) == "https://openapi.m-pesa.com/sandbox/ipg/v2/vodacomDRC/c2bPayment/singleStage/"
    assert sent.headers["origin"] == "*"
    assert unsealed(sent) == "session-1-never-to-be-seen"
    assert bench.network.bodies == [
        {
            "input_Amount": "12500",
            "input_Country": "DRC",
            "input_Currency": "CDF",
            "input_CustomerMSISDN": "243810000001",
            "input_ServiceProviderCode": "000000",
            "input_ThirdPartyConversationID": ATTEMPT_ID.replace("-", ""),
            "input_TransactionReference": "E0123456789ABCDEFGHJ",
            "input_PurchasedItemsDesc": "Facture d electricite no 000123",
        }
    ]


def test_dollars_have_two_decimals() -> None:
    bench = Bench("vodacom", PAID)
    bench.run("start", amount=Money(2550, "USD"), description="!?")
    (body,) = bench.network.bodies
    assert (body["input_Amount"], body["input_Currency"], body["input_PurchasedItemsDesc"]) == (
        "25.50",
        "USD",
        "Facture",
    )


def test_how_long_each_kind_of_application_may_take() -> None:
    for mode, seconds in (("sync", 120), ("async", 30)):
        bench = Bench("vodacom", PAID, mode=mode)
        bench.run("start")
        assert bench.network.asked[0].extensions["timeout"]["read"] == seconds


def test_each_question_has_a_conversation_of_its_own() -> None:
    bench = Bench("vodacom", says("vodacom_status"))
    bench.run("query")
    bench.run("query")
    first, second = (request.url.params for request in bench.network.asked)
    assert first["input_QueryReference"] == second["input_QueryReference"] == ATTEMPT_ID.replace("-", "")
    fresh = {first["input_ThirdPartyConversationID"], second["input_ThirdPartyConversationID"]}
    assert len(fresh | {ATTEMPT_ID.replace("-", "")}) == 3
    assert first["input_Country"] == "DRC"
    assert first["input_ServiceProviderCode"] == "000000"


# -- sessions


def test_a_new_session_is_waited_for_once_and_then_shared() -> None:
    bench = Bench("vodacom", PAID)
    assert bench.run("start") == Paid("8AB12CD34E")
    assert bench.slept == [WARMUP.total_seconds()]
    bench.run("start")
    assert (bench.network.sessions, bench.slept) == (1, [30.0])


def test_a_session_made_ahead_of_need_costs_nobody_a_wait() -> None:
    bench = Bench("vodacom", PAID)
    bench.wallet.prepare()  # type: ignore[attr-defined]
    bench.clock.advance(seconds=31)
    assert bench.run("start") == Paid("8AB12CD34E")
    assert bench.slept == []


def test_it_is_renewed_early_while_the_old_one_works() -> None:
    bench = Bench("vodacom", PAID)
    bench.run("start")
    bench.clock.advance(minutes=55)
    bench.run("start")
    assert bench.network.sessions == 2
    assert unsealed(bench.network.asked[-1]).startswith("session-1-"), "the new one is still warming up"
    bench.clock.advance(minutes=5)
    bench.run("start")
    assert unsealed(bench.network.asked[-1]).startswith("session-2-")
    assert bench.network.sessions == 2
    assert bench.slept == [30.0]


def test_a_first_use_that_fails_is_waited_out_without_another_session() -> None:
    refused = says("vodacom_session_refused", 401)
    bench = Bench("vodacom", refused)
    assert bench.run("start") == NotAccepted("session_refused", 30)
    bench.network.answer = PAID
    assert bench.run("start") == Paid("8AB12CD34E")
    assert bench.network.sessions == 1
    assert bench.slept == [30.0, 30.0]


def test_wrong_key_on_a_session_never_used_means_not_yet_live() -> None:
    bench = Bench("vodacom", says("vodacom_session_wrong_key", 401))
    assert bench.run("start") == NotAccepted("session_refused", 30)
    bench.network.answer = PAID
    bench.run("start")
    bench.network.answer = says("vodacom_session_wrong_key", 401)
    assert bench.run("start") == Unknown("INS-2"), "on one that has worked it says nothing certain about the money"


def test_a_session_that_never_gets_live_is_replaced() -> None:
    bench = Bench("vodacom", says("vodacom_session_refused", 401))
    for _ in range(4):
        bench.run("start")
    assert bench.network.sessions == 2


def test_an_expired_session_is_replaced_and_the_debit_was_not_taken() -> None:
    bench = Bench("vodacom", PAID)
    bench.run("start")
    bench.network.answer = says("vodacom_session_refused", 401)
    assert bench.run("start") == NotAccepted("session_refused", 30)
    bench.network.answer = PAID
    bench.clock.advance(seconds=30)
    assert bench.run("start") == Paid("8AB12CD34E")
    assert unsealed(bench.network.asked[-1]).startswith("session-2-")
    assert bench.network.bodies[1] == bench.network.bodies[2], "the same ids on the second POST"


def test_a_failed_transaction_does_not_end_the_session() -> None:
    bench = Bench("vodacom", says("vodacom_internal_error", 401, output_ResponseCode="INS-6"))
    for _ in range(3):
        assert bench.run("start") == Unknown("INS-6")
    assert bench.network.sessions == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says("vodacom_session_wrong_key", 401), Failed("configuration", "INS-2")),
        (
            says("vodacom_session_wrong_key", 503, output_ResponseCode="INS-989"),
            NotAccepted("no_session_INS-989", 15, posted=False),
        ),
        (httpx.Response(502), NotAccepted("no_session_502", 15, posted=False)),
        (httpx.Response(200, html="hello"), NotAccepted("no_session_unreadable", 15, posted=False)),
        (httpx.Response(429), NotAccepted("no_session_429", 15, posted=False)),
        (fails(httpx.ReadTimeout), NotAccepted("no_session_timeout", 15, posted=False)),
        (fails(httpx.ConnectError), NotAccepted("no_session_no_connection", 15, posted=False)),
    ],
)
def test_without_a_session_nothing_is_asked(answer: Answer, expected: object) -> None:
    bench = Bench("vodacom", PAID)
    bench.network.session_answer = answer
    assert bench.wallet.start(attempt()) == expected
    assert isinstance(bench.wallet.query(attempt()), Unknown)
    assert bench.network.asked == []


def test_the_key_is_sealed_when_a_session_is_asked_for() -> None:
    bench = Bench("vodacom", PAID)
    bench.wallet.prepare()  # type: ignore[attr-defined]
    (asked,) = bench.network.asked_for_sessions
    assert str(asked.url) == "https://openapi.m-pesa.com/sandbox/ipg/v2/vodacomDRC/getSession/"
    assert unsealed(asked) == API_KEY


@pytest.mark.parametrize("changed", [{"public_key": "not a key"}, {"session_lifetime_s": 60}])
def test_a_wrong_setting_is_told_at_start(changed: dict[str, object]) -> None:
    bench = Bench("vodacom", PAID)
    config = VodacomConfig(**{"api_key": "k", "public_key": public_key_text(), **changed})
    with pytest.raises(ValueError, match=next(iter(changed))):
        build("vodacom", config, http=bench.http, clock=bench.clock)


# -- the callback


def test_a_callback_is_a_claim_with_both_ids() -> None:
    hint = Bench("vodacom", PAID).wallet.read_callback(callback())
    assert hint == Hint(attempt_id=ATTEMPT_ID, provider_ref=CONVERSATION, claim=Paid("8AB12CD34E"))


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"input_ResultCode": "0"}, Paid("8AB12CD34E")),
        ({"input_TransactionID": "N/A"}, Paid(None)),
        ({"input_ResultCode": "INS-2006"}, Failed("no_funds", "INS-2006")),
        ({"input_ResultCode": "INS-16"}, Unknown("INS-16")),
        ({"input_ResultCode": ""}, Unknown("no_code_http_0")),
    ],
)
def test_what_a_callback_claims(changed: dict[str, str], claim: object) -> None:
    hint = Bench("vodacom", PAID).wallet.read_callback(callback(**changed))
    assert isinstance(hint, Hint)
    assert (hint.claim, hint.authentic) == (claim, False)


def test_a_conversation_we_cannot_have_made_names_no_attempt() -> None:
    hint = Bench("vodacom", PAID).wallet.read_callback(callback(input_ThirdPartyConversationID="somebody-elses"))
    assert isinstance(hint, Hint)
    assert (hint.attempt_id, hint.provider_ref) == (None, CONVERSATION)


def test_the_acknowledgement_is_the_documented_one() -> None:
    ack = Bench("vodacom", PAID).wallet.acknowledge(callback())
    assert (ack.status, ack.content_type) == (200, "application/json")
    assert json.loads(ack.body) == {
        "output_OriginalConversationID": CONVERSATION,
        "output_ResponseCode": "0",
        "output_ResponseDesc": "Successfully Accepted Result",
        "output_ThirdPartyConversationID": ATTEMPT_ID.replace("-", ""),
    }


def test_asynchronous_questions_start_later() -> None:
    assert Bench("vodacom", PAID).wallet.can.query_slots_s[0] == 15
    slow = Bench("vodacom", says("vodacom_accepted", 201), mode="async")
    assert slow.wallet.can.query_slots_s[0] == timedelta(minutes=1).total_seconds()
    assert slow.run("start") == Accepted(CONVERSATION)
