"""The product's SMS and USSD adapters and the box's aggregator: both sides read the protocol alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from channels.sms.gateways.africastalking import AfricasTalkingSms, AfricasTalkingSmsConfig
from channels.ussd.gateway import EndNotice, Turn
from channels.ussd.gateways.africastalking import AfricasTalkingUssd
from core.kernel.errors import PartnerDown, PartnerError
from core.notices.errors import BadRecipient, OptedOut, RouteRefused
from core.notices.ports import DeliveryReport, InboundText, OutboundText
from core.partner_http import PartnerHttp
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import MPESA, Box, Letter, Product, until

TEXT = OutboundText(MPESA, "Recu 5 000 FC. Ref E123", "ours")


@pytest.fixture
def address(box: Box) -> Iterator[str]:
    server = threaded_server(box.app)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}/africastalking"
    server.shutdown()
    server.server_close()


def gateway(box: Box, address: str, key: str | None = None) -> AfricasTalkingSms:
    config = AfricasTalkingSmsConfig("sandbox", key or box.config.at_api_key, "MWOLO", address)
    return AfricasTalkingSms(config, PartnerHttp("africastalking"))


def test_a_text_and_its_report(box: Box, product: Product, address: str) -> None:
    sms = gateway(box, address)
    receipt = sms.send(TEXT)
    assert receipt.cost == "KES 0.8000"
    [shown] = box.get(f"sms?phone={MPESA}")
    assert (shown["text"], shown["from"]) == (TEXT.body, "MWOLO")
    [letter] = until(lambda: product.at("/sms/delivery"))
    report = sms.read_delivery(letter.form)
    assert isinstance(report, DeliveryReport)
    assert (report.reference, report.meaning, report.phone) == (receipt.reference, "delivered", MPESA)
    box.post("sms", {"from": MPESA, "text": "SOLDE"})
    [letter] = until(lambda: product.at("/sms/inbound"))
    assert sms.read_inbound(letter.form) == InboundText(
        letter.form["id"], MPESA, "SOLDE", letter.form["to"], datetime.fromisoformat(letter.form["date"])
    )


@pytest.mark.parametrize(
    ("fault", "params", "error"),
    [
        ("sms_refused", {"code": 406}, OptedOut),
        ("sms_refused", {"code": "403"}, BadRecipient),
        ("sms_refused", {"code": "InsufficientBalance"}, RouteRefused),
        ("sms_refused", {}, RouteRefused),
        ("sms_lost_answer", {}, PartnerDown),
    ],
)
def test_refusals_are_understood(
    box: Box, address: str, fault: str, params: dict[str, object], error: type[PartnerError]
) -> None:
    box.fault("africastalking", fault, **params)
    with pytest.raises(error):
        gateway(box, address).send(TEXT)


def test_a_wrong_key(box: Box, address: str) -> None:
    with pytest.raises(RouteRefused):
        gateway(box, address, key="other").send(TEXT)


def test_turns_and_ends_are_read(box: Box, product: Product) -> None:
    ussd = AfricasTalkingUssd()
    read: list[object] = []

    def answer(letter: Letter) -> tuple[int, str]:
        kind = letter.headers["Content-Type"]
        read.append((ussd.read_end if letter.path.endswith("/end") else ussd.read)(letter.body, kind))
        return 200, ussd.render("Menu", ended=len(read) > 1).decode()

    product.answer = answer
    box.post(f"ussd/{MPESA}/dial", {"code": "*123*7#"})
    box.post(f"ussd/{MPESA}/reply", {"input": "1"})
    until(lambda: len(read) == 3)
    first, second, end = read
    assert isinstance(first, Turn)
    assert isinstance(second, Turn)
    assert isinstance(end, EndNotice)
    assert (first.transcript, second.transcript, first.phone, first.service_code) == ("7", "7*1", MPESA, "*123#")
    assert (end.status, end.session_id, end.hops) == ("reached_end", first.session_id, 2)
