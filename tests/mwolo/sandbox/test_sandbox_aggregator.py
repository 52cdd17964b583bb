"""Africa's Talking in the box: calls, texts, reports, and each way they can fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from mwolo.sandbox.calls import fitted
from tests.mwolo.sandbox.box_rig import MPESA, ORANGE, Box, Product, until

TURN, END = "/ussd", "/ussd/end"
DELIVERY, INBOUND = "/sms/delivery", "/sms/inbound"


def menu(text: str) -> Callable[[Any], tuple[int, str]]:
    """A product that answers every turn alike, and everything else with an empty 200."""
    return lambda letter: (200, text if letter.path == TURN else "")


def texts_of(product: Product) -> list[str]:
    return [letter.form["text"] for letter in product.at(TURN)]


def send(
    box: Box, to: str = MPESA, message: str = "Recu 5000 FC", key: str | None = None, **fields: str
) -> TestResponse:
    form = {"username": "sandbox", "to": to, "message": message, "from": "MWOLO", **fields}
    headers = {"apiKey": key or box.config.at_api_key, "Accept": "application/json"}
    return box.app.test_client().post("/africastalking/version1/messaging", data=form, headers=headers)


# -- calls


def test_a_call_from_dial_to_end(box: Box, product: Product) -> None:
    answers = {"": "CON Solde 28 500 FC\n1. Payer", "1": "CON Confirmer?", "1*1": "END Merci"}
    product.answer = lambda letter: (200, answers.get(letter.form["text"], "") if letter.path == TURN else "")
    first = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    assert (first["text"], first["ended"], first["error"]) == ("Solde 28 500 FC\n1. Payer", False, None)
    assert box.post(f"ussd/{MPESA}/reply", {"input": "1"})["text"] == "Confirmer?"
    last = box.post(f"ussd/{MPESA}/reply", {"input": "1"})
    assert (last["text"], last["ended"]) == ("Merci", True)
    assert product.at(TURN)[0].form == {
        "sessionId": first["session"],
        "phoneNumber": MPESA,
        "networkCode": "63001",
        "serviceCode": "*123#",
        "text": "",
    }
    assert texts_of(product) == ["", "1", "1*1"]
    [end] = until(lambda: product.at(END))
    told = end.form
    assert set(told) == {
        "date",
        "sessionId",
        "serviceCode",
        "networkCode",
        "phoneNumber",
        "status",
        "cost",
        "durationInMillis",
        "hopsCount",
        "input",
        "lastAppResponse",
    }
    assert (told["status"], told["hopsCount"], told["input"]) == ("Success", "3", "1*1")
    assert (told["lastAppResponse"], told["sessionId"]) == ("END Merci", first["session"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told["date"])
    box.post(f"ussd/{MPESA}/reply", {"input": "1"}, status=409)


@pytest.mark.parametrize(
    ("code", "text"), [("*123*7#", "7"), ("*123*8*5000#", "8*5000"), ("*123#", ""), (" *123# ", "")]
)
def test_a_dial_may_carry_input(box: Box, product: Product, code: str, text: str) -> None:
    product.answer = menu("CON Menu")
    box.post(f"ussd/{MPESA}/dial", {"code": code})
    box.post(f"ussd/{MPESA}/reply", {"input": "1"})
    assert texts_of(product) == [text, f"{text}*1" if text else "1"]


def test_another_services_code(box: Box, product: Product) -> None:
    reply = box.post(f"ussd/{MPESA}/dial", {"code": "*1234#"})
    assert (reply["ended"], reply["error"]) == (True, "No service answers '*1234#'; dial *123#.")
    assert product.letters == []


def test_replies_with_stars_and_nothing_in_them(box: Box, product: Product) -> None:
    product.answer = menu("CON Menu")
    box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    for typed in ("12*34", "", "5"):
        box.post(f"ussd/{MPESA}/reply", {"input": typed})
    assert texts_of(product) == ["", "12*34", "12*34*", "12*34**5"]


def test_hanging_up_and_dialling_again(box: Box, product: Product) -> None:
    product.answer = menu("CON Menu")
    first = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    second = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    assert first["session"] != second["session"]
    [end] = until(lambda: product.at(END))
    assert (end.form["sessionId"], end.form["status"]) == (first["session"], "Incomplete")
    box.post(f"ussd/{MPESA}/hangup", {})
    until(lambda: len(product.at(END)) == 2)
    box.post(f"ussd/{MPESA}/hangup", {})  # nothing to hang up is no error
    box.post(f"ussd/{MPESA}/reply", {"input": "1"}, status=409)


def test_the_network_closes_a_silent_call(open_box: Callable[..., Box], product: Product) -> None:
    product.answer = menu("CON Menu")
    box = open_box(ussd_session_s=0.05)
    box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    [end] = until(lambda: product.at(END))
    assert end.form["status"] == "Incomplete"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, "Hello"), "Response should start with a CON or an END"),
        ((200, " CON Hello"), "Response should start with a CON or an END"),
        ((200, ""), "Response should start with a CON or an END"),
        ((404, "CON Hello"), "HTTP 404"),
        ((302, "CON Hello"), "HTTP 302"),
        ((500, "boom"), "HTTP 500"),
    ],
)
def test_a_bad_answer_closes_the_call(box: Box, product: Product, answer: tuple[int, str], why: str) -> None:
    product.answer = lambda letter: answer if letter.path == TURN else (200, "")
    reply = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    assert (reply["ended"], reply["error"]) == (True, f"The network closed the call: {why}.")
    [end] = until(lambda: product.at(END))
    assert (end.form["status"], end.form["errorMessage"]) == ("Failed", why)


def test_a_product_that_is_away(open_box: Callable[..., Box]) -> None:
    box = open_box(ussd_url="http://127.0.0.1:9/ussd", ussd_end_url="")
    reply = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    assert reply["ended"]
    assert reply["error"].startswith("The network closed the call")


def test_an_unknown_phone_may_dial(box: Box, product: Product) -> None:
    product.answer = menu("END Bonjour")
    assert box.post("ussd/%2B243990001234/dial", {"code": "*123#"})["text"] == "Bonjour"
    assert box.post("ussd/ 243990001235/dial", {"code": "*123#"})["text"] == "Bonjour"
    rows = {row["phone"]: row for row in box.get("phones")}
    assert (rows["+243990001234"]["kind"], rows["+243990001235"]["brand"]) == ("stranger", "airtel")


def test_a_screen_that_is_too_long_is_cut_and_said_so() -> None:
    assert fitted("a" * 182) == ("a" * 182, None)
    text, complaint = fitted("a" * 183)
    assert (len(text), complaint) == (182, "The screen has 183 septets, 182 fit.")
    assert fitted("ê" * 80)[1] is None
    assert fitted("ê" * 81)[1] is not None


@pytest.mark.parametrize("together", [False, True])
def test_fault_ussd_duplicate(box: Box, product: Product, together: bool) -> None:
    box.fault("africastalking", "ussd_duplicate", times=1, together=together)
    product.answer = menu("CON Menu")
    assert box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})["error"] is None
    assert len(product.at(TURN)) == 2
    assert product.at(TURN)[0].body == product.at(TURN)[1].body
    box.post(f"ussd/{MPESA}/reply", {"input": "1"})
    assert len(product.at(TURN)) == 3


def test_fault_ussd_duplicate_shows_different_answers(box: Box, product: Product) -> None:
    box.fault("africastalking", "ussd_duplicate")
    product.answer = lambda letter: (200, f"CON {len(product.at(TURN))}" if letter.path == TURN else "")
    reply = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    assert (reply["text"], reply["error"]) == ("0", "The same request was answered differently: 'CON 1'")


def test_fault_ussd_no_end(box: Box, product: Product) -> None:
    box.fault("africastalking", "ussd_no_end")
    product.answer = menu("END Merci")
    silent = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    told = box.post(f"ussd/{MPESA}/dial", {"code": "*123#"})
    [end] = until(lambda: product.at(END))
    assert (end.form["sessionId"], silent["ended"]) == (told["session"], True)


# -- texts


def test_a_text_arrives_and_is_reported(box: Box, product: Product) -> None:
    reply = send(box)
    assert (reply.status_code, reply.headers["Content-Type"]) == (201, "application/json")
    data = reply.json["SMSMessageData"]
    assert data["Message"] == "Sent to 1/1 Total Cost: KES 0.8000"
    [one] = data["Recipients"]
    assert (one["statusCode"], one["status"], one["number"], one["cost"]) == (101, "Success", MPESA, "KES 0.8000")
    [text] = box.get(f"sms?phone={MPESA}")
    assert (text["from"], text["to"], text["text"], text["segments"]) == ("MWOLO", MPESA, "Recu 5000 FC", 1)
    [report] = until(lambda: product.at(DELIVERY))
    assert report.form == {
        "id": one["messageId"],
        "status": "Success",
        "phoneNumber": MPESA,
        "networkCode": "63001",
        "retryCount": "0",
    }
    until(lambda: box.get(f"sms?phone={MPESA}")[0]["status"] == "Success")
    assert box.get(f"sms?phone={MPESA}&after={text['id']}") == []
    assert box.get(f"sms?phone={ORANGE}") == []


def test_several_recipients_one_of_them_bad(box: Box) -> None:
    data = send(box, to=f"{MPESA},0810000001,{ORANGE}").json["SMSMessageData"]
    assert [one["statusCode"] for one in data["Recipients"]] == [101, 403, 101]
    assert (data["Recipients"][1]["messageId"], data["Recipients"][1]["cost"]) == ("None", "0")
    assert len(box.get("sms")) == 2


def test_a_wrong_key_or_user(box: Box) -> None:
    for reply in (send(box, key="other"), send(box, username="other")):
        assert (reply.status_code, reply.text) == (401, "The supplied authentication is invalid")
    assert box.get("sms") == []


def test_whole_requests_are_refused_with_nobody_in_them(box: Box) -> None:
    data = send(box, **{"from": "MUCH TOO LONG A NAME"}).json["SMSMessageData"]
    assert data == {"Message": "InvalidSenderId", "Recipients": []}
    box.fault("africastalking", "sms_refused", code="InsufficientBalance")
    assert send(box).json["SMSMessageData"] == {"Message": "InsufficientBalance", "Recipients": []}
    assert send(box, message="").status_code == 400


def test_fault_sms_refused(box: Box) -> None:
    box.fault("africastalking", "sms_refused", code=406)
    [one] = send(box).json["SMSMessageData"]["Recipients"]
    assert (one["statusCode"], one["status"], one["messageId"]) == (406, "UserInBlacklist", "None")
    assert box.get("sms") == []


def test_fault_sms_slow(box: Box) -> None:
    box.fault("africastalking", "sms_slow", seconds=30)
    call = box.later(lambda: send(box))
    until(lambda: box.get(f"sms?phone={MPESA}"))
    assert not call.done()


def test_fault_sms_lost_answer(box: Box, product: Product) -> None:
    box.fault("africastalking", "sms_lost_answer")
    assert send(box).status_code == 502
    assert len(box.get(f"sms?phone={MPESA}")) == 1
    until(lambda: product.at(DELIVERY))


def test_fault_delivery_lost(box: Box, product: Product) -> None:
    box.fault("africastalking", "delivery_lost", phone=MPESA)
    send(box, MPESA)
    send(box, ORANGE)
    [report] = until(lambda: product.at(DELIVERY))
    assert report.form["phoneNumber"] == ORANGE


def test_fault_delivery_failed(box: Box, product: Product) -> None:
    box.fault("africastalking", "delivery_failed", reason="UserInBlackList")
    send(box)
    [report] = until(lambda: product.at(DELIVERY))
    assert (report.form["status"], report.form["failureReason"]) == ("Failed", "UserInBlackList")
    until(lambda: box.get(f"sms?phone={MPESA}") == [])
    assert box.get("sms")[0]["status"] == "Failed"


def test_fault_delivery_before_answer(box: Box, product: Product) -> None:
    box.fault("africastalking", "delivery_before_answer")
    [one] = send(box).json["SMSMessageData"]["Recipients"]
    assert [letter.form["id"] for letter in product.at(DELIVERY)] == [one["messageId"]]


def test_a_text_from_a_phone_is_handed_in_until_taken(box: Box, product: Product) -> None:
    product.answer = lambda _letter: (500 if len(product.at(INBOUND)) < 2 else 200, "")
    sent = box.post("sms", {"from": MPESA, "text": "SOLDE"})
    until(lambda: len(product.at(INBOUND)) == 3)
    forms = [letter.form for letter in product.at(INBOUND)]
    assert forms[0] == forms[2]
    assert (forms[0]["id"], forms[0]["from"], forms[0]["text"], forms[0]["to"]) == (sent["id"], MPESA, "SOLDE", "123")


def test_a_text_from_a_phone_comes_twice_under_one_id_or_two(box: Box, product: Product) -> None:
    box.fault("africastalking", "inbound_duplicate")
    box.post("sms", {"phone": MPESA, "text": "PAYER 5000"})
    until(lambda: len(product.at(INBOUND)) == 2)
    box.fault("africastalking", "inbound_new_id")
    box.post("sms", {"phone": MPESA, "text": "PAYER 6000"})
    until(lambda: len(product.at(INBOUND)) == 4)
    ids: dict[str, set[str]] = {}
    for letter in product.at(INBOUND):
        ids.setdefault(letter.form["text"], set()).add(letter.form["id"])
    assert (len(ids["PAYER 5000"]), len(ids["PAYER 6000"])) == (1, 2)


def test_a_text_from_a_phone_lay_at_the_operator(box: Box, product: Product) -> None:
    box.post("sms", {"phone": MPESA, "text": "one"})
    [now] = until(lambda: product.at(INBOUND))
    box.fault("africastalking", "inbound_late", seconds=7200)
    box.post("sms", {"phone": MPESA, "text": "two"})
    until(lambda: len(product.at(INBOUND)) == 2)
    late = next(letter for letter in product.at(INBOUND) if letter.form["text"] == "two")
    sent = [datetime.fromisoformat(letter.form["date"]) for letter in (late, now)]
    assert sent[1] - sent[0] > timedelta(seconds=7000)


def test_a_text_needs_a_phone_and_words(box: Box) -> None:
    for said in ({"phone": MPESA}, {"text": "SOLDE"}, {"phone": "nobody", "text": "SOLDE"}):
        box.post("sms", said, status=400)
