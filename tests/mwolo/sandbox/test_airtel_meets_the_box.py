"""Our adapter, and a client nobody here wrote, against Airtel's double over a real socket."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airtelmoney import AirtelAPIError, AirtelAuthError, AirtelMoney

from channels.wallets.operators.airtel import AirtelConfig, AirtelWallet
from channels.wallets.registry import build
from channels.wallets.sessions import InProcessStore
from core.kernel.clock import SystemClock
from core.kernel.ids import own_reference
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import (
    Accepted,
    Failed,
    Hint,
    Malformed,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    Unknown,
    WalletAttempt,
    WalletRefund,
)
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import AIRTEL, Box, Letter, Product, until

HOOK = "/hooks/airtel"


@pytest.fixture
def on_the_wire(open_box: Callable[..., Box], product: Product) -> Iterator[Callable[..., tuple[Box, str]]]:
    """Opens a box on a port of its own: (box, Airtel's address)."""
    servers: list[Any] = []

    def open_one(**settings: Any) -> tuple[Box, str]:
        box = open_box(airtel_callback_url=product.url(HOOK), **settings)
        servers.append(threaded_server(box.app))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return box, f"http://127.0.0.1:{servers[-1].port}/airtel"

    yield open_one
    for server in servers:
        server.shutdown()
        server.server_close()


def wallet_at(box: Box, address: str, **changed: Any) -> AirtelWallet:
    config = AirtelConfig(
        **{
            "client_id": box.config.airtel_client_id,
            "client_secret": box.config.airtel_client_secret,
            "callback_key": box.config.airtel_callback_key,
            "callback_hash": box.config.airtel_callback_hash,
            "base_url": address,
            **{name: value for name, value in changed.items() if name != "session_store"},
        }
    )
    kept = {"session_store": changed["session_store"]} if "session_store" in changed else {}
    wallet = build("airtel", config, http=PartnerHttp("airtel"), clock=SystemClock(), **kept)
    assert isinstance(wallet, AirtelWallet)
    return wallet


def attempt(units: int = 5000) -> WalletAttempt:
    return WalletAttempt(
        attempt_id=str(uuid.uuid4()),
        own_ref=own_reference(),
        brand="airtel",
        payer_phone=AIRTEL,
        amount=Money.units(units, "CDF"),
        account_number="1234567890",
        description="Facture 000123",
    )


def refund_of(one: WalletAttempt, paid: Paid) -> WalletRefund:
    return WalletRefund(
        refund_id=str(uuid.uuid4()),
        own_ref=own_reference(),
        attempt_id=one.attempt_id,
        provider_txn_id=paid.provider_txn_id,
        brand="airtel",
        payer_phone=AIRTEL,
        amount=one.amount,
        original=one.amount,
    )


def heard(wallet: AirtelWallet, letter: Letter) -> Hint | Malformed:
    raw = RawCallback("callback", letter.body, {}, "POST", letter.path, letter.authority, None, datetime.now(UTC))
    return wallet.read_callback(raw)


# -- our own client


@pytest.mark.parametrize(
    ("version", "form", "signing"),
    [("v1", "transaction", "optional"), ("v2", "wrapped", "required"), ("v2", "raw", "required")],
)
def test_from_the_push_to_the_refund(
    on_the_wire: Callable[..., tuple[Box, str]], product: Product, version: str, form: str, signing: str
) -> None:
    box, address = on_the_wire(airtel_callback_hash=form, airtel_signing=signing)
    wallet, one = wallet_at(box, address, version=version), attempt()
    assert wallet.query(one) == NotFound()
    assert wallet.start(one) == Accepted()
    assert wallet.start(one) == Unknown("ESB000041")
    assert wallet.query(one) == Pending()
    box.answers(AIRTEL)
    paid = wallet.query(one)
    entry = box.entry("airtel", one.own_ref)
    assert paid == Paid(entry["provider_txn_id"])
    [letter] = until(lambda: product.at(HOOK))
    assert heard(wallet, letter) == Hint(own_ref=one.own_ref, claim=paid, authentic=False)
    assert isinstance(paid, Paid)
    taken = wallet.refund(refund_of(one, paid))
    [back] = box.get("wallets/airtel/ledger")["refunds"]
    assert taken == Accepted(back["provider_txn_id"])
    assert box.balance(AIRTEL) == "20000"
    assert wallet.refund(refund_of(one, paid)) == Unknown("ESB000011"), "the second is kept off by their own id"
    assert box.balance(AIRTEL) == "20000"
    assert entry["prompts"] == 1


def test_dollars_and_cents_arrive(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire(airtel_signing="required")
    one = attempt()
    asked = WalletAttempt(
        **{name: getattr(one, name) for name in one.__dataclass_fields__} | {"amount": Money(1999, "USD")}
    )
    assert wallet_at(box, address, version="v2").start(asked) == Accepted()
    assert box.entry("airtel", one.own_ref)["amount"] == "19.99"


@pytest.mark.parametrize(
    ("fault", "expected", "after"),
    [
        ("expired_token", NotAccepted("token_refused", 1), NotFound()),
        ("throttled", NotAccepted("429", 10), NotFound()),
        ("overloaded", Unknown("503"), NotFound()),
        ("error_before_accept", Unknown("500 ESB000001"), NotFound()),
        ("refused", Failed("configuration", "ESB000008"), NotFound()),
        ("error_after_accept", Unknown("500 ESB000004"), Pending()),
        ("lost_answer", Unknown("cut"), Pending()),
        ("never_final", Accepted(), Pending()),
    ],
)
def test_what_goes_wrong_is_understood(
    on_the_wire: Callable[..., tuple[Box, str]], fault: str, expected: object, after: object
) -> None:
    box, address = on_the_wire()
    wallet, one = wallet_at(box, address), attempt()
    wallet.prepare()
    box.fault("airtel", fault)
    assert wallet.start(one) == expected
    assert wallet.query(one) == after
    if after == NotFound():
        assert wallet.start(one) == (Accepted() if fault != "refused" else Unknown("ESB000041")), "as the id is free"


def test_a_forged_callback_is_not_read(on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    box, address = on_the_wire()
    wallet = wallet_at(box, address)
    box.fault("airtel", "forged_callback")
    wallet.start(attempt())
    [letter] = until(lambda: product.at(HOOK))
    assert heard(wallet, letter) == Malformed("hash")


def test_two_workers_and_one_token(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    store = InProcessStore()
    for _ in range(2):
        assert wallet_at(box, address, session_store=store).query(attempt()) == NotFound()
    asked = [call["operation"] for call in box.get("wallets/airtel/ledger")["requests"]]
    assert asked == ["token", "query", "query"]


def test_a_token_that_ended_at_the_operators(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet, one = wallet_at(box, address), attempt()
    wallet.prepare()
    box.clock.ahead = 200
    assert wallet.start(one) == NotAccepted("token_refused", 1)
    assert wallet.start(one) == Accepted()


def test_the_checks_against_the_double(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = wallet_at(box, address, version="v2")
    found = [finding.ok for finding in wallet.check()]
    assert found == [None, True, True, True, True, True, None, None]
    box.fault("airtel", "clock_skew", seconds=7200)
    assert [finding.ok for finding in wallet.check()][2] is False
    assert box.get("wallets/airtel/ledger")["entries"] == []


# -- airtelmoney-py, unchanged except for the address


def judge(box: Box, address: str, **changed: str) -> AirtelMoney:
    credentials = {"client_id": box.config.airtel_client_id, "client_secret": box.config.airtel_client_secret}
    return AirtelMoney(**{**credentials, **changed}, base_url=address, country="CD", currency="CDF")


def test_a_client_nobody_here_wrote(on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    box, address = on_the_wire(airtel_signing="required")
    client = judge(box, address)
    taken = client.collection.payment(reference="INV000123", msisdn=AIRTEL[4:], amount=12500)
    own_id = taken["data"]["transaction"]["id"]
    assert taken["status"]["success"] is True
    assert client.collection.enquiry(own_id)["data"]["transaction"]["status"] == "TIP"
    box.answers(AIRTEL)
    found = client.collection.enquiry(own_id)["data"]["transaction"]
    assert (found["status"], found["id"]) == ("TS", own_id)
    assert client.account.balance()["data"]["balance"] == "12,500.00"
    assert client.kyc.user_enquiry(AIRTEL[1:])["data"]["msisdn"] == AIRTEL[4:]
    assert box.entry("airtel", own_id)["provider_txn_id"] == found["airtel_money_id"]


def test_its_refund(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    client = judge(box, address)
    own_id = client.collection.payment(reference="F", msisdn=AIRTEL[4:], amount=500)["data"]["transaction"]["id"]
    box.answers(AIRTEL)
    number = client.collection.enquiry(own_id)["data"]["transaction"]["airtel_money_id"]
    assert client.collection.refund(number)["data"]["transaction"]["status"] == "SUCCESS"
    assert box.balance(AIRTEL) == "20000"
    with pytest.raises(AirtelAPIError):
        client.collection.refund(number)


def test_its_reading_of_a_callback(on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    """It hashes the inner transaction with the client secret: the box can be set to do the same."""
    box, address = on_the_wire(airtel_callback_hash="transaction", airtel_callback_key="sandbox-airtel-secret")
    client = judge(box, address)
    client.collection.payment(reference="F", msisdn=AIRTEL[4:], amount=500, sign=False)
    box.answers(AIRTEL)
    [letter] = until(lambda: product.at(HOOK))
    news = json.loads(letter.body)
    assert client.collection.verify_callback_hash(news, box.config.airtel_client_secret)
    assert not client.collection.verify_callback_hash(news, "another")


def test_it_renews_its_token(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    client = judge(box, address)
    client.get_access_token()
    box.clock.ahead = 200
    assert client.collection.enquiry("anything")["status"]["result_code"] == "ESB000045"
    with pytest.raises(AirtelAuthError):
        judge(box, address, client_secret="wrong").get_access_token()
