"""A client that nobody here wrote, pypesa, works against the box's Vodacom unchanged but for the address.

It speaks of the Tanzanian market in its own paths, so it is given the DRC's with the address.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pypesa.open_api import APIContext
from pypesa.vodacom import MPESA

from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import MPESA as PHONE
from tests.mwolo.sandbox.box_rig import Box

BASE = "/vodacom/sandbox/ipg/v2/vodacomDRC"


@pytest.fixture
def outside(open_box: Callable[..., Box], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Box, MPESA]]:
    box = open_box()
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    key = box.app.test_client().get("/sandbox/api/wallets/vodacom/public-key").text
    # The address, everywhere the client keeps it. Its context shares two dictionaries between instances.
    monkeypatch.setattr(APIContext.__init__, "__defaults__", (*APIContext.__init__.__defaults__[:7], {}, {}))
    monkeypatch.setattr(MPESA.get_session_id, "__defaults__", (f"{BASE}/getSession/",))
    client = MPESA(box.config.vodacom_api_key, key, ssl=False)
    client.context.address, client.context.port = "127.0.0.1", server.port
    yield box, client
    server.shutdown()
    server.server_close()


def asked(**changed: Any) -> dict[str, Any]:
    return {
        "input_Country": "DRC",
        "input_ServiceProviderCode": "000000",
        "input_ThirdPartyConversationID": uuid.uuid4().hex,
        **changed,
    }


def again(box: Box, client: MPESA) -> MPESA:
    """It puts the session in the place of its key: each call begins with the key."""
    client.context.api_key = box.config.vodacom_api_key
    client.context["parameters"] = {}
    return client


def test_pays_asks_and_reverses(outside: tuple[Box, MPESA]) -> None:
    box, client = outside
    payment = asked(
        input_Amount="5000",
        input_Currency="CDF",
        input_CustomerMSISDN=PHONE[1:],
        input_TransactionReference="INV000123",
        input_PurchasedItemsDesc="Electricity",
    )
    call = box.callers.submit(again(box, client).customer2business, payment, f"{BASE}/c2bPayment/singleStage/")
    assert box.answers(PHONE) == "paid"
    paid = call.result(30)
    assert (paid.status_code, paid.body["output_ResponseCode"]) == (201, "INS-0")
    number = paid.body["output_TransactionID"]
    question = asked(input_QueryReference=payment["input_ThirdPartyConversationID"])
    status = again(box, client).status(question, f"{BASE}/queryTransactionStatus/")
    assert status.body["output_ResponseTransactionStatus"] == "Completed"
    assert (status.body["output_OriginalTransactionID"], status.body["output_Reversed"]) == (number, "false")
    back = asked(input_ReversalAmount="2000", input_TransactionID=number)
    reversed_one = again(box, client).reversal(back, f"{BASE}/reversal/")
    assert (reversed_one.status_code, reversed_one.body["output_ResponseCode"]) == (201, "INS-0")
    assert box.balance(PHONE) == "17000"
    twice = again(box, client).reversal(back, f"{BASE}/reversal/")
    assert (twice.status_code, twice.body["output_ResponseCode"]) == (409, "INS-10")
    assert box.balance(PHONE) == "17000"


def test_is_told_why_not(outside: tuple[Box, MPESA]) -> None:
    box, client = outside
    back = asked(input_ReversalAmount="2000", input_TransactionID="NOBODYS")
    refused = again(box, client).reversal(back, f"{BASE}/reversal/")
    assert refused.body["output_ResponseCode"] == "INS-18"
    client.context.api_key = "wrong"
    with pytest.raises(KeyError):
        client.get_session_id()
