"""pawaPay in the box: its protocol, its signed callbacks, and each way it can fail."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.wallets.http_signatures import NotAuthentic, SignedRequest, load_key, verify
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, ORANGE, Box, Letter, PawapayCaller, Product, until

HOOK = "/hooks/pawapay"


def told(letter: Letter) -> dict[str, Any]:
    return json.loads(letter.body)


def states(product: Product) -> list[str]:
    return [told(letter)["status"] for letter in product.at(HOOK)]


def paid(pawapay: PawapayCaller, phone: str = AIRTEL, pin: str | None = "1234") -> str:
    """A deposit whose payer has answered."""
    deposit_id = str(uuid.uuid4())
    assert pawapay.deposit(deposit_id, phone).json["status"] == "ACCEPTED"
    pawapay.box.answers(phone, pin)
    return deposit_id


def is_authentic(letter: Letter, pawapay: PawapayCaller) -> bool:
    """As the product's own verifier sees it."""
    found = {row["id"]: load_key(row["key"]) for row in pawapay.get("public-key/http").json}
    headers = {name.lower(): value for name, value in letter.headers.items()}
    asked = SignedRequest("POST", letter.authority, letter.path, headers, letter.body, datetime.now(UTC))
    try:
        verify(asked, found.get, label="sig-pp", window_s=60)
    except NotAuthentic:
        return False
    return True


def test_a_deposit_asks_for_the_pin_and_debits_once(pawapay: PawapayCaller, box: Box, product: Product) -> None:
    deposit_id = str(uuid.uuid4())
    answer = pawapay.deposit(deposit_id, AIRTEL).json
    assert (answer["status"], answer["depositId"]) == ("ACCEPTED", deposit_id)
    assert pawapay.status(deposit_id)["data"]["status"] == "PROCESSING"
    prompt = box.prompt(AIRTEL)
    assert (prompt["amount"], prompt["currency"], prompt["brand_name"]) == ("12500", "CDF", "Airtel Money")
    assert box.answers(AIRTEL) == "paid"
    data = pawapay.status(deposit_id)["data"]
    assert (data["status"], data["amount"], data["country"]) == ("COMPLETED", "12500", "COD")
    assert data["clientReferenceId"] == "E0000000000000000001"
    [letter] = until(lambda: product.at(HOOK))
    assert told(letter) == data
    assert box.balance(AIRTEL) == "7500"
    assert box.get("wallets/pawapay/ledger")["total_paid"] == {"CDF": "12500"}


def test_the_same_id_again_is_ignored(pawapay: PawapayCaller, box: Box) -> None:
    deposit_id = paid(pawapay)
    assert pawapay.deposit(deposit_id, AIRTEL).json["status"] == "DUPLICATE_IGNORED"
    entry = box.entry("pawapay", deposit_id)
    assert (entry["state"], entry["prompts"]) == ("paid", 1)
    asked = [r for r in box.get("wallets/pawapay/ledger")["requests"] if r["operation"] == "deposit"]
    assert [r["answer"] for r in asked] == ["ACCEPTED", "DUPLICATE_IGNORED"]


@pytest.mark.parametrize("shape", ["der", "raw"])
def test_callbacks_are_signed(shape: str, open_box: Callable[..., Box], product: Product) -> None:
    pawapay = PawapayCaller(open_box(pawapay_signature=shape))
    paid(pawapay)
    [letter] = until(lambda: product.at(HOOK))
    assert is_authentic(letter, pawapay)


def test_a_signature_can_be_made_bad(pawapay: PawapayCaller, box: Box, product: Product) -> None:
    box.fault("pawapay", "bad_signature")
    paid(pawapay)
    [letter] = until(lambda: product.at(HOOK))
    assert not is_authentic(letter, pawapay)


def test_a_callback_is_repeated_until_exactly_200(pawapay: PawapayCaller, product: Product) -> None:
    product.answer = lambda _letter: ((500, ""), (201, ""), (200, ""))[min(len(product.at(HOOK)), 2)]
    paid(pawapay)
    until(lambda: len(product.at(HOOK)) == 3)
    assert {letter.body for letter in product.at(HOOK)} == {product.at(HOOK)[0].body}


