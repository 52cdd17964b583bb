"""A Daraja client that nobody here wrote (PyPI `mpesakit`) against the box, unchanged except for the host, and what it
makes of the notices that the box sends. It joins Daraja's paths to the host, so it calls the root of the port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from mpesakit.c2b.schemas import C2BConfirmationResponse, C2BValidationRequest, C2BValidationResponse
from mpesakit.errors import MpesaApiException
from mpesakit.mpesa_client import MpesaClient

from channels.wallets.operators.mpesa_ke import bill
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import Box, Product, until
from tests.mwolo.sandbox.daraja_rig import KENYA, DarajaCaller, refusing


@pytest.fixture
def address(box: Box) -> Iterator[str]:
    DarajaCaller(box)  # seeds the phone
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def mpesa(box: Box, address: str) -> MpesaClient:
    client = MpesaClient(
        consumer_key=box.config.daraja_consumer_key,
        consumer_secret=box.config.daraja_consumer_secret,
        environment="sandbox",
    )
    client.http_client.base_url = address
    return client


def push(mpesa: MpesaClient, box: Box, product: Product, attempt: str = "attempt-1"):  # type: ignore[no-untyped-def]
    return mpesa.express.push(
        business_short_code=int(box.config.daraja_short_code),
        passkey=box.config.daraja_passkey,
        transaction_type="CustomerPayBillOnline",
        amount=250,
        party_a=KENYA[1:],
        party_b=box.config.daraja_short_code,
        phone_number="0712 345 678",
        callback_url=product.url(f"/hooks/daraja/callback/{attempt}"),
        account_reference="1234567897HJ",
        transaction_desc="Facture",
    )


def test_from_its_push_to_its_reading_of_the_callback(mpesa: MpesaClient, box: Box, product: Product) -> None:
    answer = push(mpesa, box, product)
    assert answer.is_successful()
    with pytest.raises(MpesaApiException) as early:
        ask(mpesa, box, answer.CheckoutRequestID)
    assert early.value.error.raw_response["errorMessage"] == "The transaction is being processed"
    box.answers(KENYA)
    asked = ask(mpesa, box, answer.CheckoutRequestID)
    assert (asked.is_successful(), asked.ResultCode) == (True, "0")
    [letter] = until(lambda: product.at("/hooks/daraja/callback/attempt-1"))
    told = mpesa.process_stk_callback(json.loads(letter.body))
    entry = box.entry("mpesa_ke", answer.CheckoutRequestID)
    assert told.is_successful
    assert (told.amount, told.mpesa_receipt_number, told.phone_number, told.balance) == (
        250.0,
        entry["provider_txn_id"],
        KENYA[1:],
        None,
    )


def test_it_reads_a_payment_that_was_declined(mpesa: MpesaClient, box: Box, product: Product) -> None:
    answer = push(mpesa, box, product)
    box.answers(KENYA, None)
    [letter] = until(lambda: product.at("/hooks/daraja/callback/attempt-1"))
    told = mpesa.process_stk_callback(json.loads(letter.body))
    assert (told.is_successful, told.amount, told.Body.stkCallback.ResultCode) == (False, None, 1032)
    assert ask(mpesa, box, answer.CheckoutRequestID).ResultCode == "1032"


def test_it_hears_what_is_wrong(mpesa: MpesaClient, box: Box, product: Product, address: str) -> None:
    push(mpesa, box, product)
    with pytest.raises(MpesaApiException) as locked:
        push(mpesa, box, product)
    assert locked.value.error.raw_response["errorCode"] == "500.001.1001"
    stranger = MpesaClient(consumer_key="x", consumer_secret="y", environment="sandbox")
    stranger.http_client.base_url = address
    with pytest.raises(MpesaApiException) as unknown:
        push(stranger, box, product)
    assert unknown.value.error.error_code == "AUTH_INVALID_CREDENTIALS"


def test_its_token_is_ended_by_another_program(mpesa: MpesaClient, box: Box, product: Product) -> None:
    answer = push(mpesa, box, product)
    DarajaCaller(box).log_in()
    with pytest.raises(MpesaApiException) as ended:
        ask(mpesa, box, answer.CheckoutRequestID)
    assert ended.value.error.raw_response["errorCode"] == "404.001.03"
    mpesa.token_manager.get_token(force_refresh=True)
    box.answers(KENYA)
    assert ask(mpesa, box, answer.CheckoutRequestID).ResultCode == "0"


def test_its_registration_and_its_reading_of_the_notices(mpesa: MpesaClient, box: Box, product: Product) -> None:
    registered = mpesa.c2b.register_url(
        short_code=int(box.config.daraja_short_code),
        response_type="Completed",
        confirmation_url=product.url("/hooks/daraja/confirm"),
        validation_url=product.url("/hooks/daraja/validate"),
    )
    assert registered.is_successful()
    product.answer = refusing("0")
    box.post("wallets/mpesa_ke/stray", {"phone": KENYA, "amount": 300, "reference": "1234567897"})
    [letter] = until(lambda: product.at("/hooks/daraja/confirm"))
    [asked] = product.at("/hooks/daraja/validate")
    for body in (letter.body, asked.body):
        notice = C2BValidationRequest.model_validate(json.loads(body))
        assert (notice.TransAmount, notice.BillRefNumber, len(str(notice.MSISDN))) == (300.0, "1234567897", 64)


def test_what_we_answer_is_what_it_would_answer() -> None:
    for why in (None, "unknown_account", "amount_refused", "other"):
        C2BValidationResponse.model_validate(json.loads(bill.answer(why).body))
    C2BConfirmationResponse.model_validate(json.loads(bill.acknowledgement("confirm").body))


def ask(mpesa: MpesaClient, box: Box, checkout: str):  # type: ignore[no-untyped-def]
    return mpesa.express.query(
        business_short_code=int(box.config.daraja_short_code),
        passkey=box.config.daraja_passkey,
        checkout_request_id=checkout,
    )
