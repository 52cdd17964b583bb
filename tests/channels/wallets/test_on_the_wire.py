"""The adapters and the sandbox's operators, over real sockets: what one says the other understands."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from wallet_bench import attempt

from channels.wallets.operators.pawapay import PawapayConfig
from channels.wallets.operators.vodacom import VodacomConfig
from channels.wallets.registry import build
from channels.wallets.views import hooks_blueprint
from core.kernel.clock import SystemClock
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
from tests.mwolo.sandbox.box_rig import AIRTEL, MPESA, Box, Product, until

AMOUNT = Money.units(12500, "CDF")


class Town:
    """A box on a port, the callback door on another, and both wallets between them."""

    def __init__(self, folder: Path, product: Product, **settings: Any) -> None:
        self.kept: list[tuple[str, RawCallback]] = []
        self.wallets: dict[str, Wallet] = {}
        self.clock = SystemClock()
        door = Flask("door")
        door.register_blueprint(hooks_blueprint(self, self.wallets, ["secret"], clock=self.clock))
        self._door = self._serve(door)
        self.box = Box(
            folder / "box",
            product,
            vodacom_callback_url=self._url(self._door, "/hooks/vodacom/secret/callback"),
            pawapay_callback_url=self._url(self._door, "/hooks/pawapay/secret/callback"),
            **settings,
        )
        self._operators = self._serve(self.box.app)
        self._clients = [self._vodacom(settings.get("vodacom_mode", "sync")), self._pawapay()]

    def store(self, wallet: str, raw: RawCallback, source: str) -> None:
        self.kept.append((wallet, raw))

    def hint(self, name: str) -> Hint:
        """What the first callback to this wallet says."""
        raw = until(lambda: [raw for wallet, raw in self.kept if wallet == name], f"a callback to {name}")[0]
        hint = self.wallets[name].read_callback(raw)
        assert isinstance(hint, Hint)
        return hint

    def close(self) -> None:
        self.box.close()
        for server in (self._door, self._operators):
            server.shutdown()
            server.server_close()
        for client in self._clients:
            client.close()

    def _vodacom(self, mode: Any) -> PartnerHttp:
        http = PartnerHttp("vodacom")
        config = VodacomConfig(
            api_key=self.box.config.vodacom_api_key,
            public_key=self.box.app.test_client().get("/sandbox/api/wallets/vodacom/public-key").text,
            base_url=self._url(self._operators, "/vodacom"),
            mode=mode,
            session_warmup_s=0,
        )
        self.wallets["vodacom"] = build("vodacom", config, http=http, clock=self.clock)
        return http

    def _pawapay(self) -> PartnerHttp:
        http = PartnerHttp("pawapay")
        config = PawapayConfig(api_token=self.box.config.pawapay_token, base_url=self._url(self._operators, "/pawapay"))
        self.wallets["pawapay"] = build("pawapay", config, http=http, clock=self.clock)
        return http

    def _serve(self, app: Flask) -> Any:
        server = threaded_server(app)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    @staticmethod
    def _url(server: Any, path: str) -> str:
        return f"http://127.0.0.1:{server.port}{path}"


@pytest.fixture
def open_town(tmp_path: Path) -> Iterator[Callable[..., Town]]:
    opened: list[Town] = []
    product = Product()

    def open_one(**settings: Any) -> Town:
        opened.append(Town(tmp_path, product, **settings))
        return opened[-1]

    yield open_one
    for town in opened:
        town.close()
    product.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def asked(phone: str = MPESA, brand: str = "mpesa") -> WalletAttempt:
    return attempt(attempt_id=str(uuid.uuid4()), payer_phone=phone, brand=brand)


def test_vodacom_synchronous(open_town: Callable[..., Town], threads: ThreadPoolExecutor) -> None:
    town = open_town()
    wallet, one = town.wallets["vodacom"], asked()
    assert wallet.query(one) == NotFound()
    answer = threads.submit(wallet.start, one)
    assert town.box.prompt(MPESA)["amount"] == "12500"
    assert wallet.query(one) == Pending()
    town.box.answers(MPESA)
    entry = town.box.entry("vodacom", one.attempt_id.replace("-", ""))
    assert answer.result(20) == wallet.query(one) == Paid(entry["provider_txn_id"])
    assert wallet.start(one) == Unknown("INS-10")
    assert town.box.balance(MPESA) == "7500"


def test_vodacom_refusals_and_faults(open_town: Callable[..., Town], threads: ThreadPoolExecutor) -> None:
    town = open_town()
    wallet, box = town.wallets["vodacom"], town.box
    for pin, expected in ((None, "cancelled"), ("1234", "paid")):
        answer = threads.submit(wallet.start, asked())
        box.answers(MPESA, pin)
        result = answer.result(20)
        assert isinstance(result, Paid) if expected == "paid" else getattr(result, "reason", None) == expected
    one = asked()
    box.fault("vodacom", "overloaded")
    assert wallet.start(one) == NotAccepted("INS-16", 30)
    box.fault("vodacom", "expired_session")
    assert isinstance(wallet.start(one), NotAccepted)
    box.fault("vodacom", "error_before_accept")
    assert wallet.start(one) == Unknown("500 INS-1")
    assert wallet.query(one) == NotFound()
    box.fault("vodacom", "lost_answer")
    assert wallet.start(one) == Unknown("cut")
    assert wallet.query(one) == Pending()


def test_vodacom_asynchronous(open_town: Callable[..., Town]) -> None:
    town = open_town(vodacom_mode="async")
    wallet, one = town.wallets["vodacom"], asked()
    taken = wallet.start(one)
    assert isinstance(taken, Accepted)
    assert taken.provider_ref
    town.box.answers(MPESA)
    hint = town.hint("vodacom")
    assert (hint.attempt_id, hint.provider_ref, hint.authentic) == (one.attempt_id, taken.provider_ref, False)
    assert hint.claim == wallet.query(one)
    assert isinstance(hint.claim, Paid)


@pytest.mark.parametrize("form", ["der", "raw"])
def test_pawapay_pays_and_proves_it(open_town: Callable[..., Town], form: str) -> None:
    town = open_town(pawapay_signature=form)
    wallet, one = town.wallets["pawapay"], asked(AIRTEL, "airtel")
    assert wallet.query(one) == NotFound()
    assert wallet.start(one) == wallet.start(one) == Accepted()
    assert wallet.query(one) == Pending()
    town.box.answers(AIRTEL)
    hint = town.hint("pawapay")
    txn_id = town.box.entry("pawapay", one.attempt_id)["provider_txn_id"]
    assert hint == Hint(attempt_id=one.attempt_id, claim=Paid(txn_id, AMOUNT, payer_phone=AIRTEL), authentic=True)
    assert wallet.query(one) == hint.claim


def test_pawapay_refusals_and_faults(open_town: Callable[..., Town]) -> None:
    town = open_town()
    wallet, box, one = town.wallets["pawapay"], town.box, asked(AIRTEL, "airtel")
    box.fault("pawapay", "overloaded")
    assert isinstance(wallet.start(one), NotAccepted)
    box.fault("pawapay", "error_before_accept")
    assert wallet.start(one) == Unknown("500")
    assert wallet.query(one) == NotFound()
    box.fault("pawapay", "lost_answer")
    assert wallet.start(one) == Unknown("cut")
    assert wallet.query(one) == Pending()
    town.box.answers(AIRTEL, None)
    hint = town.hint("pawapay")
    assert (hint.authentic, hint.claim) == (True, Failed("cancelled", "PAYMENT_NOT_APPROVED"))
    box.fault("pawapay", "no_funds")
    poor = asked(AIRTEL, "airtel")
    assert wallet.start(poor) == Accepted()
    assert box.answers(AIRTEL) == "no_funds"
    assert wallet.query(poor) == Failed("no_funds", "INSUFFICIENT_BALANCE")