@pytest.mark.parametrize(
    ("pin", "reason"), [(None, "PAYMENT_NOT_APPROVED"), ("1234", "INSUFFICIENT_BALANCE")], ids=["declined", "poor"]
)
def test_a_payer_who_does_not_pay(pawapay: PawapayCaller, box: Box, pin: str | None, reason: str) -> None:
    deposit_id = str(uuid.uuid4())
    pawapay.deposit(deposit_id, AIRTEL, amount="25000")
    assert box.answers(AIRTEL, pin) == ("declined" if pin is None else "no_funds")
    data = pawapay.status(deposit_id)["data"]
    assert (data["status"], data["failureReason"]["failureCode"]) == ("FAILED", reason)
    assert box.balance(AIRTEL) == "20000"


def test_three_wrong_pins_end_it(pawapay: PawapayCaller, box: Box) -> None:
    deposit_id = str(uuid.uuid4())
    pawapay.deposit(deposit_id, AIRTEL)
    assert [box.answers(AIRTEL, "0000") for _ in range(3)] == ["wrong_pin"] * 3
    assert box.entry("pawapay", deposit_id)["reason"] == "wrong_pin"
    box.post(f"prompts/{AIRTEL}", {"pin": "1234"}, status=404)


def test_a_prompt_expires(open_box: Callable[..., Box]) -> None:
    pawapay = PawapayCaller(open_box(prompt_lifetime_s=0.05))
    deposit_id = str(uuid.uuid4())
    pawapay.deposit(deposit_id, AIRTEL)
    until(lambda: pawapay.status(deposit_id)["data"]["status"] == "FAILED")
    assert pawapay.box.entry("pawapay", deposit_id)["state"] == "expired"
    assert pawapay.box.get(f"prompts?phone={AIRTEL}") == []


def test_a_phone_has_room_for_one_prompt(pawapay: PawapayCaller, box: Box) -> None:
    pawapay.deposit(None, AIRTEL)
    second = str(uuid.uuid4())
    assert pawapay.deposit(second, AIRTEL).json["status"] == "ACCEPTED"
    assert pawapay.status(second)["data"]["failureReason"]["failureCode"] == "PAYMENT_IN_PROGRESS"
    assert box.entry("pawapay", second)["prompts"] == 0


def test_a_phone_in_a_call_gets_no_prompt(pawapay: PawapayCaller, box: Box, product: Product) -> None:
    product.answer = lambda _letter: (200, "CON 1. Payer")
    box.post(f"ussd/{AIRTEL}/dial", {"code": "*123#"})
    during, after = str(uuid.uuid4()), str(uuid.uuid4())
    pawapay.deposit(during, AIRTEL)
    assert box.entry("pawapay", during)["reason"] == "busy"
    box.post(f"ussd/{AIRTEL}/hangup", {})
    pawapay.deposit(after, AIRTEL)
    assert box.entry("pawapay", after)["prompts"] == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": None}, "MISSING_PARAMETER"),
        ({"amount": "007"}, "INVALID_AMOUNT"),
        ({"amount": "10.50"}, "INVALID_AMOUNT"),
        ({"amount": 12500}, "INVALID_AMOUNT"),
        ({"amount": "1"}, "AMOUNT_OUT_OF_BOUNDS"),
        ({"currency": "EUR"}, "INVALID_CURRENCY"),
        ({"depositId": "abc"}, "INVALID_PARAMETER"),
        ({"customerMessage": "too long to be shown on a phone"}, "INVALID_PARAMETER"),
        ({"surprise": 1}, "UNSUPPORTED_PARAMETER"),
        ({"metadata": [{"a": "1"}, {"a": "2"}]}, "DUPLICATE_METADATA_FIELD"),
        ({"payer": {"type": "MMO", "accountDetails": {"phoneNumber": "1", "provider": "X"}}}, "INVALID_PROVIDER"),
        (
            {"payer": {"type": "MMO", "accountDetails": {"phoneNumber": "0970000002", "provider": "AIRTEL_COD"}}},
            "INVALID_PHONE_NUMBER",
        ),
    ],
)
def test_a_bad_deposit_is_rejected_and_not_kept(
    pawapay: PawapayCaller, box: Box, change: dict[str, Any], code: str
) -> None:
    reply = pawapay.deposit(**change)
    assert (reply.status_code, reply.json["status"], reply.json["failureReason"]["failureCode"]) == (
        200,
        "REJECTED",
        code,
    )
    assert box.get("wallets/pawapay/ledger")["entries"] == []


