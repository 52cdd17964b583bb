"""Daraja in the box: its one token, STK push, query and callback, the bill number, and each way it can fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Product, until
from tests.mwolo.sandbox.daraja_rig import KENYA, DarajaCaller, items, refusing

CORE = "500.001.1001"


@pytest.fixture
def daraja(box: Box) -> DarajaCaller:
    caller = DarajaCaller(box)
    caller.log_in()
    return caller


def error(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.json["errorCode"]


# -- tokens


def test_a_new_token_ends_the_one_before(box: Box, daraja: DarajaCaller) -> None:
    old = daraja.token
    reply = daraja.log_in()
    assert (reply.status_code, reply.json["expires_in"]) == (200, "3599")
    fresh, daraja.token = daraja.token, old
    assert error(daraja.query("x")) == (404, "404.001.03")
    daraja.token = fresh
    assert error(daraja.query("x")) == (400, "400.002.02")
    box.clock.ahead = 3600
    assert error(daraja.query("x")) == (404, "404.001.03")


def test_bad_credentials(box: Box, daraja: DarajaCaller) -> None:
    wrong = daraja.log_in("somebody:else")
    assert (wrong.status_code, wrong.data) == (400, b"")
    assert error(daraja.log_in(grant_type="password")) == (400, "400.008.02")
    client = box.app.test_client()
    assert error(client.get("/daraja/oauth/v1/generate")) == (400, "400.008.01")
    nonsense = {"Authorization": "Basic nonsense!"}
    assert client.get("/daraja/oauth/v1/generate?grant_type=client_credentials", headers=nonsense).status_code == 400
    assert error(client.post("/daraja/mpesa/stkpush/v1/processrequest", json={})) == (404, "404.001.04")
    assert error(client.get("/daraja/mpesa/stkpush/v1/processrequest")) == (404, "404.001.04")


def test_it_answers_at_the_root_too(box: Box) -> None:
    caller = DarajaCaller(box, base="")
    assert caller.log_in().status_code == 200
    assert caller.pushed().startswith("ws_CO_")


# -- the push


def test_from_the_push_to_the_callback(box: Box, daraja: DarajaCaller) -> None:
    checkout = daraja.pushed()
    assert error(daraja.query(checkout)) == (500, CORE)
    assert daraja.query(checkout).json["errorMessage"] == "The transaction is being processed"
    prompt = box.prompt(KENYA)
    assert (prompt["amount"], prompt["currency"], "1234567897HJ" in prompt["text"]) == ("250", "KES", True)
    before = int(box.get("wallets/mpesa_ke/ledger")["total_paid"].get("KES", "0"))
    assert box.answers(KENYA) == "paid"
    [told] = until(daraja.callbacks)
    entry = box.entry("mpesa_ke", checkout)
    assert (told["CheckoutRequestID"], told["ResultCode"]) == (checkout, 0)
    assert items(told) == {
        "Amount": 250,
        "MpesaReceiptNumber": entry["provider_txn_id"],
        "Balance": None,
        "TransactionDate": items(told)["TransactionDate"],
        "PhoneNumber": 254712345678,
    }
    assert any("Value" not in item for item in told["CallbackMetadata"]["Item"])
    reply = daraja.query(checkout)
    assert (reply.status_code, reply.json["ResultCode"], "Amount" in reply.json) == (200, "0", False)
    assert int(box.get("wallets/mpesa_ke/ledger")["total_paid"]["KES"]) == before + 250


@pytest.mark.parametrize(
    ("pin", "change", "result"), [(None, {}, 1032), ("1234", {"Amount": 200_000}, 1)], ids=["declined", "poor"]
)
def test_a_payer_who_does_not_pay(
    box: Box, daraja: DarajaCaller, pin: str | None, change: dict[str, Any], result: int
) -> None:
    checkout = daraja.pushed(**change)
    box.answers(KENYA, pin)
    [told] = until(daraja.callbacks)
    assert (told["ResultCode"], "CallbackMetadata" in told) == (result, False)
    assert daraja.query(checkout).json["ResultCode"] == str(result)


def test_three_wrong_pins_and_a_prompt_nobody_answers(box: Box, daraja: DarajaCaller) -> None:
    checkout = daraja.pushed()
    assert [box.answers(KENYA, "0000") for _ in range(3)] == ["wrong_pin"] * 3
    assert daraja.query(checkout).json["ResultCode"] == "2001"
    box.clock.ahead = 200
    silent = daraja.pushed()
    box.clock.ahead = 400
    until(lambda: daraja.query(silent).status_code == 200)
    assert daraja.query(silent).json["ResultCode"] == "1037"


def test_nothing_stops_a_second_push_but_the_phone(box: Box, daraja: DarajaCaller) -> None:
    """No id of ours reaches Daraja: who posts twice is charged twice, unless the first prompt is still open."""
    first = daraja.pushed()
    locked = daraja.push()
    assert (error(locked), "Unable to lock subscriber" in locked.json["errorMessage"]) == ((500, CORE), True)
    box.answers(KENYA)
    second = daraja.pushed()
    box.answers(KENYA)
    assert first != second
    until(lambda: box.get("wallets/mpesa_ke/ledger")["total_paid"] == {"KES": "500"})
    until(daraja.callbacks)


def test_a_number_without_a_wallet(box: Box, daraja: DarajaCaller) -> None:
    box.post("seed", {"phones": [{"phone": "+254799999999", "brand": "airtel"}]})
    checkout = daraja.pushed("+254799999999")
    assert daraja.query(checkout).json["ResultCode"] == "SFC_IC0003"
    [told] = until(daraja.callbacks)
    assert told["ResultCode"] == "SFC_IC0003"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PhoneNumber": "243810000001"}, "PhoneNumber"),
        ({"PartyA": "+254712345678"}, "PartyA"),
        ({"Amount": "2.50"}, "Amount"),
        ({"Amount": 2.5}, "Amount"),
        ({"Amount": "0"}, "Amount"),
        ({"Amount": "250001"}, "Amount"),
        ({"PartyB": "x"}, "PartyB"),
        ({"CallBackURL": "ftp://pay.example"}, "CallBackURL"),
        ({"CallBackURL": "https://pay.example/mpesa"}, "CallBackURL"),
        ({"AccountReference": "1234567890123"}, "AccountReference"),
        ({"TransactionDesc": ""}, "Remarks"),
        ({"TransactionType": "PayBill"}, "TransactionType"),
    ],
)
def test_a_field_that_is_wrong_is_named(daraja: DarajaCaller, changes: dict[str, Any], named: str) -> None:
    reply = daraja.push(**changes)
    assert (error(reply), reply.json["errorMessage"]) == ((400, "400.002.02"), f"Bad Request - Invalid {named}")


def test_short_code_and_password_must_fit(daraja: DarajaCaller) -> None:
    assert daraja.push(BusinessShortCode="600000").json["errorMessage"] == "Merchant does not exist"
    wrong = daraja.push(Password="nonsense")
    assert (error(wrong), wrong.json["errorMessage"]) == ((500, CORE), "Wrong credentials")
    assert daraja.push(Timestamp="now").json["errorMessage"] == "Wrong credentials"


# -- faults of the push


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("error_before_accept", (500, "500.003.1001")),
        ("overloaded", (500, "500.003.02")),
        ("expired_token", (404, "404.001.03")),
    ],
)
def test_nothing_is_taken_on(box: Box, daraja: DarajaCaller, fault: str, answer: tuple[int, str]) -> None:
    box.fault("mpesa_ke", fault)
    assert error(daraja.push()) == answer
    assert box.get("wallets/mpesa_ke/ledger")["entries"] == []
    daraja.log_in()
    daraja.pushed()


def test_it_throttles(box: Box, daraja: DarajaCaller) -> None:
    box.fault("mpesa_ke", "throttled", times=2)
    reply = daraja.push()
    assert (reply.status_code, "SpikeArrest" in reply.text) == (429, True)
    assert daraja.query("x").status_code == 429


@pytest.mark.parametrize(("fault", "status"), [("error_after_accept", 500), ("lost_answer", 502)])
def test_it_is_taken_on_though_the_answer_says_otherwise(
    box: Box, daraja: DarajaCaller, fault: str, status: int
) -> None:
    box.fault("mpesa_ke", fault)
    assert daraja.push().status_code == status
    box.answers(KENYA)
    [told] = until(daraja.callbacks)
    assert told["ResultCode"] == 0


def test_lost_and_doubled_callbacks(box: Box, daraja: DarajaCaller) -> None:
    box.fault("mpesa_ke", "lost_callback")
    lost = daraja.pushed()
    nobody_heard = daraja.attempt
    box.answers(KENYA)
    box.fault("mpesa_ke", "duplicate_callback", copies=3)
    daraja.pushed()
    box.answers(KENYA)
    until(lambda: len(daraja.callbacks()) == 3)
    assert daraja.callbacks(nobody_heard) == []
    assert daraja.query(lost).json["ResultCode"] == "0"


def test_a_callback_that_is_not_taken_is_repeated(box: Box, daraja: DarajaCaller, product: Product) -> None:
    product.answer = lambda letter: (503, "")
    daraja.pushed()
    box.answers(KENYA)
    until(lambda: len(daraja.callbacks()) == 3)


def test_late_money_after_the_end(box: Box, daraja: DarajaCaller) -> None:
    box.fault("mpesa_ke", "late_success", seconds=0.01)
    checkout = daraja.pushed()
    box.answers(KENYA)
    until(lambda: box.entry("mpesa_ke", checkout)["state"] == "paid")
    until(lambda: [told["ResultCode"] for told in daraja.callbacks()][-1:] == [0])


def test_other_amounts_other_ends_and_no_end(box: Box, daraja: DarajaCaller) -> None:
    box.fault("mpesa_ke", "wrong_amount", amount=200)
    daraja.pushed()
    box.answers(KENYA)
    [told] = until(daraja.callbacks)
    assert items(told)["Amount"] == 200
    box.fault("mpesa_ke", "refused", code="17")
    assert daraja.query(daraja.pushed()).json["ResultCode"] == "17"
    box.fault("mpesa_ke", "never_final")
    assert daraja.query(daraja.pushed()).json["ResultCode"] == "4999"


def test_lies(box: Box, daraja: DarajaCaller, product: Product) -> None:
    box.fault("mpesa_ke", "forged_callback")
    box.fault("mpesa_ke", "unknown_reference")
    checkout = daraja.pushed()
    [told] = until(daraja.callbacks)
    assert (told["ResultCode"], told["CheckoutRequestID"]) == (0, checkout)
    assert error(daraja.query(checkout)) == (500, CORE)
    until(lambda: len(product.letters) == 2)
    stray = next(letter for letter in product.letters if not letter.path.endswith(daraja.attempt))
    assert json.loads(stray.body)["Body"]["stkCallback"]["CheckoutRequestID"] != checkout


def test_the_callback_comes_first(box: Box, daraja: DarajaCaller) -> None:
    box.fault("mpesa_ke", "callback_before_answer")
    call = box.later(daraja.push)
    box.answers(KENYA)
    reply = call.result(20)
    assert [told["CheckoutRequestID"] for told in daraja.callbacks()] == [reply.json["CheckoutRequestID"]]


def test_slow_cut_and_wrong_time(box: Box, daraja: DarajaCaller) -> None:
    box.fault("mpesa_ke", "slow", seconds=0.01, times=2)
    box.fault("mpesa_ke", "clock_skew", times=0, seconds=7200)
    checkout = daraja.pushed()
    assert error(daraja.query(checkout)) == (500, CORE)
    box.fault("mpesa_ke", "lost_answer", operation="query")
    assert daraja.query(checkout).status_code == 502
    box.answers(KENYA)
    [told] = until(daraja.callbacks)
    assert int(items(told)["TransactionDate"]) > int(daraja.signed()["Timestamp"])


# -- the bill number


def test_registering_addresses(box: Box, daraja: DarajaCaller) -> None:
    reply = daraja.register()
    assert (reply.json["ResponseCode"], "OriginatorCoversationID" in reply.json) == ("0", True)
    assert daraja.register("v1").status_code == 200
    box.fault("mpesa_ke", "refused", operation="register")
    again = daraja.register()
    assert (error(again), again.json["errorMessage"]) == ((500, "500.003.1001"), "Urls are already registered")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ShortCode": "600984"}, "ShortCode"),
        ({"ResponseType": "completed"}, "ResponseType"),
        ({"ConfirmationURL": "https://pay.example/SQL"}, "ConfirmationURL"),
        ({"ValidationURL": "pay.example"}, "ValidationURL"),
    ],
)
def test_a_registration_that_is_wrong(daraja: DarajaCaller, changes: dict[str, Any], named: str) -> None:
    assert daraja.register(**changes).json["errorMessage"] == f"Bad Request - Invalid {named}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_from_the_menu_to_the_confirmation(box: Box, daraja: DarajaCaller, product: Product, version: str) -> None:
    daraja.register(version)
    product.answer = refusing("0")
    assert daraja.simulate(BillRefNumber="123 456 789 7").json["ResponseCode"] == "0"
    [told] = until(daraja.notices)
    [asked] = daraja.notices("validate")
    payer = hashlib.sha256(KENYA[1:].encode()).hexdigest() if version == "v1" else "2547 ***** 678"
    assert (told["MSISDN"], told["TransAmount"], told["BillRefNumber"]) == (payer, "300.00", "123 456 789 7")
    assert (asked["TransID"], asked["OrgAccountBalance"]) == (told["TransID"], "")
    [moved] = box.get("wallets/mpesa_ke/ledger")["walk_ins"]
    assert (moved["provider_txn_id"], moved["amount"]) == (told["TransID"], "300")


def test_a_payment_that_the_product_refuses(box: Box, daraja: DarajaCaller, product: Product) -> None:
    daraja.register()
    product.answer = refusing("C2B00012")
    daraja.simulate()
    until(lambda: daraja.notices("validate"))
    refused = box.post("wallets/mpesa_ke/stray", {"phone": KENYA, "amount": 10, "reference": "x"}, 409)
    assert "C2B00012" in refused["error"]
    assert (box.get("wallets/mpesa_ke/ledger")["walk_ins"], daraja.notices()) == ([], [])


@pytest.mark.parametrize(("default", "paid"), [("Completed", 1), ("Cancelled", 0)])
def test_a_product_that_does_not_answer(
    box: Box, daraja: DarajaCaller, product: Product, default: str, paid: int
) -> None:
    daraja.register(ResponseType=default)
    product.answer = lambda letter: (200, "") if letter.path.endswith("confirm") else (503, "")
    box.post("wallets/mpesa_ke/stray", {"phone": KENYA, "amount": 10, "reference": "1234567897"}, 200 if paid else 409)
    assert len(box.get("wallets/mpesa_ke/ledger")["walk_ins"]) == paid


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ShortCode": "1"}, "ShortCode"),
        ({"CommandID": "Pay"}, "CommandID"),
        ({"Amount": "0"}, "Amount"),
        ({"Msisdn": MPESA[1:]}, "Msisdn"),
        ({"BillRefNumber": "1" * 21}, "BillRefNumber"),
    ],
)
def test_a_simulation_that_is_wrong(daraja: DarajaCaller, changes: dict[str, Any], named: str) -> None:
    assert daraja.simulate(**changes).json["errorMessage"] == f"Bad Request - Invalid {named}"


def test_a_push_to_a_registered_short_code_is_told_twice(box: Box, daraja: DarajaCaller) -> None:
    daraja.register()
    daraja.pushed()
    box.answers(KENYA)
    [callback], [notice] = until(daraja.callbacks), until(daraja.notices)
    assert notice["TransID"] == items(callback)["MpesaReceiptNumber"]
    assert (notice["BillRefNumber"], notice["TransAmount"]) == ("1234567897HJ", "250.00")
    assert daraja.notices("validate") == []


def test_confirmations_get_lost_and_doubled(box: Box, daraja: DarajaCaller) -> None:
    daraja.register()
    box.fault("mpesa_ke", "lost_callback", operation="confirm")
    daraja.pushed()
    box.answers(KENYA)
    until(daraja.callbacks)
    box.fault("mpesa_ke", "duplicate_callback", operation="confirm")
    daraja.pushed()
    box.answers(KENYA)
    until(daraja.callbacks)
    until(lambda: len(daraja.notices()) == 2)
    assert len({notice["TransID"] for notice in daraja.notices()}) == 1


def test_addresses_may_stand_in_the_settings(open_box: Callable[..., Box], product: Product) -> None:
    box = open_box(
        daraja_confirm_url=product.url("/hooks/daraja/confirm"),
        daraja_validate_url=product.url("/hooks/daraja/validate"),
    )
    caller = DarajaCaller(box)
    caller.log_in()
    caller.simulate()
    [told] = until(caller.notices)
    assert told["MSISDN"] == "2547 ***** 678"
    assert box.get("faults")["known"]["mpesa_ke"].count("expired_token") == 1
    assert "wrong_currency" not in box.get("faults")["known"]["mpesa_ke"]
    assert AIRTEL
