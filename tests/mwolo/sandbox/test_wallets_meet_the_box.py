"""The product's wallet adapters and the box's operators, over a real socket: both sides read the protocol alike."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.wallets.operators.pawapay import PawapayConfig, PawapayWallet
from channels.wallets.operators.vodacom import VodacomConfig, VodacomWallet
from core.kernel.clock import SystemClock
from core.kernel.ids import own_reference
from core.kernel.money import Money
from core.partner_http import PartnerHttp
from core.payments.ports import (
    Accepted,
    Failed,
    Hint,
    NotAccepted,
    NotFound,
    Paid,
    Pending,
    RawCallback,
    Unknown,
    Wallet,
    WalletAttempt,
)
from mwolo.sandbox.serve import threaded_server
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Letter, Product, until


@pytest.fixture
def on_the_wire(open_box: Callable[..., Box]) -> Iterator[Callable[..., tuple[Box, str]]]:
    """Opens a box on a port of its own: (box, address)."""
    servers: list[Any] = []

    def open_one(**settings: Any) -> tuple[Box, str]:
        box = open_box(**settings)
        servers.append(threaded_server(box.app))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return box, f"http://127.0.0.1:{servers[-1].port}"

    yield open_one
    for server in servers:
        server.shutdown()
        server.server_close()


def vodacom_wallet(box: Box, address: str) -> VodacomWallet:
    key = box.app.test_client().get("/sandbox/api/wallets/vodacom/public-key").text
    config = VodacomConfig(
        api_key=box.config.vodacom_api_key,
        public_key=key,
        base_url=f"{address}/vodacom",
        mode=box.config.vodacom_mode,
        session_warmup_s=0,
    )
    return VodacomWallet(config, http=PartnerHttp("vodacom"), clock=SystemClock())


def pawapay_wallet(box: Box, address: str) -> PawapayWallet:
    config = PawapayConfig(api_token=box.config.pawapay_token, base_url=f"{address}/pawapay")
    return PawapayWallet(config, http=PartnerHttp("pawapay"), clock=SystemClock())


def attempt(phone: str, brand: str, units: int = 5000) -> WalletAttempt:
    return WalletAttempt(
        attempt_id=str(uuid.uuid4()),
        own_ref=own_reference(),
        brand=brand,
        payer_phone=phone,
        amount=Money.units(units, "CDF"),
        account_number="1234567890",
        description="Facture 000123",
    )


def heard(wallet: Wallet, letter: Letter) -> Hint:
    headers = {name.lower(): value for name, value in letter.headers.items()}
    raw = RawCallback("callback", letter.body, headers, "POST", letter.path, letter.authority, None, datetime.now(UTC))
    hint = wallet.read_callback(raw)
    assert isinstance(hint, Hint)
    return hint


@pytest.mark.parametrize("shape", ["der", "raw"])
def test_pawapay_from_the_push_to_the_verified_callback(
    on_the_wire: Callable[..., tuple[Box, str]], product: Product, shape: str
) -> None:
    box, address = on_the_wire(pawapay_signature=shape)
    wallet, one = pawapay_wallet(box, address), attempt(AIRTEL, "airtel")
    assert isinstance(wallet.query(one), NotFound)
    assert isinstance(wallet.start(one), Accepted)
    assert isinstance(wallet.start(one), Accepted)  # the same id again: no second prompt
    assert isinstance(wallet.query(one), Pending)
    box.answers(AIRTEL)
    paid = wallet.query(one)
    assert isinstance(paid, Paid)
    assert (paid.amount, paid.payer_phone) == (one.amount, AIRTEL)
    [letter] = until(lambda: product.at("/hooks/pawapay"))
    hint = heard(wallet, letter)
    assert (hint.attempt_id, hint.authentic, hint.claim) == (one.attempt_id, True, paid)
    assert box.entry("pawapay", one.attempt_id)["prompts"] == 1


def test_pawapay_failures_are_understood(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = pawapay_wallet(box, address)
    for fault, kind in (("overloaded", NotAccepted), ("error_before_accept", Unknown), ("refused", Failed)):
        box.fault("pawapay", fault)
        assert isinstance(wallet.start(attempt(AIRTEL, "airtel")), kind), fault
    lost = attempt(AIRTEL, "airtel")
    box.fault("pawapay", "lost_answer")
    assert isinstance(wallet.start(lost), Unknown)
    busy = attempt(AIRTEL, "airtel")
    assert isinstance(wallet.start(busy), Accepted)
    assert wallet.query(busy) == Failed("busy", "PAYMENT_IN_PROGRESS")
    box.answers(AIRTEL, None)
    assert wallet.query(lost) == Failed("cancelled", "PAYMENT_NOT_APPROVED")


def test_vodacom_synchronous(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet, one = vodacom_wallet(box, address), attempt(MPESA, "mpesa")
    assert isinstance(wallet.query(one), NotFound)
    call = box.callers.submit(wallet.start, one)
    box.prompt(MPESA)
    assert isinstance(wallet.query(one), Pending)
    assert wallet.start(one) == Unknown("INS-10")
    box.answers(MPESA)
    paid = call.result(20)
    entry = box.entry("vodacom", one.attempt_id.replace("-", ""))
    assert paid == Paid(entry["provider_txn_id"])
    assert wallet.query(one) == paid
    assert entry["prompts"] == 1


def test_vodacom_failures_are_understood(on_the_wire: Callable[..., tuple[Box, str]]) -> None:
    box, address = on_the_wire()
    wallet = vodacom_wallet(box, address)
    for fault, kind in (
        ("overloaded", NotAccepted),
        ("expired_session", NotAccepted),
        ("error_before_accept", Unknown),
        ("refused", Failed),
    ):
        box.fault("vodacom", fault)
        assert isinstance(wallet.start(attempt(MPESA, "mpesa")), kind), fault
    lost = attempt(MPESA, "mpesa")
    box.fault("vodacom", "lost_answer")
    assert isinstance(wallet.start(lost), Unknown)
    box.answers(MPESA)
    assert isinstance(wallet.query(lost), Paid)
    poor = attempt(MPESA, "mpesa", units=9_000_000)
    call = box.callers.submit(wallet.start, poor)
    box.answers(MPESA)
    assert call.result(20) == Failed("no_funds", "INS-2006")


def test_vodacom_asynchronous(on_the_wire: Callable[..., tuple[Box, str]], product: Product) -> None:
    box, address = on_the_wire(vodacom_mode="async")
    wallet, one = vodacom_wallet(box, address), attempt(MPESA, "mpesa")
    taken = wallet.start(one)
    assert isinstance(taken, Accepted)
    box.answers(MPESA)
    [letter] = until(lambda: product.at("/hooks/vodacom"))
    hint = heard(wallet, letter)
    assert (hint.attempt_id, hint.provider_ref, hint.authentic) == (one.attempt_id, taken.provider_ref, False)
    assert hint.claim == wallet.query(one)