def test_tokens_are_checked(box: Box) -> None:
    client = box.app.test_client()
    assert client.get("/pawapay/v2/active-conf").json["failureReason"]["failureCode"] == "NO_AUTHENTICATION"
    wrong = client.get("/pawapay/v2/active-conf", headers={"Authorization": "Bearer other"})
    assert (wrong.status_code, wrong.json["failureReason"]["failureCode"]) == (401, "AUTHENTICATION_ERROR")
    assert client.get("/pawapay/v2/availability").status_code == 200


def test_unknown_things(pawapay: PawapayCaller) -> None:
    assert pawapay.status(str(uuid.uuid4())) == {"status": "NOT_FOUND"}
    reply = pawapay.post(f"deposits/resend-callback/{uuid.uuid4()}").json
    assert reply["failureReason"]["failureCode"] == "NOT_FOUND"
    nobody = str(uuid.uuid4())
    assert pawapay.deposit(nobody, "+243970009999").json["status"] == "ACCEPTED"
    assert pawapay.status(nobody)["data"]["failureReason"]["failureCode"] == "PAYER_NOT_FOUND"


def test_the_toolkit(pawapay: PawapayCaller) -> None:
    [country] = pawapay.get("active-conf").json["countries"]
    assert [p["provider"] for p in country["providers"]] == ["VODACOM_MPESA_COD", "AIRTEL_COD", "ORANGE_COD"]
    cdf = country["providers"][0]["currencies"][0]
    assert (cdf["currency"], cdf["operationTypes"]["DEPOSIT"]["decimalsInAmount"]) == ("CDF", "NONE")
    guessed = pawapay.post("predict-provider", {"phoneNumber": "+243 89 000 0003"}).json
    assert guessed == {"country": "COD", "provider": "ORANGE_COD", "phoneNumber": ORANGE[1:]}
    assert pawapay.post("predict-provider", {"phoneNumber": "12"}).status_code == 400


def test_a_callback_can_be_asked_for_again(pawapay: PawapayCaller, product: Product) -> None:
    open_one = str(uuid.uuid4())
    pawapay.deposit(open_one, ORANGE)
    early = pawapay.post(f"deposits/resend-callback/{open_one}").json
    assert early["failureReason"]["failureCode"] == "INVALID_STATE"
    pawapay.box.answers(ORANGE)
    until(lambda: len(product.at(HOOK)) == 1)
    assert pawapay.post(f"deposits/resend-callback/{open_one}").json["status"] == "ACCEPTED"
    until(lambda: len(product.at(HOOK)) == 2)


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("243973456789", "COMPLETED", None),
        ("243813456039", "FAILED", "PAYMENT_NOT_APPROVED"),
        ("243893456029", "FAILED", "PAYER_NOT_FOUND"),
        ("243813456049", "FAILED", "INSUFFICIENT_BALANCE"),
        ("243813456069", "FAILED", "UNSPECIFIED_FAILURE"),
        ("243813456129", "PROCESSING", None),
    ],
)
def test_the_operators_own_test_numbers(pawapay: PawapayCaller, number: str, status: str, code: str | None) -> None:
    deposit_id = str(uuid.uuid4())
    pawapay.deposit(deposit_id, f"+{number}")
    data = pawapay.status(deposit_id)["data"]
    assert (data["status"], data.get("failureReason", {}).get("failureCode")) == (status, code)


# -- faults


def test_fault_slow(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "slow", seconds=30)
    call = box.later(lambda: pawapay.deposit(None, AIRTEL))
    assert box.answers(AIRTEL) == "paid"  # taken on, and the answer is still to come
    assert not call.done()


def test_fault_error_before_accept(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "error_before_accept")
    deposit_id = str(uuid.uuid4())
    reply = pawapay.deposit(deposit_id)
    assert (reply.status_code, reply.json["failureReason"]["failureCode"]) == (500, "UNKNOWN_ERROR")
    assert pawapay.status(deposit_id) == {"status": "NOT_FOUND"}
    assert pawapay.deposit(deposit_id).json["status"] == "ACCEPTED"


@pytest.mark.parametrize(("fault", "status"), [("error_after_accept", 500), ("lost_answer", 502)])
def test_faults_that_hide_an_accepted_deposit(pawapay: PawapayCaller, box: Box, fault: str, status: int) -> None:
    box.fault("pawapay", fault)
    deposit_id = str(uuid.uuid4())
    assert pawapay.deposit(deposit_id, AIRTEL).status_code == status
    assert box.answers(AIRTEL) == "paid"
    assert pawapay.status(deposit_id)["data"]["status"] == "COMPLETED"


