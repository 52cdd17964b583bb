"""Vodacom M-Pesa in the box: sessions, both kinds of application, queries, and each way it can fail."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Product, VodacomCaller, until

HOOK = "/hooks/vodacom"


def new_id() -> str:
    return uuid.uuid4().hex


def code(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json["output_ResponseCode"]


def told(product: Product) -> list[dict[str, str]]:
    return [json.loads(letter.body) for letter in product.at(HOOK)]


@pytest.fixture
def async_vodacom(open_box: Callable[..., Box]) -> VodacomCaller:
    caller = VodacomCaller(open_box(vodacom_mode="async"))
    caller.log_in()
    return caller


# -- sessions


def test_a_session_takes_time_to_live_and_then_expires(open_box: Callable[..., Box]) -> None:
    box = open_box(session_warmup_s=30.0, session_lifetime_s=3600.0)
    caller = VodacomCaller(box)
    reply = caller.log_in()
    assert code(reply) == (200, "INS-0")
    early = caller.query("anything")
    assert (early.status_code, early.json) == (401, {"output_error": "Session id is not live yet"})
    box.clock.ahead = 31
    assert code(caller.query("anything")) == (400, "INS-18")
    box.clock.ahead = 3700
    late = caller.query("anything")
    assert (late.status_code, late.json) == (401, {"output_error": "Session id has expired"})


def test_bad_credentials(box: Box, vodacom: VodacomCaller) -> None:
    assert code(vodacom.log_in("wrong-key")) == (401, "INS-2")
    for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}):
        reply = box.app.test_client().get(f"{vodacom.BASE}/getSession/", headers=header)
        assert code(reply) == (401, "INS-2")
    vodacom.session = "made-up"
    assert vodacom.pay(new_id()).json == {"output_error": "Invalid session id"}
    market = "/vodacom/sandbox/ipg/v2/vodacomRC/getSession/"
    assert code(box.app.test_client().get(market)) == (400, "INS-998")


def test_keys_and_sessions_outlive_the_box(open_box: Callable[..., Box]) -> None:
    first = open_box()
    caller = VodacomCaller(first)
    caller.log_in()
    again = VodacomCaller(open_box())
    assert again.key.public_numbers() == caller.key.public_numbers()
    again.session = caller.session
    assert code(again.query("anything")) == (400, "INS-18")


# -- a synchronous application


def test_the_call_stays_open_until_the_pin(vodacom: VodacomCaller, box: Box) -> None:
    own_id = new_id()
    call = box.later(lambda: vodacom.pay(own_id))
    prompt = box.prompt(MPESA)
    assert not call.done()
    assert (prompt["wallet"], prompt["amount"]) == ("vodacom", "12500")
    assert box.answers(MPESA) == "paid"
    reply = call.result(20)
    assert code(reply) == (201, "INS-0")
    assert reply.json["output_ThirdPartyConversationID"] == own_id
    entry = box.entry("vodacom", own_id)
    assert reply.json["output_TransactionID"] == entry["provider_txn_id"]
    assert (entry["state"], entry["amount"], box.balance(MPESA)) == ("paid", "12500", "7500")


@pytest.mark.parametrize(
    ("change", "pin", "expected", "status"),
    [
        ({}, None, (401, "INS-5"), "Cancelled"),
        ({"input_Amount": "25000"}, "1234", (422, "INS-2006"), "Failed"),
    ],
    ids=["declined", "poor"],
)
def test_a_payer_who_does_not_pay(
    vodacom: VodacomCaller, box: Box, change: dict[str, str], pin: str | None, expected: Any, status: str
) -> None:
    own_id = new_id()
    call = box.later(lambda: vodacom.pay(own_id, **change))
    box.answers(MPESA, pin)
    reply = call.result(20)
    assert (code(reply), reply.json["output_TransactionID"]) == (expected, "N/A")
    assert vodacom.query(own_id).json["output_ResponseTransactionStatus"] == status


def test_three_wrong_pins(vodacom: VodacomCaller, box: Box) -> None:
    call = box.later(lambda: vodacom.pay(new_id()))
    assert [box.answers(MPESA, "0000") for _ in range(3)] == ["wrong_pin"] * 3
    assert code(call.result(20)) == (401, "INS-6")


def test_a_prompt_nobody_answers(open_box: Callable[..., Box]) -> None:
    caller = VodacomCaller(open_box(prompt_lifetime_s=0.05))
    caller.log_in()
    own_id = new_id()
    assert code(caller.pay(own_id)) == (408, "INS-9")
    assert caller.query(own_id).json["output_ResponseTransactionStatus"] == "Expired"


def test_an_id_is_taken_once(vodacom: VodacomCaller, box: Box) -> None:
    own_id = new_id()
    call = box.later(lambda: vodacom.pay(own_id))
    box.prompt(MPESA)
    again = vodacom.pay(own_id)
    assert (code(again), again.json["output_TransactionID"]) == ((409, "INS-10"), "N/A")
    box.answers(MPESA)
    call.result(20)
    entry = box.entry("vodacom", own_id)
    assert (entry["prompts"], box.balance(MPESA)) == (1, "7500")


def test_a_busy_phone_and_a_strangers_number(vodacom: VodacomCaller, box: Box, product: Product) -> None:
    product.answer = lambda _letter: (200, "CON 1. Payer")
    box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    own_id = new_id()
    assert code(vodacom.pay(own_id)) == (401, "INS-6")
    assert (box.entry("vodacom", own_id)["reason"], box.get("prompts")) == ("busy", [])
    for phone in (AIRTEL, "+243810007777"):
        assert code(vodacom.pay(new_id(), phone)) == (400, "INS-2051")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"input_Currency": None}, "INS-20"),
        ({"input_ServiceProviderCode": "1"}, "INS-13"),
        ({"input_Amount": "12,5"}, "INS-15"),
        ({"input_Amount": "0"}, "INS-15"),
        ({"input_Amount": "12500.00"}, "INS-15"),
        ({"input_TransactionReference": "has space"}, "INS-17"),
        ({"input_TransactionReference": "X" * 21}, "INS-17"),
        ({"input_Country": "COD"}, "INS-21"),
        ({"input_Currency": "KES"}, "INS-26"),
        ({"input_ThirdPartyConversationID": str(uuid.uuid4())}, "INS-28"),
        ({"input_PurchasedItemsDesc": "Facture n. 1"}, "INS-30"),
        ({"input_CustomerMSISDN": "0810000001"}, "INS-2051"),
    ],
)
def test_bad_fields(vodacom: VodacomCaller, box: Box, change: dict[str, str | None], expected: str) -> None:
    assert code(vodacom.pay(new_id(), **change)) == (400, expected)
    assert box.get("wallets/vodacom/ledger")["entries"] == []


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("1", (201, "INS-0")),
        ("2", (408, "INS-9")),
        ("4", (401, "INS-6")),
        ("5", (500, "INS-1")),
        ("8", (422, "INS-2006")),
    ],
)
def test_the_operators_own_test_numbers(vodacom: VodacomCaller, last: str, expected: tuple[int, str]) -> None:
    assert code(vodacom.pay(new_id(), f"+{last:0>12}")) == expected


def test_a_query_finds_by_any_of_the_three_ids(vodacom: VodacomCaller, box: Box) -> None:
    own_id = new_id()
    call = box.later(lambda: vodacom.pay(own_id))
    box.prompt(MPESA)
    assert vodacom.query(own_id).json["output_ResponseTransactionStatus"] == "Pending"
    box.answers(MPESA)
    paid = call.result(20).json
    for reference in (own_id, paid["output_ConversationID"], paid["output_TransactionID"]):
        found = vodacom.query(reference).json
        assert found["output_ResponseTransactionStatus"] == "Completed"
        assert found["output_OriginalTransactionID"] == paid["output_TransactionID"]
    missing = box.app.test_client().get(
        f"{vodacom.BASE}/queryTransactionStatus/", headers=vodacom.bearer(vodacom.session)
    )
    assert code(missing) == (400, "INS-20")


# -- an asynchronous application


def test_async_answers_at_once_and_calls_back(async_vodacom: VodacomCaller, product: Product) -> None:
    own_id = new_id()
    reply = async_vodacom.pay(own_id)
    assert code(reply) == (201, "INS-0")
    assert "output_TransactionID" not in reply.json
    async_vodacom.box.answers(MPESA)
    [news] = until(lambda: told(product))
    assert news == {
        "input_OriginalConversationID": reply.json["output_ConversationID"],
        "input_TransactionID": async_vodacom.box.entry("vodacom", own_id)["provider_txn_id"],
        "input_ResultCode": "INS-0",
        "input_ResultDesc": "Request processed successfully",
        "input_ThirdPartyConversationID": own_id,
    }


def test_async_tells_a_failure_too(async_vodacom: VodacomCaller, product: Product) -> None:
    async_vodacom.pay(new_id())
    async_vodacom.box.answers(MPESA, None)
    [news] = until(lambda: told(product))
    assert (news["input_ResultCode"], news["input_TransactionID"]) == ("INS-5", "N/A")


def test_async_callbacks_are_repeated(async_vodacom: VodacomCaller, product: Product) -> None:
    product.answer = lambda _letter: (503 if len(product.at(HOOK)) < 2 else 200, "")
    async_vodacom.pay(new_id())
    async_vodacom.box.answers(MPESA)
    until(lambda: len(told(product)) == 3)


@pytest.mark.parametrize(("fault", "count"), [("lost_callback", 0), ("duplicate_callback", 2)])
def test_callback_faults(async_vodacom: VodacomCaller, product: Product, fault: str, count: int) -> None:
    box = async_vodacom.box
    box.fault("vodacom", fault)
    for _ in range(2):  # the second payment has no fault: its one callback ends the wait
        async_vodacom.pay(new_id(), input_Amount="500")
        box.answers(MPESA)
    until(lambda: len(told(product)) == count + 1)


def test_fault_callback_before_answer(async_vodacom: VodacomCaller, product: Product) -> None:
    box = async_vodacom.box
    box.fault("vodacom", "callback_before_answer")
    call = box.later(lambda: async_vodacom.pay(new_id()))
    box.answers(MPESA)
    reply = call.result(20)
    assert code(reply) == (201, "INS-0")
    assert [news["input_ResultCode"] for news in told(product)] == ["INS-0"]


def test_fault_late_success(async_vodacom: VodacomCaller, product: Product) -> None:
    box, own_id = async_vodacom.box, new_id()
    box.fault("vodacom", "late_success", seconds=0.05)
    async_vodacom.pay(own_id)
    assert box.answers(MPESA) == "paid"
    until(lambda: told(product) and told(product)[-1]["input_ResultCode"] == "INS-0")
    assert box.entry("vodacom", own_id)["state"] == "paid"
    assert box.balance(MPESA) == "7500"


# -- faults of the answer


def test_fault_late_success_for_an_open_call(vodacom: VodacomCaller, box: Box) -> None:
    own_id = new_id()
    box.fault("vodacom", "late_success", seconds=60)
    call = box.later(lambda: vodacom.pay(own_id))
    box.answers(MPESA)
    assert code(call.result(20)) == (408, "INS-9")
    assert vodacom.query(own_id).json["output_ResponseTransactionStatus"] == "Expired"
    box.clock.ahead = 61
    box.post("phones", {"phone": "+243810000099"})
    until(lambda: vodacom.query(own_id).status_code == 200 and box.entry("vodacom", own_id)["state"] == "paid")
    assert vodacom.query(own_id).json["output_ResponseTransactionStatus"] == "Completed"


@pytest.mark.parametrize(
    ("fault", "expected"), [("error_before_accept", (500, "INS-1")), ("overloaded", (503, "INS-16"))]
)
def test_faults_before_anything_is_taken_on(
    vodacom: VodacomCaller, box: Box, fault: str, expected: tuple[int, str]
) -> None:
    box.fault("vodacom", fault)
    own_id = new_id()
    assert code(vodacom.pay(own_id)) == expected
    assert code(vodacom.query(own_id)) == (400, "INS-18")
    call = box.later(lambda: vodacom.pay(own_id))  # the same id is free
    box.answers(MPESA)
    assert code(call.result(20)) == (201, "INS-0")


@pytest.mark.parametrize(("fault", "status"), [("error_after_accept", 500), ("lost_answer", 502)])
def test_faults_that_hide_an_accepted_payment(vodacom: VodacomCaller, box: Box, fault: str, status: int) -> None:
    box.fault("vodacom", fault)
    own_id = new_id()
    assert vodacom.pay(own_id).status_code == status
    box.answers(MPESA)
    assert vodacom.query(own_id).json["output_ResponseTransactionStatus"] == "Completed"


def test_fault_lost_answer_after_the_pin(vodacom: VodacomCaller, box: Box) -> None:
    box.fault("vodacom", "lost_answer", when="final")
    call = box.later(lambda: vodacom.pay(new_id()))
    box.answers(MPESA)
    assert call.result(20).status_code == 502


def test_fault_lost_answer_of_a_query(vodacom: VodacomCaller, box: Box) -> None:
    box.fault("vodacom", "lost_answer", operation="query")
    assert vodacom.query("anything").status_code == 502
    assert code(vodacom.query("anything")) == (400, "INS-18")


def test_fault_slow(vodacom: VodacomCaller, box: Box) -> None:
    box.fault("vodacom", "slow", seconds=30)
    own_id = new_id()
    call = box.later(lambda: vodacom.pay(own_id))
    box.answers(MPESA)
    assert box.entry("vodacom", own_id)["state"] == "paid"
    assert not call.done()


@pytest.mark.parametrize("params", [{}, {"code": "INS-2002"}])
def test_fault_refused(vodacom: VodacomCaller, box: Box, params: dict[str, str]) -> None:
    box.fault("vodacom", "refused", **params)
    assert code(vodacom.pay(new_id())) == (400, params.get("code", "INS-990"))


def test_fault_no_funds_and_wrong_amount(vodacom: VodacomCaller, box: Box) -> None:
    box.fault("vodacom", "no_funds")
    call = box.later(lambda: vodacom.pay(new_id()))
    assert box.answers(MPESA) == "no_funds"
    assert code(call.result(20)) == (422, "INS-2006")
    box.fault("vodacom", "wrong_amount", amount=5000)
    call = box.later(lambda: vodacom.pay(new_id()))
    box.answers(MPESA)
    assert code(call.result(20)) == (201, "INS-0")
    assert (box.balance(MPESA), box.get("wallets/vodacom/ledger")["total_paid"]) == ("15000", {"CDF": "5000"})


def test_fault_never_final(open_box: Callable[..., Box]) -> None:
    caller = VodacomCaller(open_box(prompt_lifetime_s=0.05))
    caller.log_in()
    caller.box.fault("vodacom", "never_final")
    own_id = new_id()
    assert code(caller.pay(own_id)) == (408, "INS-9")
    assert caller.query(own_id).json["output_ResponseTransactionStatus"] == "Pending"


def test_fault_expired_session(vodacom: VodacomCaller, box: Box) -> None:
    box.fault("vodacom", "expired_session")
    own_id = new_id()
    assert vodacom.pay(own_id).json == {"output_error": "Session id has expired"}
    assert vodacom.pay(own_id).status_code == 401  # that session stays dead
    vodacom.log_in()
    assert code(vodacom.query(own_id)) == (400, "INS-18")


def test_fault_not_indexed(vodacom: VodacomCaller, box: Box) -> None:
    box.fault("vodacom", "not_indexed")
    assert code(vodacom.query("anything")) == (400, "INS-23")


def test_a_closing_box_lets_waiting_calls_go(open_box: Callable[..., Box]) -> None:
    box = open_box()
    caller = VodacomCaller(box)
    caller.log_in()
    call = box.later(lambda: caller.pay(new_id()))
    box.prompt(MPESA)
    box.close()
    assert call.result(20).status_code in (408, 500)