def test_fault_lost_callback(pawapay: PawapayCaller, box: Box, product: Product) -> None:
    box.fault("pawapay", "lost_callback")
    lost = paid(pawapay)
    seen = paid(pawapay, ORANGE)
    until(lambda: product.at(HOOK))
    assert [told(letter)["depositId"] for letter in product.at(HOOK)] == [seen]
    assert pawapay.status(lost)["data"]["status"] == "COMPLETED"


def test_fault_duplicate_callback(pawapay: PawapayCaller, box: Box, product: Product) -> None:
    box.fault("pawapay", "duplicate_callback", copies=3)
    paid(pawapay)
    until(lambda: len(product.at(HOOK)) == 3)


def test_fault_callback_before_answer(pawapay: PawapayCaller, box: Box, product: Product) -> None:
    box.fault("pawapay", "callback_before_answer")
    call = box.later(lambda: pawapay.deposit(None, AIRTEL))
    box.answers(AIRTEL)
    assert call.result(20).json["status"] == "ACCEPTED"
    assert states(product) == ["COMPLETED"]


@pytest.mark.parametrize("typed", [True, False], ids=["pin typed at the last moment", "nobody answered"])
def test_fault_late_success(pawapay: PawapayCaller, box: Box, product: Product, typed: bool) -> None:
    box.fault("pawapay", "late_success", seconds=60, expire_after=30)
    deposit_id = str(uuid.uuid4())
    pawapay.deposit(deposit_id, AIRTEL)
    if typed:
        assert box.answers(AIRTEL) == "paid"
    else:
        box.clock.ahead += 31
        box.post("phones", {"phone": "+243970000099"})  # any change makes the box look at its clock
    until(lambda: states(product) == ["FAILED"])
    assert box.balance(AIRTEL) == "20000"
    box.clock.ahead += 61
    box.post("phones", {"phone": "+243970000098"})
    until(lambda: states(product) == ["FAILED", "COMPLETED"])
    assert (box.entry("pawapay", deposit_id)["state"], box.balance(AIRTEL)) == ("paid", "7500")


def test_fault_refused(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "refused")
    assert pawapay.deposit(None, AIRTEL).json["failureReason"]["failureCode"] == "AMOUNT_OUT_OF_BOUNDS"
    box.fault("pawapay", "refused", code="PAYER_LIMIT_REACHED")
    deposit_id = str(uuid.uuid4())
    assert pawapay.deposit(deposit_id, AIRTEL).json["status"] == "ACCEPTED"
    assert pawapay.status(deposit_id)["data"]["failureReason"]["failureCode"] == "PAYER_LIMIT_REACHED"


def test_fault_no_funds(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "no_funds")
    deposit_id = str(uuid.uuid4())
    pawapay.deposit(deposit_id, AIRTEL)
    assert box.answers(AIRTEL) == "no_funds"
    assert pawapay.status(deposit_id)["data"]["failureReason"]["failureCode"] == "INSUFFICIENT_BALANCE"


def test_fault_wrong_amount(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "wrong_amount")
    short = paid(pawapay)
    box.fault("pawapay", "wrong_amount", amount="13000")
    over = paid(pawapay, ORANGE)
    assert [pawapay.status(one)["data"]["amount"] for one in (short, over)] == ["12400", "13000"]
    assert (box.balance(AIRTEL), box.balance(ORANGE)) == ("7600", "7000")


def test_fault_overloaded(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "overloaded")
    deposit_id = str(uuid.uuid4())
    reply = pawapay.deposit(deposit_id, AIRTEL).json
    assert (reply["status"], reply["failureReason"]["failureCode"]) == ("REJECTED", "PROVIDER_TEMPORARILY_UNAVAILABLE")
    assert pawapay.deposit(deposit_id, AIRTEL).json["status"] == "ACCEPTED"


def test_fault_never_final(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "never_final")
    deposit_id = str(uuid.uuid4())
    assert pawapay.deposit(deposit_id, AIRTEL).json["status"] == "ACCEPTED"
    assert pawapay.status(deposit_id)["data"]["status"] == "PROCESSING"
    assert box.entry("pawapay", deposit_id)["prompts"] == 0


def test_a_fault_for_one_phone_leaves_the_others_alone(pawapay: PawapayCaller, box: Box) -> None:
    box.fault("pawapay", "error_before_accept", phone=ORANGE)
    assert pawapay.deposit(None, AIRTEL).status_code == 200
    assert pawapay.deposit(None, ORANGE).status_code == 500
    assert pawapay.deposit(None, MPESA).status_code == 200
